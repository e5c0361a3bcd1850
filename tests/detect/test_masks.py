from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torch.nn import functional

from mask_parts import Scene, assemble_windows, bounds, scenes
from yolact.boxes import window as inside
from yolact.detect.masks import (
    assemble_masks,
    assemble_window,
    crop_masks,
    enlarge,
    regions_of,
    soft_region,
    taps,
    windows_in_pixels,
)
from yolact.detect.run_lengths import encode_rle
from yolact.masks import Masks


def test_assembly_is_the_papers_equation():
    prototypes, coefficients = torch.randn(2, 3, 5, 7), torch.randn(2, 4, 3)
    masks = assemble_masks(prototypes, coefficients)
    for b in range(2):
        for n in range(4):
            mixture = sum((coefficients[b, n, k] * prototypes[b, k] for k in range(3)), torch.zeros(5, 7))
            torch.testing.assert_close(masks[b, n], torch.sigmoid(mixture))


def test_cropping_removes_what_is_outside_the_box():
    masks = crop_masks(torch.ones(1, 1, 10, 10), torch.tensor([[[0.23, 0.31, 0.58, 0.77]]]))
    assert masks[0, 0, 3:9, 2:7].min() == 1
    assert masks.sum() == 6 * 5


@settings(max_examples=200)
@given(st.data())
def test_boxes_in_pixels_keep_the_cells_that_cropping_keeps(data: st.DataObject):
    grid = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    height, width = data.draw(st.tuples(st.integers(1, 500), st.integers(1, 500)))
    ends = data.draw(st.lists(st.integers(-20, 84), min_size=4, max_size=4))
    box = torch.tensor([ends], dtype=torch.float64) / 64  # few enough digits that nothing is rounded
    cut = np.zeros(grid, bool)
    pixels = (box * torch.tensor([width, height, width, height])).numpy()
    x1, y1, x2, y2 = windows_in_pixels(pixels, grid, (height, width))[0].tolist()
    cut[y1:y2, x1:x2] = True
    assert (cut == inside(box, grid)[0].numpy()).all()


@settings(max_examples=200)
@given(st.integers(1, 200), st.integers(1, 500))
def test_taps_are_those_of_torch(cells: int, pixels: int):
    ramp = np.random.default_rng(0).random(cells, np.float32)
    low, high, fraction = taps(cells, pixels)
    expected = functional.interpolate(torch.from_numpy(ramp)[None, None], pixels, mode="linear")[0, 0].numpy()
    np.testing.assert_allclose(ramp[low] + (ramp[high] - ramp[low]) * fraction, expected, atol=1e-6)
    assert (np.diff(low) >= 0).all()
    assert (low >= 0).all()
    assert (high < cells).all()


@settings(max_examples=60)
@given(scenes())
def test_a_region_is_all_that_draws_on_a_window(scene: Scene):
    grid = (scene.prototypes.shape[1], scene.prototypes.shape[2])
    down, across = taps(grid[0], scene.image_size[0]), taps(grid[1], scene.image_size[1])
    for window, region in zip(scene.windows, regions_of(scene.windows, grid, scene.image_size), strict=True):
        cells = np.zeros(grid, bool)
        cells[window[1] : window[3], window[0] : window[2]] = True
        drawn_on = [cells[rows][:, columns] for rows in (down.low, down.high) for columns in (across.low, across.high)]
        assert tuple(region) == bounds(np.any(drawn_on, axis=0))


def test_a_window_beyond_the_prototypes_is_refused():
    for window in ([0, 0, 9, 8], [0, -1, 8, 8], [0, 0, 8, 9]):
        with pytest.raises(ValueError, match="8x8"):
            regions_of(np.array([window], np.int32), (8, 8), (100, 100))


@settings(max_examples=60)
@given(scenes())
def test_a_cell_is_the_same_in_every_window(scene: Scene):
    everything = np.array([0, 0, scene.prototypes.shape[2], scene.prototypes.shape[1]], np.int32)
    for row, window in zip(scene.coefficients, scene.windows, strict=True):
        x1, y1, x2, y2 = window.tolist()
        whole = assemble_window(scene.prototypes, row, everything)
        np.testing.assert_array_equal(assemble_window(scene.prototypes, row, window), whole[y1:y2, x1:x2])


@settings(max_examples=60)
@given(scenes())
def test_windows_are_torchs_masks_cropped(scene: Scene):
    cells = assemble_windows(scene.prototypes, scene.coefficients, scene.windows)
    np.testing.assert_allclose(cells, scene.cropped(), atol=5e-6)  # sums of float32, in another order
    masks = Masks(scene.coefficients, scene.windows, scene.prototypes, scene.image_size).soft_masks
    np.testing.assert_allclose(masks, cells, atol=1e-5)


@settings(max_examples=60)
@given(scenes())
def test_a_region_is_what_enlarging_everything_gives(scene: Scene):
    height, width = scene.image_size
    grid = (scene.prototypes.shape[1], scene.prototypes.shape[2])
    cells = assemble_windows(scene.prototypes, scene.coefficients, scene.windows)
    expected = scene.enlarged()
    for i, window in enumerate(scene.windows):
        soft, (x1, y1, x2, y2) = soft_region(scene.prototypes, scene.coefficients[i], window, scene.image_size)
        full = np.zeros(scene.image_size, np.float32)
        full[y1:y2, x1:x2] = soft
        everything = np.array([0, 0, grid[1], grid[0]], np.int32)
        np.testing.assert_array_equal(
            full, enlarge(cells[i], everything, (0, 0, width, height), grid, scene.image_size)
        )
        np.testing.assert_allclose(full, expected[i], atol=1e-5)


def test_large_logits_do_not_overflow():
    prototypes = np.array([-1e30, -200, 0, 200, 1e30], np.float32).reshape(1, 1, 5)
    cells = assemble_window(prototypes, np.ones(1, np.float32), np.array([0, 0, 5, 1], np.int32))
    np.testing.assert_array_equal(cells, [[0, 0, 0.5, 1, 1]])


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.tuples(st.integers(1, 30), st.integers(1, 30)), st.floats(0.0, 1.0))
def test_run_lengths_are_those_of_pycocotools(seed, image_size, density):
    random = np.random.default_rng(seed)
    y1, x1 = random.integers(0, image_size[0]), random.integers(0, image_size[1])
    y2, x2 = random.integers(y1, image_size[0]) + 1, random.integers(x1, image_size[1]) + 1
    x1, y1, x2, y2 = int(x1), int(y1), int(x2), int(y2)
    part = random.random((y2 - y1, x2 - x1)) < density
    full = np.zeros(image_size, np.uint8)
    full[y1:y2, x1:x2] = part
    expected: Any = coco_mask.encode(np.asfortranarray(full))
    assert encode_rle(part, (x1, y1, x2, y2), image_size) == {
        "size": list(image_size),
        "counts": expected["counts"].decode(),
    }


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_run_lengths_of_a_full_or_empty_picture(value):
    part = np.full((6, 4), bool(value))
    rle: Any = encode_rle(part, (0, 0, 4, 6), (6, 4))
    assert coco_mask.decode(rle).sum() == 24 * value
