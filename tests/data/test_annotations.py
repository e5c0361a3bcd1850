"""What is wrong in an annotation file is named with its image, and costs no more than itself."""

import copy
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synthetic import edited, undecodable, write_dataset
from yolact.data.annotations import read_image
from yolact.data.coco import CocoDataset, DataConfig


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, images=3, size=(48, 64))


BAD_OBJECTS = {
    "box without area": {"bbox": [5, 5, 0, 10]},
    "box outside the image": {"bbox": [64, 5, 10, 10]},
    "unknown category 99": {"category_id": 99},
    "unknown category None": {"category_id": None},
    "no segmentation": {"segmentation": []},
    "segmentation is neither": {"segmentation": "none"},
    "empty polygon": {"segmentation": [[]]},
    "polygon far outside": {"segmentation": [[1, 1, 1e9, 1, 1e9, 1e9]]},
    "polygon without area": {"segmentation": [[1, 1, 5, 5, 9, 9]]},
    "RLE does not fit the image": {"segmentation": {"size": [48, 64], "counts": [5, 5]}},
    "RLE without area": {"segmentation": {"size": [48, 64], "counts": [48 * 64]}},
}


class TestProblems:
    @pytest.mark.parametrize("problem", BAD_OBJECTS)
    def test_a_bad_object_is_dropped_and_reported_with_its_image(self, data_yaml: Path, problem: str) -> None:
        dataset = edited(data_yaml, lambda content: content["annotations"][0].update(BAD_OBJECTS[problem]))
        assert dataset.num_objects == 5
        assert len(dataset) == 3
        (line,) = dataset.problems
        assert problem in line
        assert line.startswith("instances_train.json: ")
        assert "1 in 1 image: train001.png" in line
        assert len(dataset[0].labels) == 1

    @pytest.mark.parametrize("counts", ["abc", "zzzzzz"])
    def test_a_broken_compressed_rle_costs_only_its_object(self, data_yaml: Path, counts: str) -> None:
        rle = {"segmentation": {"size": [48, 64], "counts": counts}}
        dataset = edited(data_yaml, lambda content: content["annotations"][0].update(rle))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert len(dataset[0].labels) == 1
        assert dataset.problems or "train001.png" in str(caught[0].message)

    def test_a_box_that_reaches_out_is_clipped(self, data_yaml: Path) -> None:
        out = {"bbox": [50, 40, 40, 40], "segmentation": [[50, 40, 90, 40, 90, 80, 50, 80]]}
        dataset = edited(data_yaml, lambda content: content["annotations"][0].update(out))
        assert dataset[0].boxes[0].tolist() == [50, 40, 64, 48]
        assert "reaches out of the image, clipped" in dataset.problems[0]

    def test_missing_and_broken_image_files(self, data_yaml: Path) -> None:
        (data_yaml.parent / "train" / "train001.png").unlink()
        (data_yaml.parent / "train" / "train002.png").write_bytes(b"no picture")
        dataset = edited(data_yaml, lambda content: None)
        assert [record.path.name for record in dataset.records] == ["train003.png"]
        assert any("missing image file, dropped: 1 in 1 image: train001.png" in line for line in dataset.problems)
        assert any("cannot identify" in line and "train002.png" in line for line in dataset.problems)

    def test_an_image_that_cannot_be_decoded_is_left_out(self, data_yaml: Path) -> None:
        path = data_yaml.parent / "train" / "train002.png"
        path.write_bytes(undecodable(64, 48))
        (line,) = edited(data_yaml, lambda content: None).problems
        assert line.endswith("Unimplemented pixel format 1701736302, dropped: 1 in 1 image: train002.png")
        with pytest.raises(ValueError, match=r"train002\.png cannot be used: Unimplemented"):
            read_image(path, (48, 64))

    def test_many_annotations_of_one_id(self, data_yaml: Path) -> None:
        def number_from_zero(content: dict[str, Any]) -> None:
            first = content["annotations"][0] | {"id": 0, "segmentation": [[1, 1, 9, 1, 9, 9]]}
            content["annotations"] = [first | {"area": area} for area in range(12_000)] + [first | {"area": 7}]

        start = time.process_time()
        dataset = edited(data_yaml, number_from_zero)
        assert time.process_time() - start < 5  # each compared with each would take longer
        assert dataset.num_objects == 12_000
        assert [line.split(": ")[1:3] for line in dataset.problems] == [
            ["annotation id used twice for different objects, kept", "11999 in 1 image"],
            ["annotation repeated, dropped", "1 in 1 image"],
        ]

    @pytest.mark.parametrize("count", [5, 6])
    def test_many_unknown_categories(self, data_yaml: Path, count: int) -> None:
        def add(content: dict[str, Any]) -> None:
            first = content["annotations"][0]
            content["annotations"] += [first | {"id": 50 + i, "category_id": 50 + i} for i in range(count)]

        problems = edited(data_yaml, add).problems
        if count == 5:
            assert len(problems) == 5
        else:
            (line,) = problems
            assert "unknown categories 50, 51, 52 and 3 more, dropped: 6 in 1 image: train001.png (6x)" in line

    def test_two_categories_of_one_id(self, data_yaml: Path) -> None:
        def add(content: dict[str, Any], name: str) -> None:
            content["categories"].append({"id": 3, "name": name})

        assert edited(data_yaml, lambda content: add(content, "disk")).classes == ("disk", "box")
        with pytest.raises(ValueError, match="two categories of id 3, 'disk' and 'cat'; number them anew"):
            edited(data_yaml, lambda content: add(content, "cat"))

    def test_lists_that_are_nested_without_end(self, data_yaml: Path) -> None:
        (data_yaml.parent / "instances_train.json").write_text("[" * 100_000)
        with pytest.raises(ValueError, match=r"instances_train\.json cannot be read as JSON"):
            CocoDataset(DataConfig.read(data_yaml).train)

    def test_numbers_that_no_float_holds(self, data_yaml: Path) -> None:
        dataset = edited(data_yaml, lambda content: content["annotations"][0].update(bbox=[5, 5, 10**400, 9]))
        assert dataset.num_objects == 6
        assert "box is not four finite numbers, taken from the mask" in dataset.problems[0]

    def test_a_truncated_image_raises_when_read(self, data_yaml: Path) -> None:
        path = data_yaml.parent / "train" / "train001.png"
        path.write_bytes(path.read_bytes()[:2000])
        dataset = edited(data_yaml, lambda content: None)
        with pytest.raises(ValueError, match=r"train001\.png cannot be used"):
            dataset[0]

    def test_a_size_that_contradicts_the_file(self, data_yaml: Path) -> None:
        dataset = edited(data_yaml, lambda content: content["images"][0].update(width=640))
        assert len(dataset) == 2
        assert "disagree on the image size" in dataset.problems[0]

    def test_crowds_only(self, data_yaml: Path) -> None:
        def crowd(content: dict[str, Any]) -> None:
            for annotation in content["annotations"][:2]:
                annotation["iscrowd"] = 1

        dataset = edited(data_yaml, crowd)
        assert dataset[0].is_crowd.tolist() == [True, True]
        assert "only crowds" in dataset.problems[0]
        assert dataset.num_objects == 4

    def test_duplicates(self, data_yaml: Path) -> None:
        def double(content: dict[str, Any]) -> None:
            content["images"].append(dict(content["images"][0]))
            content["annotations"].append(copy.deepcopy(content["annotations"][0]))
            content["annotations"][3]["id"] = content["annotations"][2]["id"]

        dataset = edited(data_yaml, double)
        assert len(dataset) == 3
        assert dataset.num_objects == 6
        text = "\n".join(dataset.problems)
        assert "image id used twice" in text
        assert "annotation repeated, dropped: 1" in text
        assert "annotation id used twice for different objects, kept" in text

    def test_annotation_of_an_unlisted_image(self, data_yaml: Path) -> None:
        dataset = edited(data_yaml, lambda content: content["annotations"][0].update(image_id=77))
        assert "not listed, dropped: 1 in 1 image: id 77" in dataset.problems[0]

    def test_problems_are_counted_in_one_line(self, data_yaml: Path) -> None:
        def spoil(content: dict[str, Any]) -> None:
            for annotation in content["annotations"]:
                annotation["category_id"] = 50

        dataset = edited(data_yaml, spoil)
        assert dataset.problems == [
            "instances_train.json: unknown category 50, dropped: 6 in 3 images:"
            " train001.png (2x), train002.png (2x), train003.png (2x)"
        ]


class TestOrientation:
    """COCO annotations refer to the stored pixels, unless the file's size says that they were made on the turned."""

    @pytest.fixture
    def turned(self, tmp_path: Path) -> Path:
        pixels = np.zeros((20, 30, 3), dtype=np.uint8)
        pixels[:5, :5] = 255
        exif = Image.Exif()
        exif[0x0112] = 6  # a viewer turns it a quarter clockwise
        Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
        return tmp_path / "turned.png"

    def test_stored_pixels_count(self, turned: Path) -> None:
        assert read_image(turned, (20, 30))[2, 2, 0] == 255

    def test_annotated_after_turning(self, turned: Path) -> None:
        pixels = read_image(turned, (30, 20))
        assert pixels.shape == (30, 20, 3)
        assert pixels[2, 17, 0] == 255
        assert pixels[2, 2, 0] == 0

    def test_another_size_is_refused(self, turned: Path) -> None:
        with pytest.raises(ValueError, match="size"):
            read_image(turned, (10, 10))
