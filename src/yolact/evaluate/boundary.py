"""Boundaries of masks (Cheng et al., Boundary IoU, 2021).

They are those of faster-coco-eval's OpenCV backend, which erodes the whole image pixel by pixel of the width. Its other
backend is quicker, but takes seconds for a mask of 12 megapixels, and differs in images lower than the width. Here, all
of the width is eroded at once, and only where the mask is.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Bool

Code = dict[str, Any]
"""A mask as COCO's compressed run-length code."""

WIDTH = 0.02
"""Of boundaries, as a share of the image's diagonal."""


@dataclass(frozen=True)
class Boundary:
    """The pixels of a mask that are near its outline, or near the image's border."""

    pixels: Bool[np.ndarray, "h w"]
    """In the part of the image that holds the mask."""

    corner: tuple[int, int]
    """(x, y) of that part's first pixel."""

    def iou(self, other: "Boundary") -> float:
        parts = []
        starts = [max(a, b) for a, b in zip(self.corner, other.corner, strict=True)]
        for pixels, (x, y) in ((self.pixels, self.corner), (other.pixels, other.corner)):
            parts.append(pixels[starts[1] - y :, starts[0] - x :])
        height, width = (min(a, b) for a, b in zip(parts[0].shape, parts[1].shape, strict=True))
        shared = np.count_nonzero(parts[0][:height, :width] & parts[1][:height, :width])
        return shared / max(np.count_nonzero(self.pixels) + np.count_nonzero(other.pixels) - shared, 1)


def boundary_of(code: Code) -> Boundary:
    """The pixels of a mask from which, in a square around them, one is reached that the mask does not have."""
    x, y, width, height = np.asarray(coco_mask.toBbox(code)).astype(int).tolist()
    reach = max(round(WIDTH * math.hypot(*code["size"])), 1)
    mask = coco_mask.decode(code)[y : y + height, x : x + width]
    framed = np.pad(mask, 1)  # beyond the image's border, nothing belongs to a mask
    inner = cv2.erode(framed, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return Boundary((mask > inner[1:-1, 1:-1]), (x, y))
