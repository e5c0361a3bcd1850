"""Smoothed masks: steadier, no later, and as old as time says."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from disks import RATE, instances
from yolact.config import CropKind
from yolact.instances import Instances
from yolact.tracking import open_tracker

pytest.importorskip("scipy", reason="needs yolact[track]")


def disk(x: float = 20, radius: float = 6) -> Instances:
    return instances([(x, 20, radius)])


def changes(smooth: float) -> float:
    """How many cells change a frame, of a disk whose radius is never the same."""
    random, tracker = np.random.default_rng(0), open_tracker("mask", smooth)
    masks = [tracker.update(disk(radius=random.uniform(5, 9)), k / RATE).soft_masks[0] > 0.5 for k in range(40)]
    return float(np.mean([(a != b).sum() for a, b in pairwise(masks[10:])]))


def test_a_longer_half_life_is_steadier():
    assert changes(0.3) < 0.6 * changes(0.04) < 0.6 * changes(0)


def test_after_a_half_life_half_of_the_past_is_left():
    for rate in (10.0, 50.0):
        tracker = open_tracker("mask", smooth=0.4)
        for frame in range(40):
            tracker.update(disk(radius=9), frame / rate)
        later = range(40, 40 + round(0.4 * rate))
        mask = [tracker.update(faint(), frame / rate).soft_masks[0] for frame in later][-1]
        assert mask[20, 20] == pytest.approx((1 + 0.6) / 2, abs=0.01)


def faint() -> Instances:
    """The same disk, of which the network is sure by 60 % only."""
    found = disk(radius=9)
    found.coefficients[0, 0] = np.log(0.6 / 0.4) / 8
    return found


@pytest.mark.parametrize("crop", ["box", "expand", "soft", "component"])
def test_smoothed_masks_are_cut_once(crop: CropKind):
    tracker = open_tracker("mask", smooth=1e-9)
    found = replace(disk(radius=9), crop=crop)
    smoothed = [tracker.update(found, frame / RATE) for frame in range(4)][-1]
    assert smoothed.crop == crop
    assert smoothed.soft_masks == pytest.approx(found.soft_masks, abs=1e-4)
    assert smoothed.areas.tolist() == found.areas.tolist()


def test_smoothed_masks_are_not_late():
    tracker = open_tracker("mask", smooth=0.3)
    mask = [tracker.update(disk(x=8 + frame), frame / RATE).soft_masks[0] > 0.5 for frame in range(24)][-1]
    columns = np.flatnonzero(mask.any(axis=0))
    assert columns.mean() + 0.5 == pytest.approx(8 + 23, abs=0.51)
    assert len(columns) == pytest.approx(12, abs=1)


def test_what_comes_in_is_not_changed_and_reset_forgets():
    tracker = open_tracker("mask", smooth=10)
    other = faint()
    before = other.prototypes.copy(), other.coefficients.copy()
    for frame in range(6):
        tracker.update(disk(radius=9), frame / RATE)
    assert tracker.update(other, 6 / RATE).soft_masks[0, 20, 20] > 0.95
    assert (other.prototypes == before[0]).all()
    assert (other.coefficients == before[1]).all()
    tracker.reset()
    for frame in range(6):
        assert tracker.update(other, frame / RATE).soft_masks[0, 20, 20] == pytest.approx(0.6, abs=1e-3)
    assert len(tracker.update(instances([]), 1.0)) == 0
