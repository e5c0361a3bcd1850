"""COCO's layouts, and what of broken files is left."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeled_sets import write_coco
from yolact.data.formats import coco
from yolact.data.formats.request import Reading

SQUARE = np.pad(np.ones((3, 4), dtype=bool), ((1, 4), (2, 2)))
POLYGON = [1, 1, 6, 1, 6, 6]


def read_with(folder: Path, **changes: Any) -> tuple[int, list[str]]:
    """How many objects are left after changes to the second of two annotations, and what is said."""
    source = write_coco(folder / "source", [[("person", SQUARE), ("person", SQUARE)]])
    file = source / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][1].update(changes)
    file.write_text(json.dumps(content))
    data = coco.read(source, Reading())
    return sum(len(image.objects) for image in data.images()), [line for p in data.problems for line in p.lines()]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"segmentation": [[1, 1, 5, 5]]}, "empty polygon"),
        ({"segmentation": [[1, 1, 5, float("nan"), 5, 5]]}, "empty polygon"),
        ({"segmentation": [[1, 1, 1e9, 1, 5, 5]]}, "polygon far outside its image"),
        ({"segmentation": [[1.1, 1.1, 1.2, 1.1, 1.2, 1.2]]}, "polygon that covers no pixel"),
        ({"segmentation": {"size": [9, 9], "counts": [3, 5, 73]}}, "RLE does not fit the image"),
        ({"segmentation": {"size": [8, 8], "counts": "\x00\x7f"}}, "RLE"),
        ({"segmentation": {"size": [8, 8], "counts": [64]}}, "RLE without area"),
        ({"category_id": 4}, "unknown category 4"),
        ({"image_id": 99}, "image that is not listed"),
        ({"segmentation": None}, "no segmentation"),
        ({"segmentation": "x"}, "neither polygons nor RLE"),
    ],
)
def test_what_cannot_be_used_is_named_and_left_out(changes: dict[str, Any], problem: str, tmp_path: Path):
    left, said = read_with(tmp_path, **changes)
    assert left == 1
    assert any(problem in line and "dropped" in line for line in said)


def test_a_broken_part_of_an_object_is_left_out_alone(tmp_path: Path):
    assert read_with(tmp_path, segmentation=[POLYGON, [1, 1, 1e9, 1, 5, 5]])[0] == 2


def test_empty_runs_mean_nothing(tmp_path: Path):
    counts = [9, 0, 0, 2, 1, 0, 1, 3, 0, 0, 48]
    source = write_coco(tmp_path, [[("person", SQUARE)]])
    file = source / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["segmentation"] = {"size": [8, 8], "counts": counts}
    file.write_text(json.dumps(content))
    ((image,),) = coco.read(source, Reading()).splits.values()
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    assert (image.objects[0].mask() == flat.reshape(8, 8, order="F")).all()


def test_an_image_that_leads_out_is_dropped(tmp_path: Path):
    source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 2)
    (source / "train" / "002.png").rename(tmp_path / "secret.png")
    file = source / "instances_train.json"
    file.write_text(file.read_text().replace("002.png", "../../secret.png"))
    data = coco.read(source, Reading())
    assert [image.name for image in data.images()] == ["001.png"]
    assert "leads out" in data.problems[0].lines()[0]


@pytest.mark.parametrize(
    ("annotations", "images", "splits"),
    [
        (
            ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
            ("train2017", "val2017"),
            "tv",
        ),
        (("annotations/instances_train.json",), ("images/train",), "t"),
        (("train.json", "val.json"), ("images", "images"), "tv"),
        (("things.json",), ("photos",), "t"),
        (("train/_annotations.coco.json", "valid/_annotations.coco.json"), ("train", "valid"), "tv"),
    ],
)
def test_layouts(annotations: tuple[str, ...], images: tuple[str, ...], splits: str, tmp_path: Path):
    for i, (file, folder) in enumerate(zip(annotations, images, strict=True)):
        source = write_coco(tmp_path / str(i), [[("person", SQUARE)]])
        for path in (tmp_path / "all" / file, tmp_path / "all" / folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / folder).mkdir(exist_ok=True)
        (source / "train" / "001.png").rename(tmp_path / "all" / folder / f"{i}.png")
        text = (source / "instances_train.json").read_text().replace("001.png", f"{i}.png")
        (tmp_path / "all" / file).write_text(text)
    photos = tmp_path / "all" / "photos"
    data = coco.read(tmp_path / "all", Reading(photos if photos.is_dir() else None))
    assert list(data.splits) == [{"t": "train", "v": "val"}[split] for split in splits]
    assert all(len(found) == 1 for found in data.splits.values())


def test_two_years_of_one_split_stay_apart(tmp_path: Path):
    for year in (2014, 2017):
        source = write_coco(tmp_path / "all", [[("person", SQUARE)]])
        (source / "train").rename(source / f"train{year}")
        (source / "instances_train.json").rename(source / f"instances_train{year}.json")
    assert list(coco.read(tmp_path / "all", Reading()).splits) == ["train2014", "train2017"]


def test_a_data_yaml_names_some_splits_and_its_folder_has_more(tmp_path: Path):
    for split in ("train", "test"):
        write_coco(tmp_path, [[("person", SQUARE)]], split=split)
    file = tmp_path / "data.yaml"
    file.write_text("train: {images: train, annotations: instances_train.json}\n")
    assert list(coco.read(tmp_path, Reading()).splits) == ["train", "test"]
    alone = coco.read(file, Reading())
    assert list(alone.splits) == ["train"]
    assert any("no entry for instances_test.json, not read" in note for note in alone.notes)


@pytest.mark.parametrize("photos", [True, False])
def test_most_images_may_be_missing(photos: bool, tmp_path: Path):
    source = write_coco(tmp_path, [[("person", SQUARE)]] * 25)
    for number in range(1, 25):
        (source / "train" / f"{number:03d}.png").unlink()
    data = coco.read(source, Reading(source / "train" if photos else None))
    assert [image.name for image in data.images()] == ["025.png"]
    assert "missing image file, dropped: 24 in 24 images" in data.problems[0].lines()[0]


def test_names_from_windows(tmp_path: Path):
    source = write_coco(tmp_path, [[("person", SQUARE)]] * 2)
    file = source / "instances_train.json"
    file.write_text(file.read_text().replace('"001.png"', json.dumps("a\\001.png")))
    (source / "train" / "a").mkdir()
    (source / "train" / "001.png").rename(source / "train" / "a" / "001.png")
    data = coco.read(source, Reading())
    assert [len(image.objects) for image in data.images()] == [1, 1]
    assert data.problems[0].lines() == []


def test_a_split_without_images(tmp_path: Path):
    source = write_coco(tmp_path, [[("person", SQUARE)]])
    (source / "instances_val.json").write_text('{"images": [], "annotations": [], "categories": []}')
    data = coco.read(source, Reading())
    assert {split: len(images) for split, images in data.splits.items()} == {"train": 1, "val": 0}


def test_a_choice_of_classes_says_their_order(tmp_path: Path):
    source = write_coco(tmp_path, [[("person", SQUARE), ("traffic light", SQUARE)]])
    description = tmp_path / "data.yaml"
    entry = "train: {images: train, annotations: instances_train.json}\n"
    description.write_text(f"{entry}classes: [traffic light, zebra, person]\n")
    data = coco.read(source, Reading())
    assert list(data.categories.items()) == [("traffic light", 7), ("zebra", None), ("person", 3)]
    assert data.notes == ["instances_train.json: left out, as classes does not list them: a/b: c?"]
    assert [o.name for image in data.images() for o in image.objects] == ["person", "traffic light"]
