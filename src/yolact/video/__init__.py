"""Moving pictures: frames read, segmented and drawn at the same time, in stages that wait for each other.

from yolact import video

with video.segment(yolact.load(), "clip.mp4") as results:
    for result in results:
        result.frame.time, result.instances

video.annotate(yolact.load(), "clip.mp4", "clip-segmented.mp4")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolact.video.annotating import annotate
    from yolact.video.frame import Frame, FrameSource
    from yolact.video.preview import Preview
    from yolact.video.sources import open_source
    from yolact.video.stages import Segmentation, VideoResult, segment
    from yolact.video.writing import VideoWriter

__all__ = [
    "Frame",
    "FrameSource",
    "Preview",
    "Segmentation",
    "VideoResult",
    "VideoWriter",
    "annotate",
    "open_source",
    "segment",
]

_HOMES = {
    "Frame": "frame",
    "FrameSource": "frame",
    "Preview": "preview",
    "Segmentation": "stages",
    "VideoResult": "stages",
    "VideoWriter": "writing",
    "annotate": "annotating",
    "open_source": "sources",
    "segment": "stages",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use: PyAV is an extra, and torch takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module 'yolact.video' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"yolact.video.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
