"""From what people name to where its frames come from: files, cameras, streams and numbered photographs."""

import glob
import re
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.sources import find_images, is_pattern
from yolact.video.frame import FrameSource
from yolact.video.sequence import ImageSequence, in_natural_order, is_numbered, numbered

if TYPE_CHECKING:
    from yolact.video.live import LiveSource

SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".ivf", ".m2ts", ".m2v", ".m4v", ".mjpeg"),
        *(".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".qt", ".ts"),
        *(".vob", ".webm", ".wmv", ".y4m"),
    )
)
"""What counts as a video. A GIF counts as one if it moves and is named directly."""

SEQUENCE_RATE = Fraction(25)
"""Frames a second of numbered photographs of which nobody says it."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def open_source(
    text: str | Path,
    *,
    rate: Fraction | float | int | None = None,
    timeout: float | int = 10.0,
    patience: float | int = 60.0,
    live: bool | None = None,
) -> FrameSource:
    """Open one video, camera, stream or image sequence.

    Args:
        text: a video file; a camera (`0`, `camera:0`, `/dev/video0`); an address (http, https, rtsp, rtsps, udp, tcp);
            numbered photographs (`frames/%05d.jpg`); or, if a rate is given, a folder or a glob of photographs, which
            are read in natural order.
        rate: frames a second of photographs; 25 for numbered ones if it is not given.
        timeout: seconds without data after which a connection counts as dropped.
        patience: seconds for which a stream or a camera that dropped is sought again.
        live: whether frames of an http address are dropped rather than waited for. None: not if it has an end.

    Raises:
        ValueError: it is not a video, or there is nothing in it.
        OSError: it does not exist, or cannot be reached.
        ModuleNotFoundError: the extra `yolact[video]` is not installed.
    """
    from yolact.video.camera import camera_number

    text = str(text)
    if not text:
        raise FileNotFoundError("'' names no video; give a file, a camera, a stream or an image sequence")
    if _ADDRESS.match(text):
        from yolact.video.stream import open_stream

        return open_stream(text, timeout=float(timeout), patience=float(patience), live=live)
    if (number := camera_number(text)) is not None:
        return _open_camera(number, float(patience))
    if is_numbered(text):
        return ImageSequence(numbered(text), text, Fraction(rate or SEQUENCE_RATE))
    path = Path(text).expanduser()
    if rate is not None and (path.is_dir() or is_pattern(text)):
        photographs = in_natural_order(find_images(text))
        return ImageSequence(list(enumerate(photographs)), text, Fraction(rate).limit_denominator(1001))
    if path.is_dir():
        raise ValueError(f"{path} is a folder; as a video its photographs need a rate in frames a second")
    from yolact.video.file import open_file

    return open_file(path)


def find_videos(text: str | Path) -> list[str]:
    """What of it `open_source` takes, sorted: itself, the videos that a glob matches, or those in a folder.

    Photographs are none, so that for a folder of photographs, or a single one, the list is empty. Files are judged by
    their names alone, but for GIFs, and need not exist.
    """
    from yolact.video.camera import camera_number

    text = str(text)
    if not text:
        return []
    path = Path(text).expanduser()
    if _ADDRESS.match(text) or camera_number(text) is not None or is_numbered(text):
        return [text]
    if path.is_dir():
        return [str(file) for file in in_natural_order([file for file in path.iterdir() if _is_video(file)])]
    if is_pattern(text):
        # pathlib's own glob takes no absolute pattern.
        matches = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
        return [str(file) for file in in_natural_order([file for file in matches if _is_video(file)])]
    return [text] if path.suffix.lower() in SUFFIXES or _moves(path) else []


def is_video(text: str | Path) -> bool:
    """Whether there is something in it for `open_source`, and not only photographs."""
    return bool(find_videos(text))


def is_live(text: str | Path) -> bool:
    """Whether it is a camera, or an address that may be live: what an http address is only its server knows."""
    from yolact.video.camera import camera_number

    return _ADDRESS.match(str(text)) is not None or camera_number(str(text)) is not None


def _open_camera(number: int, patience: float) -> "LiveSource":
    from yolact.video.camera import Camera
    from yolact.video.live import LiveSource
    from yolact.video.upright import Fit

    return LiveSource(partial(Camera, number, Fit()), f"camera {number}", patience=patience)


def _is_video(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _moves(path: Path) -> bool:
    """Whether this is a GIF with more than one picture."""
    if path.suffix.lower() != ".gif" or not path.is_file():
        return False
    from PIL import Image

    try:
        with Image.open(path) as image:
            return getattr(image, "is_animated", False)
    except (OSError, ValueError, SyntaxError):
        return False
