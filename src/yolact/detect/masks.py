"""Masks: assembled from prototypes, cropped, and brought to the size of the photograph (paper section 3.2, eq. 1).

The torch functions work at prototype scale, for the network and for export. From there to the photograph, each instance
is worked on only in its window (the cells of the prototypes where cropping leaves something) and its region (the pixels
that the window reaches). Here that is written plainly in NumPy; `masks_cpu` has the same functions compiled.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32, Int64
from torch import Tensor

import yolact.detect.threads  # noqa: F401  # early, see there
from yolact.boxes import window
from yolact.detect.run_lengths import Region, encode_rle

Cells = Sequence[Float32[np.ndarray, "_ _"]] | None
"""The probabilities in the cells of each window, changed by a crop (`yolact.detect.crop`). None: as assembled."""


def assemble_masks(
    prototypes: Float[Tensor, "B K Hp Wp"], coefficients: Float[Tensor, "B N K"]
) -> Float[Tensor, "B N Hp Wp"]:
    """M = sigmoid(P C^T): each mask is a signed mixture of the image's prototypes."""
    return torch.matmul(coefficients, prototypes.flatten(2)).unflatten(2, prototypes.shape[2:]).sigmoid()


def crop_masks(masks: Float[Tensor, "B N Hp Wp"], boxes: Float[Tensor, "B N 4"]) -> Float[Tensor, "B N Hp Wp"]:
    """Set to zero what lies outside each mask's box, widened by one pixel of the prototypes."""
    return masks * window(boxes, (masks.shape[-2], masks.shape[-1]))


class Taps(NamedTuple):
    """The two cells that each pixel of an enlarged line mixes: (1 - fraction) of `low` and fraction of `high`."""

    low: Int64[np.ndarray, " n"]
    high: Int64[np.ndarray, " n"]
    """The cell after `low`, or `low` again at the end of the line."""

    fraction: Float32[np.ndarray, " n"]
    """In 0..1."""


@lru_cache(maxsize=64)
def taps(cells: int, pixels: int) -> Taps:
    """How `cells` are enlarged (or shrunk) to `pixels`: half-pixel centers, as `interpolate(align_corners=False)`."""
    # In single precision, as torch does: at a distance from the origin the double is elsewhere by up to 1e-5.
    centers = np.arange(pixels, dtype=np.float32) + np.float32(0.5)
    position = np.maximum(centers * np.float32(cells / pixels) - np.float32(0.5), np.float32(0.0))
    low = np.minimum(position.astype(np.int64), cells - 1)
    found = Taps(low, np.minimum(low + 1, cells - 1), (position - low).astype(np.float32))
    for shared in found:
        shared.setflags(write=False)
    return found


def regions_of(
    windows: Int32[np.ndarray, "N 4"], grid: tuple[int, int], image_size: tuple[int, int]
) -> Int64[np.ndarray, "N 4"]:
    """The part of the photograph that draws on each window, a `Region` a row; zeros if none does.

    Args:
        windows: x1, y1, x2, y2 in whole cells; x2 and y2 are outside. One without cells is empty.
        grid: (height, width) of the prototypes in cells.
        image_size: (height, width) of the photograph in pixels.

    Raises:
        ValueError: a window that reaches beyond the prototypes.
    """
    height, width = grid
    if len(windows) and (windows.min() < 0 or windows[:, 2].max() > width or windows[:, 3].max() > height):
        raise ValueError(f"windows reach beyond the prototypes of {width}x{height} cells; they must lie within")
    down, across = taps(height, image_size[0]), taps(width, image_size[1])
    x1, y1, x2, y2 = windows.T
    starts = np.searchsorted(across.high, x1), np.searchsorted(down.high, y1)
    stops = np.searchsorted(across.low, x2), np.searchsorted(down.low, y2)
    regions = np.stack([*starts, *stops], axis=1)
    empty = (x1 >= x2) | (y1 >= y2) | (regions[:, :2] >= regions[:, 2:]).any(axis=1)
    regions[empty] = 0
    return regions


def windows_in_pixels(
    boxes: Float[np.ndarray, "N 4"], grid: tuple[int, ...], image_size: tuple[int, int]
) -> Int32[np.ndarray, "N 4"]:
    """The cells that cropping by boxes in pixels of the photograph keeps, as `postprocess.windows_of` has them.

    Args:
        boxes: (x1, y1, x2, y2); they may reach beyond the photograph.
        grid: (height, width) of the prototypes in cells.
        image_size: (height, width) of the photograph in pixels.

    Returns:
        x1, y1, x2, y2 in whole cells; x2 and y2 are outside. Zeros where the box, widened by one cell, holds no cell.
    """
    cells = np.array([grid[1], grid[0]])
    # Multiplied first: a box that ends where a cell does should, and the quotient may be off by a rounding.
    corners = boxes.reshape(-1, 2, 2).astype(np.float64) * cells / (image_size[1], image_size[0])
    start, stop = np.ceil(corners[:, 0] - 1).clip(min=0), np.minimum(np.ceil(corners[:, 1] + 1), cells)
    is_there = (start < stop).all(axis=1, keepdims=True)  # false for a box that is NaN
    return np.where(is_there, np.concatenate([start, stop], axis=1), 0).astype(np.int32)


