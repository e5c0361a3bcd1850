"""Names that others wrote, and that are none here."""

import json
from pathlib import Path

import pytest
from PIL import Image

from yolact.data.formats import labelme, voc, yolo
from yolact.data.formats.request import Reading
from yolact.data.places import expanded, is_file, is_folder
from yolact.data.source import DataConfig

LONG = "x" * 300
"""No file system of today has such names."""


@pytest.mark.parametrize("name", [LONG, "a\0b", ""])
def test_what_is_no_name_is_not_there(tmp_path: Path, name: str):
    assert not is_file(tmp_path / name)
    assert is_folder(tmp_path / name) == (name == "")


def test_homes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/a") == Path("/somewhere/a")
    assert expanded("~nobody-here/a") == Path("~nobody-here/a")


def test_an_image_of_a_long_name_costs_its_own_file_only(tmp_path: Path):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    content = {"shapes": [], "imagePath": "a.png", "imageHeight": 6, "imageWidth": 8}
    (tmp_path / "a.json").write_text(json.dumps(content))
    (tmp_path / "b.json").write_text(json.dumps(content | {"imagePath": LONG}))
    data = labelme.read(tmp_path, Reading())
    assert [image.name for image in data.images()] == ["a.png"]
    assert "image that is neither inside nor at an imagePath" in data.problems[0].lines()[0]


def test_a_list_with_a_long_name(tmp_path: Path):
    for folder in ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text(f"{LONG}\n")
    data = voc.read(tmp_path, Reading())
    assert f"missing image file, dropped: 1 in 1 image: {LONG}" in data.problems[0].lines()[0]


@pytest.mark.parametrize("entry", [LONG, "/"])
def test_folders_that_are_none_of_a_data_set(tmp_path: Path, entry: str):
    (tmp_path / "data.yaml").write_text(f"names: [cat]\ntrain: {entry}\n")
    with pytest.raises(ValueError, match=r"is neither a folder of images|all of this machine's files"):
        yolo.read(tmp_path, Reading())
    (tmp_path / "data.yaml").write_text(f"train: {{images: {LONG}, annotations: {LONG}}}\n")
    with pytest.raises(ValueError, match="is no folder"):
        DataConfig.read(tmp_path / "data.yaml")


def test_an_entry_that_means_nothing_is_not_looked_for_everywhere(tmp_path: Path):
    """`path` leads to all files of the machine, and an entry of an unknown name to all images in them."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "images" / "a.png")
    (tmp_path / "data.yaml").write_text("path: /\nnames: [cat]\ntrain: images\nother: .\n")
    data = yolo.read(tmp_path, Reading())
    assert [image.name for image in data.images()] == ["a.png"]
    assert data.notes == ["data.yaml: not read: other"]
