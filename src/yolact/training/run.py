"""A run: one folder with everything that a training needed and gave."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from tqdm import tqdm

from yolact.config import ModelConfig
from yolact.data.coco import CocoDataset, DataConfig
from yolact.data.ground_truth import GroundTruth
from yolact.device import choose_device
from yolact.model import build_model
from yolact.training.callbacks import AveragedWeights, Interrupted, Progress, SaveLast, Validation
from yolact.training.config import TrainConfig
from yolact.training.module import CocoData, TrainingModule
from yolact.training.start import initialize

RECORD = "run.json"
"""What a run was asked for, so that it can be resumed."""

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Lightning's names."""


ADVICE = (
    "The '(train|val)_dataloader' does not have many workers",
    "Found .* in eval mode",  # frozen batch norm
    "You're resuming from a checkpoint that ended before the epoch ended",  # the sampler skips what was seen
    "GPU available but not used",
    "The number of training batches",
    "It is recommended to use `self.log",  # losses are logged of the first device only
    ".*LeafSpec",  # Lightning's use of a function of torch
)
"""How Lightning's warnings begin that are not for users."""


def start(data: Path, model: ModelConfig, config: TrainConfig, out: Path | None) -> Path:
    """See `yolact.training.train`."""
    datasets = read_data(data)
    out = _new_folder(out)
    model = model.with_classes(datasets[0].classes, _category_ids(*datasets))
    lightning.seed_everything(config.seed, verbose=False)
    choose_device(config.device)
    network = build_model(model)
    _say(initialize(network, config))
    out.mkdir(parents=True, exist_ok=True)
    record = {"data": str(data.resolve()), "model": model.to_dict(), "train": config.to_dict()}
    rank_zero_only((out / RECORD).write_text)(json.dumps(record, indent=2))
    return _fit(TrainingModule(network, config), datasets, data, out, None)


def resume(out: Path) -> Path:
    """See `yolact.training.resume`."""
    if not (out / RECORD).is_file() or not (out / "last.ckpt").is_file():
        raise ValueError(f"{out} has no {RECORD} and last.ckpt; name the folder of a run that has saved a state")
    record = json.loads((out / RECORD).read_text())
    data, config = Path(record["data"]), TrainConfig.from_dict(record["train"])
    model = ModelConfig.from_dict(record["model"])
    datasets = read_data(data)
    if datasets[0].classes != model.class_names:
        raise ValueError(f"{data} now has the classes {datasets[0].classes}; the run was for {model.class_names}")
    lightning.seed_everything(config.seed, verbose=False)
    return _fit(TrainingModule(build_model(model), config), datasets, data, out, out / "last.ckpt")


def read_data(data: Path) -> tuple[CocoDataset, CocoDataset | None]:
    """The training and the validation images of a data.yaml; what is wrong with them is printed, one line a kind.

    Raises:
        ValueError: nothing to train on, or a class that is nowhere annotated.
    """
    config = DataConfig.read(data)
    train = CocoDataset(config.train, config.classes)
    train.check_classes()
    val = CocoDataset((config.val,), train.classes) if config.val else None
    if config.val and val:
        truth = GroundTruth(config.val.annotations, train.classes)  # refuses what could not be measured after an epoch
        if not any(truth.objects().values()):
            val.problems.append(f"{config.val.annotations.name}: no object to find, so no AP and no best weights")
    for line in train.problems + (val.problems if val else []):
        _say(f"warning: {line}")
    if train.num_objects == 0:
        raise ValueError(f"{data}: no usable object of {', '.join(train.classes[:5])} in the training images")
    validation = f"{len(val)} validation images" if val else "no validation images"
    _say(f"{len(train)} training images, {train.num_objects} objects, {len(train.classes)} classes; {validation}")
    return train, val


def _category_ids(train: CocoDataset, val: CocoDataset | None) -> tuple[int, ...]:
    """Those of the validation file, as results are compared with it; new ones for classes that it lacks."""
    known = train.category_ids if val is None else val.category_ids
    free = (i for i in count(1) if i not in known.values())
    return tuple(known[name] if name in known else next(free) for name in train.classes)


