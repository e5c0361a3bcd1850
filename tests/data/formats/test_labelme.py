"""LabelMe's shapes and files, and what of broken ones is left."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolact.data.convert import convert
from yolact.data.formats import labelme
from yolact.data.formats.request import Reading
from yolact.data.labeled import LabeledData

SQUARE = {"label": "cat", "shape_type": "polygon", "points": [[1, 1], [5, 1], [5, 4], [1, 4]], "group_id": None}


def png(pixels: np.ndarray) -> str:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def write(folder: Path, *shapes: Any, name: str = "a", image: bool = True, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if image:
        Image.new("RGB", (8, 6)).save(folder / f"{name}.png")
    content = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": f"{name}.png"}
    content |= {"imageData": None, "imageHeight": 6, "imageWidth": 8} | changes
    (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def said(data: LabeledData) -> str:
    return "\n".join(line for problems in data.problems for line in problems.lines())


class TestShapes:
    def masks(self, folder: Path, *shapes: Any) -> list[np.ndarray]:
        data = labelme.read(write(folder, *shapes), Reading())
        assert said(data) == ""
        return [o.mask() for image in data.images() for o in image.objects]

    def test_polygon_and_rectangle(self, tmp_path: Path):
        rectangle = SQUARE | {"shape_type": "rectangle", "points": [[5, 4], [1, 1]]}
        first, second = self.masks(tmp_path, SQUARE, rectangle)
        assert (first == second).all()
        assert first.sum() == 12
        assert first[1:4, 1:5].all()

    def test_circle(self, tmp_path: Path):
        (mask,) = self.masks(tmp_path, SQUARE | {"shape_type": "circle", "points": [[4, 3], [4, 5]]})
        assert mask.sum() == 12
        assert (mask == mask[::-1]).all()
        assert (mask == mask[:, ::-1]).all()

    @pytest.mark.parametrize("end", [0, 1])
    def test_mask(self, end: int, tmp_path: Path):
        """LabelMe's box includes its last row and column; those of other programs do not."""
        inside = np.array([[True, False, True], [False, True, True]])
        points = [[2, 1], [2 + 2 + end, 1 + 1 + end]]
        (mask,) = self.masks(tmp_path, SQUARE | {"shape_type": "mask", "points": points, "mask": png(inside)})
        assert (mask[1:3, 2:5] == inside).all()
        assert mask.sum() == 4

    def test_groups_are_one_object(self, tmp_path: Path):
        other = SQUARE | {"points": [[6, 4], [8, 4], [8, 6]], "group_id": 0}
        dog = SQUARE | {"label": "dog", "group_id": 0}
        data = labelme.read(write(tmp_path, SQUARE | {"group_id": 0}, other, dog, SQUARE), Reading())
        assert [(o.name, o.area) for image in data.images() for o in image.objects] == [
            *(("cat", 13), ("dog", 12), ("cat", 12)),
        ]

    @pytest.mark.parametrize(
        ("shape", "problem"),
        [
            (SQUARE | {"points": [[1, 1], [5, 5]]}, "fewer than three corners"),
            (SQUARE | {"points": [[1, 1], [5, float("nan")], [5, 5]]}, "no finite number"),
            (SQUARE | {"points": [[1, 1], [5, 1e12], [5, 5]]}, "far outside"),
            (SQUARE | {"points": [[1, 1], [5], [5, 5]]}, "no finite number"),
            (SQUARE | {"points": None}, "no finite number"),
            (SQUARE | {"points": [[9, 9], [12, 9], [12, 12]]}, "covers no pixel"),
            (SQUARE | {"shape_type": "line"}, "line without an area"),
            (SQUARE | {"shape_type": ["x"]}, "unknown shape without an area"),
            (SQUARE | {"shape_type": "rectangle"}, "rectangle of 4 points"),
            (SQUARE | {"shape_type": "mask", "points": [[1, 1], [3, 3]]}, "no PNG in base64"),
            (SQUARE | {"shape_type": "mask", "points": [[1, 1], [3, 3]], "mask": "abc"}, "no PNG in base64"),
            (
                SQUARE | {"shape_type": "mask", "points": [[1, 1], [5, 5]], "mask": png(np.ones((2, 2), bool))},
                "its box",
            ),
            (
                SQUARE | {"shape_type": "mask", "points": [[7, 5], [8, 6]], "mask": png(np.ones((2, 2), bool))},
                "its box",
            ),
            (SQUARE | {"label": None}, "without a label"),
            ("shape", "without a label"),
        ],
    )
    def test_what_cannot_be_used_is_named_and_left_out(self, shape: Any, problem: str, tmp_path: Path):
        data = labelme.read(write(tmp_path, SQUARE, shape), Reading())
        assert [len(image.objects) for image in data.images()] == [1]
        assert problem in said(data)
        assert "dropped: 1 in 1 image: a.json" in said(data)


