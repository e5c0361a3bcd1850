"""The result type: indexing, masks, and every format it turns into."""

import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO
from faster_coco_eval.core import mask as coco_mask
from PIL import Image
from torch.nn import functional

from mask_parts import parts_of
from yolact.detect.mask_implementation import mask_implementation
from yolact.instances import Instances
from yolact.presets import yolact_mobilenetv4

SIZE = (60, 90)
CELLS = 24


def soft_disc(x: float, y: float, radius: float, hole: float = 0.0) -> np.ndarray:
    """A disc on the grid, all in cells, with soft edges and perhaps a hole."""
    rows, columns = np.mgrid[:CELLS, :CELLS] + 0.5
    distance = np.hypot(columns - x, rows - y)
    return ((radius - distance + 0.5).clip(0, 1) * (distance - hole + 0.5).clip(0, 1)).astype(np.float32)


def make(soft_masks: list[np.ndarray], image_size=SIZE, image=None) -> Instances:
    n = len(soft_masks)
    boxes = np.array([[i, 2 * i, i + 30, i + 40] for i in range(n)], dtype=np.float32).reshape(n, 4)
    scores = np.linspace(0.9, 0.3, n).astype(np.float32)
    return Instances(
        boxes=boxes,
        scores=scores,
        mask_scores=scores / 2,
        labels=np.arange(n, dtype=np.int64) % 2,
        **parts_of(np.array(soft_masks, dtype=np.float32).reshape(n, CELLS, CELLS)),
        image_size=image_size,
        class_names=("cat", "dog"),
        category_ids=(17, 18),
        image=image,
    )


@pytest.fixture
def three() -> Instances:
    return make([soft_disc(8, 8, 5), soft_disc(14, 12, 8, hole=3), soft_disc(2, 20, 6)])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_masks_are_those_of_upsampling_everything(three: Instances):
    enlarged = functional.interpolate(torch.tensor(three.soft_masks)[None], SIZE, mode="bilinear", align_corners=False)
    assert three.masks.dtype == bool
    assert three.masks.shape == (3, *SIZE)
    differ = three.masks != (enlarged[0] > 0.5).numpy()
    assert differ.mean() < 1e-3
    assert three.areas.tolist() == three.masks.sum(axis=(1, 2)).tolist()


def test_one_half_is_outside():
    flat = make([np.full((CELLS, CELLS), 0.5, dtype=np.float32)])
    assert not flat.masks.any()
    assert flat.polygons() == [[]]
    assert flat.areas.tolist() == [0]


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (1, [1]),
        (-1, [2]),
        (np.int64(2), [2]),
        (np.array(2), [2]),
        (slice(None, 2), [0, 1]),
        (slice(None, None, -1), [2, 1, 0]),
        ([2, 0], [2, 0]),
        (np.array([True, False, True]), [0, 2]),
        ([False, True, False], [1]),
        ([], []),
        (np.array([], dtype=np.int64), []),
    ],
)
def test_indexing_is_an_arrays(three: Instances, index, rows):
    part = three[index]
    assert len(part) == len(rows)
    for field in ("boxes", "scores", "mask_scores", "labels", "coefficients", "windows", "soft_masks"):
        assert (getattr(part, field) == getattr(three, field)[rows]).all()
    assert part.image_size == SIZE


def test_iterating_and_filtering(three: Instances):
    assert [len(one) for one in three] == [1, 1, 1]
    assert [float(one.scores[0]) for one in three] == three.scores.tolist()
    assert three[three.scores > 0.5].names == ["cat", "dog"]
    with pytest.raises(IndexError, match="3"):
        three[3]


def test_repr_says_what_was_found(three: Instances):
    assert repr(three) == "Instances(3 in 90x60: cat 0.90, dog 0.60, cat 0.30)"
    assert repr(make([])) == "Instances(0 in 90x60: nothing)"


def test_rle_is_the_mask(three: Instances):
    for code, mask in zip(three.rles(), three.masks, strict=True):
        assert code["size"] == [60, 90]
        assert isinstance(code["counts"], str)
        assert (coco_mask.decode(code).astype(bool) == mask).all()


