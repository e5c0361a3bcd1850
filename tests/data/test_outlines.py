"""Outlines that hold a mask exactly, with pycocotools as the arbiter."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as arbiter

from yolact.data.labeled import from_mask
from yolact.data.outlines import MANY_RINGS, join, outlines

masks = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


def filled(polygons: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    rles = arbiter.frPyObjects([ring.ravel().astype(float).tolist() for ring in polygons], *shape)
    return arbiter.decode(arbiter.merge(rles)).astype(bool)


def signed_area(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@given(masks)
def test_one_ring_holds_exactly_the_mask(mask: np.ndarray):
    rings = [ring for part in outlines(mask) for ring in part]
    assert (filled([join(rings)], mask.shape) == mask).all() if rings else not mask.any()


@given(masks)
def test_parts_hold_exactly_the_mask(mask: np.ndarray):
    parts = [join(part) for part in outlines(mask)]
    assert (filled(parts, mask.shape) == mask).all() if parts else not mask.any()


@given(masks)
def test_the_area_inside_is_the_masks(mask: np.ndarray):
    """Holes turn the other way, so that programs that ask for the winding number leave them open too."""
    rings = [ring for part in outlines(mask) for ring in part]
    assert abs(signed_area(join(rings))) == mask.sum() if rings else not mask.any()
    for outer, *holes in outlines(mask):
        assert all(signed_area(outer) * signed_area(hole) < 0 for hole in holes)


@given(masks, st.integers(0, 5), st.integers(0, 5))
def test_where_the_mask_lies_changes_nothing(mask: np.ndarray, top: int, left: int):
    padded = np.pad(mask, ((top, 2), (left, 1)))
    for part, moved in zip(outlines(mask), outlines(padded), strict=True):
        for ring, other in zip(part, moved, strict=True):
            assert (ring + np.array([left, top]) == other).all()


@pytest.mark.parametrize(
    "rows",
    [
        ["#"],
        ["#.", ".#"],
        [".#", "#."],
        ["###", "#.#", "###"],
        ["#####", "#...#", "#.#.#", "#...#", "#####"],
        ["#.#.#", ".....", "#.#.#"],
        ["##..", "#.#.", ".###"],
    ],
)
def test_awkward_shapes(rows: list[str]):
    mask = np.array([[cell == "#" for cell in row] for row in rows])
    found = from_mask("thing", mask)
    assert found is not None
    assert (filled([np.array(found.ring())], mask.shape) == mask).all()


def test_a_rectangle_has_four_corners():
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:9, 4:25] = True
    ((ring,),) = outlines(mask)
    assert sorted(map(tuple, ring.tolist())) == [(4, 3), (4, 9), (25, 3), (25, 9)]


def test_bridges_are_short():
    mask = np.zeros((40, 100), dtype=bool)
    for left in (0, 20, 40, 60, 80):
        mask[10:30, left : left + 15] = True
    ring = join([ring for part in outlines(mask) for ring in part])
    steps = np.abs(np.diff(np.concatenate([ring, ring[:1]]), axis=0)).sum()
    assert steps == 5 * 70 + 2 * 4 * 5  # five outlines, and four gaps there and back


def test_dust_takes_no_time():
    mask = np.zeros((100, 200), dtype=bool)
    mask[::2, ::2] = True
    rings = [ring for part in outlines(mask) for ring in part]
    assert len(rings) > MANY_RINGS
    start = time.perf_counter()
    assert (filled([join(rings)], mask.shape) == mask).all()
    assert time.perf_counter() - start < 5