@rank_zero_only
def _say(line: str) -> None:
    print(line)


def _new_folder(out: Path | None) -> Path:
    """With several devices Lightning runs the same command once for each; the first process makes the folder."""
    is_first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    if out is not None:
        if is_first and out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"{out} exists already; name another folder, or resume the run that is in it")
        return out
    names = [Path("runs/train")]
    while names[-1].exists():
        names.append(Path(f"runs/train-{len(names) + 1}"))
    return names[-1] if is_first else names[-2]


def _fit(
    module: TrainingModule,
    datasets: tuple[CocoDataset, CocoDataset | None],
    data: Path,
    out: Path,
    state: Path | None,
) -> Path:
    train, val = datasets
    config = module.config
    averaged = AveragedWeights(config.ema_decay) if config.ema_decay > 0 else None
    validation = None
    if val is not None:
        source = DataConfig.read(data).val
        assert source is not None
        validation = Validation(source.annotations, [record.image_id for record in val.records], out)
    saver = SaveLast(out, averaged)
    wanted = (validation, averaged, saver, Progress())
    callbacks: list[Callback] = [callback for callback in wanted if callback is not None]
    trainer = _trainer(config, out, callbacks, len(train), validates=val is not None)
    batches = CocoData(train, val, module.network, config, done=_steps_done(state) if state else 0)
    try:
        with _quiet(), saver.heeding_interrupts():
            # The state holds optimizers and loops, which weights_only refuses; it is a file of this very run.
            trainer.fit(module, batches, ckpt_path=state, weights_only=False)
            if validation is not None and validation.measured_at != trainer.global_step:
                trainer.validate(module, batches, verbose=False)
    except (Interrupted, SIGTERMException):
        _say(f"stopped after {trainer.global_step} steps; go on with: yolact train --resume {out}")
        return out
    _summarize(module, validation, out, trainer.global_step)
    return out


def _summarize(module: TrainingModule, validation: Validation | None, out: Path, steps: int) -> None:
    skipped = f", {module.skipped_steps} of them skipped for a loss that was not finite" * (module.skipped_steps > 0)
    best = f"; best mask AP {100 * validation.best:.1f}" if validation and validation.best is not None else ""
    _say(f"{steps} steps{skipped}{best}; weights: {out / ('best' if best else 'last')}.safetensors")


def _trainer(
    config: TrainConfig, out: Path, callbacks: list[Callback], images: int, validates: bool
) -> lightning.Trainer:
    """Epochs become steps, so that both ways to say how long to train are one."""
    batches = max(images // (config.batch_size * config.devices), 1)
    steps = config.epochs * batches if config.steps is None else config.steps
    loggers = [TensorBoardLogger(out, name="tensorboard"), CSVLogger(out, name="csv")]
    with _quiet():
        return lightning.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator=config.device,
            devices=config.devices,
            precision=PRECISIONS[config.precision],  # type: ignore[arg-type]
            gradient_clip_val=config.gradient_clip,
            callbacks=callbacks,
            logger=loggers,
            log_every_n_steps=max(min(10, batches), 1),
            check_val_every_n_epoch=config.validate_every,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validates else 0,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=out,
        )


def _steps_done(state: Path) -> int:
    try:
        return int(torch.load(state, map_location="cpu", weights_only=False)["global_step"])
    except Exception as error:  # a damaged file: torch, zipfile and pickle raise what they like
        raise ValueError(f"{state} cannot be read: {' '.join(str(error).split())[:120]}") from error


def _print_warning(message: Warning | str, *_: Any) -> None:
    """In one line, and above the progress bar."""
    tqdm.write(f"warning: {message}", file=sys.stderr)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice: it is about choices that were made here on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            for advice in ADVICE:
                warnings.filterwarnings("ignore", advice)
            warnings.showwarning = _print_warning
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
