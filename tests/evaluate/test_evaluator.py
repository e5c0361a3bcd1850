"""COCO figures, held to pycocotools on the same results."""

import contextlib
import gc
import io
import json
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotated import CLASSES, IDS, SIZE, bounds, config_of, disk, instances_of, random_scene, square, write_annotations
from yolact.config import DetectConfig, ModelConfig
from yolact.data.source import DataConfig, Source
from yolact.evaluate import FIGURES, KINDS, CocoEvaluator, evaluate
from yolact.evaluate.result_files import ResultFiles
from yolact.predictor import Predictor


def arbiter(annotations: Path, results: Path, kind: str) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        comparison = COCOeval(truth, truth.loadRes(str(results)), "bbox" if kind == "box" else "segm")
        comparison.evaluate()
        comparison.accumulate()
        comparison.summarize()
    return comparison.stats


@pytest.mark.parametrize("seed", [0, 1])
def test_all_24_figures_are_those_of_pycocotools(tmp_path: Path, seed: int) -> None:
    objects, detections = random_scene(seed)
    config = config_of("dog", "cat", "bird")
    with ResultFiles(tmp_path) as results:
        evaluator = CocoEvaluator(write_annotations(tmp_path / "truth.json", objects), config, results=results)
        for image_id, rows in detections.items():
            evaluator.update(image_id, instances_of(rows, config))
    evaluation = evaluator.compute()
    for kind in KINDS:
        expected = arbiter(tmp_path / "truth.json", tmp_path / f"{kind}_results.json", kind)
        np.testing.assert_allclose([evaluation[kind][name] for name in FIGURES], expected, atol=1e-6)
        assert 0.05 < expected[0] < 0.95
        assert (expected > -1).all()
    assert evaluation.box != evaluation.mask
    assert evaluation.images == 8
    assert sum(evaluation.objects.values()) == 7 * 8 - 2


def test_ap_of_a_class_is_pycocotools_ap_of_that_class_alone(tmp_path: Path) -> None:
    objects, detections = random_scene()
    config = config_of(*CLASSES)
    annotations = write_annotations(tmp_path / "truth.json", objects)
    alone, together = CocoEvaluator(annotations, config, classes=("dog",)), CocoEvaluator(annotations, config)
    for evaluator in (alone, together):
        for image_id, rows in detections.items():
            evaluator.update(image_id, instances_of(rows, config))
    assert list(alone.compute().objects) == ["dog"]
    for kind in KINDS:
        assert alone.compute()[kind]["AP"] == pytest.approx(together.compute().to_dict()[f"{kind}_by_class"]["dog"])
    mean = np.mean(list(together.compute().mask_by_class.values()))
    assert together.compute().mask["AP"] == pytest.approx(mean)


def test_perfect_predictions_score_1(tmp_path: Path) -> None:
    objects, _ = random_scene()
    objects = {image_id: [row for row in rows if not row[2]] for image_id, rows in objects.items()}
    config = config_of(*CLASSES)
    evaluator = CocoEvaluator(write_annotations(tmp_path / "truth.json", objects), config)
    for image_id, rows in objects.items():
        evaluator.update(image_id, instances_of([(name, mask, 0.9, 0.8) for name, mask, _ in rows], config))
    evaluation = evaluator.compute()
    for kind in KINDS:
        figures = {name: value for name, value in evaluation[kind].items() if name not in ("AR1", "AR10")}
        assert figures == pytest.approx(dict.fromkeys(figures, 1.0))
    assert evaluation.mask_by_class == pytest.approx(dict.fromkeys(CLASSES, 1.0))


def test_no_detections_score_0_and_no_objects_minus_1(tmp_path: Path) -> None:
    objects, detections = random_scene()
    nothing = CocoEvaluator(write_annotations(tmp_path / "truth.json", objects), config_of(*CLASSES)).compute()
    assert set(nothing.box.values()) == set(nothing.mask.values()) == {0.0}
    config = config_of(*CLASSES)
    evaluator = CocoEvaluator(write_annotations(tmp_path / "empty.json", {1: []}), config)
    evaluator.update(1, instances_of(detections[1], config))
    assert set(evaluator.compute().box.values()) == {-1.0}
    assert "100" not in evaluator.compute().table().splitlines()[3]


