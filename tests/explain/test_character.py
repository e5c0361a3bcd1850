"""Prototypes whose character is known get it."""

import cv2
import numpy as np
import pytest

from yolact.explain import measure
from yolact.explain.character import Character, kind_of

GRID = (48, 64)


def disks(seed: int) -> np.ndarray:
    """A photograph of bright disks on dark ground."""
    random = np.random.default_rng(seed)
    picture = np.full((192, 256, 3), 20, np.uint8)
    for _ in range(4):
        center = (int(random.integers(40, 216)), int(random.integers(40, 152)))
        cv2.circle(picture, center, int(random.integers(18, 34)), (230, 230, 230), -1)
    return picture


def cells(photograph: np.ndarray) -> np.ndarray:
    return (cv2.resize(photograph[..., 0], GRID[::-1], interpolation=cv2.INTER_AREA) > 120).astype(np.float32)


def probe(photograph: np.ndarray) -> np.ndarray:
    """A ramp, a frame, the disks, what is not disks, their outlines, and nothing."""
    objects = cells(photograph)
    ramp = np.tile(np.linspace(0, 1, GRID[1], dtype=np.float32), (GRID[0], 1))
    frame = np.ones(GRID, np.float32)
    frame[4:-4, 4:-4] = 0
    around = cv2.dilate(objects, np.ones((3, 3))) - objects
    return np.stack([ramp, frame, 3 * objects, 1 - objects, around, np.zeros(GRID, np.float32)])


@pytest.fixture(scope="module")
def characters() -> tuple[Character, ...]:
    photographs = [disks(0), disks(1)]
    return measure(probe, photographs, [cells(each)[None] > 0 for each in photographs])


def test_each_gets_its_kind(characters: tuple[Character, ...]):
    kinds = [each.kind for each in characters]
    assert kinds == ["position", "position", "region", "region", "contour", "dead"]


def test_what_belongs_to_a_place_needs_no_content(characters: tuple[Character, ...]):
    ramp, _, disk = characters[:3]
    assert ramp.position > 0.99
    assert ramp.solid == pytest.approx(1)
    assert ramp.lights.endswith("right")
    assert disk.position < 0.3
    assert disk.solid == 0


def test_content_moves_along(characters: tuple[Character, ...]):
    assert characters[2].follows > 0.9
    assert characters[1].follows < 0.3


def test_regions_have_signs(characters: tuple[Character, ...]):
    assert characters[2].region == 1
    assert characters[3].region == -1


def test_without_found_masks_contour_and_region_are_unknown():
    found = measure(probe, [disks(0)], [np.zeros((0, *GRID), bool)])
    assert (found[2].contour, found[2].region) == (None, None)
    assert found[0].kind == "position"


def test_a_photograph_of_a_pixel_is_measured():
    measure(probe, [np.zeros((1, 1, 3), np.uint8)], [np.zeros((0, *GRID), bool)])


def test_what_is_unclear_is_mixed():
    assert kind_of(0.1, 0.1, None, -0.2) == "mixed"
    assert kind_of(0.1, 0.5, 0.2, -0.9) == "region"


def test_as_many_masks_as_photographs():
    with pytest.raises(ValueError, match="0 photographs"):
        measure(probe, [], [])
