"""The measures of `benchmarks/studies.py`, on what is known beforehand; no training."""

import copy
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from locations import ROOT
from yolact.config import DetectConfig
from yolact.instances import Instances
from yolact.model import build_model
from yolact.presets import yolact_mobilenetv4


@pytest.fixture(autouse=True, scope="module")
def folder() -> Iterator[Path]:
    """The folder of the scripts, from which their modules can be imported."""
    folder = ROOT / "benchmarks"
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("studied", "studies")]:
        del sys.modules[name]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"studied.{name}")


def instances(prototypes: np.ndarray, coefficients: np.ndarray, boxes: np.ndarray) -> Instances:
    count, (height, width) = len(boxes), prototypes.shape[1:]
    found = Instances(
        boxes=boxes.astype(np.float32),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        mask_scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        labels=np.zeros(count, np.int64),
        coefficients=coefficients.astype(np.float32),
        windows=np.zeros((count, 4), np.int32),
        prototypes=prototypes.astype(np.float32),
        image_size=(4 * height, 4 * width),
        class_names=("person",),
        category_ids=(1,),
    )
    return found.recropped(boxes + 1e-3)


# what prototypes span


@given(st.integers(1, 12), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_effective_rank_counts_equal_directions(rank: int, seed: int) -> None:
    redundancy = module("redundancy")
    values = np.concatenate([np.full(rank, 1 + seed), np.zeros(3)])
    assert redundancy.effective_rank(values) == pytest.approx(rank)
    assert redundancy.rank_of_energy(values) == rank
    uneven = np.random.default_rng(seed).uniform(0.01, 1, rank)
    assert 1 - 1e-9 <= redundancy.effective_rank(uneven) <= rank + 1e-9


def test_rank_of_energy_leaves_the_smallest_out() -> None:
    redundancy = module("redundancy")
    assert redundancy.rank_of_energy(np.array([3.0, 4.0])) == 2  # 16 and 9 of 25
    assert redundancy.rank_of_energy(np.array([10.0, 1.0])) == 1  # 100 of 101
    assert redundancy.rank_of_energy(np.zeros(4)) == 0
    assert redundancy.effective_rank(np.zeros(4)) == 0


def test_copies_add_no_rank() -> None:
    redundancy = module("redundancy")
    prototypes = np.random.default_rng(0).random((4, 6, 6))
    twins = np.concatenate([prototypes, prototypes, np.zeros((1, 6, 6))])
    boxes, coefficients = np.array([[0.0, 0, 24, 24]]), np.ones((1, 9))
    figures = redundancy.measure({1: instances(twins, coefficients, boxes)})
    assert figures["rank_99"] == 4
    assert figures["nearest_twin"] == pytest.approx(1)
    assert figures["dead"] == pytest.approx(1 / 9)
    assert figures["singular_values"][4] == pytest.approx(0, abs=1e-6)
    assert len(figures["correlation_matrix"]) == 8


def test_correlation_is_pearsons() -> None:
    redundancy = module("redundancy")
    rows = np.random.default_rng(0).random((3, 50))
    assert redundancy.correlations(rows) == pytest.approx(np.corrcoef(rows))
    assert redundancy.mean_correlation(np.array([[1.0, -0.5], [-0.5, 1.0]])) == pytest.approx(0.5)
    assert redundancy.mean_correlation(np.ones((1, 1))) == 0


def test_as_many_directions_as_prototypes_lose_nothing() -> None:
    redundancy = module("redundancy")
    random = np.random.default_rng(0)
    found = {
        i: instances(random.random((5, 8, 8)), random.normal(size=(2, 5)), np.array([[0.0, 0, 9, 9]] * 2))
        for i in (1, 2)
    }
    basis, means = redundancy.directions(found)
    assert basis.T @ basis == pytest.approx(np.eye(5), abs=1e-9)
    assert redundancy.of_rank(found[1], basis, means).prototypes == pytest.approx(found[1].prototypes, abs=1e-6)
    flattened = redundancy.of_rank(found[1], basis[:, :1], means).prototypes.reshape(5, -1)
    assert np.linalg.matrix_rank(flattened - means[:, None], tol=1e-5) == 1


# average precision


def annotated(boxes: list[list[float]]) -> dict[str, Any]:
    objects = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0,
         "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}
        for i, (x, y, w, h) in enumerate(boxes, start=1)
    ]  # fmt: skip
    return {
        "images": [{"id": 1, "width": 200, "height": 200, "file_name": "a.png"}],
        "annotations": objects,
        "categories": [{"id": 1, "name": "person"}],
    }