def test_images_without_detections_count(tmp_path: Path) -> None:
    mask = disk(np.random.default_rng(0), 50)
    objects = {i: [("cat", mask, False)] for i in (1, 2, 3, 4)}
    config = config_of("cat")
    evaluator = CocoEvaluator(write_annotations(tmp_path / "truth.json", objects), config)
    evaluator.update(1, instances_of([("cat", mask, 0.9, 0.9)], config))
    evaluator.update(2, instances_of([], config))
    assert evaluator.compute().mask["AR100"] == pytest.approx(0.25)
    subset = CocoEvaluator(tmp_path / "truth.json", config, image_ids={1, 2})
    subset.update(1, instances_of([("cat", mask, 0.9, 0.9)], config))
    assert subset.compute().mask["AR100"] == pytest.approx(0.5)
    assert subset.compute().images == 2


def test_images_may_be_shared_out_among_evaluators(tmp_path: Path) -> None:
    """In any order, some given to two of them, one by nobody; also where the file does not say how large images are."""
    objects, detections = random_scene(0)
    config, annotations = config_of(*CLASSES), write_annotations(tmp_path / "truth.json", objects)
    content = json.loads(annotations.read_text())
    for image in content["images"][:3]:
        del image["height"], image["width"]
    annotations.write_text(json.dumps(content))
    whole = CocoEvaluator(annotations, config)
    parts = [CocoEvaluator(annotations, config) for _ in range(3)]
    for image_id, rows in list(detections.items())[1:]:
        for evaluator in (whole, parts[image_id % 3], parts[image_id % 2]):
            evaluator.update(image_id, instances_of(rows, config))
    joined = parts.pop()
    for part in parts:
        joined.join(part.taken())
    assert joined.compute() == whole.compute()
    assert whole.compute().mask["AP"] > 0.05


