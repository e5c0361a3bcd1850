"""`yolact explain`, from photographs to files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locations import ROOT
from tiny import TINY
from yolact import checkpoint
from yolact.cli import main
from yolact.model import build_model

PEOPLE = ROOT / "photos" / "000000475546.jpg"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that finds nothing, as it was never trained."""
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    checkpoint.save(file, build_model(TINY))
    return file


def explain(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["explain", *map(str, arguments)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def photograph(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 90, 3), np.uint8)).save(folder / name)
    return folder / name


def test_people_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "out"
    assert explain(PEOPLE, "--out", out, "--instances", "0", "2", "--image-size", "224", "224", "--device", "cpu") == 0
    files = sorted(file.name for file in out.iterdir())
    assert files == ["explanation.json", "instance-00-person.png", "instance-02-person.png", "prototypes.png"]
    said = json.loads((out / "explanation.json").read_text())
    assert len(said["prototypes"]) == 32
    assert said["instances"][0]["steps"][-1]["iou"] >= 0.95
    assert capsys.readouterr().out.startswith("1 photograph; 2 instances")


def test_nothing_found_is_said_and_the_gallery_written(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture):
    file = photograph(tmp_path / "in", "noise.png")
    assert explain(file, "--out", tmp_path / "out", "--weights", weights, "--score-threshold", "0.999") == 0
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["explanation.json", "prototypes.png"]
    assert "nothing found" in capsys.readouterr().out


def test_each_of_several_photographs_gets_a_folder(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture):
    files = [photograph(tmp_path / "a", "x.png"), photograph(tmp_path / "b", "x.png")]
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    options = ("--out", tmp_path / "out", "--weights", weights, "--score-threshold", "0.999")
    assert explain(*files, broken, *options) == 1
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["x", "x-2"]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_instance_that_one_photograph_lacks_costs_no_other(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture
):
    files = [photograph(tmp_path / "in", "x.png"), photograph(tmp_path / "in", "y.png")]
    assert explain(*files, "--out", tmp_path / "out", "--weights", weights, "--instances", "77") == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in said] == [
        "skipped: x.png has no instance 77",
        "skipped: y.png has no instance 77",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--instances", "77"], "no instance 77"),
        (["--instances", "-1"], "numbered from 0"),
        (["--most", "0"], "--most is 0"),
        (["--score-threshold", "3"], "score_threshold"),
    ],
)
def test_errors_take_one_line(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture, options: list[str], says: str
):
    file = photograph(tmp_path / "in", "noise.png")
    assert explain(file, "--out", tmp_path / "out", "--weights", weights, *options) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert says in said[0]
