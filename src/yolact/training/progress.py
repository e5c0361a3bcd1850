"""What is seen of a run while it goes on: one line, and how long it waits for data."""

import time
from typing import Any

from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm


class Progress(TQDMProgressBar):
    """One line that stays: steps, loss and the last AP."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        metrics = super().get_metrics(*args, **kwargs)
        metrics.pop("v_num", None)
        return metrics

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Make room for what is said about it."""
        for bar in (self._val_progress_bar, self._train_progress_bar):
            if bar is not None:
                bar.leave = False
                bar.close()


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
    tqdm.write(line)
