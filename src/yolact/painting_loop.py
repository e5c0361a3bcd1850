"""The loop of `painting`, compiled by Numba: one pass over the pixels around an instance.

Each row of pixels first mixes four rows of cells into one of heights and one of slopes; each pixel then mixes four of
those.
"""

import numpy as np
from numba import types

from yolact.detect.compiled import inner, outer


@inner
def _weights(cells, pixels, start, stop):
    """The four cells around each pixel, and their weights and slopes by pixels, as `painting.spline` gives them."""
    places = np.empty((stop - start, 4), np.int64)
    values, slopes = np.empty((stop - start, 4), np.float32), np.empty((stop - start, 4), np.float32)
    step = cells / pixels
    for i in range(stop - start):
        position = (start + i + 0.5) * step - 0.5
        nearest = int(np.floor(position))
        t = position - nearest
        for k in range(4):
            places[i, k] = min(max(nearest - 1 + k, 0), cells - 1)
        values[i, 0] = (1 - t) ** 3 / 6
        values[i, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
        values[i, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
        values[i, 3] = t**3 / 6
        slopes[i, 0] = -((1 - t) ** 2) / 2 * step
        slopes[i, 1] = (9 * t**2 - 12 * t) / 6 * step
        slopes[i, 2] = (-9 * t**2 + 6 * t + 3) / 6 * step
        slopes[i, 3] = t**2 / 2 * step
    return places, values, slopes


@outer(
    types.void(
        types.Array(types.uint8, 3, "C"),
        types.Array(types.float32, 2, "C", readonly=True),
        types.UniTuple(types.int64, 4),
        types.UniTuple(types.float32, 3),
        types.float32,
        types.float32,
    )
)
def paint(canvas, mask, extent, color, opacity, line):
    """As `painting.paint`, within x1, y1, x2, y2 of `extent`."""
    x1, y1, x2, y2 = extent
    down, row_values, row_slopes = _weights(mask.shape[0], canvas.shape[0], y1, y2)
    across, values, slopes = _weights(mask.shape[1], canvas.shape[1], x1, x2)
    heights, falls = np.empty(mask.shape[1], np.float32), np.empty(mask.shape[1], np.float32)
    first, last = across[0, 0], across[x2 - x1 - 1, 3]
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    for y in range(y1, y2):
        a, b, c, d = down[y - y1]
        for cell in range(first, last + 1):
            m0, m1, m2, m3 = mask[a, cell], mask[b, cell], mask[c, cell], mask[d, cell]
            v, s = row_values[y - y1], row_slopes[y - y1]
            heights[cell] = v[0] * m0 + v[1] * m1 + v[2] * m2 + v[3] * m3
            falls[cell] = s[0] * m0 + s[1] * m1 + s[2] * m2 + s[3] * m3
        for i in range(x2 - x1):
            height, slope_x, slope_y = zero, zero, zero
            for k in range(4):
                cell = across[i, k]
                height += values[i, k] * heights[cell]
                slope_x += slopes[i, k] * heights[cell]
                slope_y += values[i, k] * falls[cell]
            steepness = max(np.sqrt(slope_x * slope_x + slope_y * slope_y), np.float32(1e-6))
            distance = (height - half) / steepness
            inside = min(max(distance + half, zero), one)
            if inside > zero:
                alpha = opacity * inside
                if line > zero:
                    alpha = max(alpha, inside * min(max(line - distance + half, zero), one))
                for channel in range(3):
                    was = np.float32(canvas[y, x1 + i, channel])
                    canvas[y, x1 + i, channel] = np.uint8(np.rint(was + alpha * (color[channel] - was)))