def assemble_window(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, " K"],
    window: Int[np.ndarray, "4"],
) -> Float32[np.ndarray, "h w"]:
    """One instance's probabilities, in the cells of its window only."""
    x1, y1, x2, y2 = window.tolist()
    logits = np.zeros((max(y2 - y1, 0), max(x2 - x1, 0)), np.float32)
    # Not a matrix product: that would round a cell differently in windows of different sizes.
    for coefficient, prototype in zip(coefficients, prototypes[:, y1:y2, x1:x2], strict=True):
        logits += coefficient * prototype
    with np.errstate(over="ignore"):  # the exponential of a large number is infinity, and one by that is zero
        return 1 / (1 + np.exp(-logits))


def window_cells(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
) -> list[Float32[np.ndarray, "_ _"]]:
    """Each instance's probabilities in the cells of its window."""
    return [assemble_window(prototypes, *row) for row in zip(coefficients, windows, strict=True)]


def enlarge(
    cells: Float32[np.ndarray, "h w"],
    window: Int[np.ndarray, "4"],
    region: Region,
    grid: tuple[int, int],
    image_size: tuple[int, int],
) -> Float32[np.ndarray, "rows columns"]:
    """A mask in `region` of the photograph, from the cells of its window; cells outside count as zero.

    Along the few rows of cells first, then down. Each pixel is the same whichever region holds it.
    """
    x1, y1, x2, y2 = region
    framed = np.pad(cells, 1)  # with the cells around the window, which begin at:
    left, top = int(window[0]) - 1, int(window[1]) - 1
    low, high, fraction = (values[x1:x2] for values in taps(grid[1], image_size[1]))
    lines = _mix(framed[:, low - left], framed[:, high - left], fraction)
    low, high, fraction = (values[y1:y2] for values in taps(grid[0], image_size[0]))
    return _mix(lines[low - top], lines[high - top], fraction[:, None])


def soft_region(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, " K"],
    window: Int32[np.ndarray, "4"],
    image_size: tuple[int, int],
    cells: Float32[np.ndarray, "_ _"] | None = None,
) -> tuple[Float32[np.ndarray, "h w"], Region]:
    """One instance's probabilities in the part of the photograph that can hold it, and that part."""
    grid = (prototypes.shape[1], prototypes.shape[2])
    x1, y1, x2, y2 = regions_of(window[None], grid, image_size)[0].tolist()
    if x1 == x2:
        return np.zeros((0, 0), np.float32), (0, 0, 0, 0)
    if cells is None:
        cells = assemble_window(prototypes, coefficients, window)
    return enlarge(cells, window, (x1, y1, x2, y2), grid, image_size), (x1, y1, x2, y2)


def region_mask(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, " K"],
    window: Int32[np.ndarray, "4"],
    image_size: tuple[int, int],
    cells: Float32[np.ndarray, "_ _"] | None = None,
) -> tuple[Bool[np.ndarray, "h w"], Region]:
    """One instance's mask in the part of the photograph that can hold it, and that part."""
    soft, region = soft_region(prototypes, coefficients, window, image_size, cells)
    return soft > 0.5, region


def full_masks(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
    image_size: tuple[int, int],
    cells: Cells = None,
) -> Bool[np.ndarray, "N H W"]:
    """The masks at the photograph's size."""
    masks = np.zeros((len(windows), *image_size), dtype=bool)
    for i, (part, (x1, y1, x2, y2)) in enumerate(_parts(prototypes, coefficients, windows, image_size, cells)):
        masks[i, y1:y2, x1:x2] = part
    return masks


def areas(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
    image_size: tuple[int, int],
    cells: Cells = None,
) -> Int64[np.ndarray, " N"]:
    """Pixels of the photograph that each mask covers."""
    parts = _parts(prototypes, coefficients, windows, image_size, cells)
    return np.array([np.count_nonzero(part) for part, _ in parts], dtype=np.int64)


def encode_rles(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
    image_size: tuple[int, int],
    cells: Cells = None,
) -> list[dict[str, Any]]:
    """Each mask as a COCO run-length code: `{"size": [H, W], "counts": str}`."""
    parts = _parts(prototypes, coefficients, windows, image_size, cells)
    return [encode_rle(mask, region, image_size) for mask, region in parts]


def _parts(
    prototypes: np.ndarray,
    coefficients: np.ndarray,
    windows: np.ndarray,
    image_size: tuple[int, int],
    cells: Cells,
) -> Iterator[tuple[np.ndarray, Region]]:
    """`region_mask` of each instance."""
    for i in range(len(windows)):
        yield region_mask(prototypes, coefficients[i], windows[i], image_size, None if cells is None else cells[i])


def _mix(low: Float32[np.ndarray, "h w"], high: Float32[np.ndarray, "h w"], fraction: np.ndarray) -> np.ndarray:
    """low + (high - low) * fraction, in the memory of both."""
    high -= low
    high *= fraction
    low += high
    return low
