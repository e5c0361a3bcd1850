"""A visitor's video: looked at before it is taken on, and segmented until it ends or nobody waits for it any more."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from yolact.apps.demo.limits import LONGEST_VIDEO, VIDEO_SIDE
from yolact.predictor import Predictor
from yolact.video.sources import open_source
from yolact.video.stages import segment
from yolact.video.writing import VideoWriter


@dataclass(frozen=True, slots=True)
class Progress:
    frames: int
    """Written so far."""

    count: int | None
    """All there are, if anybody knows."""

    seconds: float
    """Of the video, up to the frame that was written last."""

    instances: int
    """In that frame."""


def film(
    predictor: Predictor,
    source: Path,
    target: Path,
    *,
    score: float | int,
    number: int,
    opacity: float | int,
    stopped: Event,
) -> Iterator[Progress]:
    """Segment a video file and write the drawn frames as MP4 with its sound; what was written is said at each frame.

    Where `stopped` is set, or the iterator closed, it stops at the next frame and leaves no file.

    Raises:
        ValueError: not a video, or too large or too long a one; the message is for the visitor.
    """
    video = open_source(str(source))
    if video.rate and video.count and video.count / video.rate > LONGEST_VIDEO * 1.02:
        video.close()
        raise ValueError(f"This video lasts {float(video.count / video.rate):.0f} s. {_REMEDY}")
    try:
        with (
            segment(predictor, video, score_threshold=score, top_k=number) as results,
            VideoWriter(target, video.rate, video.audio) as writer,
        ):
            for result in results:
                height, width = result.instances.image_size
                if max(height, width) > VIDEO_SIDE:
                    raise ValueError(
                        f"This video is {width} x {height} pixels; this page takes up to {VIDEO_SIDE} a side."
                    )
                if result.frame.time > LONGEST_VIDEO * 1.02:
                    raise ValueError(f"This video is longer than {LONGEST_VIDEO:.0f} s. {_REMEDY}")
                if stopped.is_set():
                    raise GivenUpError
                writer.begins = video.begins
                writer.write(result.instances.plot(opacity=opacity), result.frame.time)
                yield Progress(writer.frames, video.count, result.frame.time, len(result.instances))
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class GivenUpError(Exception):
    """Nobody waits for the video any more."""


_REMEDY = f"This page takes up to {LONGEST_VIDEO:.0f} s; cut it, or let the command `yolact predict` take all of it."
