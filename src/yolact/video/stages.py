"""Reading, inference and whatever is done with the results, all at the same time.

    file --(thread)--> frames --(thread)--> results --> the caller
    live source -----------------(thread)--> results --> the caller

Of a file, a stage that is ahead waits: no frame is lost. A live source is asked for its newest frame when the
network is free, so that what comes out is as late as one frame takes, however slow the network is.
"""

import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Thread, current_thread
from typing import Any

import numpy as np

from yolact.detect.threads import borrowed_threads, give_up_threads
from yolact.instances import Instances
from yolact.predictor import Predictor
from yolact.tracking import Tracker
from yolact.video.frame import Frame, FrameSource
from yolact.video.handoff import Handoff
from yolact.video.sources import open_source

AHEAD = 3
"""Results that may wait for the caller, and frames of a file beyond one batch that may wait for the network."""

REMEMBERED = 10_000
"""Of this many frames the latency is kept."""


@dataclass(frozen=True, slots=True)
class VideoResult:
    frame: Frame
    instances: Instances
    """Their `image` is the frame's pixels, so `instances.plot()` draws on the frame."""

    latency: float
    """Seconds from when the frame was captured to when its instances were known."""


Find = Callable[[Sequence[Frame]], Iterable[Instances]]


class Segmentation(Iterator[VideoResult]):
    """The results of a video, one a frame, in order, while threads work ahead of whoever iterates.

    It stops its threads where the video ends, at an error, when it is closed, and when it is forgotten. Use it in a
    `with` statement to have them stopped at once if you leave early.
    """

    def __init__(self, source: FrameSource, find: Find, batch_size: int, skip: int) -> None:
        self.source = source
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)
        frames: Handoff[Frame] = Handoff(AHEAD + batch_size)
        self._results: Handoff[VideoResult] = Handoff(1 if source.is_live else AHEAD)
        if source.is_live:
            work = [("infer", partial(_infer, source, self._results, find, 1))]
        else:
            work = [("read", partial(_read, source, frames, skip))]
            work += [("infer", partial(_infer, frames, self._results, find, batch_size))]
        threads = [Thread(target=each, name=f"yolact-video-{name}", daemon=True) for name, each in work]
        # The threads know nothing of this object, so that it can be forgotten while they work.
        self._stop = weakref.finalize(self, _stop, source, (frames, self._results), threads)
        give_up_threads()
        for thread in threads:
            thread.start()

    def __next__(self) -> VideoResult:
        try:
            result = next(self._results)
        except BaseException:  # the end among them
            self.close()
            raise
        self._latencies.append(result.latency)
        return result

    @property
    def dropped(self) -> int:
        """Frames of a live source that came while the network was busy."""
        return self.source.dropped

    def latency(self, percentile: float | int = 50) -> float:
        """Seconds from capture to mask of the latest ten thousand frames: the median, or another percentile; NaN if
        there were none."""
        return float(np.percentile(self._latencies, percentile)) if self._latencies else float("nan")

    def close(self) -> None:
        """Stop, and wait for the threads: at most for the frame that the network is busy with."""
        self._stop()

    def __enter__(self) -> "Segmentation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def segment(
    predictor: Predictor,
    source: FrameSource | str,
    *,
    tracker: Tracker | None = None,
    batch_size: int = 1,
    skip: int = 0,
    **options: Any,
) -> Segmentation:
    """Find the instances in each frame of a video.

        with segment(yolact.load(), "clip.mp4") as results:
            for result in results:
                result.frame.time, result.instances, result.instances.plot()

    Args:
        predictor: as `yolact.load` gives it.
        source: what `yolact.video.sources.open_source` takes: a file, the number of a camera, the address of a stream,
            a pattern of numbered pictures; or a `FrameSource`. It is closed at the end.
        tracker: gives the same object the same number in each frame, as `yolact.tracking.open_tracker` makes it.
        batch_size: frames of a file that go through the network together.
        skip: read this many frames without looking for anything in them.
        options: of `Predictor.predict`: score_threshold, top_k, nms, crop, classes, image_size.

    Returns:
        An iterator of `VideoResult`, which also knows how many frames were dropped, and the latency.

    Raises:
        FileNotFoundError, ValueError: now: a source that cannot be opened. While iterating: what `Predictor.predict`
            and the source raise.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    opened = open_source(source) if isinstance(source, str) else source
    wanted = partial(predictor.predict, **options)  # pyright: ignore[reportArgumentType,reportCallIssue]

    def find(frames: Sequence[Frame]) -> Iterable[Instances]:
        pixels = [frame.pixels for frame in frames]
        found = [wanted(pixels[0])] if len(pixels) == 1 else wanted(pixels, batch_size=len(pixels))
        for frame, instances in zip(frames, found, strict=True):
            yield tracker.update(instances, frame.time) if tracker else instances

    return Segmentation(opened, find, batch_size, skip)


def _read(source: FrameSource, frames: Handoff[Frame], skip: int) -> None:
    error = None
    try:
        for frame in source:
            if frame.number >= skip and not frames.put(frame):
                break
    except BaseException as raised:
        error = raised
    frames.finish(error)


def _infer(frames: Iterable[Frame], results: Handoff[VideoResult], find: Find, batch_size: int) -> None:
    error = None
    try:
        incoming, more = iter(frames), True
        with borrowed_threads():
            while more:
                batch, error, more = _batch(incoming, batch_size)
                for frame, instances in zip(batch, find(batch) if batch else (), strict=True):
                    result = VideoResult(frame, instances, time.monotonic() - frame.captured)
                    more = results.put(result) and more
    except BaseException as raised:
        error = raised
    results.finish(error)


def _batch(frames: Iterator[Frame], size: int) -> tuple[list[Frame], BaseException | None, bool]:
    """The next frames, what the source ended with, and whether there may be more."""
    batch: list[Frame] = []
    try:
        while len(batch) < size:
            batch.append(next(frames))
    except StopIteration:
        return batch, None, False
    except BaseException as error:  # first what came before it
        return batch, error, False
    return batch, None, True


def _stop(source: FrameSource, handoffs: Iterable[Handoff[Any]], threads: Iterable[Thread]) -> None:
    for handoff in handoffs:
        handoff.close()
    source.close()
    for thread in threads:
        if thread is not current_thread():  # which collects the garbage, perhaps
            thread.join()
