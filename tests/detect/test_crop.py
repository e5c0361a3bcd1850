"""What cuts a mask, beside its box: in Python, compiled, and in graphs."""

import inspect
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mask_parts import Scene, placed, scenes
from yolact.detect import masks
from yolact.detect.crop import connected, crop_windows, cropped_cells, fade
from yolact.detect.mask_outputs import cropped_masks
from yolact.detect.postprocess import windows_of
from yolact.structures import Detections

masks_cpu = pytest.importorskip("yolact.detect.masks_cpu", exc_type=ImportError)
both = pytest.mark.parametrize("form", [masks, masks_cpu], ids=["numpy", "compiled"])


@both
@given(scene=scenes(largest=60), crop=st.sampled_from(["soft", "component"]))
def test_cells_are_cropped_before_they_are_enlarged(form: ModuleType, scene: Scene, crop):
    cells = cropped_cells(crop, scene.prototypes, scene.coefficients, scene.windows)
    whole = placed(cells, scene.windows, scene.prototypes.shape[1:])
    shown = torch.nn.functional.interpolate(torch.from_numpy(whole)[None], scene.image_size, mode="bilinear")[0].numpy()
    clear = np.abs(shown - 0.5) > 1e-5
    made = form.full_masks(*scene.parts, cells)
    np.testing.assert_array_equal(made[clear], (shown > 0.5)[clear])
    assert form.areas(*scene.parts, cells).tolist() == made.sum(axis=(1, 2)).tolist()
    assert len(form.encode_rles(*scene.parts, cells)) == len(made)
    for i in range(len(made)):
        parts = (scene.prototypes, scene.coefficients[i], scene.windows[i], scene.image_size)
        part, (x1, y1, x2, y2) = form.region_mask(*parts, cells[i])
        assert (part == made[i, y1:y2, x1:x2]).all()


@given(scene=scenes(largest=20))
def test_cells_are_the_same_compiled(scene: Scene):
    parts = (scene.prototypes, scene.coefficients, scene.windows)
    for compiled, plain in zip(masks_cpu.window_cells(*parts), masks.window_cells(*parts), strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-5)


def test_cells_of_another_number_are_refused():
    scene = Scene(
        np.ones((1, 9, 9), np.float32), np.ones((1, 1), np.float32), np.array([[0, 0, 5, 5]], np.int32), (9, 9)
    )
    with pytest.raises(ValueError, match="more or fewer than their windows"):
        masks_cpu.full_masks(*scene.parts, [np.ones((4, 5), np.float32)])


