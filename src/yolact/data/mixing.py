"""Several photographs as one: mosaic (Bochkovskiy et al. 2020, section 3.3) and copy-paste (Ghiasi et al. 2021).

Both work on views that are already augmented, at the size of the network input. Draws come from torch's global random
numbers.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from yolact.config import ModelConfig
from yolact.data.augmentation import Augmentation
from yolact.data.coco import Sample, mask_bounds
from yolact.data.transforms import augment
from yolact.structures import Target

View = tuple[Float[Tensor, "3 h w"], Target]

MOSAIC_PARTS = 4

EDGE_SHARE = 0.3
"""The lines that divide a mosaic lie at least this share of a side away from its edges."""

PASTED_SHARE = 0.5
"""Chance of each object to be pasted."""

LEAST_VISIBLE = 0.1
"""Share of an object that has to remain visible behind what was pasted over it; else it is left out."""


def mosaic(
    samples: list[Sample], config: ModelConfig, augmentation: Augmentation, size: tuple[int, int] | None = None
) -> View:
    """Four photographs, each augmented for itself, in the four corners of one view."""
    height, width = size or config.image_size
    row, column = (round(side * float(EDGE_SHARE + (1 - 2 * EDGE_SHARE) * torch.rand(()))) for side in (height, width))
    corners = [(0, 0, row, column), (0, column, row, width), (row, 0, height, column), (row, column, height, width)]
    canvas = torch.zeros(3, height, width)
    parts = []
    for sample, (top, left, bottom, right) in zip(samples, corners, strict=True):
        image, target = augment(sample, config, augmentation, (bottom - top, right - left))
        canvas[:, top:bottom, left:right] = image
        masks = torch.zeros(len(target.labels), height, width, dtype=torch.bool)
        masks[:, top:bottom, left:right] = target.masks
        scale = torch.tensor([(right - left) / width, (bottom - top) / height] * 2)
        boxes = target.boxes * scale + torch.tensor([left / width, top / height] * 2)
        parts.append(Target(boxes, target.labels, masks, target.is_crowd))
    return canvas, join(parts)


def copy_paste(view: View, other: View) -> View:
    """Each object of the other view, crowds apart, is pasted with a chance of one half, where it is.

    Objects behind lose the pixels that are covered, and their boxes shrink to what is visible.
    """
    (image, target), (other_image, source) = view, other
    chosen = ~source.is_crowd & (torch.rand(len(source.labels)) < PASTED_SHARE)
    pasted = Target(source.boxes[chosen], source.labels[chosen], source.masks[chosen], source.is_crowd[chosen])
    if not chosen.any():
        return view
    cover = pasted.masks.any(dim=0)
    return torch.where(cover, other_image, image), join([_behind(target, cover), pasted])


def join(targets: list[Target]) -> Target:
    """All objects of several targets of the same view."""
    boxes, labels, masks, crowds = (
        torch.cat([getattr(t, name) for t in targets]) for name in ("boxes", "labels", "masks", "is_crowd")
    )
    return Target(boxes, labels, masks, crowds)


def _behind(target: Target, cover: Tensor) -> Target:
    """What is still to be seen of objects behind a cover."""
    masks = target.masks & ~cover
    before, after = target.masks.flatten(1).sum(1), masks.flatten(1).sum(1)
    kept = after > before * LEAST_VISIBLE
    height, width = cover.shape
    measured = mask_bounds(masks) / torch.tensor([width, height] * 2)
    # An untouched box keeps its precision, which is finer than the mask's pixels.
    boxes = torch.where((after < before)[:, None], measured, target.boxes)
    return Target(boxes[kept], target.labels[kept], masks[kept], target.is_crowd[kept])
