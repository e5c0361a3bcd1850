"""Leakage, against what can be counted by hand: cells are pixels, and cropping keeps one more on each side."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotated import boxed, config_of, disk, instances_of, scene_of, square
from yolact.evaluate.leakage import Leakage, LeakageSums, Shares
from yolact.evaluate.pairing import pair
from yolact.instances import Instances


def leakage_of(folder: Path, objects: list, found: Instances, score_threshold: float = 0.5) -> Leakage:
    scene, sums = scene_of(folder, objects, found), LeakageSums()
    sums.update(scene, pair(scene, score_threshold))
    return sums.compute()


def of(shares: Shares) -> tuple[float, float, float]:
    return shares.own, shares.others, shares.background


def test_pixels_are_counted_where_they_lie(tmp_path: Path) -> None:
    objects = [("cat", square(20, 20, 30, 30), False), ("dog", square(30, 20, 40, 25), False)]
    # Ten rows of 13: ten on its own object, of the other three half lie on the dog, half on nothing.
    found = instances_of([("cat", square(20, 20, 33, 30), 0.9, 0.9)], config_of("cat", "dog"))
    leakage = leakage_of(tmp_path, objects, found)
    assert of(leakage.masks) == pytest.approx(np.array((100, 15, 15)) / 130)
    assert leakage.uncropped == leakage.masks
    # The object's box, widened by one pixel, leaves one column of the three.
    assert of(leakage.perfect_boxes) == pytest.approx(np.array((100, 5, 5)) / 110)
    assert (leakage.pairs, leakage.covered, leakage.cut, leakage.missed) == (1, 1, 0, 0)
    assert leakage.clipped == leakage.empty == 0


def test_what_the_box_cuts_off_is_told_from_what_the_mask_misses(tmp_path: Path) -> None:
    objects = [("cat", square(20, 20, 30, 30), False)]
    # The mask has eight of the object's ten columns, of which the box, with one more, leaves seven.
    found = instances_of([("cat", square(20, 20, 28, 30), 0.9, 0.9)], config_of("cat", "dog"))
    leakage = leakage_of(tmp_path, objects, boxed(found, (20, 20, 26, 30)))
    assert (leakage.covered, leakage.cut, leakage.missed) == pytest.approx((0.7, 0.1, 0.2))
    assert leakage.clipped == 1
    assert of(leakage.masks) == of(leakage.uncropped) == (1, 0, 0)


def test_pixels_on_a_crowd_lie_on_others_and_shared_ones_on_their_own(tmp_path: Path) -> None:
    crowd = ("cat", square(25, 20, 40, 30), True)
    found = instances_of([("cat", square(20, 20, 32, 30), 0.9, 0.9)], config_of("cat", "dog"))
    leakage = leakage_of(tmp_path, [("cat", square(20, 20, 30, 30), False), crowd], found)
    assert of(leakage.masks) == pytest.approx(np.array((100, 20, 0)) / 120)


def test_means_are_over_masks_and_empty_ones_have_no_share(tmp_path: Path) -> None:
    objects = [("cat", square(20, 20, 30, 30), False), ("cat", square(60, 20, 100, 60), False)]
    rows = [("cat", square(20, 20, 40, 30), 0.9, 0.9), ("cat", square(60, 20, 100, 60), 0.9, 0.9)]
    found = boxed(instances_of(rows, config_of("cat", "dog")), (20, 20, 39, 30), (60, 20, 100, 60))
    assert leakage_of(tmp_path, objects, found).masks.own == pytest.approx((0.5 + 1) / 2)
    cut = boxed(instances_of(rows[1:], config_of("cat", "dog")), (60, 20, 99, 60))
    hollow = cut.recropped(np.array([[200.0, 150.0, 210.0, 160.0]]))  # its window is elsewhere, its box is not
    leakage = leakage_of(tmp_path, objects, hollow)
    assert (leakage.pairs, leakage.empty, leakage.covered, leakage.cut) == (1, 1, 0, 1)
    assert of(leakage.masks) == (-1, -1, -1)
    assert of(leakage.perfect_boxes) == (1, 0, 0)
    assert any("empty: 1" in line for line in leakage.table())


def test_nothing_to_tell_is_minus_1(tmp_path: Path) -> None:
    nothing = leakage_of(tmp_path, [], instances_of([], config_of("cat", "dog")))
    assert nothing.pairs == 0
    assert of(nothing.masks) == (-1, -1, -1)
    assert "-" in nothing.table()[1]
    low = instances_of([("cat", square(20, 20, 30, 30), 0.5, 0.5)], config_of("cat", "dog"))
    assert leakage_of(tmp_path, [("cat", square(20, 20, 30, 30), False)], low).pairs == 0  # not above the threshold


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_shares_sum_to_one(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    random = np.random.default_rng(seed)
    masks = [disk(random, int(random.integers(20, 100))) for _ in range(5)]
    moved = [np.roll(mask, tuple(random.integers(-4, 5, 2)), axis=(0, 1)) for mask in masks]
    found = instances_of([("cat", mask, 0.9, 0.9) for mask in moved], config_of("cat", "dog"))
    found = boxed(found, *(found.boxes + random.uniform(-4, 4, found.boxes.shape)))
    objects = [("cat", mask, bool(i == 0)) for i, mask in enumerate(masks)]
    leakage = leakage_of(tmp_path_factory.mktemp("leakage"), objects, found)
    for shares in (leakage.masks, leakage.perfect_boxes, leakage.uncropped):
        assert shares.own + shares.others + shares.background == pytest.approx(1)
        assert min(shares.own, shares.others, shares.background) >= 0
    assert leakage.covered + leakage.cut + leakage.missed == pytest.approx(1)
    assert min(leakage.covered, leakage.cut, leakage.missed) >= -1e-12
    assert leakage.perfect_boxes.own >= leakage.uncropped.own - 1e-9


def test_perfect_predictions_leak_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    masks = [disk(random, diameter) for diameter in (20, 50, 90)]
    found = instances_of([("cat", mask, 0.9, 0.9) for mask in masks], config_of("cat", "dog"))
    leakage = leakage_of(tmp_path, [("cat", mask, False) for mask in masks], found)
    assert of(leakage.masks) == of(leakage.perfect_boxes) == pytest.approx((1, 0, 0))
    assert (leakage.covered, leakage.cut, leakage.missed) == (1, 0, 0)
