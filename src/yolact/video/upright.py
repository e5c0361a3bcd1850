"""A decoded picture becomes RGB as it is meant to be seen: turned, square pixels, of one size."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from yolact.images import array_to_rgb
from yolact.video.decoding import MOST_PIXELS

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.format import VideoFormat


class Upright:
    """Makes the pictures of one video, all of the size of its first."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self.fit = Fit()
        self._reformatter = VideoReformatter()  # of its own: that of a frame starts anew with each

    def __call__(self, frame: "VideoFrame", pixel_aspect: float = 1.0) -> UInt8[np.ndarray, "H W 3"]:
        """Turn a frame into RGB, 0..255.

        Args:
            pixel_aspect: width of a pixel through its height; pictures are widened by it.
        """
        has_alpha = _has_alpha(frame.format)
        if frame.width * frame.height * pixel_aspect > MOST_PIXELS:
            pixel_aspect = 1.0  # hardly meant
        converted = self._reformatter.reformat(
            frame,
            width=max(1, round(frame.width * pixel_aspect)),
            height=frame.height,
            format="rgba" if has_alpha else "rgb24",
        )
        pixels = converted.to_ndarray()
        if has_alpha:
            pixels = array_to_rgb(pixels)
        return self.fit(turn(pixels, _display_matrix(frame)))


class Fit:
    """Makes all pictures of a video the size of its first, with black beside those of another shape."""

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        """Height and width of the first picture."""
        self._others: list[tuple[int, int]] = []

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H2 W2 3"]:
        """The picture itself if it is of the first one's size, else enlarged or shrunk onto black, not stretched."""
        size = pixels.shape[0], pixels.shape[1]
        if self.size is None:
            self.size = size
        if size == self.size:
            return np.ascontiguousarray(pixels)
        if size not in self._others:
            self._others.append(size)
        import cv2

        scale = min(self.size[0] / size[0], self.size[1] / size[1])
        height, width = (max(1, round(side * scale)) for side in size)
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        fitted = np.zeros((*self.size, 3), np.uint8)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        fitted[top : top + height, left : left + width] = cv2.resize(pixels, (width, height), interpolation=way)
        return fitted

    def describe(self, name: str) -> list[str]:
        """What people should know of it."""
        if self.size is None or not self._others:
            return []
        sizes = ", ".join(f"{width} x {height}" for height, width in self._others[:3])
        more = ", ..." if len(self._others) > 3 else ""
        first = f"{self.size[1]} x {self.size[0]}"
        return [f"{name}: pictures of {sizes}{more} were fitted into the first one's {first} pixels"]


def turn(pixels: UInt8[np.ndarray, "H W 3"], matrix: tuple[int, int, int, int]) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Turn and mirror by quarters, as the upper left of a display matrix says.

    Args:
        matrix: a, b, c, d: the pixel at (x, y) is shown at (a·x + c·y, b·x + d·y). Only the signs count, and which of
            the two pairs is the larger.
    """
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return pixels


def _display_matrix(frame: "VideoFrame") -> tuple[int, int, int, int]:
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(data, np.int32, 5).tolist()
    return a, b, c, d


def _has_alpha(format: "VideoFormat") -> bool:
    return any(component.is_alpha for component in format.components)
