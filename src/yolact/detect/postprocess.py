"""From raw output to the best detections of each image (original `detection.py` and `output_utils.py`)."""

import math
from dataclasses import replace
from functools import cache
from types import ModuleType

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int32
from torch import Tensor

from yolact.boxes import decode
from yolact.config import DetectConfig
from yolact.detect.masks import assemble_masks, crop_masks
from yolact.detect.nms import (
    ABSENT,
    Kept,
    cross_class_nms,
    fast_nms,
    fast_nms_among,
    fast_nms_by_class,
    take,
    traditional_nms,
)
from yolact.model.mask_rescoring import MaskRescoring
from yolact.structures import Detections, RawOutput

EXPORTED_POOL = 1024
"""Anchors, and (class, anchor) pairs below, that an exported graph looks at before it looks at everything."""

EXPORTED_PAIRS = 512


def detect(raw: RawOutput, config: DetectConfig, mask_rescoring: MaskRescoring | None = None) -> Detections:
    """Decode and suppress.

    Detections come by descending class score, also with `mask_rescoring`, which only fills in `mask_scores`.
    """
    scores, labels, anchors = _padded(_suppress(raw, config), _rows(raw, config))
    valid = scores > ABSENT
    scores = scores.clamp(min=0.0)
    boxes = decode(take(raw.box_deltas, anchors).float(), raw.anchors_cxcywh[anchors])
    detections = Detections(
        boxes=boxes * valid[..., None],
        scores=scores,
        labels=labels,
        coefficients=take(raw.coefficients, anchors).float() * valid[..., None],
        prototypes=raw.prototypes.float(),
        mask_scores=scores,
        valid=valid,
    )
    if mask_rescoring is None:
        return detections
    return replace(detections, mask_scores=scores * _mask_quality(detections, mask_rescoring))


def soft_masks(detections: Detections) -> Float[Tensor, "B N Hp Wp"]:
    """Probabilities at prototype scale, 0 outside the instance's box (which is widened by one cell) and in padding."""
    masks = crop_masks(assemble_masks(detections.prototypes, detections.coefficients), detections.boxes)
    return masks * detections.valid[..., None, None]


def to_outputs(detections: Detections, image_size: tuple[int, int], one_sided: bool) -> dict[str, Tensor]:
    """The detections of photographs of one size, as every runtime gives them and exported graphs name them.

    Args:
        image_size: (height, width) of the photographs in pixels.
        one_sided: clip the top left corner of boxes at 0 and the bottom right one at the photograph's size only, so
            that a box beyond the photograph keeps a corner outside (original `layers/output_utils.py`).

    Returns:
        boxes: (B, N, 4) float32, (x1, y1, x2, y2) in pixels, clipped.
        scores, mask_scores: (B, N) float32, 0 in padding.
        labels: (B, N) int64.
        count: (B,) int64, how many of the N are detections. Padding comes last.
        coefficients: (B, N, K) float32.
        windows: (B, N, 4) int32, see `windows_of`.
        prototypes: (B, K, Hp, Wp) float32.
    """
    height, width = image_size
    size = torch.tensor([width, height], dtype=torch.float32, device=detections.boxes.device)
    top_left, bottom_right = detections.boxes[..., :2] * size, detections.boxes[..., 2:] * size
    top_left, bottom_right = top_left.clamp(min=0), torch.minimum(bottom_right, size)
    if not one_sided:
        top_left, bottom_right = torch.minimum(top_left, size), bottom_right.clamp(min=0)
    return {
        "boxes": torch.cat([top_left, bottom_right], dim=-1),
        "scores": detections.scores,
        "mask_scores": detections.mask_scores,
        "labels": detections.labels,
        "count": detections.valid.sum(dim=-1),
        "coefficients": detections.coefficients,
        "windows": windows_of(detections),
        "prototypes": detections.prototypes.contiguous(),
    }


