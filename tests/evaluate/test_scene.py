"""Overlaps of one image: perfect boxes and boundaries."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as coco_mask
from hypothesis import given, settings
from hypothesis import strategies as st

from annotated import SIZE, boxed, config_of, disk, instances_of, random_scene, scene_of, square, write_annotations
from yolact.data.coco import decode_mask
from yolact.evaluate import FIGURES, CocoEvaluator
from yolact.evaluate.boundary import WIDTH, boundary_of
from yolact.evaluate.result_files import ResultFiles
from yolact.evaluate.scene import areas_of, shared_pixels


def test_a_mask_is_cropped_by_the_box_of_its_object(tmp_path: Path) -> None:
    whole = square(40, 40, 80, 80)
    found = instances_of([("cat", whole, 0.9, 0.9)] * 3 + [("dog", whole, 0.9, 0.9)], config_of("cat", "dog"))
    # The first covers 0.75 of its object, the second less than half of it; the third is right; the last a dog.
    found = boxed(found, (40, 40, 70, 80), (40, 40, 55, 80), (40, 40, 80, 80), (40, 40, 70, 80))
    scene = scene_of(tmp_path, [("cat", whole, False)], found)
    # Cropping keeps a cell, here a pixel, on each side of a box.
    assert areas_of(scene.codes).tolist() == [31 * 40, 16 * 40, 1600, 31 * 40]
    assert areas_of(scene.codes_in_perfect_boxes).tolist() == [1600, 16 * 40, 1600, 31 * 40]


def test_a_crowd_is_no_perfect_box_and_of_equal_ones_the_first_is_taken(tmp_path: Path) -> None:
    config = config_of("cat", "dog")
    found = boxed(instances_of([("cat", square(40, 40, 80, 80), 0.9, 0.9)], config), (50, 40, 70, 80))
    crowd = [("cat", square(40, 40, 80, 80), True)]
    assert areas_of(scene_of(tmp_path, crowd, found).codes_in_perfect_boxes).tolist() == [22 * 40]
    left, right = ("cat", square(45, 40, 70, 80), False), ("cat", square(50, 40, 75, 80), False)
    for objects, columns in (([left, right], (44, 71)), ([right, left], (49, 76))):
        code = scene_of(tmp_path, objects, found).codes_in_perfect_boxes[0]
        kept = np.flatnonzero(decode_mask(code, SIZE).any(axis=0))
        assert (kept[0], kept[-1] + 1) == columns


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_box_that_is_the_objects_changes_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = [("cat", disk(random, int(random.integers(5, 120))), 0.9, 0.9) for _ in range(4)]
    found = instances_of(rows, config_of("cat", "dog"))
    objects = [(name, mask, False) for name, mask, _, _ in rows]
    scene = scene_of(tmp_path_factory.mktemp("scene"), objects, found)
    assert scene.codes_in_perfect_boxes == scene.codes


@pytest.mark.parametrize("seed", [0, 1])
def test_boundary_ap_is_that_of_faster_coco_eval(tmp_path: Path, seed: int) -> None:
    objects, detections = random_scene(seed)
    config = config_of("dog", "cat", "bird")
    with ResultFiles(tmp_path) as results:
        annotations = write_annotations(tmp_path / "truth.json", objects)
        evaluator = CocoEvaluator(annotations, config, apart=True, results=results)
        for image_id, rows in detections.items():
            evaluator.update(image_id, instances_of(rows, config))
    figures = evaluator.compute()["boundary"]
    truth = COCO(str(annotations))
    comparison = COCOeval_faster(truth, truth.loadRes(str(tmp_path / "mask_results.json")), "boundary")
    comparison.run()
    np.testing.assert_allclose([figures[name] for name in FIGURES], comparison.stats[:12], atol=1e-6)
    assert 0.01 < figures["AP"] < evaluator.compute()["mask"]["AP"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_a_boundary_is_that_of_faster_coco_eval(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = tuple(random.integers(1, 150, 2).tolist())
    rows, columns = np.mgrid[: size[0], : size[1]]
    masks = []
    for _ in range(2):
        waves = np.sin(rows / random.uniform(2, 30)) + np.cos(columns / random.uniform(2, 30))
        masks.append((waves > random.uniform(-1.5, 1.5)).astype(np.uint8))
    codes: list[Any] = [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
    expected: list[Any] = [coco_mask.rleToBoundary(code, WIDTH, "opencv") for code in codes]
    found = [boundary_of(code) for code in codes]
    for boundary, code in zip(found, expected, strict=True):
        pixels = np.zeros(size, bool)
        (x, y), (height, width) = boundary.corner, boundary.pixels.shape
        pixels[y : y + height, x : x + width] = boundary.pixels
        assert (pixels == coco_mask.decode(code)).all()
    if all(mask.any() for mask in masks):
        assert found[0].iou(found[1]) == pytest.approx(np.asarray(coco_mask.iou(expected[:1], expected[1:], [0]))[0, 0])
    assert shared_pixels(*codes) == (masks[0] & masks[1]).sum()