def test_boxes_rank_by_scores_and_masks_by_mask_scores(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    right, wrong = disk(random, 40), np.roll(disk(random, 40), 90, axis=1)
    config = config_of("cat")
    evaluator = CocoEvaluator(write_annotations(tmp_path / "truth.json", {1: [("cat", right, False)]}), config)
    evaluator.update(1, instances_of([("cat", right, 0.9, 0.2), ("cat", wrong, 0.3, 0.25)], config))
    evaluation = evaluator.compute()
    assert evaluation.box["AP"] == pytest.approx(1)
    assert evaluation.mask["AP"] == pytest.approx(0.5)


def test_classes_meet_by_name_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    mask, other = disk(random, 40), disk(random, 41)
    objects = {1: [("cat", mask, False), ("bird", other, False)]}
    config = config_of("horse", "cat", "dog")
    rows = [("horse", other, 0.99, 0.99), ("cat", mask, 0.9, 0.9), ("dog", other, 0.8, 0.8)]
    annotations = write_annotations(tmp_path / "truth.json", objects)
    with ResultFiles(tmp_path) as results:
        evaluator = CocoEvaluator(annotations, config, results=results)
        evaluator.update(1, instances_of(rows, config))
    evaluation = evaluator.compute()
    assert evaluation.mask["AP"] == pytest.approx(1)  # of cats; dogs have no objects, birds no detector
    assert evaluation.mask_by_class == {"cat": pytest.approx(1), "dog": -1.0}
    records = json.loads((tmp_path / "mask_results.json").read_text())
    assert {record["category_id"] for record in records} == {IDS["cat"], IDS["dog"]}
    assert any("horse" in note and "dropped" in note for note in evaluation.notes)
    assert any("bird" in note and "not measured" in note for note in evaluation.notes)
    assert all(note in evaluation.table() for note in evaluation.notes)
    with pytest.raises(ValueError, match=r"cat, dog, bird.*horse, cow"):
        CocoEvaluator(tmp_path / "truth.json", config_of("horse", "cow"))


def test_result_files_are_cocos(tmp_path: Path) -> None:
    objects, detections = random_scene()
    config = config_of(*CLASSES)
    with ResultFiles(tmp_path / "out") as results:
        evaluator = CocoEvaluator(write_annotations(tmp_path / "truth.json", objects), config, results=results)
        evaluator.update(1, instances_of(detections[1], config))
    boxes, masks = (json.loads((tmp_path / "out" / f"{kind}_results.json").read_text()) for kind in KINDS)
    assert {tuple(record) for record in boxes} == {("image_id", "category_id", "bbox", "score")}
    assert {tuple(record) for record in masks} == {("image_id", "category_id", "segmentation", "score")}
    assert [record["category_id"] for record in boxes] == [IDS[row[0]] for row in detections[1]]
    name, mask, score, mask_score = detections[1][0]
    x1, y1, x2, y2 = bounds(mask)
    assert boxes[0] == {
        "image_id": 1,
        "category_id": IDS[name],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "score": pytest.approx(score),
    }
    assert masks[0]["score"] == pytest.approx(mask_score)
    np.testing.assert_array_equal(coco_mask.decode(masks[0]["segmentation"]).astype(bool), mask)


def test_flawed_annotations_are_survived(tmp_path: Path) -> None:
    objects, detections = random_scene()
    content = json.loads(write_annotations(tmp_path / "truth.json", objects).read_text())
    flawed = [
        {"segmentation": []},
        {"segmentation": [[1, 2, 3, 4]]},
        {"segmentation": {"size": [3, 3], "counts": "1"}},
        {"bbox": None},
        {"category_id": 99},
        {"image_id": 99},
    ]
    for number, flaw in enumerate(flawed):
        content["annotations"][number] |= flaw
    for key in ("area", "iscrowd", "id"):
        content["annotations"][20].pop(key)
    (tmp_path / "flawed.json").write_text(json.dumps(content))
    config = config_of(*CLASSES)
    evaluator = CocoEvaluator(tmp_path / "flawed.json", config)
    evaluator.update(1, instances_of(detections[1], config))
    evaluation = evaluator.compute()
    assert evaluation.mask["AP"] > 0
    assert any("3 annotations" in note and "mask" in note for note in evaluation.notes)
    assert any("1 annotations" in note and "box" in note for note in evaluation.notes)


def test_an_object_without_an_outline_is_found_by_its_box(tmp_path: Path) -> None:
    """And an object without a box by its outline's; either counts in one of the two figures only."""
    cat, dog = square(20, 20, 60, 60), square(100, 20, 140, 60)
    path = write_annotations(tmp_path / "truth.json", {1: [("cat", cat, False), ("dog", dog, False)]})
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = []
    content["annotations"][1]["bbox"] = None
    path.write_text(json.dumps(content))
    config = config_of("cat", "dog")
    evaluator = CocoEvaluator(path, config, apart=True, pictures=True)
    found = instances_of([("cat", cat, 0.9, 0.9), ("dog", dog, 0.9, 0.9)], config)
    evaluator.update(1, replace(found, image=np.zeros((*SIZE, 3), np.uint8)))
    evaluation = evaluator.compute()
    assert evaluation.box_by_class == pytest.approx({"cat": 1, "dog": -1})
    assert evaluation.mask_by_class == pytest.approx({"cat": -1, "dog": 1})
    assert evaluation.confusion is not None
    assert evaluation.confusion.counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert evaluation.leakage is not None
    assert evaluation.leakage.pairs == 1
    assert not any(evaluator.errors[kind] for kind in ("missed", "wrong", "mask", "confused"))


def test_ids_may_be_written_with_a_point_and_others_are_left_out_in_words(tmp_path: Path) -> None:
    mask = square(20, 20, 60, 60)
    path = write_annotations(tmp_path / "truth.json", {i: [("cat", mask, False)] for i in (1, 2, 3)})
    content = json.loads(path.read_text())
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = 1.0
    content["annotations"][0]["category_id"] = float(content["annotations"][0]["category_id"])
    content["images"][1]["id"] = content["annotations"][1]["image_id"] = "2"
    path.write_text(json.dumps(content))
    evaluator = CocoEvaluator(path, config_of("cat"))
    for image_id in (1, 3):
        evaluator.update(image_id, instances_of([("cat", mask, 0.9, 0.9)], config_of("cat")))
    evaluation = evaluator.compute()
    assert (evaluation.images, evaluation.objects, evaluation.mask["AP"]) == (2, {"cat": 2}, pytest.approx(1))
    assert "1 images of truth.json are left out: id is no whole number" in evaluation.notes
    assert "1 annotations of truth.json are left out: image_id or category_id is no whole number" in evaluation.notes
    for image in content["images"]:
        image["id"] = str(image["id"])
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="no image whose id is a whole number"):
        CocoEvaluator(path, config_of("cat"))


