"""Outlines: parts, holes, borders, and the fineness of their corners."""

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco_mask

from yolact.polygons import trace

SIZE = (80, 100)


def area(ring: np.ndarray) -> float:
    x, y = ring[:, 0].astype(float), ring[:, 1].astype(float)
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return ((radius - np.hypot(columns - x, rows - y)) / 4 + 0.5).clip(0, 1).astype(np.float32)


def test_a_disc_is_traced_finer_than_a_pixel():
    (ring,) = trace(disc(50.3, 40.6, 25), (0, 0), SIZE, tolerance=0)
    radii = np.hypot(ring[:, 0] - 50.3, ring[:, 1] - 40.6)
    assert np.abs(radii - 25).max() < 0.15
    assert area(ring) == pytest.approx(np.pi * 25**2, rel=2e-3)


def test_tolerance_saves_corners():
    (fine,) = trace(disc(50, 40, 25), (0, 0), SIZE, tolerance=0)
    (coarse,) = trace(disc(50, 40, 25), (0, 0), SIZE, tolerance=0.5)
    assert len(coarse) < len(fine) / 4
    assert area(coarse) == pytest.approx(area(fine), rel=0.03)


def test_a_region_is_placed_in_its_image():
    whole = disc(50, 40, 12)
    (expected,) = trace(whole, (0, 0), SIZE, tolerance=0.5)
    (part,) = trace(whole[20:60, 30:70].copy(), (30, 20), SIZE, tolerance=0.5)
    assert np.allclose(part, expected, atol=1e-3)


def test_parts_are_separate_polygons():
    rings = trace(np.maximum(disc(25, 40, 12), disc(75, 40, 9)), (0, 0), SIZE, tolerance=0.5)
    assert sorted(round(area(ring), -1) for ring in rings) == pytest.approx([np.pi * 81, np.pi * 144], rel=0.05)


def test_holes_stay_open():
    ring_mask = np.minimum(disc(50, 40, 30), 1 - np.maximum(disc(38, 40, 6), disc(62, 40, 8)))
    rings = trace(ring_mask, (0, 0), SIZE, tolerance=0.5)
    assert len(rings) == 1
    assert area(rings[0]) == pytest.approx(np.pi * (900 - 36 - 64), rel=0.01)
    filled = coco_mask.decode(coco_mask.frPyObjects([rings[0].ravel().tolist()], *SIZE))[..., 0].astype(bool)
    assert not filled[40, 38]
    assert not filled[40, 62]
    assert filled[40, 50]


def test_an_island_in_a_hole_is_a_part():
    nested = np.maximum(np.minimum(disc(50, 40, 30), 1 - disc(50, 40, 20)), disc(50, 40, 8))
    assert len(trace(nested, (0, 0), SIZE, tolerance=0.5)) == 2


def test_the_border_is_reached():
    (ring,) = trace(np.ones(SIZE, dtype=np.float32), (0, 0), SIZE, tolerance=0.5)
    assert ring.min(axis=0).tolist() == [0, 0]
    assert ring.max(axis=0).tolist() == [100, 80]
    assert area(ring) == 8000


def test_one_pixel_is_a_square():
    dot = np.zeros((3, 3), dtype=np.float32)
    dot[1, 1] = 1
    (ring,) = trace(dot, (10, 20), SIZE, tolerance=0.5)
    assert area(ring) == 1
    assert ring.min(axis=0).tolist() == [11, 21]


@pytest.mark.parametrize("tolerance", [0, 0.5])
@pytest.mark.parametrize("row", [3, SIZE[0] - 1], ids=["inside", "at the border"])
def test_a_line_of_pixels_has_their_area(tolerance: float, row: int):
    line = np.zeros(SIZE, dtype=np.float32)
    line[row, 7:40] = np.linspace(0.6, 0.9, 33)
    (ring,) = trace(line, (0, 0), SIZE, tolerance)
    assert area(ring) == 33


def test_nothing_has_no_outline():
    assert trace(np.zeros((0, 0), dtype=np.float32), (0, 0), SIZE, tolerance=0.5) == []
    assert trace(np.zeros((5, 5), dtype=np.float32), (0, 0), SIZE, tolerance=0.5) == []
