"""Cameras of this machine, through OpenCV."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from yolact.video.upright import Fit

_CAMERA = re.compile(r"(?:camera:|/dev/video)?(\d{1,3})")


def camera_number(text: str) -> int | None:
    """The camera that `0`, `camera:0` or `/dev/video0` names; None if it is none, or there is a file of that name."""
    match = _CAMERA.fullmatch(text)
    if match is None or (text.isdigit() and Path(text).exists()):
        return None
    return int(match[1])


class Camera:
    """A connection, as `LiveSource` wants it, to one camera."""

    def __init__(self, number: int, fit: Fit) -> None:
        """Open it.

        Raises:
            OSError: there is no such camera, or another program has it.
        """
        import cv2

        with _silent():
            self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise OSError(f"cannot open camera {number}: {_why_not(number)}")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else None
        self._number, self._fit = number, fit

    def __iter__(self) -> Iterator[tuple[float, Callable[[], np.ndarray]]]:
        while True:
            is_there, pixels = self._capture.read()
            if not is_there:
                raise OSError(f"camera {self._number} gives no more pictures")
            yield time.monotonic(), partial(_to_rgb, pixels, self._fit)

    def cancel(self) -> None:
        """A camera answers soon enough."""

    def close(self) -> None:
        self._capture.release()


def _to_rgb(bgr: UInt8[np.ndarray, "H W 3"], fit: Fit) -> UInt8[np.ndarray, "H2 W2 3"]:
    return fit(bgr[..., ::-1])


def cameras() -> dict[int, str] | None:
    """The numbers and names of the cameras here; None where only trying each would tell."""
    if not sys.platform.startswith("linux"):
        return None
    found = {}
    for device in Path("/dev").glob("video*"):
        if (number := device.name.removeprefix("video")).isdigit():
            label = Path("/sys/class/video4linux", device.name, "name")
            found[int(number)] = label.read_text(errors="replace").strip() if label.exists() else device.name
    return dict(sorted(found.items()))


def _why_not(number: int) -> str:
    known = cameras()
    if known is None:
        return "there is none of this number, another program uses it, or this program may not"
    if not known:
        return "this machine has no cameras"
    if number not in known:
        return "there are " + ", ".join(f"{number} ({name})" for number, name in known.items())
    return (
        f"{known[number]} is used by another program, gives no pictures, or this user may not read /dev/video{number}"
    )


@contextmanager
def _silent() -> Iterator[None]:
    """OpenCV writes on the terminal what people are told in one line."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
