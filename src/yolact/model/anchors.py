"""Anchors: the boxes that predictions start from, in the order of the head's output."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from yolact.config import ModelConfig

MOST_KEPT = 32
"""Sizes whose anchors are remembered."""


class AnchorGrid:
    """The anchors of a network, computed once for each size of its feature maps."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._made: dict[tuple, Tensor] = {}

    def __call__(self, levels: list[Tensor], image_size: tuple[int, int]) -> Float[Tensor, "A 4"]:
        """Anchors (cx, cy, w, h) as fractions of an image of `image_size`, for the feature maps P3 to P7."""
        sizes = tuple((int(level.shape[-2]), int(level.shape[-1])) for level in levels)
        return self._at(sizes, image_size, levels[0].device)

    @torch.compiler.assume_constant_result  # or it would be compiled again once the first anchors are remembered
    def _at(self, sizes: tuple[tuple[int, int], ...], image_size: tuple[int, int], device: torch.device) -> Tensor:
        key = (sizes, image_size, device)
        if key not in self._made:
            if len(self._made) >= MOST_KEPT:
                self._made.clear()
            with torch.inference_mode(False):  # what prediction makes must serve training too
                self._made[key] = make_anchors(self.config, sizes, image_size).to(device)
        return self._made[key]


def make_anchors(
    config: ModelConfig, sizes: tuple[tuple[int, int], ...], image_size: tuple[int, int]
) -> Float[Tensor, "A 4"]:
    """Lay anchors over the cells of each level: row by row, in a cell scale by scale, in a scale ratio by ratio.

    Sides are in pixels of the network input, so that a non-square input does not stretch them (the original divides
    both by its one `max_size`; for its square inputs that is the same).

    Args:
        sizes: (height, width) of the feature maps P3 to P7.
        image_size: (height, width) of the network input.

    Returns:
        (cx, cy, w, h) as fractions of the network input, float32, not clipped to it.
    """
    height, width = image_size
    ratios = np.sqrt(np.array(config.anchor_ratios))
    levels = []
    for (rows, columns), scales in zip(sizes, config.anchor_scales, strict=True):
        # In double precision, as the original computes them in plain Python.
        anchor_width = np.outer(scales, ratios).ravel()
        anchor_height = anchor_width if config.square_anchors else np.outer(scales, 1 / ratios).ravel()
        level = np.empty((rows, columns, len(anchor_width), 4))
        level[..., 0] = ((np.arange(columns) + 0.5) / columns)[None, :, None]
        level[..., 1] = ((np.arange(rows) + 0.5) / rows)[:, None, None]
        level[..., 2] = anchor_width / width
        level[..., 3] = anchor_height / height
        levels.append(level.reshape(-1, 4))
    return torch.from_numpy(np.concatenate(levels).astype(np.float32))
