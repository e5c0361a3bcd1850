"""How far beyond its box a mask may reach, and which part of it stays (the paper's crop is section 3.2).

The mixture of prototypes says where an object is, and where others of its kind are: something has to choose. The
paper's choice is the box. It cuts off what a box that is too small leaves out, and lets in neighbors where a box is too
wide. docs/studies.md has what each choice is worth.
"""

from functools import lru_cache
from typing import get_args

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int32

from yolact.config import CropKind
from yolact.detect.mask_implementation import mask_implementation
from yolact.detect.mask_outputs import FADING, MARGIN
from yolact.detect.masks import windows_in_pixels

CORE = 0.5
"""The middle of the box, as a share of each side: what lies there belongs to the object."""

SECOND = 0.1
"""A region stays if it has this share of the largest one's cells."""


def check_crop(crop: str) -> None:
    """Raise ValueError unless there is such a crop."""
    if crop not in get_args(CropKind):
        raise ValueError(f"crop is {crop!r}; choose one of {', '.join(get_args(CropKind))}")


def crop_windows(
    crop: CropKind, boxes: Float[np.ndarray, "N 4"], grid: tuple[int, int], image_size: tuple[int, int]
) -> Int32[np.ndarray, "N 4"]:
    """The cells where cropping may leave something, as `windows_in_pixels` has them.

    Args:
        boxes: (x1, y1, x2, y2) in pixels of the photograph; they may reach beyond it.
        grid: (height, width) of the prototypes in cells.
        image_size: (height, width) of the photograph in pixels.

    Raises:
        ValueError: there is no such crop.
    """
    check_crop(crop)
    if crop != "box":
        with np.errstate(invalid="ignore"):  # a box may be infinite; then it is NaN, and its window empty
            more = MARGIN * (boxes[:, 2:] - boxes[:, :2])
            boxes = np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1)
    return windows_in_pixels(boxes, grid, image_size)


def cropped_cells(
    crop: CropKind,
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
) -> list[Float32[np.ndarray, "_ _"]]:
    """The probabilities in the cells of each window, less what is cut away there."""
    cells = mask_implementation().window_cells(prototypes, coefficients, windows)
    if crop == "soft":
        grid = (prototypes.shape[1], prototypes.shape[2])
        return [inside * fade(window, grid) for inside, window in zip(cells, windows, strict=True)]
    return [inside * connected(inside) for inside in cells] if crop == "component" else cells


def fade(window: Int32[np.ndarray, "4"], grid: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """`soft`: 1 in the box, and from there down to 0 at the window's end.

    Where the window ends because the photograph does, nothing fades: objects go on beyond the picture.
    """
    x1, y1, x2, y2 = window.tolist()
    return _fade(y2 - y1, y1 > 0, y2 < grid[0])[:, None] * _fade(x2 - x1, x1 > 0, x2 < grid[1])


def connected(cells: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """`component`: 1 on the regions of cells above one half that reach into the box's core, 0 on others.

    Cells are neighbors along their sides. Of the regions, that with most cells in the core stays, and those with at
    least `SECOND` as many: an object behind a pole has two. If none reaches into the core, all their cells count. The
    cells below one half that touch what stays do so too: between them lies the mask's outline.
    """
    if cells.size == 0:  # which ends OpenCV's process
        return cells.copy()
    inside = (cells > 0.5).astype(np.uint8)
    count, labels = cv2.connectedComponents(inside, connectivity=4)
    if count <= 2:  # background, and at most one region
        return np.ones_like(cells)
    for part in (labels[_core(cells.shape[0]), _core(cells.shape[1])], labels):
        sizes = np.bincount(part.ravel(), minlength=count)
        sizes[0] = 0
        if sizes.any():
            break
    kept = (sizes >= max(SECOND * sizes.max(), 1))[labels].astype(np.uint8)
    touched = cv2.dilate(kept, np.ones((3, 3), np.uint8))
    return np.where(inside, kept, touched).astype(np.float32)


@lru_cache(maxsize=512)
def _fade(size: int, at_start: bool, at_stop: bool) -> Float32[np.ndarray, " n"]:
    """Along one side of a window, which fades at its start, at its stop, at both or at neither."""
    reach = 1 + max(size - 2, 0) * FADING
    steps = np.arange(size, dtype=np.float32) + np.float32(0.5)
    weights = np.ones(size, np.float32)
    if at_start:
        weights = np.minimum(weights, steps / np.float32(reach))
    if at_stop:
        weights = np.minimum(weights, steps[::-1] / np.float32(reach))
    weights.setflags(write=False)  # it is shared
    return weights


def _core(size: int) -> slice:
    """The cells of a window along one side that are the box's core."""
    half = max(1.0, max(size - 2, 0) / (1 + 2 * MARGIN) * CORE) / 2
    return slice(max(round(size / 2 - half), 0), max(round(size / 2 + half), 1))