@given(st.integers(0, 10_000))
def test_regions_stay_whole_and_with_their_outlines_or_go(seed: int):
    random = np.random.default_rng(seed)
    noise = random.standard_normal((7, 6), np.float32)
    cells = 1 / (1 + np.exp(-3 * cv2.resize(noise, (int(random.integers(3, 50)), int(random.integers(3, 50))))))
    kept = connected(cells)
    assert set(np.unique(kept)) <= {0.0, 1.0}
    count, labels = cv2.connectedComponents((cells > 0.5).astype(np.uint8), connectivity=4)
    if count <= 2:
        assert (kept == 1).all()
        return
    left = np.unique(labels[(kept == 1) & (labels > 0)])
    assert len(left) >= 1
    stays = np.isin(labels, left)
    assert (kept[stays] == 1).all()
    around = cv2.dilate(stays.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (kept[around & (labels == 0)] == 1).all()
    assert (kept[(labels > 0) & ~stays] == 0).all()


def test_the_region_in_the_middle_wins_over_a_larger_one_at_the_side():
    cells = np.zeros((26, 26), np.float32)
    cells[:, :6] = 0.9  # a neighbor, 156 cells
    cells[10:16, 10:16] = 0.8
    assert (connected(cells)[:, :6] == 0).all()
    assert (connected(cells)[10:16, 10:16] == 1).all()
    cells[10:16, 10:16] = 0
    cells[0, 25] = 0.8  # nothing in the middle: the largest stays
    assert (connected(cells)[:, :6] == 1).all()
    assert connected(cells)[0, 25] == 0


def test_both_halves_of_what_stands_behind_a_pole_stay():
    cells = np.full((26, 26), 0.9, np.float32)
    cells[:, 13] = 0.1
    assert (connected(cells) == 1).all()
    cells[:, 8:13] = 0.1
    cells[13, 7:11] = 0.9  # an arm that reaches into the core: 3 cells, beside 40, are too few
    assert (connected(cells)[:, :7] == 0).all()
    assert (connected(cells)[:, 14:] == 1).all()


def test_corner_to_corner_is_no_neighbor():
    cells = np.zeros((26, 26), np.float32)
    cells[6:20, 6:20] = 0.9
    cells[20:26, 20:26] = 0.9  # another one, outside the core
    assert (connected(cells)[20:, 20:] == 0).all()
    cells[19, 20] = 0.6
    assert (connected(cells)[cells > 0.5] == 1).all()


def test_a_soft_crop_fades_but_not_at_the_end_of_the_photograph():
    weights = fade(np.array([10, 0, 34, 24], np.int32), (24, 60))
    assert weights.shape == (24, 24)
    assert (weights[0] == weights[-1]).all()  # rows from the top of the photograph to its foot
    row = weights[12]
    assert row[0] < 0.5
    assert (np.diff(row[:4]) > 0).all()
    np.testing.assert_allclose(row, row[::-1])
    assert (row[4:-4] == 1).all()


@given(st.integers(0, 10_000), st.sampled_from(["expand", "soft"]))
def test_graphs_cut_as_python_does(seed: int, crop):
    random = np.random.default_rng(seed)
    grid, size = (20, 31), (97, 61)
    corner, extent = random.uniform(-0.2, 0.9, (5, 2)), random.uniform(0.0, 0.6, (5, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + extent], axis=1).astype(np.float32))
    prototypes = random.standard_normal((4, *grid), np.float32)
    coefficients = random.standard_normal((5, 4), np.float32)
    detections = Detections(
        boxes=boxes[None], scores=torch.ones(1, 5), labels=torch.zeros(1, 5, dtype=torch.long),
        coefficients=torch.from_numpy(coefficients)[None], prototypes=torch.from_numpy(prototypes)[None],
        mask_scores=torch.ones(1, 5), valid=torch.ones(1, 5, dtype=torch.bool),
    )  # fmt: skip
    pixels = (boxes.clamp(0, 1) * torch.tensor([size[1], size[0]] * 2)).numpy()
    windows = crop_windows(crop, pixels, grid, size)
    in_graph = windows_of(detections, 0.1)
    is_clear = np.abs(windows - in_graph[0].numpy()).max(axis=1) == 0  # a border that a rounding moves is left out
    assert is_clear.sum() >= 3
    mixed = (detections.prototypes, detections.coefficients)
    ours = cropped_masks(*mixed, torch.from_numpy(windows)[None], fading=crop == "soft")[0].numpy()
    expected = placed(cropped_cells(crop, prototypes, coefficients, windows), windows, grid)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("crop", ["box", "expand"])
def test_boxes_that_are_no_numbers_are_empty_and_quiet(crop):
    infinite = np.inf
    boxes = np.array([[np.nan] * 4, [infinite] * 4, [-infinite, 0, infinite, 9]], np.float32)
    assert crop_windows(crop, boxes, (20, 30), (100, 150)).tolist() == [[0] * 4, [0] * 4, [0, 0, 30, 3]]


def test_a_crop_that_there_is_not_is_refused():
    unchecked = inspect.unwrap(crop_windows)  # as users have it, for whom no types are checked
    with pytest.raises(ValueError, match="crop is 'none'; choose one of box, expand"):
        unchecked("none", np.zeros((1, 4), np.float32), (20, 30), (100, 150))
