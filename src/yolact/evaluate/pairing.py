"""Which detection stands for which object of an image: what is said of masks, confusions and errors rests on it.

COCO's own matching is for one class, one kind of overlap and one threshold at a time, and has no confusions.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from yolact.evaluate.scene import MATCHING_BOX, Scene


@dataclass(frozen=True)
class Pairing:
    """Each detection and each object is in at most one pair. Crowds are in none."""

    right: list[tuple[int, int]]
    """Detection and object, of the same class."""

    confused: list[tuple[int, int]]
    """Detection and object, of different classes."""

    surplus: list[int]
    """Detections that stand for nothing; those that lie in a crowd of their class are not counted."""

    missed: list[int]
    """Objects that no detection stands for."""

    box_ious: Float64[np.ndarray, "N G"]
    """Of all detections with all objects."""


def pair(scene: Scene, score_threshold: float) -> Pairing:
    """Pair the detections that score above the threshold with the objects whose boxes they overlap by half or more.

    First those of the same class, then, of what is left and not in a crowd of its class, those of different classes;
    each time the largest IoU first, of equal ones the better detection, then the object that is annotated first. Pairs
    are of rows of the detections and of `scene.objects`.
    """
    objects, ious = scene.objects, scene.box_ious(scene.objects)
    shown = scene.found.scores > score_threshold
    same = scene.labels[:, None] == objects.labels
    overlap = (ious >= MATCHING_BOX) & shown[:, None]
    right = _largest_first(ious, overlap & same & ~objects.is_crowd)
    taken, claimed = np.zeros(len(shown), bool), objects.is_crowd.copy()
    for row, column in right:
        taken[row] = claimed[column] = True
    taken |= (overlap & same & objects.is_crowd).any(axis=1)
    confused = _largest_first(ious, overlap & ~same & ~taken[:, None] & ~claimed)
    for row, column in confused:
        taken[row] = claimed[column] = True
    surplus = np.flatnonzero(shown & ~taken)
    return Pairing(right, confused, surplus.tolist(), np.flatnonzero(~claimed).tolist(), ious)


def _largest_first(ious: Float64[np.ndarray, "N G"], allowed: np.ndarray) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(allowed)  # by row, then by column: so stays the order of equal ones
    order: Int64[np.ndarray, " p"] = np.argsort(-ious[rows, columns], kind="stable")
    pairs: list[tuple[int, int]] = []
    used_rows, used_columns = set[int](), set[int]()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            pairs.append((row, column))
    return pairs
