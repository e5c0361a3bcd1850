"""Judging how far two runtimes are apart."""

import numpy as np
import pytest

from graphs import crowded, in_pytorch, photograph
from yolact.config import DetectConfig
from yolact.deployable import Deployable
from yolact.runtimes.comparison import Difference, compare
from yolact.runtimes.exported import Outputs

SIZE = (90, 130)


@pytest.fixture(scope="module")
def outputs() -> Outputs:
    return in_pytorch(Deployable(crowded(), DetectConfig(top_k=20), ("bits",)), photograph(0, *SIZE)[None])


def changed(outputs: Outputs, **arrays: np.ndarray) -> Outputs:
    return {name: array.copy() for name, array in {**outputs, **arrays}.items()}


def test_the_same_is_the_same(outputs: Outputs):
    difference = compare(outputs, outputs, SIZE)
    assert (difference.detections, difference.unmatched) == (20, 0)
    assert (difference.score, difference.box, difference.mask_iou, difference.pixels) == (0, 0, 1, 0)
    assert difference.problems("float32") == []
    table = Difference.table([difference])
    assert len(table.splitlines()) == 2
    assert "1 of 130x90" in table


def test_equal_scores_may_change_places(outputs: Outputs):
    tied = changed(outputs)
    tied["scores"][0, 3:5] = tied["mask_scores"][0, 3:5] = outputs["scores"][0, 3]
    tied["labels"][0, 3:5] = 1
    order = [0, 1, 2, 4, 3, *range(5, 20)]
    rows = ("boxes", "scores", "mask_scores", "labels", "coefficients", "windows", "mask_bits")
    swapped = changed(tied, **{name: tied[name][:, order] for name in rows})
    assert compare(tied, swapped, SIZE).problems("float32") == []


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("scores", 0.01, "scores differ by 0.01"),
        ("boxes", 1.0, "boxes differ by 1 pixels"),
        ("labels", 1, "20 of 20 detections have no counterpart"),
        ("count", -5, "5 of 20 detections have no counterpart"),
    ],
)
def test_what_differs_is_said(outputs: Outputs, name: str, change: float, problem: str):
    other = changed(outputs)
    other[name] += np.asarray(change, other[name].dtype)
    assert problem in compare(outputs, other, SIZE).problems("float32")


def test_wrong_masks_are_seen(outputs: Outputs):
    other = changed(outputs)
    sizes = np.unpackbits(outputs["mask_bits"][0], axis=-1).sum(axis=(1, 2))
    other["mask_bits"][0, sizes.argmax(), 10:30] ^= 255
    difference = compare(outputs, other, SIZE)
    assert difference.mask_iou < 0.9
    assert any("mask's IoU is only" in problem for problem in difference.problems("float32"))
    assert any("mask pixels differ" in problem for problem in difference.problems("float32"))


def test_half_precision_is_judged_by_other_limits(outputs: Outputs):
    other = changed(outputs, scores=outputs["scores"] + np.float32(0.01), boxes=outputs["boxes"] + np.float32(0.5))
    difference = compare(outputs, other, SIZE)
    assert difference.problems("float32") != []
    assert difference.problems("float16") == difference.problems("int8") == []


def test_outputs_of_another_kind(outputs: Outputs):
    with pytest.raises(ValueError, match="output count is missing"):
        compare(outputs, {name: array for name, array in outputs.items() if name != "count"}, SIZE)
    with pytest.raises(ValueError, match=r"output labels is int32 \(1, 20\); it should be int64"):
        compare(outputs, changed(outputs, labels=outputs["labels"].astype(np.int32)), SIZE)