def test_ap_falls_where_the_overlap_ends() -> None:
    precision = module("precision")
    truth = annotated([[20, 20, 100, 100]])
    found = [{"image_id": 1, "category_id": 1, "bbox": [20, 20, 100, 78], "score": 0.9}]  # IoU 0.78
    figures = precision.average_precision(truth, found, "box")
    assert figures["by_iou"] == pytest.approx([1.0] * 6 + [0.0] * 4, abs=0.01)
    assert figures["AP"] == pytest.approx(0.6, abs=0.01)
    assert figures["APs"] == -1
    assert precision.average_precision(truth, [], "box")["AP"] == 0


def test_perfect_boxes_are_those_that_overlap() -> None:
    precision = module("precision")
    truth = annotated([[8, 8, 40, 40]])
    boxes = np.array([[10.0, 10, 40, 40], [60, 60, 90, 90]])
    found = instances(np.ones((1, 25, 25)), np.full((2, 1), 9.0), boxes)
    perfect = precision.in_perfect_boxes(found, precision.true_boxes(truth, 1))
    assert perfect.windows[0].tolist() != found.windows[0].tolist()
    assert perfect.windows[1].tolist() == found.windows[1].tolist()
    assert precision.uncropped(found).windows.tolist() == [[0, 0, 25, 25]] * 2


# padding


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return build_model(yolact_mobilenetv4(class_names=("person",), image_size=(128, 128), width=16)).eval()


@pytest.mark.parametrize("kind", ["replicate", "reflect"])
def test_without_zeros_a_solid_image_stays_solid(network: Any, kind: Any) -> None:
    padding, translation = module("padding"), module("translation")
    image = translation.solid((200, 60, 40), 128, network.config)
    expected = padding.prototypes_of(network, image)
    assert torch.equal(expected, network(image).prototypes)
    changed = padding.with_padding(copy.deepcopy(network), kind)
    found = padding.prototypes_of(changed, image)
    assert found.shape == expected.shape
    assert translation.relative_spread(found[0].numpy()) < 1e-5
    assert translation.relative_spread(expected[0].numpy()) > 1e-3
    middle = (..., expected.shape[-2] // 2, expected.shape[-1] // 2)
    assert not torch.allclose(found[middle], expected[middle])  # in 128 pixels the border reaches everywhere


@pytest.mark.parametrize(("size", "kernel", "stride"), [(17, 3, 2), (18, 3, 2), (16, 5, 1), (15, 5, 2)])
def test_same_padding_is_timms(size: int, kernel: int, stride: int) -> None:
    from timm.layers.conv2d_same import Conv2dSame

    convolution = Conv2dSame(2, 3, kernel, stride=stride)
    image = torch.zeros(1, 2, size, size)
    image[..., 6:-6, 6:-6] = 1  # zeros at the border, so that it does not matter what is repeated there
    expected = convolution(image)
    changed = module("padding").with_padding(nn.Sequential(copy.deepcopy(convolution)), "replicate")
    assert torch.allclose(changed(image), expected, atol=1e-6)


def test_unknown_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="0 is a Conv2d"):
        module("padding").with_padding(nn.Sequential(nn.Conv2d(1, 1, 3, padding="same")), "reflect")


def test_position_is_read_where_it_is_written() -> None:
    translation = module("translation")
    rows, columns = np.mgrid[:32, :32] / 32
    assert translation.position_r2(np.stack([rows, columns])) == pytest.approx(1)
    assert translation.position_r2(np.stack([rows, np.ones_like(rows)])) == pytest.approx(0.5, abs=0.02)
    assert translation.position_r2(np.ones((2, 32, 32))) == 0


def test_reach_is_the_farthest_visible_change() -> None:
    assert module("translation").reach([[2.0, 1.0], [6.0, 0.02], [10.0, 0.001]]) == 6
    assert module("translation").reach([[2.0, 0.0]]) == 0


# suppression


def test_both_traditional_kinds_agree() -> None:
    suppression, crowds = module("suppression"), module("crowds")
    candidates = crowds.crowd(200, 5)
    scores, labels, _ = suppression.by_kind("traditional")(candidates)
    loop_scores, loop_labels, _ = suppression.sequential(candidates, DetectConfig())
    # One measures overlap on pixel grids, the other does not: a few at the threshold are judged otherwise.
    count = int((scores[0] > 0).sum())
    assert abs(count - len(loop_scores)) <= 3
    assert len(set(zip(labels[0, :count].tolist(), scores[0, :count].tolist(), strict=True))
               & set(zip(loop_labels.tolist(), loop_scores.tolist(), strict=True))) >= count - 3  # fmt: skip


