"""Masks painted on photographs.

Edges come from the soft masks, not from their binary form: each is treated as a smooth surface (a cubic B-spline over
the prototype grid), whose height and slope together tell how far a pixel is from the outline, so that fill and line are
anti-aliased at any size of photograph. Work goes in strips of rows, and memory stays small.
"""

import logging
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

_log = logging.getLogger(__name__)

Color = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]

STRIP_ROWS = 256


def paint(
    canvas: UInt8[np.ndarray, "H W 3"],
    soft_mask: Float32[np.ndarray, "Hp Wp"],
    color: Color,
    opacity: float,
    line: float,
) -> None:
    """Fill a mask and draw its outline, in place. The line lies inside the mask, so that neighbors stay apart.

    Args:
        line: its width in pixels; 0 for none.
    """
    loop = _loop()
    if loop is None or not canvas.flags.c_contiguous:
        paint_in_numpy(canvas, soft_mask, color, opacity, line)
        return
    extent = extent_of(soft_mask, (canvas.shape[0], canvas.shape[1]), margin=1)
    if extent[0] < extent[2] and extent[1] < extent[3]:
        floats = (np.float32(color[0]), np.float32(color[1]), np.float32(color[2]))
        loop(canvas, np.ascontiguousarray(soft_mask), extent, floats, np.float32(opacity), np.float32(line))


@cache
def _loop() -> Callable[..., Any] | None:
    try:
        from yolact import painting_loop
    except (ImportError, OSError) as error:  # OSError: its compiler library is missing
        _log.debug("masks are painted by NumPy, which takes longer: %s", error)
        return None
    return painting_loop.paint


def paint_in_numpy(
    canvas: UInt8[np.ndarray, "H W 3"],
    soft_mask: Float32[np.ndarray, "Hp Wp"],
    color: Color,
    opacity: float,
    line: float,
) -> None:
    """`paint`, where nothing can be compiled."""
    size = canvas.shape[:2]
    x1, y1, x2, y2 = extent_of(soft_mask, size, margin=1)
    for top, bottom in strips(y1, y2):
        distance = distance_inside(soft_mask, (x1, top, x2, bottom), size)
        alpha = opacity * coverage(distance)
        if line:
            alpha = np.maximum(alpha, coverage(distance) * coverage(line - distance))
        strip = canvas[top:bottom, x1:x2]
        for channel, value in enumerate(color):
            strip[..., channel] = np.rint(strip[..., channel] + alpha * (np.float32(value) - strip[..., channel]))


def coverage(distance: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """How much of each pixel lies inside an edge that is this far from its center."""
    return (distance + 0.5).clip(0, 1)


def strips(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for top in range(start, stop, STRIP_ROWS):
        yield top, min(top + STRIP_ROWS, stop)


def extent_of(mask: Float32[np.ndarray, "Hp Wp"], image_size: tuple[int, int], margin: int) -> Rectangle:
    """(x1, y1, x2, y2) in pixels around the mask's cells above zero and `margin` cells more; zeros if none is."""
    ends = []
    for axis, size in ((0, image_size[1]), (1, image_size[0])):
        cells = np.flatnonzero(mask.any(axis=axis))
        if len(cells) == 0:
            return 0, 0, 0, 0
        scale = size / mask.shape[1 - axis]
        ends.append((max(int((cells[0] - margin) * scale), 0), min(int((cells[-1] + 1 + margin) * scale) + 1, size)))
    (x1, x2), (y1, y2) = ends
    return x1, y1, x2, y2


def distance_inside(
    mask: Float32[np.ndarray, "Hp Wp"], part: Rectangle, image_size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """About how many pixels each pixel is inside the mask's outline, below 0 outside; right near the outline."""
    x1, y1, x2, y2 = part
    top, rows, row_slopes = spline(mask.shape[0], image_size[0], y1, y2)
    left, columns, column_slopes = spline(mask.shape[1], image_size[1], x1, x2)
    cells = mask[top : top + rows.shape[1], left : left + columns.shape[1]]
    along_columns = _product(cells, columns.T)
    height = _product(rows, along_columns)
    slope_y, slope_x = _product(row_slopes, along_columns), _product(rows, _product(cells, column_slopes.T))
    return (height - 0.5) / np.maximum(np.sqrt(slope_x * slope_x + slope_y * slope_y), 1e-6)


def _product(a: Float32[np.ndarray, "h n"], b: Float32[np.ndarray, "n w"]) -> Float32[np.ndarray, "h w"]:
    """`a @ b`. OpenCV's needs no threads for such thin matrices; numpy's, on a busy machine, waits for its own."""
    nothing = np.empty((0, 0), dtype=np.float32)
    return cv2.gemm(np.ascontiguousarray(a), np.ascontiguousarray(b), 1.0, nothing, 0.0)


def spline(cells: int, pixels: int, start: int, stop: int) -> tuple[int, np.ndarray, np.ndarray]:
    """A uniform cubic B-spline over `cells` at the centers of pixels start to stop, ends repeated.

    Returns:
        The first cell that counts, the weights of the cells from there on (one row a pixel), and their derivative by
        pixels.
    """
    position = (np.arange(start, stop) + 0.5) * (cells / pixels) - 0.5
    nearest = np.floor(position).astype(np.int64)
    t = position - nearest
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    slopes = (-3 * (1 - t) ** 2, 9 * t**2 - 12 * t, -9 * t**2 + 6 * t + 3, 3 * t**2)
    first, last = max(int(nearest[0]) - 1, 0), min(int(nearest[-1]) + 2, cells - 1)
    values, derivative = np.zeros((2, stop - start, last - first + 1), dtype=np.float32)
    row = np.arange(stop - start)
    for offset, weight, slope in zip((-1, 0, 1, 2), weights, slopes, strict=True):
        cell = (nearest + offset).clip(first, last) - first
        np.add.at(values, (row, cell), weight / 6)
        np.add.at(derivative, (row, cell), slope / 6 * (cells / pixels))
    return first, values, derivative
