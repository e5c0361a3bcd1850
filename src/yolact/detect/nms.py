"""Non-maximum suppression: which of many overlapping candidates are kept. Three kinds, all batched.

Each takes class probabilities and decoded boxes, and returns the kept candidates by descending score, padded with
score -1, as (scores, labels, anchors): the anchor is an index into the A anchors of the image.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from yolact.boxes import pairwise_iou
from yolact.config import DetectConfig

Kept = tuple[Float[Tensor, "B N"], Int[Tensor, "B N"], Int[Tensor, "B N"]]

ABSENT = -1.0
"""The score of padding: below any probability, so that it always sorts last."""


def fast_nms(probabilities: Float[Tensor, "B A C"], boxes: Float[Tensor, "B A 4"], config: DetectConfig) -> Kept:
    """The paper's Fast NMS (section 3.3): drop a candidate that overlaps any better one of its class.

    Also one that is itself dropped; that costs a little accuracy and makes the decision a matrix, a triangle and a
    maximum instead of a sequence. As in the original, an anchor whose best class is above the floor enters for every
    class, with however low a score (quirk Q5).
    """
    scores = _above_floor(probabilities, config).transpose(1, 2)  # (B, C, A)
    scores, anchors = scores.topk(min(config.candidates, scores.shape[-1]), dim=-1)  # (B, C, n)
    keep = _best_of_overlapping(_take(boxes[:, None], anchors), config)
    scores = scores.masked_fill(~keep, ABSENT).flatten(1)
    scores, order = scores.topk(min(config.top_k, scores.shape[-1]), dim=-1)
    return scores, order // anchors.shape[-1], anchors.flatten(1).gather(1, order)


def cross_class_nms(probabilities: Float[Tensor, "B A C"], boxes: Float[Tensor, "B A 4"], config: DetectConfig) -> Kept:
    """Fast NMS over all classes at once: an anchor has its best class only (original `--cross_class_nms`)."""
    best, labels = _above_floor(probabilities, config).max(dim=-1)
    scores, anchors = best.topk(min(config.candidates, best.shape[-1]), dim=-1)  # (B, n)
    keep = _best_of_overlapping(_take(boxes, anchors), config)
    scores, order = scores.masked_fill(~keep, ABSENT).topk(min(config.top_k, scores.shape[-1]), dim=-1)
    anchors = anchors.gather(1, order)
    return scores, labels.gather(1, anchors), anchors


def traditional_nms(
    probabilities: Float[Tensor, "B A C"],
    boxes: Float[Tensor, "B A 4"],
    config: DetectConfig,
    image_size: tuple[int, int],
    pool: int = 1024,
) -> Kept:
    """Greedy NMS in each class: drop a candidate that overlaps a better one which is itself kept.

    The best candidates of all classes are judged together. Those beyond the pool cannot change the verdict on those
    in it, so the pool only grows where fewer than `top_k` survive in it.

    Args:
        image_size: (height, width) in pixels. The original measures overlap on pixel grids, where a box from 3 to 5
            is three pixels wide (Fast R-CNN's convention).
    """
    scores = probabilities.masked_fill(probabilities <= config.score_floor, ABSENT).flatten(1)
    height, width = image_size
    pixels = boxes * boxes.new_tensor([width, height, width, height])
    pixels = pixels + boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    while True:
        pool = min(pool, scores.shape[-1])
        best, order = scores.topk(pool, dim=-1)
        anchors, labels = order // probabilities.shape[-1], order % probabilities.shape[-1]
        overlaps = pairwise_iou(*[_take(pixels, anchors)] * 2) >= config.iou_threshold
        keep = _greedy(overlaps & (labels[:, :, None] == labels[:, None, :])) & (best > ABSENT)
        enough = (keep.sum(dim=-1) >= config.top_k) | (best[:, -1] == ABSENT)
        if pool == scores.shape[-1] or bool(enough.all()):
            break
        pool *= 2
    kept, order = best.masked_fill(~keep, ABSENT).topk(min(config.top_k, pool), dim=-1)
    return kept, labels.gather(1, order), anchors.gather(1, order)


def _above_floor(probabilities: Float[Tensor, "B A C"], config: DetectConfig) -> Float[Tensor, "B A C"]:
    """Remove the anchors that no class is sure enough of."""
    return probabilities.masked_fill(probabilities.amax(dim=-1, keepdim=True) <= config.score_floor, ABSENT)


def _best_of_overlapping(boxes: Float[Tensor, "*b n 4"], config: DetectConfig) -> Bool[Tensor, "*b n"]:
    """Which boxes, sorted by descending score, overlap no better one."""
    overlaps = pairwise_iou(boxes, boxes).triu(diagonal=1)
    return overlaps.amax(dim=-2) <= config.iou_threshold


def _greedy(suppresses: Bool[Tensor, "B n n"]) -> Bool[Tensor, "B n"]:
    """Which of n candidates, sorted by descending score, sequential NMS would keep.

    Judge all at once, assuming the last round's verdicts, until nothing changes: the verdict on candidate j is right
    once those on all before it are, so the fixed point is the sequential result, mostly within five rounds.
    """
    suppresses = suppresses.triu(diagonal=1)
    keep = torch.ones_like(suppresses[..., 0])
    while True:
        judged = ~(suppresses & keep[..., :, None]).any(dim=-2)
        if torch.equal(judged, keep):
            return keep
        keep = judged


def _take(boxes: Float[Tensor, "*#b A 4"], anchors: Int[Tensor, "*b n"]) -> Float[Tensor, "*b n 4"]:
    boxes = boxes.expand(*anchors.shape[:-1], -1, -1)
    return boxes.gather(-2, anchors[..., None].expand(*anchors.shape, 4))
