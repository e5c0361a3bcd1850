"""Average precision of any records of a COCO result file, by IoU threshold and by size of the objects.

Apart from `yolact.evaluate`, which measures this package's predictions: Mask R-CNN's are compared by the same lines.
"""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from jaxtyping import Float

from yolact.instances import Instances

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""COCO's first six, in COCO's order."""

Records = list[dict[str, Any]]


def average_precision(truth: Mapping[str, Any], records: Records, kind: str) -> dict[str, Any]:
    """The `FIGURES` and `by_iou`, the ten AP at IoU 0.50, 0.55, ... 0.95; all in 0..1, -1 where there is no object.

    Args:
        truth: the content of an annotation file.
        records: of a result file; those of masks without `bbox`.
        kind: `box` or `mask`.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO({**truth, "annotations": [dict(annotation) for annotation in truth["annotations"]]})
        if not records:
            return {**dict.fromkeys(FIGURES, 0.0), "by_iou": [0.0] * 10}
        found = reference.loadRes([dict(record) for record in records])
        comparison = COCOeval_faster(reference, found, "bbox" if kind == "box" else "segm")
        comparison.evaluate()
        comparison.accumulate()
        comparison.summarize()
    precision = comparison.eval["precision"][:, :, :, 0, -1]  # IoU thresholds, recalls, classes
    by_iou = [float(level[level > -1].mean()) if (level > -1).any() else -1.0 for level in precision]
    figures = {name: float(value) for name, value in zip(FIGURES, comparison.stats, strict=False)}
    return {**figures, "by_iou": by_iou}


def of_instances(truth: Mapping[str, Any], found: Mapping[int, Instances], kind: str) -> dict[str, Any]:
    """`average_precision` of the instances of each image, by its id."""
    return average_precision(truth, records_of(found, kind), kind)


def records_of(found: Mapping[int, Instances], kind: str) -> Records:
    """The instances of each image, by its id, as records of a COCO result file."""
    return [
        record
        for image_id, instances in found.items()
        for record in instances.to_coco(image_id, kind)  # type: ignore[arg-type]
    ]


def true_boxes(truth: Mapping[str, Any], image_id: int) -> Float[np.ndarray, "G 4"]:
    """(x1, y1, x2, y2) of the annotated objects of an image, crowds left out."""
    boxes = [
        annotation["bbox"]
        for annotation in truth["annotations"]
        if annotation["image_id"] == image_id and not annotation.get("iscrowd")
    ]
    xywh = np.array(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def in_perfect_boxes(instances: Instances, boxes: Float[np.ndarray, "G 4"]) -> Instances:
    """Masks cropped by the true box that overlaps the detected one most, where that is half or more.

    Args:
        boxes: the true ones of the photograph, of one class.
    """
    if not len(boxes) or not len(instances):
        return instances
    ious = box_ious(instances.boxes, boxes)
    is_matched = ious.max(axis=1) >= 0.5
    return instances.recropped(np.where(is_matched[:, None], boxes[ious.argmax(axis=1)], instances.boxes))


def box_ious(a: Float[np.ndarray, "n 4"], b: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    import torch

    from yolact.boxes import pairwise_iou

    return pairwise_iou(*(torch.from_numpy(np.asarray(boxes, np.float64)) for boxes in (a, b))).numpy()


def uncropped(instances: Instances) -> Instances:
    """Masks as the prototypes make them, whatever the box."""
    height, width = instances.image_size
    return instances.recropped(np.tile(np.array([[0.0, 0.0, width, height]]), (len(instances), 1)))


def found_objects(truth: Mapping[str, Any], boxes: Records, masks: Records) -> dict[str, list[float]]:
    """Of each annotated object that is found: the IoU of its box and of its mask, by the annotation's id.

    An object is found by the surest detection whose box overlaps its own by half or more. Crowds are left out.

    Args:
        boxes: records of a result file, by descending score within an image.
        masks: of the same detections, in the same order.
    """
    from faster_coco_eval.core import mask as coco_mask

    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO({**truth, "annotations": [dict(annotation) for annotation in truth["annotations"]]})
    found: dict[str, list[float]] = {}
    for image in truth["images"]:
        rows = [i for i, record in enumerate(boxes) if record["image_id"] == image["id"]]
        objects = [a for a in truth["annotations"] if a["image_id"] == image["id"] and not a.get("iscrowd")]
        if not rows or not objects:
            continue
        none = [0] * len(objects)
        box = np.asarray(coco_mask.iou([boxes[i]["bbox"] for i in rows], [a["bbox"] for a in objects], none))
        codes = [reference.annToRLE(annotation) for annotation in objects]
        mask = np.asarray(coco_mask.iou([masks[i]["segmentation"] for i in rows], codes, none))
        for column, annotation in enumerate(objects):
            row = int((box[:, column] >= 0.5).argmax())
            if box[row, column] >= 0.5:
                found[str(annotation["id"])] = [float(box[row, column]), float(mask[row, column])]
    return found


def read_json(file: Path) -> dict[str, Any]:
    import json

    return json.loads(file.read_text())
