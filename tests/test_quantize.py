"""What INT8 may cost, and on what it is calibrated."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import yolact.quantize as module
from test_predictor import small_network
from yolact.data.source import DataConfig, Source
from yolact.evaluate import Evaluation
from yolact.predictor import Predictor
from yolact.quantize import calibration_photographs, check_ap, quantize


def data_set(folder: Path, train: int, val: int | None) -> DataConfig:
    """Photographs of one gray each: 10 times the number for training, 5 more for validation."""

    def source(name: str, count: int, extra: int) -> Source:
        (folder / name).mkdir()
        images = []
        for i in range(count):
            Image.fromarray(np.full((40, 50, 3), 10 * i + extra, np.uint8)).save(folder / name / f"{i}.png")
            images.append({"id": i, "file_name": f"{i}.png", "height": 40, "width": 50})
        content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
        (folder / f"{name}.json").write_text(json.dumps(content))
        return Source(folder / name, folder / f"{name}.json")

    return DataConfig(train=(source("train", train, 0),), val=None if val is None else source("val", val, 5))


def test_calibration_takes_evenly_from_training_images_and_never_from_the_others(tmp_path: Path):
    photographs = calibration_photographs(data_set(tmp_path, 20, 3), most=5)
    assert [int(photograph[0, 0, 0]) for photograph in photographs] == [0, 40, 80, 120, 160]


def test_too_few_photographs_are_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match=r"3 training images \(besides those of val\) to calibrate on; INT8 needs 4"):
        calibration_photographs(data_set(tmp_path, 3, 1))


def test_what_cannot_be_measured_is_refused_before_the_work(tmp_path: Path):
    with pytest.raises(ValueError, match="no val"):
        quantize(tmp_path / "a.onnx", tmp_path / "b.onnx", data_set(tmp_path, 8, None))
    with pytest.raises(ValueError, match=r"not for \.pt2 files"):
        quantize(tmp_path / "a.pt2", tmp_path / "b.pt2", DataConfig(train=()))


@pytest.mark.parametrize(("after", "allowed", "passes"), [(0.391, 1.0, True), (0.389, 1.0, False), (0.36, 5.0, True)])
def test_more_than_the_allowed_loss_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: float, allowed: float, passes: bool
):
    exact, integers = Predictor(small_network(), "cpu"), Predictor(small_network(), "cpu")

    def evaluate(predictor: Predictor, data: DataConfig, progress: bool) -> Evaluation:
        figures = {"AP": 0.5, "AP50": 0.5}
        return Evaluation(figures, figures | {"AP": 0.4 if predictor is exact else after}, {}, {}, {}, 1)

    monkeypatch.setattr(module, "evaluate", evaluate)
    data = data_set(tmp_path, 4, 1)
    if not passes:
        with pytest.raises(ValueError, match=r"costs 1\.10 points of mask AP \(40\.00 to 38\.90\).*--allow-ap-loss"):
            check_ap(exact, integers, data, allowed)
        return
    cost = check_ap(exact, integers, data, allowed)
    assert cost.mask_ap_loss == pytest.approx(100 * (0.4 - after))
    assert f"{100 * (after - 0.4):+.2f}" in cost.table()