def test_an_annotation_with_id_0_can_be_found(tmp_path: Path) -> None:
    mask = disk(np.random.default_rng(0), 40)
    content = json.loads(write_annotations(tmp_path / "truth.json", {1: [("cat", mask, False)]}).read_text())
    content["annotations"][0]["id"] = 0
    (tmp_path / "truth.json").write_text(json.dumps(content))
    evaluator = CocoEvaluator(tmp_path / "truth.json", config_of("cat"))
    evaluator.update(1, instances_of([("cat", mask, 0.9, 0.9)], config_of("cat")))
    assert evaluator.compute().box["AP"] == pytest.approx(1)


def test_of_an_image_given_twice_the_first_detections_count(tmp_path: Path) -> None:
    mask = disk(np.random.default_rng(0), 40)
    config, annotations = config_of("cat"), write_annotations(tmp_path / "truth.json", {1: [("cat", mask, False)]})
    with ResultFiles(tmp_path) as results:
        evaluator = CocoEvaluator(annotations, config, apart=True, results=results)
        for rows in ([("cat", mask, 0.9, 0.9)], []):
            evaluator.update(1, instances_of(rows, config))
    assert evaluator.compute().mask["AP"] == pytest.approx(1)
    assert evaluator.compute().leakage is not None
    assert len(json.loads((tmp_path / "box_results.json").read_text())) == 1


def test_what_is_kept_of_an_image_is_far_less_than_its_masks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    stripes = np.arange(SIZE[0])[:, None] % 4 < 2  # so that codes are long
    masks = [disk(random, int(random.integers(40, 120))) & stripes for _ in range(30)]
    rows = [("cat", mask, float(score), float(score)) for mask, score in zip(masks, random.random(30), strict=True)]
    config, objects = config_of("cat"), [(name, mask, False) for name, mask, _, _ in rows[:5]]
    annotations = write_annotations(tmp_path / "truth.json", dict.fromkeys(range(60), objects))
    found = replace(instances_of(rows, config), image=np.zeros((*SIZE, 3), np.uint8))
    codes = sum(map(sys.getsizeof, (code["counts"] for code in found.rles())))
    with ResultFiles(tmp_path) as results:
        evaluator = CocoEvaluator(annotations, config, apart=True, pictures=True, results=results)
        held = []
        tracemalloc.start()
        for i in range(24):
            evaluator.update(i, found)
            if i in (13, 23):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    an_image = (held[1] - held[0]) / (23 - 13)
    assert 4 * 30 * 19 < an_image < codes / 4


def test_a_wrong_image_is_refused(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "truth.json", {1: []})
    evaluator = CocoEvaluator(annotations, config_of("cat"))
    with pytest.raises(ValueError, match="image_id 2"):
        evaluator.update(2, instances_of([], config_of("cat")))
    with pytest.raises(ValueError, match=r"\(240, 180\).*EXIF"):
        evaluator.update(1, instances_of([], config_of("cat"), size=(240, 180)))
    with pytest.raises(ValueError, match="lists no such image"):
        CocoEvaluator(annotations, config_of("cat"), image_ids=[1, 7])


class Oracle(Predictor):
    """A predictor that sees the answer in the picture: objects are white."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self.runtime: Any = SimpleNamespace(detect=DetectConfig())
        self.asked: list[dict[str, Any]] = []

    @property
    def config(self) -> ModelConfig:
        return self._config

    def predict(self, source: Any, *_: Any, **options: Any) -> Any:
        self.asked.append(options)
        masks = (pixels[..., 0] > 128 for pixels in source)
        found = (instances_of([("cat", mask, 0.9, 0.9)] if mask.any() else [], self.config) for mask in masks)
        return (replace(each, image=np.zeros((*SIZE, 3), np.uint8)) for each in found)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Four pictures with a cat each; one of them is broken, one is missing."""
    random = np.random.default_rng(0)
    masks = {i: disk(random, 60) for i in (1, 2, 3, 4)}
    (tmp_path / "images").mkdir()
    for image_id, mask in masks.items():
        Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)).save(tmp_path / f"images/{image_id}.png")
    (tmp_path / "images/3.png").write_bytes(b"not a picture")
    (tmp_path / "images/4.png").unlink()
    objects = {i: [("cat", mask, False)] for i, mask in masks.items()}
    return Source(tmp_path / "images", write_annotations(tmp_path / "truth.json", objects))


