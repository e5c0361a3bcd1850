"""The files of an evaluation: plots, results, and that they are whole."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolact.evaluate.confusion import Confusion
from yolact.evaluate.matching import RECORD
from yolact.evaluate.plots import plot_confusion, plot_precision
from yolact.evaluate.precision import Precision, accumulate
from yolact.evaluate.result_files import ResultFiles


def half_found() -> Precision:
    """One of two objects is found, by the better of two detections, up to IoU 0.75."""
    records = np.zeros(2, RECORD)
    records["score"], records["rank"] = (0.9, 0.4), (0, 1)
    right = np.zeros((2, 4, 10), bool)
    right[0, 0, :6] = True
    records["right"] = np.packbits(right.reshape(2, -1), axis=1)
    return accumulate(records, np.array([[2], [0], [0], [0]]))


def test_curves_are_drawn_and_written(tmp_path: Path) -> None:
    comparison = half_found()
    plot_precision(tmp_path / "curves.png", comparison, comparison)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 101
    assert [float(rows[i]["masks at IoU 0.50"]) for i in (0, 50, 51)] == [1, 1, 0]
    assert {float(row["boxes at IoU 0.90"]) for row in rows} == {0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.csv", "curves.png"]


def test_precision_is_what_one_counts(tmp_path: Path) -> None:
    figures = half_found().figures()
    assert figures["AP50"] == figures["AP75"] == pytest.approx(51 / 101)
    assert figures["AP"] == pytest.approx(0.6 * 51 / 101)
    assert figures["AR1"] == figures["AR100"] == pytest.approx(0.6 * 0.5)
    assert figures["APs"] == figures["ARl"] == -1


@pytest.mark.parametrize("classes", [1, 3, 40])
def test_a_confusion_table_is_drawn(tmp_path: Path, classes: int) -> None:
    names = tuple(f"cost $_{i}^" for i in range(classes))  # no formula
    counts = np.random.default_rng(0).integers(0, 9, (classes + 1, classes + 1))
    plot_confusion(tmp_path / "confusion.png", Confusion(names, counts, 0.15))
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"


def test_results_appear_when_all_is_well(tmp_path: Path) -> None:
    with ResultFiles(tmp_path / "out") as results:
        for i in range(3):
            results.add({"box": [{"image_id": i}] * i, "mask": [{"image_id": -i}] * i})
        assert not (tmp_path / "out/box_results.json").exists()
    assert [row["image_id"] for row in json.loads((tmp_path / "out/box_results.json").read_text())] == [1, 2, 2]
    assert [row["image_id"] for row in json.loads((tmp_path / "out/mask_results.json").read_text())] == [-1, -2, -2]
    before = (tmp_path / "out/box_results.json").read_text()
    with pytest.raises(TypeError, match="not JSON"), ResultFiles(tmp_path / "out") as results:
        results.add({"box": [{"image_id": 7}, {"image_id": object()}], "mask": []})
    assert (tmp_path / "out/box_results.json").read_text() == before
    assert len(list((tmp_path / "out").iterdir())) == 2
    with pytest.raises(ValueError, match="is a file; name a folder"), ResultFiles(tmp_path / "out/box_results.json"):
        pass
    with ResultFiles(tmp_path / "out"):
        pass
    assert json.loads((tmp_path / "out/mask_results.json").read_text()) == []
