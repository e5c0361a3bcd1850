"""The same numbers as the original code: raw output, detections, losses and gradients (`benchmarks/parity.py`).

By default, whatever a minute on one core allows: the photographs, without the largest networks, and two training steps.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from locations import ROOT
from mask_parts import parts_of
from yolact.instances import Instances

REFERENCES = Path(__file__).parent / "data" / "parity"
SEED = 11
SHARED_SEED = 7
FAST = ("yolact_resnet50", "yolact_plus_resnet50", "yolact_darknet53", "yolact_im400", "yolact_resnet50_pascal")
LARGE = ("yolact_base", "yolact_im700", "yolact_plus_base")
SHARED = ("yolact_base", "yolact_resnet50", "yolact_plus_resnet50")


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parity = load("parity", ROOT / "benchmarks" / "parity.py")


def exceeded(figures: list) -> list:
    assert figures
    return [figure for figure in figures if not figure.holds]


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_reference(name: str) -> None:
    assert not exceeded(parity.compare(REFERENCES, name, ROOT / "photos", SEED))


@pytest.mark.parametrize("name", SHARED)
def test_shared_photographs(shared: Path, name: str) -> None:
    photographs = shared / "data" / "coco-mini"
    assert not exceeded(parity.compare(shared / "parity", name, photographs, SHARED_SEED, training_step=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_shared_training_step(shared: Path, name: str) -> None:
    photographs = shared / "data" / "coco-mini"
    figures = parity.compare(shared / "parity", name, photographs, SHARED_SEED)
    assert "gradient norms, relative" in [figure.name for figure in figures]
    assert not exceeded(figures)


def test_every_configuration_has_a_reference() -> None:
    assert {*FAST, *LARGE} == parity.ORIGINALS.keys()
    assert {path.name.removesuffix(".npz") for path in REFERENCES.glob("*.npz")} == parity.ORIGINALS.keys()


def test_the_recipe_is_the_shared_one(shared: Path) -> None:
    ours, theirs = load("recipe", REFERENCES / "recipe.py"), load("shared_recipe", shared / "parity" / "recipe.py")
    tensors = {"backbone.layers.2.3.conv2.conv_offset_mask.weight": (27, 4, 3, 3), "proto_net.0.bias": (256,)}
    for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        tensors[f"backbone.bn1.{leaf}"] = () if leaf == "num_batches_tracked" else (64,)
    for part in ("conf", "bbox", "mask"):
        tensors[f"prediction_layers.0.{part}_layer.weight"] = (12, 8, 3, 3)
    tensors |= {"fpn.downsample_layers.1.weight": (8, 8, 3, 3), "backbone.layers.3.1.bn3.weight": (64,)}
    tensors |= {"backbone.layers.4.2.conv2.1.weight": (64,), "backbone.layers.4.2.conv2.0.weight": (8, 4, 3, 3)}
    for key, shape in tensors.items():
        made, expected = ours.fill(key, shape, SEED), theirs.fill(key, shape, SEED)
        assert made.dtype == expected.dtype, key
        np.testing.assert_array_equal(made, expected, err_msg=key)


def found_and_expected() -> tuple[Instances, list[dict]]:
    """Two instances, and the rows of a reference that say exactly the same."""
    soft_masks = np.zeros((2, 20, 20), np.float32)
    soft_masks[0, 2:9, 3:12] = 0.9
    soft_masks[1, 10:18, 5:15] = 0.8
    found = Instances(
        boxes=np.array([[15, 10, 60, 45], [25, 50, 75, 90]], np.float32),
        scores=np.array([0.9, 0.6], np.float32),
        mask_scores=np.array([0.45, 0.5], np.float32),
        labels=np.array([3, 1]),
        **parts_of(soft_masks),
        image_size=(100, 100),
        class_names=("a", "b", "c", "d"),
        category_ids=(1, 2, 3, 4),
    )
    rows = [
        {
            "label": int(found.labels[i]),
            "score": float(found.scores[i]),
            "mask_score": float(found.mask_scores[i]),
            "box": found.boxes[i].astype(int).tolist(),
            "mask": found.rle(i),
        }
        for i in range(2)
    ]
    return found, rows


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        (lambda row: row.update(label=2), "detections with another label"),
        (lambda row: row.update(score=row["score"] + 2e-4), "scores, absolute"),
        (lambda row: row.update(mask_score=row["score"]), "mask scores, absolute"),
        (lambda row: row.update(box=[26, 50, 75, 92]), "boxes, pixels"),
        (lambda row: row.update(mask=found_and_expected()[1][0]["mask"]), "masks, smallest IoU"),
    ],
)
def test_a_deviation_is_noticed(change: Callable[[dict], None], figure: str) -> None:
    found, rows = found_and_expected()
    assert not exceeded(parity.compare_detections(found, rows))
    change(rows[1])
    assert [deviation.name for deviation in exceeded(parity.compare_detections(found, rows))] == [figure]


@pytest.mark.parametrize("within", [True, False])
def test_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, within: bool
) -> None:
    figures = [parity.Figure("scores, absolute", 0.1, 0.2 if within else 0.05)]
    monkeypatch.setattr(parity, "compare", lambda *_: figures)
    monkeypatch.setattr(sys, "argv", ["parity.py", str(REFERENCES), "--photographs", str(tmp_path)])
    assert parity.main() == (0 if within else 1)
    header, _, row = capsys.readouterr().out.strip().splitlines()
    assert header.count("|") - 3 == len(parity.ORIGINALS)
    assert row.count("**0.1**") == (0 if within else len(parity.ORIGINALS))


def test_references_are_of_photographs_in_the_repository() -> None:
    for path in REFERENCES.glob("*.detections.json"):
        for reference in json.loads(path.read_text()):
            assert (ROOT / "photos" / reference["image"]).exists(), path.name
