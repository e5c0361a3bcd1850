"""Masks on a CPU, compiled: the functions that `masks` has in NumPy, ten times as fast.

Threads take turns at the instances. Numba's own way to spread loops is no choice: it ends the process when two threads
call it at once.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64

from yolact.detect import mask_loops
from yolact.detect.masks import Cells, Region, regions_of, taps
from yolact.detect.threads import run_on_threads

WORTH_THREADS = 200_000
"""Pixels to work on from which on a second thread gains more than the 50 µs that waking it takes."""

SHARES = 4
"""Parts of the work for each thread: with one part each, all would wait for the thread that began last."""

FRESH_MEMORY = 32 << 20
"""Bytes from which on memory comes fresh from the system, where zeros cost nothing until they are touched. Below, it
may be used memory, which `np.zeros` would clear in one thread; here each thread clears its part."""


def full_masks(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
    image_size: tuple[int, int],
    cells: Cells = None,
) -> Bool[np.ndarray, "N H W"]:
    """As `masks.full_masks`."""
    shape = (len(windows), *image_size)
    clear = math.prod(shape) < FRESH_MEMORY
    masks = np.empty(shape, bool) if clear else np.zeros(shape, bool)
    inputs = _inputs(prototypes, coefficients, windows, image_size, cells)
    extra = image_size[0] * image_size[1] // 16 if clear else 0
    _share(lambda chosen: mask_loops.fill(*inputs, chosen, masks, 0, 0, clear), inputs[3], extra)
    return masks


def region_mask(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, " K"],
    window: Int32[np.ndarray, "4"],
    image_size: tuple[int, int],
    cells: Float32[np.ndarray, "_ _"] | None = None,
) -> tuple[Bool[np.ndarray, "h w"], Region]:
    """As `masks.region_mask`."""
    one = None if cells is None else [cells]
    inputs = _inputs(prototypes, coefficients[None], window[None], image_size, one)
    x1, y1, x2, y2 = inputs[3][0].tolist()
    mask = np.empty((1, y2 - y1, x2 - x1), bool)
    mask_loops.fill(*inputs, np.zeros(1, np.int64), mask, x1, y1, False)
    return mask[0], (x1, y1, x2, y2)


def areas(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
    image_size: tuple[int, int],
    cells: Cells = None,
) -> Int64[np.ndarray, " N"]:
    """As `masks.areas`."""
    return _codes(prototypes, coefficients, windows, image_size, cells)[1]


def encode_rles(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
    image_size: tuple[int, int],
    cells: Cells = None,
) -> list[dict[str, Any]]:
    """As `masks.encode_rles`."""
    codes = _codes(prototypes, coefficients, windows, image_size, cells)[0]
    return [{"size": list(image_size), "counts": code} for code in codes]


def window_cells(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int32[np.ndarray, "N 4"],
) -> list[Float32[np.ndarray, "_ _"]]:
    """As `masks.window_cells`."""
    shapes = [(y2 - y1, x2 - x1) for x1, y1, x2, y2 in windows.tolist()]
    starts = np.cumsum([0, *(height * width for height, width in shapes)])
    cells = np.empty(starts[-1], np.float32)
    arrays = (np.ascontiguousarray(array) for array in (prototypes, coefficients, windows))
    mask_loops.assemble(*arrays, starts, cells)
    return [cells[start:][: h * w].reshape(h, w) for start, (h, w) in zip(starts.tolist(), shapes, strict=False)]


def _codes(
    prototypes: np.ndarray,
    coefficients: np.ndarray,
    windows: np.ndarray,
    image_size: tuple[int, int],
    cells: Cells,
) -> tuple[list[str], np.ndarray]:
    inputs = _inputs(prototypes, coefficients, windows, image_size, cells)
    codes, covered = [""] * len(windows), np.zeros(len(windows), np.int64)

    def encode(chosen: np.ndarray) -> None:
        text, ends, covered[chosen] = mask_loops.encode(*inputs, chosen, image_size[0])
        letters, start = text.tobytes().decode("ascii"), 0
        for i, stop in zip(chosen.tolist(), ends.tolist(), strict=True):
            codes[i], start = letters[start:stop], stop

    _share(encode, inputs[3])
    return codes, covered


def _inputs(
    prototypes: np.ndarray,
    coefficients: np.ndarray,
    windows: np.ndarray,
    image_size: tuple[int, int],
    cells: Cells = None,
) -> tuple[np.ndarray, ...]:
    """What all loops begin with; checked, since they would read beyond an array's end."""
    grid, needed = (prototypes.shape[1], prototypes.shape[2]), (len(windows), len(prototypes))
    if coefficients.shape != needed:
        raise ValueError(f"coefficients are {coefficients.shape}; these windows and prototypes need {needed}")
    regions = regions_of(windows, grid, image_size)
    windows = windows * (regions[:, 2:] > regions[:, :2]).all(axis=1, keepdims=True)
    sizes = (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1])
    starts = np.zeros(len(windows) + 1, np.int64)
    flat = np.empty(0, np.float32)
    if cells is not None:
        starts[1:] = np.cumsum([some.size for some in cells])
        flat = np.concatenate([flat, *(some.ravel() for some in cells)])
        if ((starts[1:] - starts[:-1] != sizes) & (sizes > 0)).any():
            raise ValueError("the cells are more or fewer than their windows have")
    down, across = (taps(*sizes) for sizes in zip(grid, image_size, strict=True))
    return (
        *(np.ascontiguousarray(array) for array in (prototypes, coefficients, windows, regions)),
        *(flat, starts),
        *(down.low.astype(np.uint32), down.fraction, across.low.astype(np.uint32), across.fraction),
    )


def _share(work: Callable[[np.ndarray], None], regions: np.ndarray, extra: int = 0) -> None:
    """Let as many threads as torch may use work on instances, large ones first.

    Args:
        work: takes numbers of instances.
        regions: of all instances.
        extra: pixels that each instance costs besides.
    """
    sizes = (regions[:, 2] - regions[:, 0]) * (regions[:, 3] - regions[:, 1]) + extra
    threads = torch.get_num_threads() if sizes.sum() >= WORTH_THREADS else 1
    count = SHARES * threads if threads > 1 else 1
    order = np.argsort(-sizes, kind="stable")
    shares = deque(np.ascontiguousarray(order[n::count]) for n in range(count))

    def take() -> None:
        while True:
            try:
                share = shares.popleft()
            except IndexError:
                return
            work(share)

    run_on_threads(take, threads)
