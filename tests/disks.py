"""Instances that are disks, for tests of tracking."""

import numpy as np

from mask_parts import bounds
from yolact.instances import Instances
from yolact.tracking import Tracker

RATE = 25.0
"""Frames a second."""

GRID = 48
SIZE = (192, 192)


def instances(
    disks: list[tuple[float, float, float]],
    scores: list[float] | None = None,
    labels: list[int] | None = None,
    kinds: list[int] | None = None,
) -> Instances:
    """Disks (x, y, radius) in cells of the prototypes, of which each has one, and coefficients by their `kinds`."""
    rows, columns = np.mgrid[:GRID, :GRID] + 0.5
    n = len(disks)
    masks = np.array([np.hypot(columns - x, rows - y) < radius for x, y, radius in disks], bool).reshape(n, GRID, GRID)
    windows = np.array([bounds(mask) for mask in masks], np.int32).reshape(n, 4)
    # One prototype for each disk, and eight that nothing shows in, by which coefficients can differ.
    prototypes = np.concatenate([np.where(masks, 8.0, -8.0), np.zeros((18 - n, GRID, GRID))]).astype(np.float32)
    coefficients = np.zeros((n, 18), np.float32)
    coefficients[np.arange(n), np.arange(n)] = 1
    kinds = list(range(n)) if kinds is None else kinds
    coefficients[np.arange(n), 10 + np.array(kinds, int)] = 5
    return Instances(
        boxes=(windows * SIZE[0] / GRID).astype(np.float32),
        scores=np.array(scores if scores is not None else [0.9] * n, np.float32),
        mask_scores=np.ones(n, np.float32),
        labels=np.array(labels if labels is not None else [0] * n, np.int64),
        coefficients=coefficients,
        windows=windows,
        prototypes=prototypes,
        image_size=SIZE,
        class_names=("disk", "box"),
        category_ids=(1, 2),
        image=np.zeros((*SIZE, 3), np.uint8),
    )


def ids_of(tracker: Tracker, found: Instances, frame: float) -> list[int]:
    tracked = tracker.update(found, frame / RATE)
    assert tracked.track_ids is not None
    assert tracked.track_ids.dtype == np.int64
    return tracked.track_ids.tolist()
