"""Masks: assembled from prototypes, cropped, and brought to the size of the photograph (paper section 3.2, eq. 1)."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from yolact.boxes import window

Region = tuple[int, int, int, int]
"""(x1, y1, x2, y2) in whole pixels of the photograph; x2 and y2 are outside."""


def assemble_masks(
    prototypes: Float[Tensor, "B K Hp Wp"], coefficients: Float[Tensor, "B N K"]
) -> Float[Tensor, "B N Hp Wp"]:
    """M = sigmoid(P C^T): each mask is a signed mixture of the image's prototypes."""
    return torch.matmul(coefficients, prototypes.flatten(2)).unflatten(2, prototypes.shape[2:]).sigmoid()


def crop_masks(masks: Float[Tensor, "B N Hp Wp"], boxes: Float[Tensor, "B N 4"]) -> Float[Tensor, "B N Hp Wp"]:
    """Set to zero what lies outside each mask's box, widened by one pixel of the prototypes."""
    return masks * window(boxes, (masks.shape[-2], masks.shape[-1]))


def region_of(mask: Float32[np.ndarray, "Hp Wp"], image_size: tuple[int, int]) -> Region:
    """The part of a photograph of `image_size` where the enlarged mask can be more than zero; (0, 0, 0, 0) if none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return 0, 0, 0, 0
    y1, y2 = _reach(int(rows[0]), int(rows[-1]), mask.shape[0], image_size[0])
    x1, x2 = _reach(int(columns[0]), int(columns[-1]), mask.shape[1], image_size[1])
    return x1, y1, x2, y2


def upsample_region(
    mask: Float32[np.ndarray, "Hp Wp"], region: Region, image_size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """Enlarge a mask bilinearly to the photograph's size, but only compute `region` of it.

    Half-pixel centers, as `interpolate(..., align_corners=False)`. Each pixel is the same whichever region holds it.
    """
    x1, y1, x2, y2 = region
    row_weights, first_row = _interpolation(mask.shape[0], image_size[0], y1, y2)
    column_weights, first_column = _interpolation(mask.shape[1], image_size[1], x1, x2)
    rows, columns = row_weights.shape[1], column_weights.shape[1]
    part = mask[first_row : first_row + rows, first_column : first_column + columns]
    return row_weights @ part @ column_weights.T


def encode_rle(mask: Bool[np.ndarray, "h w"], region: Region, image_size: tuple[int, int]) -> dict[str, Any]:
    """COCO's compressed run-length encoding of a mask that is known in `region` and false elsewhere."""
    from faster_coco_eval.core import mask as coco_mask

    height, width = image_size
    x1, y1, x2, y2 = region
    # Runs go down the columns: whole columns of the region, then what lies left and right of it as two numbers.
    columns = np.zeros((x2 - x1, height), dtype=bool)
    columns[:, y1:y2] = mask.T
    changes = np.flatnonzero(np.diff(columns.ravel(), prepend=False, append=False)) + x1 * height
    counts = np.diff(changes, prepend=0, append=height * width)
    if counts[-1] == 0:
        counts = counts[:-1]
    uncompressed: Any = {"size": [height, width], "counts": counts.tolist()}
    encoded: Any = coco_mask.frPyObjects(uncompressed, height, width)
    text = encoded["counts"]
    return {"size": [height, width], "counts": text.decode() if isinstance(text, bytes) else text}


def _reach(first: int, last: int, source: int, target: int) -> tuple[int, int]:
    """Which target pixels draw on source pixels `first` to `last`: up to one source pixel beyond their centers."""
    scale = target / source
    return max(int(np.floor((first - 0.5) * scale)), 0), min(int(np.ceil((last + 1.5) * scale)), target)


def _interpolation(source: int, target: int, start: int, stop: int) -> tuple[Float32[np.ndarray, "n m"], int]:
    """Weights of source pixels `first`... for target pixels start to stop, two non-zero in a row, and `first`."""
    # In single precision, as torch does: at a distance from the origin the double is elsewhere by up to 1e-5.
    centers = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    position = np.maximum(centers * np.float32(source / target) - np.float32(0.5), np.float32(0.0))
    low = np.minimum(position.astype(np.int64), source - 1)
    high = np.minimum(low + 1, source - 1)
    fraction = (position - low).astype(np.float32)
    first = int(low[0]) if len(low) else 0
    weights = np.zeros((len(low), int(high[-1]) - first + 1 if len(high) else 0), dtype=np.float32)
    row = np.arange(len(low))
    weights[row, low - first] = 1.0 - fraction
    weights[row, high - first] += fraction
    return weights, first
