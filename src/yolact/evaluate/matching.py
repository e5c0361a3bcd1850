"""Which detections of an image are right, as COCO decides it; a test holds the figures to pycocotools.

What is kept of a detection is one `RECORD` of 19 bytes, so that memory hardly grows with the images.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from yolact.evaluate.scene import Objects

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)

SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas in pixels, both ends included."""

DETECTIONS = 100
"""COCO counts the best hundred of an image and class."""

_BITS = len(SIZES) * len(IOU_THRESHOLDS)

RECORD = np.dtype(
    [
        ("score", np.float32),
        ("label", np.int32),  # index into the classes that count
        ("rank", np.uint8),  # among the detections of its class in its image, best first
        ("right", np.uint8, (_BITS + 7) // 8),  # a bit for each of SIZES, and for each of IOU_THRESHOLDS in it
        ("ignored", np.uint8, (_BITS + 7) // 8),  # neither right nor wrong
    ]
)

Overlap = Callable[[Int64[np.ndarray, " d"], Int64[np.ndarray, " g"]], Float[np.ndarray, "d g"]]
"""The IoU of chosen detections with chosen objects."""


def judge(
    labels: Int64[np.ndarray, " N"],
    scores: Float32[np.ndarray, " N"],
    areas: Float[np.ndarray, " N"],
    objects: Objects,
    overlap: Overlap,
) -> np.ndarray:
    """One `RECORD` for each detection of an image that counts.

    Args:
        areas: of the detections in pixels, by which those that are not matched have a size.
        overlap: is asked for one class at a time.
    """
    found = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(-scores[rows], kind="stable")][:DETECTIONS]
        columns = np.flatnonzero(objects.labels == label)
        is_crowd = objects.is_crowd[columns]
        right, ignored = match(overlap(rows, columns), areas[rows], objects.areas[columns], is_crowd)
        records = np.zeros(len(rows), RECORD)
        records["score"], records["label"], records["rank"] = scores[rows], label, np.arange(len(rows))
        records["right"], records["ignored"] = _packed(right), _packed(ignored)
        found.append(records)
    return np.concatenate(found) if found else np.zeros(0, RECORD)


def match(
    ious: Float[np.ndarray, "D G"],
    detection_areas: Float[np.ndarray, " D"],
    object_areas: Float[np.ndarray, " G"],
    is_crowd: Bool[np.ndarray, " G"],
) -> tuple[Bool[np.ndarray, "D S T"], Bool[np.ndarray, "D S T"]]:
    """Whether each detection of a class, best first, is right, and whether it is ignored, for S sizes and T thresholds.

    Each takes the object that it overlaps most among those that no better one has taken, of equal ones the last.
    Objects that are a crowd or of another size only count where there is no other; whoever gets one is ignored, and so
    is a detection of another size without an object. A crowd can be taken any number of times.
    """
    outside = _outside(object_areas) | is_crowd
    taken = np.zeros((len(SIZES), len(IOU_THRESHOLDS), len(object_areas)), bool)
    right = np.zeros((len(ious), *taken.shape[:2]), bool)
    ignored = np.repeat(_outside(detection_areas).T[:, :, None], len(IOU_THRESHOLDS), axis=2)
    for row in np.flatnonzero((ious >= IOU_THRESHOLDS[0]).any(axis=1)):
        free = (ious[row] >= IOU_THRESHOLDS[:, None]) & ~(taken & ~is_crowd)
        regular = free & ~outside[:, None]
        free = np.where(regular.any(axis=2, keepdims=True), regular, free)
        best = free.shape[2] - 1 - np.where(free, ious[row], -1.0)[..., ::-1].argmax(axis=2)
        sizes, thresholds = np.nonzero(free.any(axis=2))
        chosen = best[sizes, thresholds]
        taken[sizes, thresholds, chosen] = True
        ignored[row, sizes, thresholds] = outside[sizes, chosen]
        right[row, sizes, thresholds] = ~outside[sizes, chosen]
    return right, ignored


def unpacked(bits: np.ndarray, size: int) -> Bool[np.ndarray, "n T"]:
    """`right` or `ignored` of records for one of `SIZES` and each of `IOU_THRESHOLDS`. All sizes would be 40 bytes."""
    first = size * len(IOU_THRESHOLDS)
    last = first + len(IOU_THRESHOLDS)
    flags = np.unpackbits(bits[:, first // 8 : -(-last // 8)], axis=1)
    return flags[:, first % 8 : first % 8 + len(IOU_THRESHOLDS)].view(bool)


def of_each_size(areas: Float[np.ndarray, " n"]) -> Bool[np.ndarray, "S n"]:
    return ~_outside(areas)


def _outside(areas: Float[np.ndarray, " n"]) -> Bool[np.ndarray, "S n"]:
    lowest, highest = np.array(list(SIZES.values())).T[:, :, None]
    return (areas < lowest) | (areas > highest)


def _packed(flags: Bool[np.ndarray, "n S T"]) -> np.ndarray:
    return np.packbits(flags.reshape(len(flags), _BITS), axis=1)
