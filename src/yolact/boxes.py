"""Boxes: formats, overlap, and their encoding as offsets from anchors."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

CENTER_VARIANCE = 0.1
SIZE_VARIANCE = 0.2
"""SSD's scaling of the regression targets, which YOLACT inherits (original `layers/box_utils.py`)."""

SMALLEST_SIDE = 1e-6
"""In fractions of the image: a box without area would be encoded as minus infinity."""


def cxcywh_to_xyxy(boxes_cxcywh: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    center, half_size = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat([center - half_size, center + half_size], dim=-1)


def xyxy_to_cxcywh(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)


def area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_intersection(a: Float[Tensor, "*b n 4"], b: Float[Tensor, "*b m 4"]) -> Float[Tensor, "*b n m"]:
    """Area shared by each box of `a` with each box of `b`."""
    # Coordinate by coordinate, laid out in a row: half the time of working on corners, which are four numbers apart.
    left, top, right, bottom = (edge.contiguous()[..., :, None] for edge in a.unbind(-1))
    left_b, top_b, right_b, bottom_b = (edge.contiguous()[..., None, :] for edge in b.unbind(-1))
    width = (torch.minimum(right, right_b) - torch.maximum(left, left_b)).clamp(min=0)
    height = (torch.minimum(bottom, bottom_b) - torch.maximum(top, top_b)).clamp(min=0)
    return width * height


def pairwise_iou(a: Float[Tensor, "*b n 4"], b: Float[Tensor, "*b m 4"]) -> Float[Tensor, "*b n m"]:
    """Intersection over union of each box of `a` with each box of `b`, in 0..1."""
    intersection = pairwise_intersection(a, b)
    union = area(a)[..., :, None] + area(b)[..., None, :] - intersection
    return intersection / union


def pairwise_coverage(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Share of each box of `a` that lies inside each box of `b`, in 0..1: the overlap that counts against a crowd."""
    return pairwise_intersection(a, b) / area(a)[:, None]


def encode(boxes: Float[Tensor, "*n 4"], anchors_cxcywh: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """The offsets (dx, dy, dw, dh) that turn each anchor into its box; the inverse of `decode`."""
    boxes_cxcywh = xyxy_to_cxcywh(boxes)
    anchor_size = anchors_cxcywh[..., 2:]
    center = (boxes_cxcywh[..., :2] - anchors_cxcywh[..., :2]) / (CENTER_VARIANCE * anchor_size)
    size = torch.log(boxes_cxcywh[..., 2:].clamp(min=SMALLEST_SIDE) / anchor_size) / SIZE_VARIANCE
    return torch.cat([center, size], dim=-1)


def decode(box_deltas: Float[Tensor, "*n 4"], anchors_cxcywh: Float[Tensor, "*#n 4"]) -> Float[Tensor, "*n 4"]:
    """The boxes that the network means, as (x1, y1, x2, y2); not clipped to the image."""
    anchor_size = anchors_cxcywh[..., 2:]
    center = anchors_cxcywh[..., :2] + CENTER_VARIANCE * box_deltas[..., :2] * anchor_size
    size = anchor_size * torch.exp(SIZE_VARIANCE * box_deltas[..., 2:])
    top_left = center - size / 2
    return torch.cat([top_left, top_left + size], dim=-1)


def window(boxes: Float[Tensor, "*n 4"], size: tuple[int, int], margin: float = 1.0) -> Bool[Tensor, "*n h w"]:
    """The pixels of a (height, width) map that lie in each box: what cropping a mask keeps (paper section 3.2).

    As in the original, column i counts if x1 - margin <= i < x2 + margin in pixels of the map, without rounding
    (`layers/box_utils.py`, `crop`), so that a box that is slightly too small does not cut the object's outline.
    """
    height, width = size
    rows = torch.arange(height, device=boxes.device, dtype=boxes.dtype)[:, None]
    columns = torch.arange(width, device=boxes.device, dtype=boxes.dtype)
    x1, y1, x2, y2 = (edge[..., None, None] for edge in boxes.unbind(-1))
    in_columns = (columns >= x1 * width - margin) & (columns < x2 * width + margin)
    in_rows = (rows >= y1 * height - margin) & (rows < y2 * height + margin)
    return in_rows & in_columns
