"""Names that a stranger chose, of classes and files: shown as text, wherever they are shown, and never a path."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clips import write_clip
from graphs import _random, crowded, photograph
from synthetic import write_dataset
from yolact import checkpoint
from yolact.cli import main
from yolact.config import LONGEST_NAME
from yolact.model import Yolact
from yolact.results_folder import ResultsFolder

NAMES = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "\x1b[2J\x1b]0;owned\x07",
    "two\nyolact: lines\r\n",
    "\u202egnp.exe",
    "nul\0nul",
    "../../../outside",
    r"$\frac{1}{$ {0} %s",
    "\ud800 half",
    '"} label="x',
    "w" * LONGEST_NAME,
    "\u4e00" * LONGEST_NAME,
)
MARKUP = re.compile(rb"<script>alert|<img src=x")
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(scope="module")
def hostile() -> Yolact:
    """Shows all of its classes in any photograph."""
    network = _random(replace(crowded().config, class_names=NAMES, category_ids=()))
    with torch.no_grad():  # or a few classes would always be ahead
        weight = network.head.class_logits.weight
        assert isinstance(weight, torch.Tensor)
        weight -= weight.mean(dim=(1, 2, 3), keepdim=True)
    return network


@pytest.fixture(scope="module")
def weights(hostile: Yolact, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(checkpoint.save(tmp_path_factory.mktemp("hostile") / "hostile.safetensors", hostile))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / ("p" * 245 + ".jpg")  # as long as file systems take
    Image.fromarray(photograph(0, 120, 160)).save(path)
    return path


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exited:
        main([str(argument) for argument in arguments])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def assert_harmless(folder: Path, printed: Any, lines: int = 1) -> None:
    """Nothing that steers a terminal, no markup in a page, no file but below `folder`, and names whole in JSON."""
    for text in (printed.out, printed.err):
        assert not STEERING.search(text)
        assert len(text) < 3000
    assert len(printed.out.splitlines()) == lines
    for file in folder.rglob("*"):
        assert "\n" not in file.name
        assert not STEERING.search(file.name)
        if file.suffix == ".html":
            assert not MARKUP.search(file.read_bytes())
    assert not [file for file in folder.parent.iterdir() if "outside" in file.name]


def test_predicting(weights: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "results" / "out"
    code = run("predict", photo, "--out", out, "--weights", weights, "--cutouts", "--score-threshold", "0.05")
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    assert_harmless(out, printed)
    found = {record["category_id"] for record in json.loads((out / "predictions.json").read_text())}
    categories = json.loads((out / "images.json").read_text())["categories"]
    assert [category["name"] for category in categories] == list(NAMES)
    assert len(found) >= 6
    assert len(list((out / "cutouts").iterdir())) == 100


def test_videos(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "results" / "out"
    clip = write_clip(tmp_path / "a.mp4", 3)
    assert run("predict", clip, "--out", out, "--weights", weights, "--track") == 0
    assert_harmless(out, capsys.readouterr())
    lines = [json.loads(line) for line in (out / "a.jsonl").read_text().splitlines()]
    assert {each["name"] for line in lines for each in line["instances"]} <= set(NAMES)


def test_explaining(weights: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "results" / "out"
    assert run("explain", photo, "--out", out, "--weights", weights, "--top-k", "7", "--instances", "0", "3", "6") == 0
    assert_harmless(out, capsys.readouterr())
    assert len(list(out.glob("instance-*.png"))) == 3


def test_evaluating(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    out, data = tmp_path / "results" / "out", write_dataset(tmp_path / "data", images=2, classes=NAMES[:4])
    assert run("evaluate", data, "--weights", weights, "--out", out, "--split", "val") in (0, 1)
    printed = capsys.readouterr()
    assert_harmless(out, printed._replace(err=""), len(printed.out.splitlines()))  # there is a progress bar
    assert list(out.glob("*.html"))


def test_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture):
    data = write_dataset(tmp_path / "data", images=2, classes=NAMES[:4])
    names = json.loads((tmp_path / "data" / "instances_train.json").read_text())
    names["images"][0]["file_name"] = "../../etc/passwd"
    names["images"][1]["file_name"] = "/etc/passwd"
    names["images"].append({"id": 9, "file_name": "<script>alert(1)</script>\x1b[2J.png", "width": 1, "height": 1})
    (tmp_path / "data" / "instances_train.json").write_text(json.dumps(names))
    assert run("data", "check", data, "--out", tmp_path / "results" / "out") in (0, 1, 2)
    printed = capsys.readouterr()
    assert "leads out of the images' folder" in printed.out + printed.err
    assert_harmless(tmp_path / "results", printed, len(printed.out.splitlines()))


def test_names_are_bounded(hostile: Yolact):
    with pytest.raises(ValueError, match=r"the class 'wwwwwwwwwwwwwwwwwwww'\.\.\. has 1,000,000 letters") as refused:
        replace(hostile.config, class_names=("w" * 1_000_000, *NAMES[1:]))
    assert len(str(refused.value)) < 200


def test_a_photograph_called_like_the_folder_of_another(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    """It is said which file is in the way."""
    (tmp_path / "out" / "a.jpg").mkdir(parents=True)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.jpg")
    assert run("predict", tmp_path / "a.jpg", "--out", tmp_path / "out", "--weights", weights) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"yolact: cannot write {tmp_path / 'out' / 'a.jpg'} (")
    assert len(said.splitlines()) == 1


def test_results_of_such_names_can_be_read_back(tmp_path: Path):
    photos = [tmp_path / name for name in ("a/../../x.jpg", "x.jpg", "X.JPG")]
    results = ResultsFolder(tmp_path / "out", photos)
    assert sorted(results.names.values()) == ["X-3.JPG", "x-2.jpg", "x.jpg"]


REPEATING = ("train: {}", "train: {{images: ., annotations: data.yaml}}\nclasses: [{}]", "names: {}")


@pytest.mark.parametrize("where", REPEATING)
def test_a_data_yaml_that_repeats_itself(where: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Ten lines that stand for ten billion values."""
    value = "[x, x, x, x, x, x, x, x, x, x]"
    for level in range(10):
        value = f"[&a{level} {value}{f', *a{level}' * 9}]"
    (tmp_path / "data.yaml").write_text(where.format(value) + "\n")
    verb = ["train", tmp_path / "data.yaml"]
    if "names" in where:
        verb = ["data", "convert", tmp_path, tmp_path / "out", "--to", "coco", "--from", "yolo"]
    assert run(*verb) == 2
    said = capsys.readouterr().err
    assert "more than 8 aliases" in said
    assert len(said) < 400
