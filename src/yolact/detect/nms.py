"""Non-maximum suppression: which of many overlapping candidates are kept. Three kinds, all batched.

Each takes class probabilities and decoded boxes, and returns the kept candidates by descending score, padded with
score -1, as (scores, labels, anchors): the anchor is an index into the A anchors of the image. Of equal scores the one
of the lower class comes first, then the one of the lower anchor.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from yolact.boxes import pairwise_iou
from yolact.config import DetectConfig

Kept = tuple[Float[Tensor, "B N"], Int[Tensor, "B N"], Int[Tensor, "B N"]]

ABSENT = -1.0
"""The score of padding: below any probability, so that it always sorts last."""

FIRST_PAIRS = 256
"""How many (class, anchor) pairs Fast NMS looks at before it looks at more."""


def fast_nms(
    probabilities: Float[Tensor, "B A C"], boxes: Float[Tensor, "B A 4"], config: DetectConfig, pairs: int = FIRST_PAIRS
) -> Kept:
    """The paper's Fast NMS (section 3.3): drop a candidate that overlaps any better one of its class.

    Gives what `fast_nms_by_class` gives, mostly without looking at every class: the best pairs of a class and an anchor
    are judged together. Those beyond them cannot change the verdict, so there are only more where too few survive.
    """
    anchors, classes = probabilities.shape[1:]
    while pairs**2 < classes * min(config.candidates, anchors) ** 2:
        kept, is_exact = fast_nms_among(probabilities, boxes, config, pairs)
        if bool(is_exact.all()):
            return kept
        pairs *= 2
    return fast_nms_by_class(probabilities, boxes, config)


def fast_nms_by_class(
    probabilities: Float[Tensor, "B A C"], boxes: Float[Tensor, "B A 4"], config: DetectConfig
) -> Kept:
    """Fast NMS as it is defined: a matrix, a triangle and a maximum for each class.

    Also a candidate that is itself dropped drops others; that costs a little accuracy and leaves no sequence. As in the
    original, an anchor whose best class is above the floor enters for every class, with however low a score (quirk Q5).
    """
    scores = _above_floor(probabilities, config).transpose(1, 2)  # (B, C, A)
    scores, anchors = _best(scores, config.candidates)  # (B, C, n)
    taken = take(boxes[:, None], anchors)
    is_dropped = _overlaps_better(taken, config).any(dim=-2)
    scores, order = _best(scores.masked_fill(is_dropped, ABSENT).flatten(1), config.top_k)
    return scores, order // anchors.shape[-1], anchors.flatten(1).gather(1, order)


def fast_nms_among(
    probabilities: Float[Tensor, "B A C"], boxes: Float[Tensor, "B A 4"], config: DetectConfig, pairs: int
) -> tuple[Kept, Bool[Tensor, " B"]]:
    """Fast NMS among this many best pairs of a class and an anchor; and whether more could change the result."""
    anchors_in_all = probabilities.shape[1]
    scores = _above_floor(probabilities, config).transpose(1, 2).flatten(1)
    pairs = min(pairs, scores.shape[1])
    scores, order = _best_of_many(scores, pairs)
    labels, anchors = order // anchors_in_all, order % anchors_in_all
    is_better_in_class = (labels[:, :, None] == labels[:, None, :]).triu(diagonal=1)
    is_dropped = (_overlaps_better(take(boxes, anchors), config) & is_better_in_class).any(dim=-2)
    is_dropped |= is_better_in_class.sum(dim=-2) >= config.candidates
    # Where the last score is shared by pairs that were left out, these might have come before.
    is_settled = (scores > scores[:, -1:]) & ~is_dropped
    is_exact = (is_settled.sum(dim=-1) >= config.top_k) | (scores[:, -1] == ABSENT)
    if pairs == probabilities.shape[1] * probabilities.shape[2]:
        is_exact = torch.ones_like(is_exact)
    scores, order = _best(scores.masked_fill(is_dropped, ABSENT), config.top_k)
    return (scores, labels.gather(1, order), anchors.gather(1, order)), is_exact


def cross_class_nms(probabilities: Float[Tensor, "B A C"], boxes: Float[Tensor, "B A 4"], config: DetectConfig) -> Kept:
    """Fast NMS over all classes at once: an anchor has its best class only (original `--cross_class_nms`)."""
    best, labels = _above_floor(probabilities, config).max(dim=-1)
    scores, anchors = _best(best, config.candidates)  # (B, n)
    is_dropped = _overlaps_better(take(boxes, anchors), config).any(dim=-2)
    scores, order = _best(scores.masked_fill(is_dropped, ABSENT), config.top_k)
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
    scores = probabilities.masked_fill(~(probabilities > config.score_floor), ABSENT).transpose(1, 2).flatten(1)
    height, width = image_size
    pixels = boxes * boxes.new_tensor([width, height, width, height])
    pixels = pixels + boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    while True:
        pool = min(pool, scores.shape[-1])
        best, order = _best_of_many(scores, pool)
        labels, anchors = order // boxes.shape[1], order % boxes.shape[1]
        overlaps = pairwise_iou(*[take(pixels, anchors)] * 2) >= config.iou_threshold
        keep = _greedy(overlaps & (labels[:, :, None] == labels[:, None, :])) & (best > ABSENT)
        settled = keep & (best > best[:, -1:])
        enough = (settled.sum(dim=-1) >= config.top_k) | (best[:, -1] == ABSENT)
        if pool == scores.shape[-1] or bool(enough.all()):
            break
        pool *= 2
    kept, order = _best(best.masked_fill(~keep, ABSENT), config.top_k)
    return kept, labels.gather(1, order), anchors.gather(1, order)


def take(rows: Float[Tensor, "*#b A c"], anchors: Int[Tensor, "*b n"]) -> Float[Tensor, "*b n c"]:
    """The rows of these anchors."""
    rows = rows.expand(*anchors.shape[:-1], -1, -1)
    return rows.gather(-2, anchors[..., None].expand(*anchors.shape, rows.shape[-1]))


def _above_floor(probabilities: Float[Tensor, "B A C"], config: DetectConfig) -> Float[Tensor, "B A C"]:
    """Remove the anchors that no class is sure enough of."""
    is_sure = probabilities.amax(dim=-1, keepdim=True) > config.score_floor  # which NaN is not
    return probabilities.masked_fill(~is_sure, ABSENT)


def _best(scores: Float[Tensor, "*b n"], count: int) -> tuple[Float[Tensor, "*b k"], Int[Tensor, "*b k"]]:
    """The `count` best scores and where they stand; of equal ones, the first."""
    count = _at_most(count, scores)
    if torch.compiler.is_compiling():  # what a stable sort gives, ONNX's TopK promises too, and for less
        return scores.topk(count)
    scores, places = scores.sort(descending=True, stable=True)
    return scores[..., :count], places[..., :count]


def _best_of_many(scores: Float[Tensor, "*b n"], count: int) -> tuple[Float[Tensor, "*b k"], Int[Tensor, "*b k"]]:
    """As `_best`, in a tenth of the time; but which of those that equal the last are among them is left open."""
    scores, places = scores.topk(_at_most(count, scores))
    if torch.compiler.is_compiling():
        return scores, places
    places, order = places.sort()
    scores, order = scores.gather(-1, order).sort(descending=True, stable=True)
    return scores, places.gather(-1, order)


def _at_most(count: int, scores: Float[Tensor, "*b n"]) -> int:
    """Not `min`, which torch.export cannot follow into the branches of `torch.cond`."""
    return count if count < scores.shape[-1] else scores.shape[-1]


def _overlaps_better(boxes: Float[Tensor, "*b n 4"], config: DetectConfig) -> Bool[Tensor, "*b n n"]:
    """At [i, j], whether box j overlaps the better box i, where boxes are sorted by descending score."""
    # "Not at most" and not "above": the overlap of boxes without area is NaN, and the original drops them.
    return (~(pairwise_iou(boxes, boxes) <= config.iou_threshold)).triu(diagonal=1)


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
