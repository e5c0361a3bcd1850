"""YOLO's layouts, and what of broken files is left."""

from pathlib import Path

import pytest
from PIL import Image

from yolact.data.formats import yolo
from yolact.data.formats.request import Reading
from yolact.data.labeled import LabeledData

GOOD = "1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n"


def write(folder: Path, lines: str, description: str = "train: images/train\nnames: [cat, dog]\n") -> Path:
    for part in ("images/train", "labels/train"):
        (folder / part).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "images" / "train" / "a.png")
    (folder / "labels" / "train" / "a.txt").write_text(lines)
    (folder / "data.yaml").write_text(description)
    return folder


def said(data: LabeledData) -> list[str]:
    return [line for problems in data.problems for line in problems.lines()]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1 0.2 0.2 0.8 0.8", "box without a mask"),
        ("1 0.2 0.2 0.8 0.8 0.1", "odd number of coordinates"),
        ("1 0.2 0.2", "fewer than three corners"),
        ("1", "fewer than three corners"),
        ("2 0.2 0.2 0.8 0.2 0.8 0.8", "label 2, which has no name"),
        ("-1 0.2 0.2 0.8 0.2 0.8 0.8", "label -1"),
        ("0.5 0.2 0.2 0.8 0.2 0.8 0.8", "label 0.5"),
        ("nan 0.2 0.2 0.8 0.2 0.8 0.8", "label nan"),
        ("1 nan 0.2 0.8 0.2 0.8 0.8", "no finite number"),
        ("1 inf 0.2 0.8 0.2 0.8 0.8", "no finite number"),
        ("dog 0.2 0.2 0.8 0.2 0.8 0.8", "not all numbers"),
        ("1 20 20 80 20 80 80", "far outside"),
        ("1 2 2 3 2 3 3", "covers no pixel"),
        ("1 0.5 0.5 0.5 0.5 0.5 0.5", "covers no pixel"),
    ],
)
def test_what_cannot_be_used_is_named_and_left_out(line: str, problem: str, tmp_path: Path):
    data = yolo.read(write(tmp_path, GOOD + line + "\n"), Reading())
    ((image,),) = data.splits.values()
    assert [o.name for o in image.objects] == ["dog"]
    assert any(problem in entry and "dropped: 1 in 1 image: a.png" in entry for entry in said(data))


def test_what_reaches_out_is_clipped(tmp_path: Path):
    data = yolo.read(write(tmp_path, "0 0.5 0.5 1.2 0.5 1.2 0.75 0.5 0.75\n"), Reading())
    ((image,),) = data.splits.values()
    assert image.objects[0].box == [4, 4, 4, 2]
    assert "clipped" in said(data)[0]


def test_bridges_are_read_as_parts_and_holes(tmp_path: Path):
    """As Ultralytics' own converter from COCO joins parts: there and back along one line."""
    ring = "0 0 0.25 0 0.25 0.25 0.75 0.75 1 0.75 1 1 0.75 1 0.75 0.75 0.25 0.25 0 0.25"
    data = yolo.read(write(tmp_path, f"0 {ring}\n"), Reading())
    ((image,),) = data.splits.values()
    mask = image.objects[0].mask()
    assert mask.sum() == 8
    assert mask[:2, :2].all()
    assert mask[6:, 6:].all()


@pytest.mark.parametrize(
    "description",
    [
        "path: /somewhere/else\ntrain: images/train\nnames: {0: cat, 1: dog}\n",
        "path: .\ntrain: [images/train]\nnames: [cat, dog]\nnc: 2\n",
        "train: list.txt\nnames: [cat, dog]\n",
    ],
)
def test_descriptions(description: str, tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "list.txt").write_text("./images/train/a.png\n\n")
    ((image,),) = yolo.read(write(tmp_path / "set", GOOD, description), Reading()).splits.values()
    assert [o.name for o in image.objects] == ["dog"]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("train: images/train\n", "names is None"),
        ("train: images/train\nnames: 3\n", "names is 3"),
        ("train: images/train\nnames: [cat, no]\n", "name of class 1 is read as False; put it between quotes"),
        ("train: images/train\nnames: {0: cat, 1: 1.10}\n", "name of class 1 is read as 1.1"),
        ("train: images/train\nnames: {0: }\n", "name of class 0 is read as None"),
        ("names: [cat]\n", "no entry train, val or test"),
        ("train: nowhere\nnames: [cat]\n", "'nowhere' is neither"),
        ("train: [", "cannot be read as YAML"),
        ("- 1", "is no mapping"),
    ],
)
def test_mistakes(description: str, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message) as caught:
        yolo.read(write(tmp_path, GOOD, description), Reading())
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files(tmp_path: Path):
    folder = write(tmp_path, GOOD)
    (folder / "images" / "train" / "b.jpg").write_bytes(b"no image")
    (folder / "labels" / "train" / "c.txt").write_text(GOOD)
    Image.new("RGB", (8, 8)).save(folder / "images" / "train" / "d.png")
    (folder / "labels" / "train" / "d.txt").write_bytes(b"\xff\xfe\x00")
    Image.new("RGB", (8, 8)).save(folder / "images" / "train" / "e.png")
    data = yolo.read(folder, Reading())
    assert [(image.name, len(image.objects)) for image in data.images()] == [("a.png", 1), ("e.png", 0)]
    assert [line.split(": ")[-1] for line in said(data)] == ["b.jpg", "d.png", "c.txt"]


def test_keys_that_name_images_are_splits(tmp_path: Path):
    description = (
        "valid: images/train\nminival: list.txt\nlicense: data.yaml\nnames: [cat, dog]\nroboflow: {version: 1}\n"
    )
    folder = write(tmp_path, GOOD, description)
    (folder / "list.txt").write_text("images/train/a.png\n")
    data = yolo.read(folder, Reading())
    assert {split: len(images) for split, images in data.splits.items()} == {"val": 1, "minival": 1}
    assert data.notes == ["data.yaml: not read: license"]


def test_roboflows_paths_begin_beside_the_data_set(tmp_path: Path):
    for split in ("train", "valid"):
        for part in ("images", "labels"):
            (tmp_path / split / part).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / split / "images" / "a.png")
        (tmp_path / split / "labels" / "a.txt").write_text(GOOD)
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: [cat, dog]\n")
    data = yolo.read(tmp_path, Reading())
    assert {split: [len(i.objects) for i in images] for split, images in data.splits.items()} == {
        "train": [1],
        "val": [1],
    }


def test_files_as_windows_and_labelimg_leave_them(tmp_path: Path):
    folder = write(tmp_path, "\ufeff" + GOOD + GOOD)
    (folder / "labels" / "train" / "classes.txt").write_text("cat\ndog\n")
    data = yolo.read(folder, Reading())
    assert [len(image.objects) for image in data.images()] == [2]
    assert said(data) == []


def test_classes_of_the_same_name(tmp_path: Path):
    data = yolo.read(write(tmp_path, GOOD, "train: images/train\nnames: [7, '7']\n"), Reading())
    assert list(data.categories) == ["7"]
    assert data.notes == ["data.yaml: classes of the same name, joined to one"]