def test_polygons_are_the_mask_with_its_hole(three: Instances):
    for parts, mask in zip(three.polygons(), three.masks, strict=True):
        assert len(parts) == 1
        assert parts[0].shape[1] == 2
        filled = coco_mask.decode(coco_mask.frPyObjects([part.ravel().tolist() for part in parts], *SIZE))
        assert iou(np.asarray(filled.any(axis=2)), mask) > 0.95


def test_coco_masks_have_no_box(three: Instances):
    records = three.to_coco(image_id=7)
    assert [set(record) for record in records] == [{"image_id", "category_id", "segmentation", "score"}] * 3
    assert [record["category_id"] for record in records] == [17, 18, 17]
    assert records[0]["image_id"] == 7
    assert records[0]["score"] == pytest.approx(0.45)


def test_coco_boxes(three: Instances):
    records = three.to_coco(image_id=7, kind="box")
    assert [set(record) for record in records] == [{"image_id", "category_id", "bbox", "score"}] * 3
    assert records[1]["bbox"] == [1, 2, 30, 39]
    assert records[1]["score"] == pytest.approx(0.6)


def test_coco_loads_what_it_is_given(three: Instances):
    truth = COCO(
        {
            "images": [{"id": 7, "height": 60, "width": 90}],
            "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
            "annotations": [],
        }
    )
    loaded = truth.loadRes(three.to_coco(7))
    assert [annotation["area"] for annotation in loaded.loadAnns(loaded.getAnnIds())] == three.areas.tolist()


def test_to_supervision(three: Instances):
    detections = three.to_supervision()
    assert np.array_equal(np.asarray(detections.mask), three.masks)
    assert (detections.xyxy == three.boxes).all()
    assert detections.class_id is not None
    assert detections.class_id.tolist() == [0, 1, 0]
    assert list(detections.data["class_name"]) == ["cat", "dog", "cat"]
    assert len(make([]).to_supervision()) == 0


def test_plot_finds_its_photograph(three: Instances, tmp_path: Path):
    pixels = np.full((*SIZE, 3), 200, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "gray.png")
    drawn = np.asarray(three.plot(pixels))
    assert (drawn != pixels).any()
    masks = list(three.soft_masks)
    assert (np.asarray(make(masks, image=pixels).plot()) == drawn).all()
    assert (np.asarray(make(masks, image=tmp_path / "gray.png").plot()) == drawn).all()
    with pytest.raises(ValueError, match="image="):
        three.plot()
    with pytest.raises(ValueError, match=r"\(90, 60\)"):
        three.plot(np.zeros((90, 60, 3), dtype=np.uint8))


def test_plot_draws_on_pictures_of_any_kind(three: Instances, tmp_path: Path):
    pixels = np.full((*SIZE, 3), 200, dtype=np.uint8)
    drawn = np.asarray(three.plot(pixels))
    Image.fromarray(pixels).save(tmp_path / "gray.png")
    rgba = np.dstack([pixels, np.full(SIZE, 255, dtype=np.uint8)])
    for image in (Image.fromarray(pixels), pixels[..., 0], rgba, tmp_path / "gray.png", str(tmp_path / "gray.png")):
        assert (np.asarray(three.plot(image)) == drawn).all()
    with pytest.raises(ValueError, match="float64"):
        three.plot(pixels / 255)


