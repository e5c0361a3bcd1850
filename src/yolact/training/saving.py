"""The state of a run on disk, whole at any moment, and what happens on Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from yolact import checkpoint
from yolact.training.averaging import AveragedWeights
from yolact.training.module import TrainingModule
from yolact.whole_files import synchronize

STATE = "last.ckpt"
"""Everything that a run needs to go on."""


class Stopped(Exception):  # noqa: N818 - it is no error
    """Ends the fit after the state was saved. No KeyboardInterrupt, as Lightning would end the process."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or `kill`, after the state was saved. The message says how to go on."""


class SaveLast(Callback):
    """Keeps `last.ckpt`, to resume from, and `last.safetensors`, the (averaged) weights.

    Both are written before the first step, every `save_every` steps, at the last step of each epoch (so that nothing is
    lost if its validation is interrupted), after the validation, and on Ctrl-C. But not while steps fail: what is on
    disk may be all that is left to go back to.
    """

    def __init__(self, out: Path, averaged: AveragedWeights | None, save_every: int, accumulate: int) -> None:
        self.out, self.averaged = out, averaged
        self.save_every, self.accumulate = save_every, accumulate
        self.stopping = self.heeding = False

    def save(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:
        """Both files, each complete or not at all."""
        unfinished = self.out / f".{STATE}.unfinished"
        trainer.save_checkpoint(unfinished)
        if trainer.is_global_zero:
            # The weights first: a finished run that is resumed writes nothing more.
            network = self.averaged.network() if self.averaged else None
            about = {"step": str(trainer.global_step)}
            checkpoint.save(self.out / "last.safetensors", network or pl_module.network, about)
            synchronize(unfinished)
            unfinished.replace(self.out / STATE)
            synchronize(self.out)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        if self.heeding:
            # Lightning's own handler ends the process wherever it is, and waits for other processes within it.
            signal.signal(signal.SIGTERM, self._interrupt)
        if trainer.global_step == 0:
            self.save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        self._agree(trainer)
        if self.stopping or pl_module.skipped_in_a_row == 0:
            self.save(trainer, pl_module)
        if self.stopping and trainer.global_step < trainer.max_steps:
            raise Stopped

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: lightning.Trainer, pl_module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % self.accumulate != 0:
            return  # gradients that wait for the rest of their step are not part of the state
        self._agree(trainer)
        is_due = trainer.global_step % self.save_every == 0 or trainer.is_last_batch
        if self.stopping or (is_due and pl_module.skipped_in_a_row == 0):
            self.save(trainer, pl_module)
        if self.stopping and not trainer.is_last_batch:  # after the last one, the epoch's validation is still to come
            raise Stopped

    def _agree(self, trainer: lightning.Trainer) -> None:
        """Stop together: a signal may have reached one process only, or one of them a step later."""
        self.stopping = trainer.strategy.reduce_boolean_decision(self.stopping, all=False)

    @contextmanager
    def heeding_interrupts(self) -> Iterator[None]:
        """Within, Ctrl-C and `kill` ask to save and stop. Around the whole fit, as Lightning moves handlers in it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.heeding = True
        previous = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            self.heeding = False
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        rank_zero_only(print)("\nsaving after this step; once more stops at once, without", flush=True)
