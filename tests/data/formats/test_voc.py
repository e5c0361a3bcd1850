"""Pascal VOC's PNGs and those of other programs, and what of broken files is left."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolact.data.formats import voc
from yolact.data.formats.index_png import palette, write_png
from yolact.data.formats.request import Reading

INSTANCES = np.array([[0, 1, 1, 255], [2, 2, 1, 255], [2, 2, 0, 0]], dtype=np.uint8)
CLASSES = np.array([[0, 15, 15, 255], [3, 3, 15, 255], [3, 3, 0, 0]], dtype=np.uint8)


def write(folder: Path, stem: str = "a", size: tuple[int, int] = (4, 3)) -> Path:
    for part in ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(folder / "JPEGImages" / f"{stem}.jpg")
    write_png(folder / "SegmentationObject" / f"{stem}.png", INSTANCES)
    write_png(folder / "SegmentationClass" / f"{stem}.png", CLASSES)
    with (folder / "ImageSets" / "Segmentation" / "train.txt").open("a") as file:
        file.write(f"{stem}\n")
    return folder


def test_pascals_own_classes(tmp_path: Path):
    data = voc.read(write(tmp_path), Reading())
    ((image,),) = data.splits.values()
    assert [(o.name, o.area) for o in image.objects] == [("person", 3), ("bird", 4)]
    assert (image.objects[1].mask() == (INSTANCES == 2)).all()
    assert tuple(data.categories) == voc.PASCAL_CLASSES


def test_pascals_own_colors():
    assert palette()[[1, 2, 15, 20, 255]].tolist() == [
        *([128, 0, 0], [0, 128, 0], [192, 128, 128], [0, 64, 128], [224, 224, 192]),
    ]


def test_colors_in_place_of_numbers(tmp_path: Path):
    """As CVAT writes them, with colors of its own for the classes."""
    folder = write(tmp_path)
    for kind, numbers in (("SegmentationObject", INSTANCES), ("SegmentationClass", CLASSES)):
        colors = palette().copy()
        colors[15] = (7, 8, 9) if kind == "SegmentationClass" else colors[15]
        Image.fromarray(colors[numbers]).save(folder / kind / "a.png")
    (folder / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ngreat: dane:7,8,9::\nbird:128,128,0::\n"
    )
    data = voc.read(folder, Reading())
    ((image,),) = data.splits.values()
    assert sorted((o.name, o.area) for o in image.objects) == [("bird", 4), ("great: dane", 3)]
    assert list(data.categories) == ["great: dane", "bird"]


def test_broken_files_are_named_and_left_out(tmp_path: Path):
    folder = write(tmp_path)
    for stem in ("b", "c", "d", "e", "f"):
        write(folder, stem, size=(9, 9) if stem == "b" else (4, 3))
    (folder / "SegmentationObject" / "c.png").write_bytes(b"no image")
    (folder / "SegmentationClass" / "d.png").unlink()
    (folder / "JPEGImages" / "e.jpg").unlink()
    write_png(folder / "SegmentationClass" / "f.png", np.full((3, 4), 200, np.uint8))
    with (folder / "ImageSets" / "Segmentation" / "train.txt").open("a") as file:
        file.write("../../secret\n")
    data = voc.read(folder, Reading())
    assert [image.name for image in data.images()] == ["a.jpg", "f.jpg"]
    lines = "\n".join(data.problems[0].lines())
    for part in ("disagree on the image size, dropped: 1 in 1 image: b.jpg", "opened, dropped: 1 in 1 image: c.jpg"):
        assert part in lines
    for part in ("missing PNG of masks, dropped", "missing image file, dropped: 2", "unknown class, dropped: 2"):
        assert part in lines


def test_a_labelmap_without_background(tmp_path: Path):
    (write(tmp_path) / "labelmap.txt").write_text("dog:1,2,3::\n")
    with pytest.raises(ValueError, match="does not list the background"):
        voc.read(tmp_path, Reading())


def test_background_may_stand_anywhere_in_a_labelmap(tmp_path: Path):
    folder = write(tmp_path)
    lines = [f"class{index}:{index},1,1::\n" for index in range(1, 16)]
    (folder / "labelmap.txt").write_text("".join([*lines[:7], "background:0,0,0::\n", *lines[7:]]))
    ((image,),) = voc.read(folder, Reading()).splits.values()
    assert [(o.name, o.area) for o in image.objects] == [("class15", 3), ("class3", 4)]


def test_two_years_are_not_chosen_from(tmp_path: Path):
    write(tmp_path / "VOCdevkit" / "VOC2012")
    assert len(list(voc.read(tmp_path, Reading()).images())) == 1
    write(tmp_path / "VOCdevkit" / "VOC2007")
    with pytest.raises(ValueError, match="VOC2007 and VOC2012; name one"):
        voc.read(tmp_path, Reading())


def test_a_line_is_a_name_or_begins_with_one(tmp_path: Path):
    folder = write(tmp_path)
    write(folder, "my photo")
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text("my photo\na  1\nmy cat\n")
    data = voc.read(folder, Reading())
    assert [image.name for image in data.images()] == ["my photo.jpg", "a.jpg"]
    assert data.problems[0].lines() == ["train: missing image file, dropped: 1 in 1 image: my cat"]


def test_blue_is_an_object(tmp_path: Path):
    """Its color is the number 255, which is void only as an index."""
    folder = write(tmp_path)
    colors = palette().copy()
    colors[2] = (0, 0, 255)
    Image.fromarray(colors[INSTANCES]).save(folder / "SegmentationObject" / "a.png")
    ((image,),) = voc.read(folder, Reading()).splits.values()
    assert sorted((o.name, o.area) for o in image.objects) == [("bird", 4), ("person", 3)]
