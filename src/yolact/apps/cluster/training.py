"""Training as a Ray job: Ray places the processes and starts them again; what they do is `yolact.training`'s.

Ray Train's own way with Lightning is a strategy, an environment and a callback of Ray's in the Trainer. Here Ray's
processes say of themselves what torchrun's say: then one training code runs everywhere, makes the same checks before
its first step, and writes the same folder. Ray sees no checkpoint: what goes on after a failure is the run's folder.
"""

import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yolact.apps.cluster.messages import Messages, Voice, set_when_asked
from yolact.config import ModelConfig
from yolact.training.config import TrainConfig

SCRATCH = ".ray"
"""Ray's own files, in the folder of the run while it goes on."""

PLACING_SECONDS = 60.0
"""After which nothing said means that the cluster has no place, and may be getting one."""


@dataclass(frozen=True, kw_only=True)
class RayTrain:
    """A cluster of Ray."""

    workers: int = 0
    """Processes that train, wherever Ray places them; 0: none, the run does without Ray."""

    address: str | None = None
    """Of the cluster: HOST:PORT, auto, or local for one of its own on this machine. None: RAY_ADDRESS, or the one that
    runs here, or one of its own."""

    cpus: float = 1.0
    """Processor cores that Ray sets aside for each process."""

    restarts: int = 3
    """How often all processes may be started again after one was lost; they go on from the last state."""

    def __post_init__(self) -> None:
        for field in ("workers", "restarts"):
            if getattr(self, field) < 0:
                raise ValueError(f"ray.{field} is {getattr(self, field)}; it must not be negative")
        if self.cpus <= 0:
            raise ValueError(f"ray.cpus is {self.cpus}; it must be above 0")


@dataclass(frozen=True)
class Job:
    """What each process is to do."""

    out: Path
    data: Path | None = None
    """None: go on with the run in `out`."""

    model: ModelConfig | None = None
    config: TrainConfig | None = None


@dataclass(frozen=True)
class Ended:
    """How it went, in the words of a process: errors that starting again does not mend."""

    code: int = 0
    message: str = ""


def start_on_ray(options: RayTrain, data: Path, model: ModelConfig, config: TrainConfig, out: Path | None) -> None:
    """`yolact.training.train` in processes of a Ray cluster. Paths mean the same on all machines.

    Raises:
        ValueError, KeyboardInterrupt: as of `yolact.training.train`.
        ConnectionError: no such cluster, or processes were lost more often than `restarts` allows.
    """
    if out is None:
        raise ValueError("out is not given; name a folder on a disk that all machines share with --out")
    if out.exists() and (not out.is_dir() or any(path.name != SCRATCH for path in out.iterdir())):
        raise ValueError(f"{out} exists already; name another folder, or resume the run that is in it")
    weights = Path(config.backbone_weights).expanduser()
    if weights.is_file():
        config = replace(config, backbone_weights=str(weights.resolve()))
    places = {name: getattr(config, name) for name in ("init", "cache")}
    config = replace(config, **{name: path and path.resolve() for name, path in places.items()})
    _run(options, Job(out.resolve(), data.resolve(), model, config), config)


def resume_on_ray(options: RayTrain, out: Path) -> None:
    """`yolact.training.resume`, likewise."""
    from yolact.training.record import Record

    _run(options, Job(out.resolve()), Record.read(out).train)


def _run(options: RayTrain, job: Job, config: TrainConfig) -> None:
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")  # read when it is imported
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
        from ray.train.v2.api.config import LoggingConfig
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; install Ray with: pip install 'yolact[ray]'") from None
    with _connected(options.address):
        gpus = config.device in ("auto", "cuda") and ray.cluster_resources().get("GPU", 0) > 0
        needed, there = options.workers * options.cpus, ray.cluster_resources().get("CPU", 0.0)
        if options.address == "local" and needed > there:
            raise ValueError(
                f"{options.workers} processes take {needed:g} cores (--ray.cpus is {options.cpus:g}), this machine has"
                f" {there:g}; lower --ray.workers or --ray.cpus"
            )
        messages: Any = ray.remote(num_cpus=0)(Messages).remote()
        trainer = TorchTrainer(
            _work,
            train_loop_config={"job": job, "messages": messages},
            torch_config=TorchConfig(timeout_s=max(round(config.timeout), 1)),
            scaling_config=ScalingConfig(
                num_workers=options.workers, use_gpu=gpus, resources_per_worker={"CPU": options.cpus, "GPU": int(gpus)}
            ),
            run_config=RunConfig(
                name="train",
                storage_path=str(job.out / SCRATCH),
                failure_config=FailureConfig(max_failures=options.restarts),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        try:
            ended = _fit(trainer.fit, messages, job.out)
        finally:
            shutil.rmtree(job.out / SCRATCH, ignore_errors=True)
    if ended.code == 130:
        raise KeyboardInterrupt(ended.message)
    if ended.code:
        raise ValueError(ended.message)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """To the cluster that is asked for, unless this process is connected to one."""
    import ray

    if ray.is_initialized():
        yield
        return
    dashboard = False if address == "local" else None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConnectionError(f"no Ray cluster at {address}: {' '.join(str(error).split())[:160]}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _fit(fit: Callable[[], Any], messages: Any, out: Path) -> Ended:
    """In a thread, as Ray would end the processes on Ctrl-C before they have saved."""
    import ray

    results: list[Any] = []

    def run() -> None:
        try:
            results.append(fit())
        except BaseException as error:  # of Ray's many types; told below
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    began, patience = time.monotonic(), PLACING_SECONDS
    with _heeding(messages.stop.remote):
        thread.start()
        while thread.is_alive():
            thread.join(0.5)
            said: Any = ray.get(messages.take.remote())
            print(end=said, flush=True)
            if said:
                patience = float("inf")
            elif time.monotonic() - began > patience:
                print("waiting for Ray to place the processes; `ray status` shows what it waits for", flush=True)
                patience = float("inf")
    print(end=ray.get(messages.take.remote()), flush=True)
    (result,) = results
    if not isinstance(result, BaseException):
        return result.return_value
    reasons = [line for line in str(result).splitlines() if line.strip()] or [type(result).__name__]
    raise ConnectionError(
        f"processes were lost too often: {reasons[-1][:200]}; go on with: yolact train --resume {out}"
    )


@contextmanager
def _heeding(stop: Callable[[], Any]) -> Iterator[None]:
    """Within, Ctrl-C and `kill` call `stop`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _work(arguments: dict[str, Any]) -> Ended:
    """What each process does, in a thread of Ray's. Other errors than those that it returns have Ray start again."""
    job, messages = arguments["job"], arguments["messages"]
    os.environ["TORCHELASTIC_RUN_ID"] = "ray"
    os.environ["TORCHELASTIC_RESTART_COUNT"] = "1"  # a run that is there is this one: the driver has looked
    os.environ["GROUP_RANK"] = os.environ["NODE_RANK"]
    from yolact.training import resume, train

    stop = threading.Event()
    threading.Thread(target=set_when_asked, args=(stop, messages), daemon=True).start()
    with redirect_stdout(Voice(messages, sys.stdout)), redirect_stderr(Voice(messages, sys.stderr)):
        try:
            if job.data is None:
                resume(job.out, stop=stop)
            else:
                train(job.data, job.model, job.config, job.out, stop=stop)
        except KeyboardInterrupt as interruption:
            return Ended(130, str(interruption))
        except (ValueError, ImportError) as error:
            return Ended(2, str(error))
    return Ended()