def windows_of(detections: Detections, margin: float = 0.0) -> Int32[Tensor, "B N 4"]:
    """The cells of the prototypes that cropping keeps: (x1, y1, x2, y2), x2 and y2 outside; zeros if there are none.

    They are those of `yolact.boxes.window`: the box, widened by one cell.

    Args:
        margin: widen the part of the box that lies in the picture by this share of its sides at each end first.
    """
    cells = torch.tensor(detections.prototypes.shape[:-3:-1], device=detections.boxes.device)
    top_left, bottom_right = detections.boxes[..., :2], detections.boxes[..., 2:]
    if margin:
        top_left, bottom_right = top_left.clamp(0, 1), bottom_right.clamp(0, 1)
        more = margin * (bottom_right - top_left)
        top_left, bottom_right = top_left - more, bottom_right + more
    start = torch.ceil(top_left * cells - 1).clamp(min=0)
    stop = torch.minimum(torch.ceil(bottom_right * cells + 1), cells)
    is_there = (start < stop).all(dim=-1) & detections.valid
    windows = torch.cat([start, stop], dim=-1)
    return torch.where(is_there[..., None], windows, torch.zeros_like(windows)).int()  # not a product: a box may be NaN


def _suppress(raw: RawOutput, config: DetectConfig) -> Kept:
    """The kept candidates, as `yolact.detect.nms` gives them.

    Eagerly, work follows what is in the picture; on a CPU it is compiled. In an exported graph, it is fixed: enough
    for all but crowded pictures, with a branch that looks at everything where it was not enough. Compiled for a GPU,
    where looking at everything takes a fraction of a millisecond and branching on data would stop it, everything is
    looked at.
    """
    if torch.compiler.is_exporting() and raw.class_logits.shape[1] > EXPORTED_POOL:
        return _suppress_in_graph(raw, config)
    if torch.compiler.is_compiling():
        return _suppress_all(raw.class_logits, raw.box_deltas, raw.anchors_cxcywh, config)
    compiled = _compiled_nms()
    if compiled is not None and config.nms == "fast" and raw.class_logits.device.type == "cpu":
        return _suppress_on_cpu(raw, config, compiled)
    lead, margin = _lead(raw.class_logits).nan_to_num(nan=-math.inf), _margin(config.score_floor)
    pool = _pool(lead, max(int((lead > margin).sum(dim=-1).max()), 1))
    probabilities, boxes = _read(raw, pool)
    if config.nms == "fast":
        scores, labels, anchors = fast_nms(probabilities, boxes, config)
    elif config.nms == "cross-class":
        scores, labels, anchors = cross_class_nms(probabilities, boxes, config)
    else:
        scores, labels, anchors = traditional_nms(probabilities, boxes, config, raw.image_size)
    return scores, labels, pool.gather(1, anchors)


def _suppress_on_cpu(raw: RawOutput, config: DetectConfig, compiled: ModuleType) -> Kept:
    margin, kept = _margin(config.score_floor), []
    for logits, deltas in zip(raw.class_logits.detach().float(), raw.box_deltas.detach().float(), strict=True):
        pool = torch.from_numpy(compiled.leading_anchors(logits.numpy(), margin))
        probabilities = logits[pool].softmax(dim=-1)[:, 1:]
        boxes = decode(deltas[pool], raw.anchors_cxcywh[pool])
        scores, labels, places = map(torch.from_numpy, compiled.fast_nms(probabilities.numpy(), boxes.numpy(), config))
        kept.append(_padded((scores[None], labels[None], pool[places][None]), _rows(raw, config)))
    scores, labels, anchors = (torch.cat(rows) for rows in zip(*kept, strict=True))
    return scores, labels, anchors


def _rows(raw: RawOutput, config: DetectConfig) -> int:
    """N: how many detections there can be at most. Every runtime gives as many rows, whatever is in the picture."""
    anchors, classes = raw.class_logits.shape[1], raw.class_logits.shape[2] - 1
    if config.nms != "traditional":
        anchors = min(config.candidates, anchors)
    return min(config.top_k, anchors if config.nms == "cross-class" else classes * anchors)


def _padded(kept: tuple[Tensor, Tensor, Tensor], count: int) -> tuple[Tensor, Tensor, Tensor]:
    scores, labels, anchors = kept
    missing = (0, count - scores.shape[1])
    return F.pad(scores, missing, value=ABSENT), F.pad(labels, missing), F.pad(anchors, missing)


