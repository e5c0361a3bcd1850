"""From raw output to the best detections of each image (original `detection.py` and `output_utils.py`)."""

import torch
from torch import Tensor

from yolact.boxes import decode
from yolact.config import DetectConfig
from yolact.detect.masks import assemble_masks, crop_masks
from yolact.detect.nms import ABSENT, cross_class_nms, fast_nms, traditional_nms
from yolact.model.mask_rescoring import MaskRescoring
from yolact.structures import Detections, RawOutput


def detect(raw: RawOutput, config: DetectConfig, mask_rescoring: MaskRescoring | None = None) -> Detections:
    """Decode, suppress, and assemble the masks of what is left.

    Detections come by descending class score, also with `mask_rescoring`, which only fills in `mask_scores`.
    """
    probabilities = raw.class_logits.float().softmax(dim=-1)[..., 1:]
    boxes = decode(raw.box_deltas.float(), raw.anchors_cxcywh)
    if config.nms == "fast":
        scores, labels, anchors = fast_nms(probabilities, boxes, config)
    elif config.nms == "cross-class":
        scores, labels, anchors = cross_class_nms(probabilities, boxes, config)
    else:
        scores, labels, anchors = traditional_nms(probabilities, boxes, config, raw.image_size)
    valid = scores > ABSENT
    scores = scores.clamp(min=0.0)
    boxes, coefficients = _take(boxes, anchors), _take(raw.coefficients.float(), anchors)
    masks = crop_masks(assemble_masks(raw.prototypes.float(), coefficients), boxes) * valid[..., None, None]
    return Detections(
        boxes=boxes,
        scores=scores,
        labels=labels,
        coefficients=coefficients,
        masks=masks,
        mask_scores=scores if mask_rescoring is None else scores * _mask_quality(masks, labels, mask_rescoring),
        valid=valid,
    )


def _mask_quality(masks: Tensor, labels: Tensor, mask_rescoring: MaskRescoring) -> Tensor:
    """The predicted IoU of each mask, for the class it was given: (B, N)."""
    quality = mask_rescoring(masks.flatten(0, 1)).unflatten(0, labels.shape)
    return quality.gather(2, labels[..., None])[..., 0]


def _take(values: Tensor, anchors: Tensor) -> Tensor:
    """Rows of (B, A, n) at (B, N) anchors."""
    return torch.gather(values, 1, anchors[..., None].expand(-1, -1, values.shape[-1]))