def test_evaluate_runs_a_predictor_over_the_annotated_images(source: Source, tmp_path: Path) -> None:
    oracle = Oracle(config_of("cat", "dog"))
    evaluation = evaluate(oracle, source, out=tmp_path / "out", progress=False)
    assert oracle.asked == [{"score_threshold": 0.0, "top_k": 100, "nms": "fast", "crop": None, "batch_size": 1}]
    assert evaluation.unreadable == ("3.png", "4.png")
    assert any("3.png, 4.png" in note for note in evaluation.notes)
    assert evaluation.mask["AR100"] == pytest.approx(0.5)  # what cannot be read is missed
    saved = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert saved["mask"] == evaluation.mask
    assert saved["perfect_boxes"] == saved["boundary"] == saved["mask"]
    assert saved["leakage"]["masks"] == pytest.approx({"own": 1, "others": 0, "background": 0})
    assert len(json.loads((tmp_path / "out/mask_results.json").read_text())) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("box_results.json", "mask_results.json", "evaluation.json", "errors.html"),
        *("precision_recall.png", "precision_recall.csv", "confusion.png", "confusion.csv"),
    }


def test_a_threshold_out_of_range_is_refused_before_anything_is_done(source: Source, tmp_path: Path) -> None:
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            evaluate(Oracle(config_of("cat")), source, score_threshold=threshold, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_table_shows_masks_apart_from_boxes(source: Source) -> None:
    table = evaluate(Oracle(config_of("cat", "dog")), source, progress=False).table()
    lines = [line.split() for line in table.splitlines()]
    start = lines.index(["masks", "apart", "from", "boxes"])
    assert lines[start + 2] == ["AP", "50.5", "50.5", "50.5"]
    assert ["as", "they", "are", "100.0", "0.0", "0.0"] in lines
    assert ["cat", "2", "0", "2"] not in lines  # images that cannot be read are not looked at closely


def test_an_image_beyond_all_measure_is_one_that_cannot_be_read(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE[0] * SIZE[1] // 3)
    assert evaluate(Oracle(config_of("cat")), source, progress=False).unreadable == ("1.png", "2.png", "3.png", "4.png")


def test_a_graph_that_gives_few_detections_is_said_to(source: Source) -> None:
    oracle = Oracle(config_of("cat"))
    oracle.runtime = SimpleNamespace(detect=DetectConfig(top_k=30))
    notes = evaluate(oracle, source, image_ids=[1], progress=False).notes
    assert notes[-1] == "the graph gives at most 30 detections of an image, COCO counts 100"


def test_splits_and_classes_come_from_the_data_config(source: Source) -> None:
    oracle = Oracle(config_of("cat", "dog"))
    data = DataConfig(train=(source, source), val=source, classes=("cat",))
    evaluation = evaluate(oracle, data, image_ids={1}, progress=False)
    assert evaluation.objects == {"cat": 1}
    assert evaluation.notes == ()
    with pytest.raises(ValueError, match="2 sources"):
        evaluate(oracle, data, split="train", progress=False)
    with pytest.raises(ValueError, match="0 sources for 'val'; add it"):
        evaluate(oracle, DataConfig(train=(source,)), progress=False)


def test_the_table_shows_percent_for_boxes_and_masks(source: Source) -> None:
    table = evaluate(Oracle(config_of("cat", "dog")), source, image_ids=[1, 2], progress=False).table()
    lines = {line.split()[0]: line.split() for line in reversed(table.splitlines()) if line}
    assert lines["AP50"][1:3] == ["100.0", "100.0"]
    assert lines["APs"][1:3] == ["-", "-"]
    assert lines["cat"][1:] == ["100.0", "100.0", "2"]
