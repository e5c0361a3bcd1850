"""Stages that overlap: nothing of a file is lost, nothing of a camera is late, and no thread stays behind."""

import gc
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test_predictor import small_network
from yolact.instances import Instances
from yolact.predictor import Predictor
from yolact.video import annotate, segment
from yolact.video.frame import Frame
from yolact.video.stages import Segmentation


class Memory:
    """Frames from memory, `rate` a second if they are live."""

    name = "memory"
    audio: Path | None = None
    begins: float | None = None
    count: int | None = None
    rate: Fraction | None = None

    def __init__(self, count: int = 12, live: bool = False, error: Exception | None = None, pause: float = 0) -> None:
        self.total, self.is_live, self.error, self.pause = count, live, error, pause
        self.dropped, self.closed = 0, threading.Event()
        self.notes, self.losses = list[str](), list[str]()
        self.read = 0

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        number = -1
        while not self.closed.is_set():
            newest = int((time.monotonic() - start) / self.pause) if self.is_live else number + 1
            if self.is_live and newest == number:
                self.closed.wait(start + (number + 1) * self.pause - time.monotonic())
                continue
            self.dropped += newest - number - 1
            number = newest
            if number >= self.total:
                break
            self.read += 1
            yield Frame(np.full((24, 32, 3), number % 256, np.uint8), number, number / 10, time.monotonic())
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed.set()


class Fake(Predictor):
    """A predictor that takes a while, and finds as many instances as a frame is bright."""

    def __init__(self, seconds: float = 0, fails_at: int | None = None) -> None:
        self.seconds, self.fails_at, self.batches = seconds, fails_at, list[int]()
        self.predicted = 0
        super().__init__(small_network(), "cpu")
        self.one = super().predict(np.zeros((24, 32, 3), np.uint8), 0)

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, source: Any, batch_size: int = 1, **_: Any
    ) -> Any:
        if isinstance(source, list):
            self.batches.append(len(source))
            return iter([self.predict_one(pixels) for pixels in source])
        return self.predict_one(source)

    def predict_one(self, pixels: np.ndarray) -> Instances:
        time.sleep(self.seconds)
        self.predicted += 1
        if pixels[0, 0, 0] == self.fails_at:
            raise ZeroDivisionError("of the network")
        return replace(self.one[: int(pixels[0, 0, 0])], image=pixels)


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)  # one that was told to stop from another thread may be at it
    assert set(threading.enumerate()) <= before


def run(fake: Any, source: Any, **options: Any) -> Segmentation:
    return segment(fake, source, **options)


@pytest.mark.parametrize("batch_size", [1, 4, 5, 50])
def test_a_file_loses_no_frame_and_keeps_their_order(batch_size: int):
    source, fake = Memory(12), Fake()
    results = list(run(fake, source, batch_size=batch_size))
    assert [result.frame.number for result in results] == list(range(12))
    assert [len(result.instances) for result in results] == list(range(12))
    assert all(result.instances.image is result.frame.pixels for result in results)
    assert source.closed.is_set()
    if batch_size == 5:
        assert fake.batches == [5, 5, 2]


def test_a_file_is_not_read_far_ahead():
    source = Memory(1000)
    with run(Fake(), source) as results:
        next(results)
        time.sleep(0.1)
        assert source.read <= 12


def test_inference_and_the_caller_work_at_once():
    fake = Fake()
    with run(fake, Memory(20)) as results:
        next(results)
        over = time.monotonic() + 30
        while not fake.predicted > 1:  # though nobody asks for a second one
            assert time.monotonic() < over
            time.sleep(0.01)


def test_a_live_source_does_not_get_late():
    source = Memory(100, live=True, pause=0.005)
    results = run(Fake(seconds=0.03), source)
    numbers = [result.frame.number for result in results]
    assert numbers == sorted(set(numbers))
    assert results.dropped + len(numbers) == pytest.approx(100, abs=20)
    assert results.dropped > 50
    assert results.latency(95) < 0.06
    assert 0.03 <= results.latency() <= results.latency(95)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_what_the_source_raises_comes_after_its_frames(batch_size: int):
    results = run(Fake(), Memory(4, error=OSError("the cable is out")), batch_size=batch_size)
    assert [next(results).frame.number for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="the cable is out"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_what_the_network_raises_comes_with_its_traceback():
    results = run(Fake(fails_at=3), Memory())
    with pytest.raises(ZeroDivisionError) as raised:
        list(results)
    assert "predict_one" in "".join(traceback.format_tb(raised.value.__traceback__))


def test_leaving_early_stops_everything():
    source = Memory(1000)
    for number, _ in enumerate(run(Fake(), source)):
        if number == 3:
            break
    gc.collect()
    assert source.closed.is_set()


def test_a_source_that_has_nothing_yet_can_be_closed():
    source = Memory(10, live=True, pause=60)
    results = run(Fake(), source)
    next(results)
    threading.Timer(0.05, results.close).start()
    assert list(results) == []


def test_skipped_frames_are_not_looked_at():
    assert [result.frame.number for result in run(Fake(fails_at=3), Memory(8), skip=5)] == [5, 6, 7]


def test_a_tracker_sees_every_frame_in_order():
    times: list[float] = []

    class Tracker:
        def update(self, instances: Instances, time: float) -> Instances:
            times.append(time)
            return replace(instances, track_ids=np.arange(len(instances)) + 7)

        def reset(self) -> None: ...

    results = list(run(Fake(), Memory(5), tracker=Tracker(), batch_size=2))
    assert times == [0, 0.1, 0.2, 0.3, 0.4]
    assert (results[4].instances.track_ids == np.arange(7, 11)).all()


def test_options_reach_the_network():
    predictor = Predictor(small_network(), "cpu")
    (found,) = segment(predictor, Memory(1), top_k=3, classes=["dog"], score_threshold=0)
    assert found.instances.names == ["dog"] * 3
    with pytest.raises(ValueError, match="score_threshold"):
        list(segment(predictor, Memory(1), score_threshold=3))
    with pytest.raises(ValueError, match="batch_size"):
        segment(predictor, Memory(1), batch_size=0)


def test_annotate_leaves_what_was_done(tmp_path: Path):
    def stop(result: Any) -> None:
        if result.frame.number == 4:
            raise KeyboardInterrupt

    fake: Any = Fake()
    assert annotate(fake, Memory(6), tmp_path / "a.mp4") == []
    with pytest.raises(KeyboardInterrupt):
        annotate(fake, Memory(100), tmp_path / "b.mp4", on_result=stop, style={"labels": False})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
