"""What is seen of a run while it goes on: one line, and how long it waits for data."""

import shutil
import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm

from yolact.printable import printable


class Progress(Callback):
    """How far the whole run is, and how long it will take: one line that stays on a terminal, else one now and then."""

    def __init__(self) -> None:
        self.on_terminal = sys.stderr.isatty()
        self.interval = 0.5 if self.on_terminal else 30.0
        """Seconds between two looks. Figures are not fetched in between: a GPU would have to wait for each."""

        self.line: tqdm | None = None
        self.began = self.shown = time.monotonic()
        self.first_step = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.began = self.shown = time.monotonic()
        self.first_step = trainer.global_step
        if self.on_terminal and trainer.is_global_zero:
            self.line = tqdm(bar_format="{desc}", leave=False)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        if time.monotonic() - self.shown > self.interval:
            self._show(trainer)

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if time.monotonic() - self.shown > self.interval:
            self._show(trainer, f"validation: batch {batch_idx + 1} of {trainer.num_val_batches[0]}")

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._clear()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Make room for what is said about it."""
        self._clear()

    def _show(self, trainer: lightning.Trainer, doing: str = "") -> None:
        self.shown = time.monotonic()
        metrics = [f"{name.removeprefix('val/')} {value:.3g}" for name, value in trainer.progress_bar_metrics.items()]
        text = tqdm.format_meter(
            trainer.global_step,
            trainer.max_steps,
            self.shown - self.began,
            ncols=shutil.get_terminal_size((110, 24)).columns - 1,  # tqdm leaves the last column free
            unit="step",
            initial=self.first_step,
            postfix=", ".join([*metrics, *filter(None, [doing])]),
        )
        if self.line is not None:
            self.line.set_description_str(text)
        elif not self.on_terminal:
            say(text)

    def _clear(self) -> None:
        if self.line is not None:
            self.line.close()


class Waiting(Profiler):
    """Measures how long training waits for its next batch. Lightning says when, to profilers only."""

    def __init__(self) -> None:
        super().__init__()
        self.started: dict[str, float] = {}
        self.waited = self.trained = 0.0
        """Seconds, in all."""

    def start(self, action_name: str) -> None:
        self.started[action_name] = time.perf_counter()

    def stop(self, action_name: str) -> None:
        seconds = time.perf_counter() - self.started.pop(action_name, time.perf_counter())
        if action_name.endswith("train_dataloader_next"):
            self.waited += seconds
        elif action_name == "run_training_batch":
            self.trained += seconds

    @property
    def share(self) -> float:
        """Of the time spent in steps, validation apart, how much went by waiting for data."""
        return self.waited / max(self.waited + self.trained, 1e-9)


@rank_zero_only
def say(line: str) -> None:
    """A line of its own, above the progress bar; from the first process only."""
    tqdm.write(printable(line))
