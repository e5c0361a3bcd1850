"""A run: one folder with everything that a training needed and gave."""

from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from yolact.config import ModelConfig
from yolact.data.source import published
from yolact.device import choose_device
from yolact.model import Yolact, build_model
from yolact.training.averaging import AveragedWeights
from yolact.training.batch_size import decide
from yolact.training.config import TrainConfig
from yolact.training.inputs import Inputs, read_inputs
from yolact.training.loggers import build_loggers
from yolact.training.module import CocoData, TrainingModule
from yolact.training.pictures import Pictures
from yolact.training.progress import Progress, Waiting, say
from yolact.training.record import RECORD, Record, environment
from yolact.training.recovery import Recovery
from yolact.training.saving import STATE, Interrupted, SaveLast, Stopped
from yolact.training.start import initialize
from yolact.training.together import (
    agree,
    check_shared,
    exchanged,
    joined,
    launched,
    losing_none,
    of_first,
    on_all,
    restarted,
)
from yolact.training.trainer import build_trainer, processes, quiet
from yolact.training.validation import Validation
from yolact.whole_files import written_whole


@dataclass(frozen=True)
class Prepared:
    """All that a run needs before its first step."""

    module: TrainingModule
    inputs: Inputs
    record: Record
    loggers: list[Logger]
    out: Path
    state: Path | None = None
    """What it goes on with."""


def start(data: Path, model: ModelConfig, config: TrainConfig, out: Path | None, stop: Event | None) -> Path:
    """See `yolact.training.train`."""
    with joined(choose_device(config.device), float(config.timeout)):
        if any(exchanged(restarted())) and out is not None and of_first((out / RECORD).is_file()):
            say(f"started again; going on with the run in {out}")
            return _resume(out, stop)
        prepared = on_all(lambda: _start(data, model, config, out))
        _agree(prepared)
        on_all(lambda: rank_zero_only(_make)(prepared))
        check_shared(prepared.out / RECORD)
        return _fit(prepared, stop)


def _make(prepared: Prepared) -> None:
    prepared.out.mkdir(parents=True, exist_ok=True)
    prepared.record.write(prepared.out)


def _start(data: Path, model: ModelConfig, config: TrainConfig, out: Path | None) -> Prepared:
    if config.cache is not None:
        config = replace(config, cache=config.cache.resolve())
    inputs = read_inputs(data, config.cache)
    if config.patience is not None and inputs.val is None:
        raise ValueError(f"patience is {config.patience}, but {data} has no val to measure on; add one, or do without")
    out = _new_folder(out)
    model = model.with_classes(inputs.train.classes, inputs.category_ids())
    lightning.seed_everything(config.seed, verbose=False)
    device = choose_device(config.device)
    _check_device(config, device)
    network = _synchronized(build_model(model), config)
    asked, config = config, decide(network, config, device)
    module = TrainingModule(network, config)
    say(initialize(network, config))
    if asked.batch_size == "auto":
        say(f"batches of {config.images} images, as many as memory holds")
    record = Record(str(data.resolve()), model, config, processes(config), environment(), inputs.fingerprints())
    return Prepared(module, inputs, record, build_loggers(config.loggers, out), out)


def resume(out: Path, stop: Event | None) -> Path:
    """See `yolact.training.resume`."""
    try:
        config = Record.read(out).train
    except ValueError:  # told to all processes, once they are connected
        config = TrainConfig()
    with joined(choose_device(config.device), float(config.timeout)):
        return _resume(out, stop)


def _resume(out: Path, stop: Event | None) -> Path:
    prepared = on_all(lambda: _go_on(out))
    _agree(prepared)
    return _fit(prepared, stop)


def _agree(prepared: Prepared) -> None:
    """Raise a ValueError if processes that train together would not train the same."""
    if processes(prepared.record.train) > 1:
        agree(prepared.record.facts())


def _go_on(out: Path) -> Prepared:
    if not (out / RECORD).is_file():
        raise ValueError(f"{out} has no {RECORD}; name the folder of a run")
    record, state = Record.read(out), out / STATE
    if not Path(record.data).exists() and Path(record.data).stem not in published():
        raise ValueError(
            f"{record.data}, which the run in {out} was started with, does not exist; if it has moved, write its new"
            f' place into {out / RECORD}, at "data"'
        )
    inputs = read_inputs(Path(record.data), record.train.cache)
    if inputs.train.classes != record.model.class_names:
        raise ValueError(
            f"{record.data} now has the classes {inputs.train.classes}; the run was for {record.model.class_names}"
        )
    now = inputs.fingerprints()
    for split in sorted(now.keys() | record.fingerprints.keys()):
        if now.get(split) != record.fingerprints.get(split):
            raise ValueError(
                f"the {split} data of {record.data} are not those that the run in {out} was started with; bring them"
                f" back, or start a new run with --init {out / 'last.safetensors'}"
            )
    lightning.seed_everything(record.train.seed, verbose=False)
    _check_device(record.train, choose_device(record.train.device))
    if processes(record.train) != record.processes:
        raise ValueError(
            f"the run in {out} was started with {record.processes} processes, now there are"
            f" {processes(record.train)}; resume it with as many, as the batches are shared out among them"
        )
    network = _synchronized(build_model(record.model), record.train)
    module, loggers = TrainingModule(network, record.train), build_loggers(record.train.loggers, out)
    if not state.exists():  # killed before it had saved any
        say(initialize(network, record.train))
        return Prepared(module, inputs, record, loggers, out)
    _check_state(state)
    return Prepared(module, inputs, record, loggers, out, state)