class TestFiles:
    def test_an_image_inside_the_file(self, tmp_path: Path):
        pixels = np.full((6, 8, 3), 77, dtype=np.uint8)
        write(tmp_path / "source", SQUARE, image=False, imageData=png(pixels))
        convert(tmp_path / "source", tmp_path / "out", "coco")
        convert(tmp_path / "source", tmp_path / "again", "labelme", images="none")
        with Image.open(tmp_path / "out" / "images" / "train" / "a.png") as image:
            assert (np.array(image) == pixels).all()
        again = labelme.read(tmp_path / "again", Reading())
        assert [image.is_embedded for image in again.images()] == [True]

    def test_images_in_the_folder_beside(self, tmp_path: Path):
        write(tmp_path / "photos", name="a")
        (tmp_path / "photos" / "a.json").unlink()
        write(tmp_path / "labels", SQUARE, image=False, imagePath="..\\photos\\a.png")
        (image,) = labelme.read(tmp_path / "labels", Reading()).images()
        assert (image.name, image.path) == ("a.png", tmp_path / "photos" / "a.png")

    @pytest.mark.parametrize("spelled", ["../../secret/b.png", "{tmp}/secret/b.png"])
    def test_a_path_that_leads_out_is_not_followed(self, spelled: str, tmp_path: Path):
        Image.new("RGB", (8, 6)).save(write(tmp_path / "secret", name="b") / "b.png")
        path = spelled.format(tmp=tmp_path)
        folder = write(tmp_path / "set" / "labels", SQUARE)
        write(folder, SQUARE, name="b", image=False, imagePath=path)
        data = labelme.read(folder, Reading())
        assert [image.name for image in data.images()] == ["a.png"]
        assert "b.json" in said(data)
        data = labelme.read(folder, Reading(photos=tmp_path / "secret"))
        assert [image.name for image in data.images()] == ["a.png", "b.png"]

    def test_broken_files_are_named_and_left_out(self, tmp_path: Path):
        write(tmp_path, SQUARE)
        (tmp_path / "b.json").write_text("{")
        (tmp_path / "c.json").write_text("[1]")
        write(tmp_path, SQUARE, name="d", image=False)
        write(tmp_path, SQUARE, name="e", imageHeight=99)
        write(tmp_path, SQUARE, name="f", image=False, imageData="%%%")
        write(tmp_path, SQUARE, name="g", imagePath="a.png")
        write(tmp_path, SQUARE, name="h", image=False, imagePath=7)
        (tmp_path / "i.json").write_text("[" * 100_000)
        data = labelme.read(tmp_path, Reading())
        assert [image.name for image in data.images()] == ["a.png"]
        for name in "bcdefghi":
            assert f"{name}.json" in said(data)
        assert data.notes == [f"{tmp_path.name}: 2 images without a LabelMe file, not read"]


def test_all_folders_beside_train_are_splits(tmp_path: Path):
    for split in ("train", "valid", "minival"):
        write(tmp_path / split, SQUARE, name=split)
    splits = labelme.read(tmp_path, Reading()).splits
    assert {split: [image.name for image in images] for split, images in splits.items()} == {
        "minival": ["minival.png"],
        "train": ["train.png"],
        "val": ["valid.png"],
    }
