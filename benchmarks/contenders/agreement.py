"""Whether two contenders found the same."""

from dataclasses import dataclass

import numpy as np

from contenders import Found


@dataclass(frozen=True)
class Agreement:
    """Of one photograph."""

    in_order: float
    """The share of places at which both have the same label."""

    mean_overlap: float
    """Mean IoU of the masks at these places; 1 where both are empty."""

    smallest_overlap: float

    matched: float
    """The share of the other's detections that this one has too, at any place: same label, masks with IoU above 0.5."""


def agree(ours: Found, theirs: Found) -> Agreement:
    length = max(len(ours.labels), len(theirs.labels))
    if length == 0:
        return Agreement(1.0, 1.0, 1.0, 1.0)
    shared = range(min(len(ours.labels), len(theirs.labels)))
    same = [i for i in shared if ours.labels[i] == theirs.labels[i]]
    overlaps = [overlap(ours.masks[i], theirs.masks[i]) for i in same] or [0.0]
    return Agreement(len(same) / length, float(np.mean(overlaps)), min(overlaps), matched(ours, theirs))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU; 1 if both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def matched(ours: Found, theirs: Found) -> float:
    """Each of theirs, best first, takes the best of ours that is left."""
    if not len(theirs.labels):
        return 1.0
    left = set(range(len(ours.labels)))
    hits = 0
    for i, label in enumerate(theirs.labels):
        candidates = [(overlap(ours.masks[j], theirs.masks[i]), j) for j in left if ours.labels[j] == label]
        best, j = max(candidates, default=(0.0, -1))
        if best > 0.5:
            left.remove(j)
            hits += 1
    return hits / len(theirs.labels)


def worst(agreements: list[Agreement]) -> str:
    """One cell of a table, over all photographs."""
    in_order = min(each.in_order for each in agreements)
    mean = float(np.mean([each.mean_overlap for each in agreements]))
    smallest = min(each.smallest_overlap for each in agreements)
    found = float(np.mean([each.matched for each in agreements]))
    if in_order == 1.0:
        return f"same labels in order, mask IoU {mean:.4f} (worst {smallest:.3f})"
    return f"{100 * in_order:.0f} % of labels in place, {100 * found:.0f} % of instances found"