def _check_device(config: TrainConfig, device: torch.device) -> None:
    for field, value in (("precision", "fp16"), ("batchnorm", "synchronized")):
        if getattr(config, field) == value and device.type != "cuda":
            raise ValueError(f"{field} is {value}, which needs CUDA GPUs; the device is {device.type}")
    if config.batch_size == "auto" and processes(config) > 1:
        raise ValueError("batch_size is auto, which each process would decide for itself; give the number for one GPU")


def _synchronized(network: Yolact, config: TrainConfig) -> Yolact:
    """With batch norm over all GPUs, if that is asked for; by timm, whose batch norms have their activation within."""
    if config.batchnorm != "synchronized":
        return network
    from timm.layers.norm_act import convert_sync_batchnorm

    converted = convert_sync_batchnorm(network)
    assert isinstance(converted, Yolact)
    return converted


def _new_folder(out: Path | None) -> Path:
    """With several devices Lightning runs the same command once for each; the first process makes the folder."""
    is_first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    if out is not None:
        if is_first and out.exists() and (not out.is_dir() or any(path.name[0] != "." for path in out.iterdir())):
            raise ValueError(f"{out} exists already; name another folder, or resume the run that is in it")
        return out
    if launched():
        raise ValueError("out is not given; processes on several machines need the same folder: name it with --out")
    names = [Path("runs/train")]
    while names[-1].exists():
        names.append(Path(f"runs/train-{len(names) + 1}"))
    return names[-1] if is_first else names[-2]


def _fit(prepared: Prepared, stop: Event | None) -> Path:
    module, data, out = prepared.module, prepared.inputs, prepared.out
    config = module.config
    averaged = AveragedWeights(config.ema_decay) if config.ema_decay > 0 else None
    validation = None
    if data.val is not None and data.config.val is not None:
        ids, pictures = [record.image_id for record in data.val.records], Pictures(data.val, config.pictures, out)
        validation = Validation(data.config.val.annotations, ids, out, pictures, config.patience)
    saver, waiting = SaveLast(out, averaged, config.save_every, config.accumulate, stop), Waiting()
    wanted = (validation, averaged, Recovery(out, averaged), saver, Progress())
    callbacks: list[Callback] = [callback for callback in wanted if callback is not None]
    trainer = build_trainer(
        config, out, callbacks, prepared.loggers, waiting, len(data.train), validates=data.val is not None
    )
    batches = CocoData(data.train, data.val, module.network, config)
    try:
        with quiet(), losing_none(f"go on with: yolact train --resume {out}"), saver.heeding_interrupts():
            # A folder of a run may come from somebody else, to go on with it here: no code in it is run.
            trainer.fit(module, batches, ckpt_path=prepared.state, weights_only=True)
            if validation is not None and validation.measured_at != trainer.global_step:
                trainer.validate(module, batches, verbose=False)
                if trainer.is_global_zero:
                    _note(out / STATE, validation)
    except Stopped:
        raise Interrupted(
            f"stopped after {trainer.global_step} steps; go on with: yolact train --resume {out}"
        ) from None
    _summarize(module, validation, waiting, out, trainer.global_step)
    return out


def _note(state: Path, validation: Validation) -> None:
    """Put a measurement that came after the fit into its last state: resumed, the run shall not repeat it."""
    content = torch.load(state, map_location="cpu", weights_only=True)
    content["callbacks"][validation.state_key] = validation.state_dict()
    with written_whole(state, lasting=True) as unfinished:
        torch.save(content, unfinished)


def _summarize(module: TrainingModule, validation: Validation | None, waiting: Waiting, out: Path, steps: int) -> None:
    parts = [f"{steps} steps"]
    if validation is not None and validation.is_exhausted:
        plural = "s" * (validation.since_best != 1)
        parts[0] += f", stopped as {validation.since_best} measurement{plural} brought no better mask AP"
    if module.skipped_steps:
        parts[0] += f", {module.skipped_steps} of them skipped for a loss that was not finite"
    if validation is not None and validation.best is not None:
        parts.append(f"best mask AP {100 * validation.best:.1f}")
    kept = "best" if (out / "best.safetensors").exists() else "last"
    say("; ".join([*parts, f"weights: {out / kept}.safetensors"]))
    if waiting.trained:
        advice = "; more --workers, or --cache, would help" if waiting.share > 0.2 else ""
        say(f"{waiting.share:.0%} of the time of training went by waiting for data{advice}")


def _check_state(state: Path) -> None:
    try:
        torch.load(state, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file: torch, zipfile and pickle raise what they like
        raise ValueError(f"{state} cannot be read: {' '.join(str(error).split())[:120]}") from error
