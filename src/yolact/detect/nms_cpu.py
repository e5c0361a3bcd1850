"""Fast NMS on a CPU, compiled: what `nms.fast_nms` gives, in a tenth of the time.

One walk down the ranking, which ends as soon as enough are kept, in place of matrices that say of all pairs whether
they overlap. At this size, to share work out among threads costs more than the work.
"""

import numpy as np
from jaxtyping import Float32, Int64
from numba import types

from yolact.config import DetectConfig
from yolact.detect.compiled import inner, outer

FIRST_PAIRS = 512
"""How many of the best (class, anchor) pairs are ranked before more are."""


def leading_anchors(class_logits: Float32[np.ndarray, "A C1"], margin: float) -> Int64[np.ndarray, " P"]:
    """The anchors of which a class is ahead of background by more than the margin, in ascending order."""
    found = np.empty(len(class_logits), np.int64)
    return found[: _find_leading(np.ascontiguousarray(class_logits), np.float32(margin), found)]


def fast_nms(
    probabilities: Float32[np.ndarray, "A C"], boxes: Float32[np.ndarray, "A 4"], config: DetectConfig
) -> tuple[Float32[np.ndarray, " n"], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """As `yolact.detect.nms.fast_nms`, of one image, without padding."""
    entered = np.flatnonzero(probabilities.max(axis=1) > config.score_floor)
    by_class = probabilities[entered].T.ravel()  # in the order of equal scores: by class, then by anchor
    boxes, kept, pairs = np.ascontiguousarray(boxes), np.empty(min(config.top_k, len(by_class)), np.int64), FIRST_PAIRS
    while True:
        ranked = _best(by_class, pairs)
        labels, rows = np.divmod(ranked, max(len(entered), 1))
        anchors = entered[rows]
        threshold = np.float32(config.iou_threshold)
        count = _walk(labels, anchors, boxes, threshold, config.candidates, probabilities.shape[1], kept)
        if count == len(kept) or pairs >= len(by_class):
            chosen = kept[:count]
            return by_class[ranked[chosen]], labels[chosen], anchors[chosen]
        pairs *= 4


def _best(scores: Float32[np.ndarray, " n"], count: int) -> Int64[np.ndarray, " m"]:
    """Where the best scores stand, best first, of equal ones the first; with all that equal the last of the count."""
    if count < len(scores):
        chosen = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    else:
        chosen = np.arange(len(scores))
    return chosen[np.argsort(-scores[chosen], kind="stable")]


_Floats, _Indices = types.Array(types.float32, 2, "C", readonly=True), types.int64[::1]


@outer(types.int64(_Floats, types.float32, _Indices))
def _find_leading(class_logits, margin, found):
    count = 0
    for anchor in range(len(class_logits)):
        logits, ahead = class_logits[anchor], 0
        for label in range(1, len(logits)):  # counted, not cut short: so it is done for many classes at once
            ahead += logits[label] - logits[0] > margin
        found[count] = anchor
        count += ahead > 0
    return count


@outer(types.int64(_Indices, _Indices, _Floats, types.float32, types.int64, types.int64, _Indices))
def _walk(labels, anchors, boxes, iou_threshold, candidates, classes, kept):
    """Fill `kept` with places in the ranking until it is full; how many there are."""
    seen, latest, before = np.zeros(classes, np.int64), np.full(classes, -1), np.empty(len(labels), np.int64)
    count = 0
    for place in range(len(labels)):
        label = labels[place]
        if seen[label] == candidates:
            continue
        better, is_kept = latest[label], True
        while is_kept and better >= 0:  # dropped ones drop others, too
            # "Not at most" and not "above": the overlap of boxes without area is NaN, and the original drops them.
            is_kept = _iou(boxes[anchors[better]], boxes[anchors[place]]) <= iou_threshold
            better = before[better]
        if is_kept:
            kept[count] = place
            count += 1
            if count == len(kept):
                break
        seen[label] += 1
        before[place], latest[label] = latest[label], place
    return count


@inner
def _iou(a, b):
    """As `yolact.boxes.pairwise_iou`, to the last bit."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    intersection = (np.float32(0) if width < 0 else width) * (np.float32(0) if height < 0 else height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return intersection / union
