"""Lightning's Trainer for a recipe, without its advice."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from tqdm import tqdm

from yolact.data.loader import Share
from yolact.training.config import TrainConfig
from yolact.training.progress import Waiting
from yolact.training.together import launched

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Lightning's names."""

ADVICE = (
    "The '(train|val)_dataloader' does not have many workers",
    "Found .* in eval mode",  # frozen batch norm
    "You're resuming from a checkpoint that ended before the epoch ended",  # the sampler skips what was seen
    "GPU available but not used",
    "The number of training batches",
    "It is recommended to use `self.log",  # losses are logged of the first device only
    "This DataLoader will create",  # more processes than processors: they wait for files, too
    ".*LeafSpec",  # Lightning's use of a function of torch
)
"""How Lightning's warnings begin that are not for users."""


class Launched(TorchElasticEnvironment):
    """Processes that torchrun or Ray has started, which Ray need not spread evenly over the machines."""

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Lightning would insist on as many on each."""


def processes(config: TrainConfig) -> int:
    """How many train together. torchrun or Ray has started them, if any, and says how many there are."""
    return int(os.environ["WORLD_SIZE"]) if launched() else config.devices


def build_trainer(
    config: TrainConfig,
    out: Path,
    callbacks: list[Callback],
    loggers: list[Logger],
    waiting: Waiting,
    images: int,
    validates: bool,
) -> lightning.Trainer:
    """Epochs become steps, so that both ways to say how long to train are one."""
    together = processes(config)
    devices = int(os.environ["LOCAL_WORLD_SIZE"]) if launched() else config.devices
    batches = Share(config.images, 0, together, config.accumulate).batches(images)
    steps = config.epochs * batches // config.accumulate if config.steps is None else config.steps
    with quiet():
        return lightning.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator=config.device,
            devices=devices,
            num_nodes=-(-together // devices),
            strategy=DDPStrategy(timeout=timedelta(seconds=config.timeout)) if together > 1 else "auto",
            plugins=[Launched()] if launched() else None,
            precision=PRECISIONS[config.precision],  # type: ignore[arg-type]
            gradient_clip_val=config.gradient_clip,
            accumulate_grad_batches=config.accumulate,
            callbacks=callbacks,
            logger=loggers,
            profiler=waiting,
            log_every_n_steps=max(min(10, batches // config.accumulate), 1),
            # In batches, as the number of the epoch is not to be trusted after a run has been resumed.
            val_check_interval=batches * config.validate_every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if validates else 0,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
            default_root_dir=out,
        )


def _print_warning(message: Warning | str, *_: Any) -> None:
    """In one line, and above the progress bar."""
    tqdm.write(f"warning: {message}", file=sys.stderr)


@contextmanager
def quiet() -> Iterator[None]:
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
