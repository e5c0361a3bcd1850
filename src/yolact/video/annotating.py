"""A video in, the same video with its instances drawn on it out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yolact.predictor import Predictor
from yolact.tracking import Tracker
from yolact.video.frame import FrameSource
from yolact.video.sources import open_source
from yolact.video.stages import VideoResult, segment
from yolact.video.writing import VideoWriter


def annotate(
    predictor: Predictor,
    source: FrameSource | str,
    path: str | Path,
    *,
    tracker: Tracker | None = None,
    on_result: Callable[[VideoResult], object] | None = None,
    style: Mapping[str, Any] | None = None,
    batch_size: int = 1,
    **options: Any,
) -> list[str]:
    """Draw the instances of each frame on it, and write an MP4 with the timing and the sound of the source.

    If it is interrupted, or `on_result` raises, a video of what was done so far is left, complete in itself.

    Args:
        predictor, source, tracker, batch_size, options: see `yolact.video.segment`.
        path: of the video that is written.
        on_result: called with each result when its frame is written; of a live source, what it raises is the end.
        style: fields of `yolact.visualize.Style`.

    Returns:
        What people should know of the source and of what was written, a line each.

    Raises:
        FileNotFoundError, ValueError, OSError: as `segment` and `VideoWriter` say.
    """
    opened = open_source(source) if isinstance(source, str) else source
    with (
        segment(predictor, opened, tracker=tracker, batch_size=batch_size, **options) as results,
        VideoWriter(Path(path), opened.rate, opened.audio) as writer,
    ):
        for result in results:
            writer.begins = opened.begins
            writer.write(result.instances.plot(**(style or {})), result.frame.time)
            if on_result is not None:
                on_result(result)
    return [*opened.losses, *opened.notes, *writer.notes]
