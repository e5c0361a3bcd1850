"""How far a run is, on stderr: a bar where somebody watches, or else a line now and then."""

import sys
import time
from datetime import timedelta

from tqdm import tqdm

EVERY = 60.0
"""Seconds between lines of a log."""


class Progress:
    """
    Args:
        total: images; where nobody knows yet, of chunks.
        done: of these, by an earlier run.
    """

    def __init__(self, total: int, done: int, unit: str, every: float = EVERY) -> None:
        watched = sys.stderr is not None and sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, unit=unit, leave=False) if watched else None
        self.total, self.done, self.first, self.unit, self.every = total, done, done, unit, every
        self.start = self.last = time.monotonic()

    def add(self, count: int) -> None:
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
            return
        now = time.monotonic()
        if now - self.last >= self.every:
            self.last = now
            print(self.line(now - self.start), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        rate = (self.done - self.first) / max(seconds, 1e-9)
        left = "unknown" if not rate else str(timedelta(seconds=round((self.total - self.done) / rate)))
        percent = 100 * self.done / max(self.total, 1)
        return f"{self.done} of {self.total} {self.unit}s ({percent:.1f} %), {rate:.1f} a second, {left} left"

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
