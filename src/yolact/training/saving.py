"""The state of a run on disk, whole at any moment, and what happens on Ctrl-C."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from yolact import checkpoint
from yolact.training.averaging import AveragedWeights
from yolact.training.module import TrainingModule
from yolact.whole_files import synchronize, written_whole

STATE = "last.ckpt"
"""Everything that a run needs to go on."""

GOOD_STATE = "good.ckpt"
"""The last of these states that the next step proved good."""

AT_ONCE_SECONDS = 1.0
"""Signals that come this quickly after another are one wish."""


class Stopped(Exception):  # noqa: N818 - it is no error
    """Ends the fit after the state was saved. No KeyboardInterrupt, as Lightning would end the process."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or `kill`, after the state was saved. The message says how to go on."""


class SaveLast(Callback):
    """Keeps `last.ckpt`, to resume from, and `last.safetensors`, the (averaged) weights.

    Both are written before the first step, every `save_every` steps, at the end of each epoch, and on Ctrl-C. Not while
    steps fail, and not between the last step of an epoch and its validation: resumed, it would never be measured.

    A finite loss does not show what its step has made of the weights; the next one does. If that is finite too, the
    state is kept as `good.ckpt`, which failing steps go back to. States that only an interruption has made are not, or
    a run that was interrupted would go back to others than one that was not.
    """

    def __init__(
        self,
        out: Path,
        averaged: AveragedWeights | None,
        save_every: int,
        accumulate: int,
        stop: threading.Event | None = None,
    ) -> None:
        """
        Args:
            stop: once it is set, by another thread, the run ends as on Ctrl-C.
        """
        self.stop = stop
        self.out, self.averaged = out, averaged
        self.save_every, self.accumulate = save_every, accumulate
        self.stopping = self.heeding = False
        self.asked: float | None = None
        """When this process was asked to stop; all stop once they have agreed."""

        self.is_regular = self.is_in_doubt = False
        """Whether the last state was due, and whether the step after it is still to come."""

    def save(self, trainer: lightning.Trainer, pl_module: TrainingModule, is_regular: bool = True) -> None:
        """Both files, each complete or not at all."""
        self.is_regular = self.is_in_doubt = is_regular
        unfinished = self.out / f".{STATE}.unfinished"
        try:
            trainer.save_checkpoint(unfinished)
            if trainer.is_global_zero:
                # The weights first: a finished run that is resumed writes nothing more.
                network = self.averaged.network() if self.averaged else None
                about = {"step": str(trainer.global_step)}
                checkpoint.save(self.out / "last.safetensors", network or pl_module.network, about)
                synchronize(unfinished)
                unfinished.replace(self.out / STATE)
                synchronize(self.out)
        finally:
            if trainer.is_global_zero:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        if self.heeding:
            # Lightning's own handler ends the process wherever it is, and waits for other processes within it.
            signal.signal(signal.SIGTERM, self._interrupt)
        if trainer.global_step == 0:
            self.save(trainer, pl_module)
        loop = trainer.fit_loop.epoch_loop
        if loop.batch_progress.current.ready >= trainer.num_training_batches:
            # Saved after an epoch: Lightning would take the first batch of the next for the last of this one.
            loop.batch_progress.current.reset()
            loop.batch_progress.is_last_batch = False

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        self._agree(trainer)
        if self.stopping or pl_module.skipped_in_a_row == 0:
            self.save(trainer, pl_module, is_regular=pl_module.skipped_in_a_row == 0)
        if self.stopping and trainer.global_step < trainer.max_steps:
            raise Stopped

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: lightning.Trainer, pl_module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % self.accumulate != 0:
            return  # gradients that wait for the rest of their step are not part of the state
        if self.is_in_doubt:
            self.is_in_doubt = False
            if trainer.is_global_zero and not pl_module.step_failed:
                self._keep_as_good()
        if trainer.is_last_batch:
            return
        self._agree(trainer)
        is_due = trainer.global_step % self.save_every == 0 and pl_module.skipped_in_a_row == 0
        if self.stopping or is_due:
            self.save(trainer, pl_module, is_regular=is_due)
        if self.stopping:
            raise Stopped

    def _keep_as_good(self) -> None:
        """Under a second name, which takes no time; the disk holds two states once the first name has a newer one."""
        unfinished = self.out / f".{GOOD_STATE}.unfinished"
        unfinished.unlink(missing_ok=True)
        try:
            os.link(self.out / STATE, unfinished)
        except OSError:  # a file system without such names
            with written_whole(self.out / GOOD_STATE) as copy:
                shutil.copyfile(self.out / STATE, copy)
            return
        unfinished.replace(self.out / GOOD_STATE)

    def state_dict(self) -> dict[str, Any]:
        return {"is_regular": self.is_regular}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.is_in_doubt = state_dict["is_regular"]

    def _agree(self, trainer: lightning.Trainer) -> None:
        """Stop together: a signal may have reached one process only, or one of them a step later."""
        asked = self.asked is not None or (self.stop is not None and self.stop.is_set())
        # Not kept in one place with what was asked: a signal that comes while this waits for others would be lost.
        self.stopping = trainer.strategy.reduce_boolean_decision(asked, all=False)

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
        if self.asked is not None:
            # torchrun and job schedulers pass on what a terminal, or they themselves, have sent to all already.
            if time.monotonic() - self.asked > AT_ONCE_SECONDS:
                raise KeyboardInterrupt
            return
        self.asked = time.monotonic()
        rank_zero_only(print)("\nsaving after this step; once more stops at once, without", flush=True)