def test_cutouts_show_the_photograph_inside_the_mask(three: Instances):
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    cutouts = three.cutouts(pixels)
    assert [cutout.mode for cutout in cutouts] == ["RGBA"] * 3
    alpha = np.asarray(cutouts[1])[..., 3]
    assert alpha[alpha.shape[0] // 2, alpha.shape[1] // 2] == 0  # the hole
    assert alpha.max() == 255
    assert alpha.sum() / 255 == pytest.approx(three.areas[1], rel=0.05)


def outputs_of(scores: list[list[float]], count: list[int]) -> dict[str, np.ndarray]:
    """What a runtime yields for a batch: 4 prototypes, and windows that begin at the number of the row."""
    random = np.random.default_rng(0)
    batch, n = np.array(scores).shape
    corner = np.arange(n, dtype=np.int32)[None, :, None].repeat(batch, axis=0)
    return {
        "boxes": random.random((batch, n, 4), np.float32),
        "scores": np.array(scores, np.float32),
        "mask_scores": np.array(scores, np.float32) / 2,
        "labels": np.zeros((batch, n), np.int64),
        "count": np.array(count, np.int64),
        "coefficients": random.standard_normal((batch, n, 4), np.float32),
        "windows": np.concatenate([corner, corner, corner + 4, corner + 5], axis=2),
        "prototypes": random.standard_normal((batch, 4, CELLS, CELLS), np.float32),
    }


def test_a_photograph_is_taken_out_of_a_batch():
    config = yolact_mobilenetv4(class_names=("cat",), category_ids=())
    outputs = outputs_of([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]], count=[3, 2])
    found = Instances.from_outputs(outputs, 1, SIZE, config, image=Path("photo.jpg"), crop="box")
    assert len(found) == 2
    for field in ("boxes", "scores", "mask_scores", "labels", "coefficients", "windows"):
        assert (getattr(found, field) == outputs[field][1, :2]).all()
    assert (found.prototypes == outputs["prototypes"][1]).all()
    assert (found.class_names, found.image, found.image_size) == (("cat",), Path("photo.jpg"), SIZE)


def test_padding_is_dropped_and_the_threshold_is_strict():
    config = yolact_mobilenetv4(class_names=("cat",), category_ids=())
    outputs = outputs_of([[0.8, 0.5, 0.0]], count=[2])
    assert len(Instances.from_outputs(outputs, 0, SIZE, config)) == 2
    assert len(Instances.from_outputs(outputs, 0, SIZE, config, score_threshold=0.5)) == 1
    assert len(Instances.from_outputs(outputs, 0, SIZE, config, score_threshold=0.99)) == 0


@pytest.mark.parametrize("batch", [1, 2])
def test_a_result_does_not_keep_its_batch_alive(batch: int):
    config = yolact_mobilenetv4(class_names=("cat",), category_ids=())
    outputs = outputs_of([[0.9, 0.8]] * batch, count=[2] * batch)
    found = Instances.from_outputs(outputs, 0, SIZE, config)
    assert np.shares_memory(found.prototypes, outputs["prototypes"]) == (batch == 1)
    for field in ("boxes", "scores", "mask_scores", "labels", "coefficients", "windows"):
        assert not np.shares_memory(getattr(found, field), outputs[field])


def test_without_numba_masks_are_the_same(three: Instances, monkeypatch: pytest.MonkeyPatch, caplog):
    compiled, codes, areas = three.masks, three.rles(), three.areas
    mask_implementation.cache_clear()
    monkeypatch.setitem(sys.modules, "yolact.detect.masks_cpu", None)
    monkeypatch.delattr("yolact.detect.masks_cpu", raising=False)
    with caplog.at_level("DEBUG", "yolact"):
        assert (three.masks == compiled).all()
        assert three.rles() == codes
        assert (three.areas == areas).all()
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    mask_implementation.cache_clear()


def test_recropping_changes_windows_only(three: Instances):
    everywhere = np.tile(np.array([0, 0, SIZE[1], SIZE[0]], np.float32), (3, 1))
    whole = three.recropped(everywhere)
    assert whole.windows.tolist() == [[0, 0, CELLS, CELLS]] * 3
    assert whole.recropped(everywhere * 2 - 50).windows.tolist() == [[0, 0, CELLS, CELLS]] * 3
    for field in ("boxes", "scores", "mask_scores", "labels", "coefficients", "prototypes"):
        assert getattr(whole, field) is getattr(three, field)
    # Of 24 x 24 cells on 90 x 60 pixels, the box has columns 8 to 12 and rows 4 to 10, and one more on each side.
    cut = three.recropped(np.array([[30, 10, 45, 25]] * 2 + [[200, 200, 300, 300]], np.float32))
    assert cut.windows.tolist() == [[7, 3, 13, 11]] * 2 + [[0, 0, 0, 0]]
    pixels = cut.masks
    assert (pixels <= whole.masks).all()
    assert pixels[1, :, :24].sum() == pixels[1, :, 51:].sum() == pixels[2].sum() == 0
    assert pixels[1].any()