def test_simulated_candidates_are_the_same_each_time() -> None:
    crowds = module("crowds")
    truth = annotated([[20, 20, 100, 100], [60, 30, 50, 90]])
    first, second = (crowds.simulate(truth, truth["images"][0]) for _ in range(2))
    assert torch.equal(first.probabilities, second.probabilities)
    assert first.boxes.shape == (1, 32, 4)
    assert (first.boxes[..., 2:] > first.boxes[..., :2]).all()
    assert crowds.simulate({**truth, "annotations": []}, truth["images"][0]) is None


# results, tables, and going on


def test_every_seed_has_everything_before_the_next() -> None:
    runs = module("runs")
    listed = list(runs.all_runs())
    assert len({run.name for run in listed}) == len(listed) == len(runs.VARIANTS) * len(runs.SEEDS)
    assert [run.seed for run in listed] == sorted(run.seed for run in listed)
    for run in listed:
        assert run.model_config(("person",)).image_size == runs.IMAGE_SIZE
        assert run.train_config("none").seed == run.seed


def test_work_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    runs, turns = module("runs"), module("turns")
    queue = [runs.Run("prototypes-8", seed) for seed in range(3)]
    done = []

    def work(run: Any) -> dict[str, Any]:
        if run.seed == 1 and len(done) == 1:
            raise KeyboardInterrupt
        done.append(run.seed)
        return {"mask": {"AP": 1 / 3}}

    with pytest.raises(KeyboardInterrupt):
        list(turns.work_off(queue, work, tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["prototypes-8-seed0.json"]
    done.append("again")
    assert [is_new for _, is_new in turns.work_off(queue, work, tmp_path)] == [False, True, True]
    assert done == [0, "again", 1, 2]
    assert turns.read_result("prototypes-8-seed2", tmp_path) == {
        "variant": "prototypes-8", "seed": 2, "mask": {"AP": 0.33333},
    }  # fmt: skip
    assert turns.read_result("nms", tmp_path) is None


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--backbone-weights"):
        module("turns").train_and_measure(module("runs").Run("prototypes-8", 0), None, tmp_path)


def result(seed: int, ap: float) -> dict[str, Any]:
    return {"seed": seed, "mask": {"AP": ap, "AP75": ap}, "box": {"AP": ap}}


def test_tables_pair_seeds() -> None:
    tables = module("tables")
    baseline = [result(0, 0.30), result(1, 0.20), result(2, 0.40)]
    without = [result(1, 0.19), result(0, 0.27)]
    assert tables.paired(without, baseline, "mask.AP") == pytest.approx([-1.0, -3.0])
    assert tables.difference([-1.0, -3.0]) == "-2.0 ± 1.0"
    assert tables.difference([]) == tables.PENDING
    assert tables.spread([0.27, 0.19]) == "23.0 (19.0 to 27.0)"
    lines = tables.ablations(
        {"prototypes-32": baseline, "no-crop": without}, {"no-crop": "no crop", "no-tanh": "no tanh"}
    )
    assert lines[2].startswith("| baseline | 3 | 30.0 (20.0 to 40.0)")
    assert "-2.0 ± 1.0" in lines[3]
    assert tables.PENDING in lines[4]
    assert len({line.count("|") for line in lines}) == 1


def test_report_replaces_tables_alone() -> None:
    report = module("report")
    page = "before\n\n<!-- crop -->\nold\n<!-- end -->\n\nafter\n\n<!-- nms -->\nkept\n<!-- end -->\n"
    filled = report.fill(page, {"crop": ["| a |"]})
    assert filled == page.replace("old", "| a |")
    assert report.fill(filled, {"crop": ["| a |"]}) == filled
    with pytest.raises(ValueError, match="no place <!-- rank -->"):
        report.fill(page, {"rank": []})


def test_page_has_what_the_results_say() -> None:
    page = (ROOT / "docs" / "studies.md").read_text()
    assert module("report").fill(page, module("report").blocks()) == page


def test_script_explains_itself(folder: Path) -> None:
    command = [sys.executable, folder / "studies.py", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--backbone-weights" in text
