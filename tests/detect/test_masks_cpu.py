"""The compiled masks and those of NumPy: the same as enlarging everything by torch, and as each other."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from pycocotools import mask as coco_mask

from mask_parts import Scene, scenes
from yolact.detect import masks

masks_cpu = pytest.importorskip("yolact.detect.masks_cpu", exc_type=ImportError)
mask_loops = pytest.importorskip("yolact.detect.mask_loops", exc_type=ImportError)

both = pytest.mark.parametrize("form", [masks, masks_cpu], ids=["numpy", "compiled"])


def scene_of(image_size: tuple[int, int], grid: tuple[int, int], windows: list[list[int]], mixed: int = 4) -> Scene:
    random = np.random.default_rng(0)
    return Scene(
        prototypes=random.standard_normal((mixed, *grid), np.float32) * 3,
        coefficients=random.standard_normal((len(windows), mixed), np.float32),
        windows=np.array(windows, np.int32).reshape(-1, 4),
        image_size=image_size,
    )


ONE_PIXEL = scene_of((1, 1), (138, 138), [[0, 0, 138, 138], [60, 60, 80, 80], [0, 0, 5, 5]])
CORNERS = scene_of((61, 47), (9, 13), [[0, 0, 1, 1], [12, 8, 13, 9], [0, 8, 13, 9], [12, 0, 13, 9], [4, 4, 4, 9]])
LARGE = scene_of((480, 640), (138, 138), [[10, 20, 60, 130], [0, 0, 138, 138]], mixed=32)
NOTHING = scene_of((48, 64), (10, 10), [])


@both
@given(scene=scenes())
@example(scene=ONE_PIXEL)
@example(scene=CORNERS)
@example(scene=LARGE)
def test_masks_are_those_of_enlarging_everything(form: ModuleType, scene: Scene):
    probabilities = scene.enlarged()
    made = form.full_masks(*scene.parts)
    assert made.dtype == bool
    clear = np.abs(probabilities - 0.5) > 1e-5
    np.testing.assert_array_equal(made[clear], (probabilities > 0.5)[clear])


@both
@given(scene=scenes())
@example(scene=ONE_PIXEL)
@example(scene=CORNERS)
@example(scene=NOTHING)
def test_all_functions_tell_of_the_same_masks(form: ModuleType, scene: Scene):
    made = form.full_masks(*scene.parts)
    areas, codes = form.areas(*scene.parts), form.encode_rles(*scene.parts)
    assert areas.tolist() == made.sum(axis=(1, 2)).tolist()
    assert len(codes) == len(made)
    for i, mask in enumerate(made):
        part, (x1, y1, x2, y2) = form.region_mask(
            scene.prototypes, scene.coefficients[i], scene.windows[i], scene.image_size
        )
        assert (part == mask[y1:y2, x1:x2]).all()
        assert part.sum() == mask.sum()
        expected: Any = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert codes[i] == {"size": list(scene.image_size), "counts": expected["counts"].decode()}


@given(scenes())
@example(CORNERS)
def test_a_region_alone_is_the_same_as_in_the_whole_picture(scene: Scene):
    """For NumPy, see `test_masks`."""
    prototypes, coefficients, _, _, *taps = masks_cpu._inputs(*scene.parts)
    height, width = scene.image_size
    everywhere = np.tile([0, 0, width, height], (len(scene.windows), 1))
    whole, chosen = np.ones((len(scene.windows), height, width), bool), np.arange(len(scene.windows))
    mask_loops.fill(prototypes, coefficients, scene.windows, everywhere, *taps, chosen, whole, 0, 0, False)
    np.testing.assert_array_equal(masks_cpu.full_masks(*scene.parts), whole)


@both
@given(scene=scenes())
def test_a_pixel_is_the_same_in_every_window(form: ModuleType, scene: Scene):
    """Where the window is not felt, that is where all four cells lie in it."""
    grid, image_size = scene.prototypes.shape[1:], scene.image_size
    everything = np.tile(np.array([0, 0, grid[1], grid[0]], np.int32), (len(scene.windows), 1))
    whole = form.full_masks(scene.prototypes, scene.coefficients, everything, image_size)
    down, across = (masks.taps(*sizes) for sizes in zip(grid, image_size, strict=True))
    for mask, other, (x1, y1, x2, y2) in zip(form.full_masks(*scene.parts), whole, scene.windows, strict=True):
        rows = (down.low >= y1) & (down.high < y2)
        columns = (across.low >= x1) & (across.high < x2)
        np.testing.assert_array_equal(mask[np.ix_(rows, columns)], other[np.ix_(rows, columns)])


def noisy(height: int, width: int) -> Scene:
    """As many runs as pixels, nearly."""
    board = (np.add.outer(np.arange(height), np.arange(width)) % 2 * 2 - 1).astype(np.float32)
    return Scene(board[None], np.ones((1, 1), np.float32), np.array([[0, 0, width, height]], np.int32), board.shape)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (131, 67)])
def test_masks_of_single_pixels_are_encoded(size: tuple[int, int]):
    scene = noisy(*size)
    made = masks_cpu.full_masks(*scene.parts)
    assert made.sum() == np.prod(size) // 2
    assert masks_cpu.encode_rles(*scene.parts) == masks.encode_rles(*scene.parts)


@pytest.mark.parametrize("value", [-9.0, 9.0])
def test_full_and_empty_pictures_are_encoded(value: float):
    windows = np.array([[0, 0, 5, 5], [0, 0, 5, 2], [2, 0, 3, 5]], np.int32)
    flat = Scene(np.full((1, 5, 5), value, np.float32), np.ones((3, 1), np.float32), windows, (40, 30))
    assert masks_cpu.encode_rles(*flat.parts) == masks.encode_rles(*flat.parts)


def test_logits_without_bounds_are_survived():
    prototypes = np.array([[[-1e30, 1e30], [np.nan, np.inf]]], np.float32)
    scene = Scene(prototypes, np.ones((1, 1), np.float32), np.array([[0, 0, 2, 2]], np.int32), (20, 20))
    made = masks_cpu.full_masks(*scene.parts)[0]
    assert not made[:5, :5].any()
    assert made[:5, 15:].all()


def test_arrays_of_any_layout_are_taken():
    prototypes, coefficients, windows, image_size = LARGE.parts
    expected = masks_cpu.full_masks(*LARGE.parts)
    last_first = np.ascontiguousarray(prototypes.transpose(1, 2, 0)).transpose(2, 0, 1)
    frozen = windows.copy()
    frozen.setflags(write=False)
    made = masks_cpu.full_masks(last_first, coefficients[::-1], frozen[::-1], image_size)
    assert (made == expected[::-1]).all()


def test_what_would_be_read_beyond_its_end_is_refused():
    prototypes, coefficients, windows, image_size = LARGE.parts
    with pytest.raises(ValueError, match="6x138"):
        masks_cpu.areas(prototypes[..., :6].copy(), coefficients, windows, image_size)
    with pytest.raises(ValueError, match=r"\(2, 31\)"):
        masks_cpu._inputs(prototypes, coefficients[:, :31], windows, image_size)
    with pytest.raises(ValueError, match=r"\(1, 32\)"):
        masks_cpu._inputs(prototypes, coefficients[:1], windows, image_size)


@pytest.fixture
def many_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(masks_cpu, "WORTH_THREADS", 0)


def many(count: int = 40) -> Scene:
    random = np.random.default_rng(1)
    corners = np.sort(random.integers(0, 31, (count, 2, 2)), axis=2)
    return scene_of((90, 120), (30, 30), corners.transpose(0, 2, 1).reshape(count, 4).tolist())


@pytest.mark.parametrize("fresh", [0, 1 << 40])
def test_threads_share_the_instances(many_threads, monkeypatch: pytest.MonkeyPatch, fresh: int):
    monkeypatch.setattr(masks_cpu, "FRESH_MEMORY", fresh)
    scene = many()
    expected = masks.full_masks(*scene.parts)
    for _ in range(20):
        np.testing.assert_array_equal(masks_cpu.full_masks(*scene.parts), expected)
    assert masks_cpu.encode_rles(*scene.parts) == masks.encode_rles(*scene.parts)
    assert masks_cpu.areas(*scene.parts).tolist() == expected.sum(axis=(1, 2)).tolist()


def test_threads_may_call_at_once(many_threads):
    cases = [many(count) for count in range(1, 40, 5)]
    expected = [(masks.full_masks(*scene.parts), masks.encode_rles(*scene.parts)) for scene in cases]
    with ThreadPoolExecutor(4) as callers:
        for _ in range(10):
            made = callers.map(lambda scene: masks_cpu.full_masks(*scene.parts), cases)
            codes = callers.map(lambda scene: masks_cpu.encode_rles(*scene.parts), cases)
            for (mask, code), mask_made, code_made in zip(expected, made, codes, strict=True):
                np.testing.assert_array_equal(mask_made, mask)
                assert code_made == code


FORKED = """
import os, sys, numpy as np, torch
import yolact.instances
torch.set_num_threads(2)
torch.rand(1000, 1000).sigmoid()  # now torch has threads
if sys.argv[1] == "before" and (child := os.fork()):
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
from yolact.detect import masks_cpu
masks_cpu.WORTH_THREADS = 0
parts = np.ones((1, 9, 9), np.float32), np.ones((8, 1), np.float32), np.array([[0, 0, 9, 9]] * 8, np.int32), (60, 60)
assert masks_cpu.full_masks(*parts).all()
if sys.argv[1] == "after" and (child := os.fork()):
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0 if masks_cpu.full_masks(*parts).all() else 7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("forked", ["before", "after"])
def test_a_process_forked_before_or_after_the_first_mask_has_threads_of_its_own(forked: str):
    subprocess.run([sys.executable, "-c", FORKED, forked], check=True, timeout=120)