def test_recropping_by_their_own_boxes_changes_nothing(three: Instances):
    boxes = three.boxes.copy()
    boxes[1] += 1
    again = three.recropped(boxes)
    assert again.windows[[0, 2]].tolist() == three.windows[[0, 2]].tolist()
    assert again.windows[1].tolist() != three.windows[1].tolist()
    assert three[:0].recropped(boxes[:0]).windows.shape == (0, 4)
    with pytest.raises(ValueError, match=r"\(2, 4\).*3 instances"):
        three.recropped(boxes[:2])


def two_people() -> Instances:
    """One in a box that is too tight, and the other, who has the same mixture, beside it."""
    logits = np.full((1, CELLS, CELLS), -4, np.float32)
    logits[0, 4:20, 4:12] = 4
    logits[0, 4:20, 14:20] = 4
    return Instances(
        boxes=np.array([[18, 10, 50, 50]], np.float32),  # cells 4.8 to 13.3, and one more
        scores=np.array([0.9], np.float32),
        mask_scores=np.array([0.9], np.float32),
        labels=np.zeros(1, np.int64),
        coefficients=np.ones((1, 1), np.float32),
        windows=np.array([[4, 3, 15, 21]], np.int32),
        prototypes=logits,
        image_size=SIZE,
        class_names=("person",),
        category_ids=(1,),
    )


def test_every_reading_of_a_mask_follows_its_crop():
    boxed = two_people()
    alone = boxed.recropped(crop="component")
    assert alone.crop == "component"
    assert boxed.areas[0] - alone.areas[0] > 30  # the neighbor's edge
    full = alone.masks[0]
    assert not full[:, 48:].any()
    assert full[:, 15:44].any()
    decoded: Any = coco_mask.decode(cast(Any, alone.rle(0)))
    assert (decoded == full).all()
    assert alone.rles() == [alone.rle(0)]
    assert alone.areas.tolist() == [full.sum()]
    part, (x1, y1, x2, y2) = alone.region_mask(0)
    assert (part == full[y1:y2, x1:x2]).all()
    assert (alone.soft_masks[0, :, 13:] == 0).all()
    assert len(alone.polygons()[0]) == 1
    assert len(boxed.polygons()[0]) == 2
    wide = boxed.recropped(crop="expand")
    assert wide.windows[0].tolist() == [3, 2, 16, 23]
    assert wide.areas[0] > boxed.areas[0]
    assert wide.recropped(crop="box").windows.tolist() == boxed.windows.tolist()
    soft = boxed.recropped(crop="soft")
    assert soft.windows.tolist() == wide.windows.tolist()
    assert alone.areas[0] < soft.areas[0] < wide.areas[0]
    whole = np.array([[0, 0, SIZE[1], SIZE[0]]], np.float32)
    assert alone.recropped(whole, "box").areas[0] > wide.areas[0]  # nothing cut away at all


def test_the_default_crop_is_the_papers_where_parity_asks_for_it():
    config = yolact_mobilenetv4(class_names=("cat",), category_ids=())
    outputs = outputs_of([[0.9, 0.8]], count=[2])
    assert Instances.from_outputs(outputs, 0, SIZE, config).crop == "component"
    assert Instances.from_outputs(outputs, 0, SIZE, replace(config, parity=True)).crop == "box"
    assert Instances.from_outputs(outputs, 0, SIZE, replace(config, parity=True), crop="soft").crop == "soft"


def test_twelve_megapixels_stay_small():
    pixels = np.full((3000, 4000, 3), 90, dtype=np.uint8)
    rng = np.random.default_rng(0)
    discs = [soft_disc(*rng.uniform(2, 22, 2), radius=rng.uniform(1, 3)) for _ in range(99)]
    many = make([soft_disc(12, 12, 11), *discs], image_size=(3000, 4000), image=pixels)
    many[0].rles()  # compiled, perhaps
    tracemalloc.start()
    many.rles()
    assert many.areas.min() > 0
    many.polygons()
    many.plot()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6  # all masks would take 1.2 GB
