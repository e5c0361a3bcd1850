"""COCO's compressed run-length codes."""

from typing import Any

import numpy as np
from jaxtyping import Bool

Region = tuple[int, int, int, int]
"""(x1, y1, x2, y2) in whole pixels of the photograph; x2 and y2 are outside."""


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