@cache
def _compiled_nms() -> ModuleType | None:
    """None where Numba cannot be imported."""
    try:
        from yolact.detect import nms_cpu
    except (ImportError, OSError):  # OSError: its compiler library is missing
        return None
    return nms_cpu


def _suppress_in_graph(raw: RawOutput, config: DetectConfig) -> Kept:
    lead, margin = _lead(raw.class_logits), _margin(config.score_floor)
    pool = _pool(lead, EXPORTED_POOL)
    probabilities, boxes = _read(raw, pool)
    is_enough = (lead > margin).sum(dim=-1) <= EXPORTED_POOL
    if config.nms == "fast" and raw.class_logits.shape[2] * config.candidates**2 > EXPORTED_PAIRS**2:
        (scores, labels, anchors), is_exact = fast_nms_among(probabilities, boxes, config, EXPORTED_PAIRS)
        is_enough = is_enough & is_exact
    else:
        scores, labels, anchors = _kept_of(probabilities, boxes, config)
    found = _padded((scores, labels, pool.gather(1, anchors)), _rows(raw, config))

    def as_found(scores: Tensor, labels: Tensor, anchors: Tensor, *everything: Tensor) -> tuple[Tensor, ...]:
        return scores.clone(), labels.clone(), anchors.clone()

    def again(
        scores: Tensor,
        labels: Tensor,
        anchors: Tensor,
        class_logits: Tensor,
        box_deltas: Tensor,
        anchors_cxcywh: Tensor,
    ) -> tuple[Tensor, ...]:
        return _padded(_suppress_all(class_logits, box_deltas, anchors_cxcywh, config), rows)

    rows, everything = _rows(raw, config), (raw.class_logits, raw.box_deltas, raw.anchors_cxcywh)
    return torch.cond(is_enough.all(), as_found, again, (*found, *everything))


def _suppress_all(class_logits: Tensor, box_deltas: Tensor, anchors_cxcywh: Tensor, config: DetectConfig) -> Kept:
    probabilities = class_logits.float().softmax(dim=-1)[..., 1:]
    return _kept_of(probabilities, decode(box_deltas.float(), anchors_cxcywh), config)


def _kept_of(probabilities: Tensor, boxes: Tensor, config: DetectConfig) -> Kept:
    return (fast_nms_by_class if config.nms == "fast" else cross_class_nms)(probabilities, boxes, config)


def _lead(class_logits: Float[Tensor, "B A C1"]) -> Float[Tensor, "B A"]:
    """How far each anchor's best class is ahead of background."""
    return class_logits[..., 1:].amax(dim=-1) - class_logits[..., 0]


def _margin(score_floor: float) -> float:
    """How far ahead of background a class must be to score above the floor, whatever the other classes do.

    To compare spares the exponentials of all the anchors, mostly 98 in a hundred, that show nothing.
    """
    if not 0 < score_floor < 1:
        return -math.inf
    return math.log(score_floor / (1 - score_floor)) - 0.1  # far more than rounding can move a logit


def _pool(lead: Float[Tensor, "B A"], count: int) -> Int[Tensor, "B P"]:
    """The anchors with the best lead, in ascending order, so that equal scores keep the order of their anchors."""
    return lead.topk(count, dim=-1).indices.sort(dim=-1).values


def _read(raw: RawOutput, pool: Int[Tensor, "B P"]) -> tuple[Float[Tensor, "B P C"], Float[Tensor, "B P 4"]]:
    """Class probabilities and boxes of these anchors."""
    probabilities = take(raw.class_logits, pool).float().softmax(dim=-1)[..., 1:]
    return probabilities, decode(take(raw.box_deltas, pool).float(), raw.anchors_cxcywh[pool])


def _mask_quality(detections: Detections, mask_rescoring: MaskRescoring) -> Float[Tensor, "B N"]:
    """The predicted IoU of each mask, for the class it was given."""
    masks = soft_masks(detections)
    quality = mask_rescoring(masks.flatten(0, 1).to(next(mask_rescoring.parameters()).dtype)).float()
    return quality.gather(1, detections.labels.flatten()[:, None]).view_as(detections.scores)
