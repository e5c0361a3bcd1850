"""`yolact data check` and `yolact data anchors` as commands: what they print, write and return."""

import json
from pathlib import Path

import pytest
from PIL import Image

from synthetic import write_dataset, write_published
from yolact.verbs.data_anchors import Anchors
from yolact.verbs.data_check import Check


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, images=3, size=(64, 96))


def test_check_a_good_data_set(data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "out"
    assert Check(data=data_yaml, image_size=(96, 96), out=out, samples=2).run() == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "data.yaml, as yolact-resnet18 sees it at 96 x 96" in printed.out
    assert "no errors" in printed.out
    assert sorted(path.name for path in out.iterdir()) == ["report.json", "sheet.html", "sheet.png"]
    assert all(str(path) in printed.out for path in out.iterdir())


def test_check_writes_nothing_unasked(data_yaml: Path, capsys: pytest.CaptureFixture):
    before = sorted(data_yaml.parent.rglob("*"))
    assert Check(data=data_yaml).run() == 0
    assert sorted(data_yaml.parent.rglob("*")) == before
    assert "written" not in capsys.readouterr().out


def test_check_a_leak(data_yaml: Path, capsys: pytest.CaptureFixture):
    folder = data_yaml.parent
    Image.open(folder / "train" / "train001.png").save(folder / "val" / "val002.png")
    assert Check(data=data_yaml).run() == 1
    assert "train001.png = val002.png" in capsys.readouterr().out


def test_published_data_sets_by_name(tmp_path: Path, capsys: pytest.CaptureFixture):
    root = write_published(tmp_path, "sbd")
    assert Check(data=Path("sbd"), root=root, preset="yolact-resnet50-pascal").run() == 0
    assert "aeroplane" in capsys.readouterr().out
    annotations = root / "annotations" / "instances_val.json"
    content = json.loads(annotations.read_text())
    content["categories"][6]["id"], content["categories"][5]["id"] = 6, 7
    annotations.write_text(json.dumps(content))
    Check(data=Path("sbd"), root=root).run()
    assert (
        "another category id than published: 2 classes: bus (7 instead of 6), car (6 instead of 7)"
        in capsys.readouterr().out
    )


def test_anchors(data_yaml: Path, capsys: pytest.CaptureFixture):
    assert Anchors(data=data_yaml, image_size=(96, 128), scales_per_level=2).run() == 0
    printed = capsys.readouterr().out
    options = printed.strip().splitlines()[-1].split()
    scales = options[options.index("--anchor-scales") + 1 : options.index("--anchor-ratios")]
    assert len(scales) == 10
    assert "--image-size 96 128" in printed
    assert "train, proposed" in printed
    assert "val, preset" in printed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "yolact-resnet49"}, "preset 'yolact-resnet49' is unknown; choose one of"),
        ({"data": Path("nowhere.yaml")}, "nowhere.yaml does not exist"),
        ({"root": Path()}, "is for coco2017, sbd"),
        ({"image_size": (8, 8)}, "at least 64 pixels"),
    ],
)
@pytest.mark.parametrize("verb", [Check, Anchors])
def test_mistakes(verb: type, settings: dict, message: str, data_yaml: Path, capsys: pytest.CaptureFixture):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as caught:
        verb(**{"data": data_yaml} | settings).run()
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_more_mistakes(data_yaml: Path):
    with pytest.raises(OSError, match=r"cannot write into --out .*data.yaml \(File exists\); choose another folder"):
        Check(data=data_yaml, out=data_yaml).run()
    with pytest.raises(ValueError, match="must not be negative"):
        Check(data=data_yaml, samples=-1).run()
    with pytest.raises(ValueError, match="--scales-per-level is 0"):
        Anchors(data=data_yaml, scales_per_level=0).run()
