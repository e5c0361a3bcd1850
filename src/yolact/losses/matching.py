"""Which anchor is responsible for which object: positive, neutral or background (paper section 4, SSD's rule)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from yolact.boxes import cxcywh_to_xyxy, pairwise_coverage, pairwise_iou
from yolact.structures import Target

POSITIVE_IOU = 0.5
BACKGROUND_IOU = 0.4
CROWD_COVERAGE = 0.7
BACKGROUND, NEUTRAL = 0, -1


@dataclass(frozen=True, slots=True)
class Matches:
    """The role of each anchor of one image."""

    labels: Int[Tensor, " A"]
    """Foreground class plus 1, `BACKGROUND`, or `NEUTRAL` (takes no part in the loss)."""

    objects: Int[Tensor, " A"]
    """The object (row of the target's non-crowd boxes) that each anchor overlaps most; 0 where there is none."""


@torch.no_grad()
def match_anchors(anchors_cxcywh: Float[Tensor, "A 4"], target: Target, force_unreachable: bool = False) -> Matches:
    """Give each anchor the object that it overlaps most, and each object an anchor of its own.

    An IoU of at least 0.5 makes an anchor positive, less than 0.4 background, and what lies between neutral. An anchor
    of which more than 0.7 lies in a crowd is at most neutral. (Original `layers/box_utils.py`, `match`.)

    Args:
        force_unreachable: also give an anchor to an object that overlaps none. The original does; its enormous
            regression targets are the main suspect of exploding losses (quirk Q15).
    """
    anchors = cxcywh_to_xyxy(anchors_cxcywh)
    is_object = ~target.is_crowd
    boxes, object_labels = target.boxes[is_object], target.labels[is_object]
    if len(boxes) == 0:
        labels = torch.full((len(anchors),), BACKGROUND, device=anchors.device, dtype=torch.long)
        return Matches(_spare_crowds(labels, anchors, target), torch.zeros_like(labels))
    overlaps = pairwise_iou(boxes, anchors)
    best_overlap, objects = overlaps.max(dim=0)
    for row, anchor in _best_pairs(overlaps, force_unreachable):
        objects[anchor], best_overlap[anchor] = row, 2.0
    labels = object_labels[objects] + 1
    labels[best_overlap < POSITIVE_IOU] = NEUTRAL
    labels[best_overlap < BACKGROUND_IOU] = BACKGROUND
    return Matches(_spare_crowds(labels, anchors, target), objects)


def _best_pairs(overlaps: Float[Tensor, "N A"], force_unreachable: bool) -> list[tuple[int, int]]:
    """Pair each object with an anchor that no other object has, the largest overlaps first.

    Two objects rarely want the same anchor, so a pass over the rows that are still free settles nearly all of them;
    taking the largest overlap one by one, as the original does, gives the same pairs and reads all overlaps each time.
    """
    free = overlaps.clone()
    best, best_anchor = free.max(dim=1)
    pairs = []
    for _ in range(len(free)):
        row = int(best.argmax())
        if best[row] < 0 or (best[row] == 0 and not force_unreachable):
            break
        anchor = int(best_anchor[row])
        pairs.append((row, anchor))
        free[:, anchor] = -1.0
        best[row] = -1.0
        stale = (best_anchor == anchor) & (best >= 0)
        if stale.any():
            best[stale], best_anchor[stale] = free[stale].max(dim=1)
    return pairs


def _spare_crowds(labels: Int[Tensor, " A"], anchors: Float[Tensor, "A 4"], target: Target) -> Int[Tensor, " A"]:
    """Make background anchors inside a crowd neutral: what they show may well be an object."""
    crowds = target.boxes[target.is_crowd]
    if len(crowds) > 0:
        in_crowd = (pairwise_coverage(anchors, crowds) > CROWD_COVERAGE).any(dim=1)
        labels[(labels <= 0) & in_crowd] = NEUTRAL
    return labels
