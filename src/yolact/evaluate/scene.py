"""One image: its annotated objects, its detections, and how they overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Bool, Float64, Int64

from yolact.data.ground_truth import GroundTruth
from yolact.evaluate.boundary import Boundary, Code, boundary_of
from yolact.instances import Instances

MATCHING_BOX = 0.5
"""From this IoU on, a box is one of an object."""


@dataclass(frozen=True)
class Objects:
    """G annotated objects of one image."""

    labels: Int64[np.ndarray, " G"]
    """Index into the classes that count."""

    areas: Float64[np.ndarray, " G"]
    """As annotated, in pixels."""

    is_crowd: Bool[np.ndarray, " G"]
    boxes_xywh: Float64[np.ndarray, "G 4"]
    """As annotated, in pixels; the bounds of the mask where no box is."""

    codes: list[Code]
    """The masks, as annotated; one without a pixel where none is."""

    has_box: Bool[np.ndarray, " G"]
    has_mask: Bool[np.ndarray, " G"]
    """Whether it is annotated with one that can be used."""

    @classmethod
    def of(cls, truth: GroundTruth, image_id: int) -> "Objects":
        """All of an image that can be compared by box or by mask."""
        rows = list(truth.annotations(None, image_id))
        codes = [_code(row["segmentation"], truth.size(image_id)) for row in rows]
        boxes = [row["bbox"] or coco_mask.toBbox(code).tolist() for row, code in zip(rows, codes, strict=True)]
        labels = {category_id: label for label, category_id in enumerate(truth.category_ids.values())}
        return cls(
            labels=np.array([labels[row["category_id"]] for row in rows], np.int64),
            areas=np.array([row["area"] for row in rows], np.float64),
            is_crowd=np.array([bool(row["iscrowd"]) for row in rows], bool),
            boxes_xywh=np.array(boxes, np.float64).reshape(-1, 4),
            codes=codes,
            has_box=np.array([bool(row["bbox"]) for row in rows], bool),
            has_mask=np.array([bool(row["segmentation"]) for row in rows], bool),
        )

    def where(self, chosen: Bool[np.ndarray, " G"]) -> "Objects":
        """Some of them."""
        arrays = ("labels", "areas", "is_crowd", "boxes_xywh", "has_box", "has_mask")
        codes = [code for code, is_chosen in zip(self.codes, chosen, strict=True) if is_chosen]
        return Objects(codes=codes, **{name: getattr(self, name)[chosen] for name in arrays})

    @property
    def boxes(self) -> Float64[np.ndarray, "G 4"]:
        """(x1, y1, x2, y2) in pixels."""
        return np.concatenate([self.boxes_xywh[:, :2], self.boxes_xywh[:, :2] + self.boxes_xywh[:, 2:]], axis=1)


class Scene:
    """The detections of one image beside its objects. IoU with a crowd is the share of the detection inside it."""

    def __init__(self, found: Instances, labels: Int64[np.ndarray, " N"], objects: Objects) -> None:
        """
        Args:
            found: the detections of classes that count.
            labels: of these, as index into the classes that count.
        """
        self.found, self.labels, self.objects = found, labels, objects
        self.boxes, self.masks = objects.where(objects.has_box), objects.where(objects.has_mask)
        """The objects that can be compared by box, and by mask."""

        corners = found.boxes.astype(np.float64)
        self.boxes_xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        self._boundaries: dict[int, Boundary] = {}
        """Of objects, as far as they were asked for."""

    @cached_property
    def codes(self) -> list[Code]:
        """The detected masks."""
        return self.found.rles()

    def box_ious(self, objects: Objects) -> Float64[np.ndarray, "N G"]:
        return _ious(self.boxes_xywh, objects.boxes_xywh, objects.is_crowd)

    def mask_ious(
        self, codes: Sequence[Code], rows: Int64[np.ndarray, " d"], columns: Int64[np.ndarray, " g"]
    ) -> Float64[np.ndarray, "d g"]:
        """Of some of these codes, one a detection, with some objects."""
        of_objects = [self.masks.codes[column] for column in columns]
        return _ious([codes[row] for row in rows], of_objects, self.masks.is_crowd[columns])

    def boundary_ious(
        self, rows: Int64[np.ndarray, " d"], columns: Int64[np.ndarray, " g"]
    ) -> Float64[np.ndarray, "d g"]:
        """The smaller of the IoU of masks and that of their boundaries (Boundary AP); with a crowd, that of masks.

        Boundaries are only looked at where masks overlap by half or more: elsewhere nothing can match.
        """
        ious = self.mask_ious(self.codes, rows, columns)
        worth = (ious >= 0.5) & ~self.masks.is_crowd[columns]
        for i in np.flatnonzero(worth.any(axis=1)):
            found = boundary_of(self.codes[rows[i]])
            for j in np.flatnonzero(worth[i]):
                ious[i, j] = min(ious[i, j], found.iou(self._boundary(int(columns[j]))))
        return ious

    @cached_property
    def codes_in_perfect_boxes(self) -> list[Code]:
        """The detected masks, each cropped by the box of the object of its class that its own box overlaps most.

        Of equal ones the first. A mask keeps its own box where that IoU is below one half.
        """
        objects = self.masks
        ious = self.box_ious(objects) * ((self.labels[:, None] == objects.labels) & ~objects.is_crowd)
        rows = np.flatnonzero((ious >= MATCHING_BOX).any(axis=1))
        better = self.found[rows].recropped(objects.boxes[ious[rows].argmax(axis=1)] if len(rows) else np.zeros((0, 4)))
        codes = list(self.codes)
        for row, code in zip(rows, better.rles(), strict=True):
            codes[row] = code
        return codes

    def _boundary(self, column: int) -> Boundary:
        if column not in self._boundaries:
            self._boundaries[column] = boundary_of(self.masks.codes[column])
        return self._boundaries[column]


def areas_of(codes: list[Code]) -> Float64[np.ndarray, " n"]:
    """Pixels that each mask covers."""
    return np.asarray(coco_mask.area(codes), np.float64).reshape(-1) if codes else np.zeros(0)


def mask_iou(a: Code, b: Code) -> float:
    return float(_ious([a], [b], np.zeros(1, bool))[0, 0])


def shared_pixels(a: Code, b: Code) -> int:
    """Pixels that belong to both masks."""
    # By way of the IoU with a crowd, the share of `a` inside it: to intersect codes would take the memory of pixels.
    inside = _ious([a], [b], np.ones(1, bool))[0, 0]
    return round(inside * int(coco_mask.area(a)))


def _ious(found: Any, objects: Any, is_crowd: Bool[np.ndarray, " g"]) -> Float64[np.ndarray, "d g"]:
    if not len(found) or not len(objects):
        return np.zeros((len(found), len(objects)))
    return np.asarray(coco_mask.iou(found, objects, is_crowd.astype(int).tolist()), np.float64)


def _code(segmentation: Any, size: tuple[int, int] | None) -> Code:
    """What COCO's code can read as run-length code; without a pixel if there is nothing to read."""
    height, width = size if size is not None else segmentation["size"]
    segmentation = segmentation or {"size": [height, width], "counts": [height * width]}
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], str | bytes):
        return segmentation
    code: Any = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.merge(code) if isinstance(segmentation, list) else code
