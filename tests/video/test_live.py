"""Live sources: the newest frame, and coming back."""

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from yolact.video.live import LiveSource, Picture


class Scripted:
    """A connection whose pictures tell their number, sent at a steady pace; then it is lost, or over."""

    rate: Fraction | None = Fraction(100)

    def __init__(self, start: int, count: int, seconds: float, is_over: bool = False) -> None:
        self.numbers = range(start, start + count)
        self.seconds, self.is_over = seconds, is_over
        self.cancelled = threading.Event()

    def __iter__(self) -> Iterator[tuple[float, Picture]]:
        for number in self.numbers:
            if self.cancelled.wait(self.seconds):
                return
            yield time.monotonic(), lambda number=number: np.full((1, 1, 3), number, np.uint8)
        if not self.is_over:
            raise ConnectionError("lost")

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        pass


def script(*steps: Scripted | OSError) -> Callable[[], Scripted]:
    """Connect to one after the other; after the last, nothing answers."""
    remaining = iter(steps)

    def connect() -> Scripted:
        step = next(remaining, OSError("no answer"))
        if isinstance(step, OSError):
            raise step
        return step

    return connect


def test_a_slow_reader_sees_new_frames_only():
    source = LiveSource(script(Scripted(0, 100, 0.01, is_over=True)), "camera", patience=1.0)
    seen = []
    for frame in source:
        assert time.monotonic() - frame.captured < 0.3
        seen.append(frame)
        time.sleep(0.1)
    assert 5 < len(seen) < 15
    shown = [int(frame.pixels[0, 0, 0]) for frame in seen]
    assert shown[-1] == 99
    assert shown == sorted(shown)
    numbers = [frame.number for frame in seen]
    assert np.ptp(np.array(shown) - numbers) == 0  # the dropped ones count, too
    assert source.dropped == numbers[-1] + 1 - len(seen)
    assert all(abs(frame.time - (frame.captured - seen[0].captured)) < 1e-9 for frame in seen)
    assert source.notes == []


def test_it_comes_back_and_the_clock_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yolact.video.live.FIRST_PAUSE", 0.1)
    steps = (Scripted(0, 5, 0.01), OSError("no answer"), Scripted(50, 5, 0.01, is_over=True))
    source = LiveSource(script(*steps), "camera", patience=5.0)
    frames = list(source)
    before, after = ([frame for frame in frames if (frame.pixels[0, 0, 0] < 50) == is_early] for is_early in (1, 0))
    assert before
    assert after
    assert after[0].time - before[-1].time > 0.25  # two pauses
    assert len(source.notes) == 1
    assert "came back 0." in source.notes[0]


def test_it_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yolact.video.live.FIRST_PAUSE", 0.05)
    source = LiveSource(script(Scripted(0, 5, 0.01)), "camera", patience=0.3)
    assert len(list(source)) >= 1
    assert "was given up" in source.notes[-1]
    assert "no answer" in source.notes[-1]


def test_it_was_never_there():
    with pytest.raises(OSError, match="no answer"):
        LiveSource(script(), "camera", patience=5.0)


def test_lost_before_the_first_frame(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yolact.video.live.FIRST_PAUSE", 0.05)
    with pytest.raises(OSError, match=r"lost|no answer"):
        list(LiveSource(script(Scripted(0, 0, 0.01)), "camera", patience=0.2))


def test_closing_from_another_thread():
    source = LiveSource(script(Scripted(0, 1000, 10)), "camera", patience=5.0)
    threading.Timer(0.1, source.close).start()
    start = time.monotonic()
    assert list(source) == []
    assert time.monotonic() - start < 1
