"""Folders of mask PNGs as users have them, and what of broken ones is left."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolact.data.formats import mask_folder
from yolact.data.formats.detect import detect
from yolact.data.formats.request import Reading
from yolact.data.labeled import LabeledData

NUMBERS = np.array([[0, 1, 1], [7, 7, 1]], dtype=np.uint8)


def photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2)).save(path)


def png(path: Path, numbers: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers).save(path)


def areas(data: LabeledData) -> dict[str, list[tuple[str, int]]]:
    return {image.name: [(o.name, o.area) for o in image.objects] for image in data.images()}


def said(data: LabeledData) -> str:
    return "\n".join(line for problems in data.problems for line in problems.lines())


def test_a_folder_an_image(tmp_path: Path):
    photograph(tmp_path / "images" / "a.jpg")
    photograph(tmp_path / "images" / "b.jpg")
    for name, number in (("person_1", 1), ("person_12", 7), ("traffic light", 1)):
        png(tmp_path / "masks" / "a" / f"{name}.png", np.where(number == NUMBERS, 255, 0).astype(np.uint8))
    assert detect(tmp_path) == "masks"
    data = mask_folder.read_masks(tmp_path, Reading())
    assert areas(data) == {"a.jpg": [("person", 3), ("person", 2), ("traffic light", 3)], "b.jpg": []}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_folder_a_class(kind: type, tmp_path: Path):
    photograph(tmp_path / "images" / "val" / "a.jpg")
    png(tmp_path / "masks" / "val" / "person" / "a.png", NUMBERS.astype(kind) * (1000 if kind != np.uint8 else 1))
    png(tmp_path / "masks" / "val" / "a%2Fb" / "a.png", (NUMBERS == 7).astype(np.uint8))
    assert detect(tmp_path) == "instance-ids"
    data = mask_folder.read_instance_ids(tmp_path, Reading())
    assert list(data.splits) == ["val"]
    assert areas(data) == {"a.jpg": [("a/b", 2), ("person", 3), ("person", 2)]}


def test_penn_fudans_own_folders(tmp_path: Path):
    photograph(tmp_path / "PNGImages" / "a.png")
    photograph(tmp_path / "PNGImages" / "b_mask.png")
    png(tmp_path / "PedMasks" / "a_mask.png", NUMBERS)
    png(tmp_path / "PedMasks" / "b_mask_mask.png", NUMBERS)
    request = Reading(tmp_path / "PNGImages", "person")
    data = mask_folder.read_instance_ids(tmp_path / "PedMasks", request)
    assert areas(data) == {name: [("person", 3), ("person", 2)] for name in ("a.png", "b_mask.png")}
    assert said(data) == ""
    with pytest.raises(ValueError, match="--class-name NAME"):
        mask_folder.read_instance_ids(tmp_path / "PedMasks", Reading(tmp_path / "PNGImages"))


def test_colors_in_place_of_numbers(tmp_path: Path):
    photograph(tmp_path / "images" / "a.jpg")
    colors = np.zeros((2, 3, 3), dtype=np.uint8)
    colors[NUMBERS == 1], colors[NUMBERS == 7] = (200, 10, 10), (200, 10, 11)
    png(tmp_path / "masks" / "person" / "a.png", colors)
    data = mask_folder.read_instance_ids(tmp_path, Reading())
    assert areas(data) == {"a.jpg": [("person", 3), ("person", 2)]}


def test_broken_files_are_named_and_left_out(tmp_path: Path):
    for name in "abcd":
        photograph(tmp_path / "images" / f"{name}.jpg")
    (tmp_path / "images" / "a.jpg").write_bytes(b"no image")
    png(tmp_path / "masks" / "a" / "x_1.png", NUMBERS)
    png(tmp_path / "masks" / "b" / "x_1.png", np.ones((9, 9), np.uint8))
    png(tmp_path / "masks" / "b" / "x_2.png", NUMBERS)
    (tmp_path / "masks" / "b" / "x_3.png").write_bytes(b"no image")
    png(tmp_path / "masks" / "c" / "x_1.png", np.zeros((2, 3), np.uint8))
    png(tmp_path / "masks" / "z" / "x_1.png", NUMBERS)
    data = mask_folder.read_masks(tmp_path, Reading())
    assert areas(data) == {"b.jpg": [("x", 5)], "c.jpg": [], "d.jpg": []}
    for part in (
        "a.jpg",
        "b.jpg: x_1.png",
        "b.jpg: x_3.png",
        "c.jpg: x_1.png",
        "image is missing, dropped: 1 in 1 image: z",
    ):
        assert part in said(data)


def test_without_images_either_convention_is_possible(tmp_path: Path):
    png(tmp_path / "masks" / "a" / "x_1.png", NUMBERS)
    with pytest.raises(ValueError, match="masks or instance-ids; say which with --from"):
        detect(tmp_path)


def test_all_folders_beside_train_are_splits(tmp_path: Path):
    for split in ("train", "valid", "minival"):
        photograph(tmp_path / "images" / split / f"{split}.jpg")
        png(tmp_path / "masks" / split / split / "cat_001.png", NUMBERS)
    photograph(tmp_path / "images" / "loose.jpg")
    data = mask_folder.read_masks(tmp_path, Reading())
    assert {split: [len(i.objects) for i in images] for split, images in data.splits.items()} == {
        "minival": [1],
        "train": [1],
        "val": [1],
    }
    assert "image in no folder of a split, dropped: 1 in 1 image: loose.jpg" in said(data)


@pytest.mark.parametrize("by_class", [True, False])
def test_masks_may_be_undivided_where_images_are_split(by_class: bool, tmp_path: Path):
    for split in ("train", "val"):
        photograph(tmp_path / "images" / split / f"{split}1.jpg")
        png(tmp_path / "masks" / (f"cat/{split}1.png" if by_class else f"{split}1/cat_1.png"), NUMBERS)
    png(tmp_path / "masks" / ("cat/x.png" if by_class else "x/cat_1.png"), NUMBERS)
    assert detect(tmp_path) == ("instance-ids" if by_class else "masks")
    data = (mask_folder.read_instance_ids if by_class else mask_folder.read_masks)(tmp_path, Reading())
    assert {split: len(images[0].objects) for split, images in data.splits.items()} == dict.fromkeys(
        ("train", "val"), 2 if by_class else 1
    )
    assert said(data) == "masks: masks whose image is missing, dropped: 1 in 1 image: x"


def test_masks_beside_the_folders_of_splits_are_named(tmp_path: Path):
    photograph(tmp_path / "images" / "train" / "a.jpg")
    png(tmp_path / "masks" / "train" / "a" / "cat_1.png", NUMBERS)
    png(tmp_path / "masks" / "b" / "cat_1.png", NUMBERS)
    assert "beside those of splits, dropped: 1 in 1 image: b" in said(mask_folder.read_masks(tmp_path, Reading()))


def test_every_spelling_of_the_suffix_and_no_other_files(tmp_path: Path):
    photograph(tmp_path / "images" / "a.jpg")
    for name in ("cat_1.png", "cat_2.PNG", "cat_3.bmp"):
        png(tmp_path / "masks" / "a" / name, NUMBERS)
    data = mask_folder.read_masks(tmp_path, Reading())
    assert areas(data) == {"a.jpg": [("cat", 5), ("cat", 5)]}
    assert said(data) == "masks: mask that is no PNG, dropped: 1 in 1 image: a/cat_3.bmp"


def test_masks_beside_the_photographs(tmp_path: Path):
    """In a folder without one called masks."""
    photograph(tmp_path / "images" / "a.jpg")
    png(tmp_path / "a" / "cat_1.png", NUMBERS)
    data = mask_folder.read_masks(tmp_path, Reading())
    assert (areas(data), said(data)) == ({"a.jpg": [("cat", 5)]}, "")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("transparency", [None, b"\xff\x00"])
def test_outside_is_black_whatever_its_index(transparency: bytes | None, tmp_path: Path):
    photograph(tmp_path / "images" / "a.jpg")
    indexed = Image.fromarray((NUMBERS == 0).astype(np.uint8))
    indexed.putpalette([255, 255, 255, 0, 0, 0])
    (tmp_path / "masks" / "a").mkdir(parents=True)
    indexed.save(tmp_path / "masks" / "a" / "cat_1.png", transparency=transparency)
    assert areas(mask_folder.read_masks(tmp_path, Reading())) == {"a.jpg": [("cat", 5)]}


def test_a_number_is_no_class(tmp_path: Path):
    photograph(tmp_path / "images" / "a.jpg")
    png(tmp_path / "masks" / "a" / "1.png", NUMBERS)
    with pytest.raises(ValueError, match="--class-name NAME"):
        mask_folder.read_masks(tmp_path, Reading())
    assert areas(mask_folder.read_masks(tmp_path, Reading(class_name="cat"))) == {"a.jpg": [("cat", 5)]}
