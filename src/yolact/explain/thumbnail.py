"""A prototype as a picture."""

from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

MAP = "viridis"
"""Matplotlib's: equal steps of value look like equal steps of color, to color-blind readers and in gray too."""


def picture_of(
    prototype: Float[np.ndarray, "Hp Wp"], size: tuple[int, int], brightest: float | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """A single prototype in color: from dark violet, which is 0, over green to yellow.

    Args:
        prototype: any values; the network's are at least 0 and unbounded. Those below 0 look like 0, and those that are
            no numbers too.
        size: (height, width) of the picture in pixels. A prototype spans the photograph whatever its proportions, so
            that a picture with the photograph's shows things as they are.
        brightest: the value that is yellow, and all above. None: the prototype's own largest.

    Returns:
        RGB, 0..255. Where nothing is above 0, all of it is dark.

    Raises:
        ValueError: a size without pixels.
    """
    if min(size) < 1:
        raise ValueError(f"the size {size} has no pixels; give height and width of at least 1")
    values = np.nan_to_num(prototype.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0)) if brightest is None else brightest
    share = (values / top if top > 0 else np.zeros_like(values)).clip(0, 1)
    shrunk = size[0] < share.shape[0] and size[1] < share.shape[1]
    resized = cv2.resize(share, size[::-1], interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR)
    return _colors()[np.rint(resized * 255).astype(np.uint8)]


@cache
def _colors() -> UInt8[np.ndarray, "256 3"]:
    import matplotlib  # here: drawing is the rarest use of what explains

    colors = matplotlib.colormaps[MAP](np.arange(256), bytes=True)[:, :3]
    colors.setflags(write=False)
    return colors
