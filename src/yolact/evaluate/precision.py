"""Average precision and recall from the records of all images, as COCO adds them up."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from yolact.evaluate.matching import IOU_THRESHOLDS, SIZES, unpacked

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where COCO reads the precision."""

FIGURES = {
    "AP": "average precision, mean over IoU 0.50 to 0.95",
    "AP50": "at IoU 0.50",
    "AP75": "at IoU 0.75",
    "APs": "of small objects, below 32 x 32 pixels",
    "APm": "of medium objects",
    "APl": "of large objects, above 96 x 96 pixels",
    "AR1": "average recall with 1 detection an image",
    "AR10": "with 10 detections",
    "AR100": "with 100 detections",
    "ARs": "of small objects",
    "ARm": "of medium objects",
    "ARl": "of large objects",
}
"""COCO's twelve, in COCO's order, and what they mean."""

SMALLEST = np.spacing(1)


@dataclass(frozen=True)
class Precision:
    """What one comparison of all detections with all objects gave; -1 where a class has no object of a size."""

    precision: Float[np.ndarray, "S T R C"]
    """In 0..1, by `SIZES`, `IOU_THRESHOLDS`, `RECALLS` and class: the best that is reached at this recall or above."""

    recall: Float[np.ndarray, "3 S T C"]
    """In 0..1, with the best 1, 10 and 100 detections of an image."""

    def figures(self) -> dict[str, float]:
        """The twelve `FIGURES`."""
        every, small, medium, large = self.precision
        values = [every, every[0], every[5], small, medium, large]
        values += [self.recall[i, 0] for i in range(3)] + [self.recall[2, i] for i in range(1, 4)]
        return {name: mean(value) for name, value in zip(FIGURES, values, strict=True)}

    def by_class(self) -> list[float]:
        """The AP of each class."""
        return [mean(self.precision[0, :, :, label]) for label in range(self.precision.shape[3])]

    def curve(self, iou: float) -> Float[np.ndarray, " R"]:
        """The precision at each of `RECALLS` at one of `IOU_THRESHOLDS`, mean over the classes that have objects."""
        values = self.precision[0, int(np.abs(IOU_THRESHOLDS - iou).argmin())]
        return np.array([mean(row) for row in values])


def mean(values: np.ndarray) -> float:
    """Of what could be measured; -1 if that is nothing."""
    measured = values[values > -1]
    return float(measured.mean()) if len(measured) else -1.0


def accumulate(records: np.ndarray, objects: Int64[np.ndarray, "S C"]) -> Precision:
    """
    Args:
        records: of `matching.RECORD`, in the order of the images' ids: it decides among equal scores.
        objects: how many there are of each size and class, crowds not counted.
    """
    sizes, classes, thresholds = len(SIZES), objects.shape[1], len(IOU_THRESHOLDS)
    precision = np.full((sizes, thresholds, len(RECALLS), classes), -1.0)
    recall = np.full((3, sizes, thresholds, classes), -1.0)
    for label in np.flatnonzero(objects[0]):
        rows = np.flatnonzero(records["label"] == label)
        rows = rows[np.argsort(-records["score"][rows], kind="stable")]
        right, ignored, rank = (records[name][rows] for name in ("right", "ignored", "rank"))
        for size in np.flatnonzero(objects[:, label]).tolist():
            hits, count = unpacked(right, size), objects[size, label]
            precision[size, :, :, label] = _at_recalls(hits, ~(hits | unpacked(ignored, size)), count)
            for i, best in enumerate((1, 10, 100)):
                recall[i, size, :, label] = hits[rank < best].sum(axis=0) / count
    return Precision(precision, recall)


def _at_recalls(
    right: Bool[np.ndarray, "n T"], wrong: Bool[np.ndarray, "n T"], count: np.integer
) -> Float[np.ndarray, "T R"]:
    """The precision where each of `RECALLS` is first reached, 0 where it never is."""
    values = np.zeros((right.shape[1], len(RECALLS)))
    for i in range(len(values)):
        hits, misses = np.cumsum(right[:, i], dtype=float), np.cumsum(wrong[:, i], dtype=float)
        precision = np.maximum.accumulate((hits / (hits + misses + SMALLEST))[::-1])[::-1]
        places = np.searchsorted(hits / count, RECALLS)
        reached = places < len(precision)
        values[i, reached] = precision[places[reached]]
    return values
