"""Conversion: what survives every format, what each one loses and says, and what of broken files is left."""

import base64
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from labeled_sets import NAMES, Objects, contents, object_lists, without_overlap, write_coco
from yolact.cli import main
from yolact.data.coco import CocoDataset
from yolact.data.convert import WRITERS, convert
from yolact.data.source import DataConfig

ROUND = settings(max_examples=25)
SQUARE = np.pad(np.ones((3, 4), dtype=bool), ((1, 4), (2, 2)))


def there_and_back(source: Path, name, folder: Path, **options) -> Path:
    there = convert(source, folder / "there", name, **options)
    back = convert(folder / "there", folder / "back", "coco")
    assert back.source_format == name
    assert there.is_sound
    assert back.is_sound
    return folder / "back" / "annotations" / "instances_train.json"


class TestRoundTrips:
    """COCO → a format, which is then detected → COCO."""

    @pytest.mark.parametrize("name", ["coco", "yolo", "labelme", "masks"])
    @ROUND
    @given(images=st.lists(object_lists(), min_size=1, max_size=2))
    def test_no_pixel_is_lost(self, name: str, images: list[Objects]):
        with TemporaryDirectory() as folder:
            source = write_coco(Path(folder) / "source", images)
            back = there_and_back(source, name, Path(folder))
            assert contents(back) == contents(source / "instances_train.json")

    @pytest.mark.parametrize("name", ["voc", "instance-ids"])
    @ROUND
    @given(images=st.lists(object_lists(), min_size=1, max_size=2))
    def test_no_pixel_is_lost_where_nothing_overlaps(self, name: str, images: list[Objects]):
        with TemporaryDirectory() as folder:
            source = write_coco(Path(folder) / "source", [without_overlap(objects) for objects in images])
            back = there_and_back(source, name, Path(folder))
            assert contents(back) == contents(source / "instances_train.json")

    @pytest.mark.parametrize("name", ["coco", "labelme"])
    @ROUND
    @given(images=st.lists(object_lists(), min_size=1, max_size=2))
    def test_crowds_stay_crowds(self, name: str, images: list[Objects]):
        with TemporaryDirectory() as folder:
            source = write_coco(Path(folder) / "source", images, crowds=True)
            assert contents(there_and_back(source, name, Path(folder))) == contents(source / "instances_train.json")

    @pytest.mark.parametrize("masks", ["rle", "polygons"])
    @ROUND
    @given(objects=object_lists())
    def test_coco_holds_masks_in_two_ways(self, masks, objects: Objects):
        with TemporaryDirectory() as folder:
            source = write_coco(Path(folder) / "source", [objects])
            back = there_and_back(source, "coco", Path(folder), masks=masks)
            assert contents(back) == contents(source / "instances_train.json")
            kinds = {type(a["segmentation"]) for a in json.loads(back.read_text())["annotations"]}
            assert kinds == ({dict} if masks == "rle" else {list})

    coordinates = st.floats(0, 20).map(lambda v: round(v, 2)) | st.integers(0, 40).map(lambda v: v / 2)
    polygon = st.lists(coordinates, min_size=6, max_size=12).filter(lambda points: len(points) % 2 == 0)

    @pytest.mark.parametrize("name", ["yolo", "labelme"])
    @ROUND
    @given(polygons=st.lists(polygon, min_size=1, max_size=3))
    def test_polygons_keep_their_pixels(self, name: str, polygons: list[list[float]]):
        """Wherever their corners lie, crossing themselves and each other."""
        with TemporaryDirectory() as folder:
            source = write_coco(Path(folder) / "source", [[("person", np.ones((17, 19), bool))]])
            file = source / "instances_train.json"
            content = json.loads(file.read_text())
            content["annotations"][0]["segmentation"] = polygons
            file.write_text(json.dumps(content))
            first = convert(source, Path(folder) / "first", "coco")
            if first.written["train"][1] == 0:
                return  # polygons without a pixel: named and dropped
            sound = Path(folder) / "first" / "data.yaml"
            back = there_and_back(sound, name, Path(folder))
            assert contents(back) == contents(sound.parent / "annotations" / "instances_train.json")

    def test_a_simple_polygon_comes_back_corner_by_corner(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", np.ones((37, 53), bool))]])
        file = source / "instances_train.json"
        content = json.loads(file.read_text())
        polygon = [3.5, 4.25, 40.1, 7.77, 31.03, 30.5]
        content["annotations"][0]["segmentation"] = [polygon]
        file.write_text(json.dumps(content))
        back = there_and_back(source, "yolo", tmp_path)
        assert json.loads(back.read_text())["annotations"][0]["segmentation"] == [polygon]


class TestWhatSurvives:
    def test_ids_stay_in_coco(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("traffic light", SQUARE)]])
        content = json.loads(there_and_back(source, "coco", tmp_path).read_text())
        assert [(c["id"], c["name"]) for c in content["categories"]] == list(zip((3, 7, 90), NAMES, strict=True))
        assert [image["id"] for image in content["images"]] == [10]
        assert content["annotations"][0]["bbox"] == [2, 1, 4, 3]

    @pytest.mark.parametrize("name", WRITERS)
    def test_classes_without_objects_images_without_objects_and_splits(self, name, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("traffic light", SQUARE)], [("person", np.zeros((5, 7), bool))]])
        file = source / "instances_train.json"
        content = json.loads(file.read_text())
        del content["annotations"][1]
        file.write_text(json.dumps(content))
        write_coco(source, [[("person", SQUARE)]], split="val")
        back = there_and_back(source, name, tmp_path)
        content = json.loads(back.read_text())
        assert [c["name"] for c in content["categories"]] == list(NAMES)
        assert [(i["height"], i["width"]) for i in content["images"]] == [(8, 8), (5, 7)]
        assert contents(back) == contents(file)
        val = back.with_name("instances_val.json")
        assert contents(val) == contents(source / "instances_val.json")

    @pytest.mark.parametrize("name", WRITERS)
    @settings(max_examples=5)
    @given(others=st.sets(st.sampled_from(["val", "test", "minival", "fold 2"]), min_size=1))
    def test_every_split(self, name, others: set[str]):
        with TemporaryDirectory() as folder:
            splits, source = sorted({"train", *others}), Path(folder) / "source"
            for number, split in enumerate(splits, start=1):
                write_coco(source, [[("person", SQUARE)]] * number, split=split)
            convert(source, Path(folder) / "there", name)
            report = convert(Path(folder) / "there", Path(folder) / "back", "coco")
            assert report.written == {split: (n, n) for n, split in enumerate(splits, start=1)}
            for split in splits:
                there = contents(source / f"instances_{split}.json")
                back = contents(Path(folder) / "back" / "annotations" / f"instances_{split}.json")
                # Without the names, as Pascal VOC has all images in one folder.
                assert [found[1:] for found in sorted(back)] == [found[1:] for found in sorted(there)]

    @pytest.mark.parametrize("name", WRITERS)
    def test_splits_without_a_known_name_are_said_to_be_one(self, name, tmp_path: Path):
        """As nobody can tell them from folders of photographs."""
        write_coco(tmp_path / "source", [[("person", SQUARE)]], split="a")
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 2, split="b")
        said = convert(source, tmp_path / "there", name).losses
        report = convert(tmp_path / "there", tmp_path / "back", "coco")
        assert sum(images for images, _ in report.written.values()) == 3
        assert any("makes one split" in line for line in said) == (list(report.written) == ["train"])

    @pytest.mark.parametrize("name", WRITERS)
    def test_the_result_can_be_trained_on(self, name, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 3)
        there_and_back(source, name, tmp_path)
        data = CocoDataset(DataConfig.read(tmp_path / "back" / "data.yaml").train)
        assert data.problems == []
        assert (len(data), data.num_objects) == (3, 3)
        assert (data[1].masks[0].numpy() == SQUARE).all()
        assert data[1].image[0, 0, 0] == 2  # the second image's color

    @pytest.mark.parametrize("name", WRITERS)
    def test_images_of_one_name_stay_apart(self, name, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)], [("traffic light", SQUARE[::-1])]])
        (source / "train" / "a").mkdir()
        (source / "train" / "001.png").rename(source / "train" / "a" / "001.png")
        Image.new("RGB", (8, 8), (9, 9, 9)).save(source / "train" / "a" / "001.bmp")
        file = source / "instances_train.json"
        text = file.read_text().replace("001.png", "a/001.png").replace("002.png", "a/001.bmp")
        file.write_text(text)
        report = convert(source, tmp_path / "there", name, images="copy")
        assert any("image renamed" in line for line in report.losses)
        convert(tmp_path / "there", tmp_path / "back", "coco")
        data = CocoDataset(DataConfig.read(tmp_path / "back" / "data.yaml").train)
        found = {(int(sample.image[0, 0, 0]), int(sample.labels[0])) for sample in data}
        assert found == {(1, 0), (9, 1)}

    file_names = st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "", "a/", "images/", "train/", "c.png/"]),
        st.text("ab. _1\n\u2028é-%:", min_size=1, max_size=5).filter(lambda stem: stem.strip(".") != ""),
        st.sampled_from([".png", "", ".PNG", ".v2", ".jpg"]),
    )

    @pytest.mark.parametrize("name", WRITERS)
    @ROUND
    @given(names=st.lists(file_names, min_size=1, max_size=4, unique_by=str.casefold))
    def test_every_image_whatever_its_name(self, name, names: list[str]):
        assume(not any(other.startswith(f"{name}/") for name in names for other in names))  # a file, or a folder
        with TemporaryDirectory() as folder:
            masks = [np.roll(SQUARE, shift, axis=(0, 1)) for shift in range(len(names))]
            source = write_coco(Path(folder) / "source", [[("person", mask)] for mask in masks])
            file = source / "instances_train.json"
            content = json.loads(file.read_text())
            for image, chosen in zip(content["images"], names, strict=True):
                path = source / "train" / chosen
                path.parent.mkdir(parents=True, exist_ok=True)
                assume(not path.exists())
                (source / "train" / image["file_name"]).rename(path)
                image["file_name"] = chosen
            file.write_text(json.dumps(content))
            there_and_back(source, name, Path(folder), images="copy")
            data = CocoDataset(DataConfig.read(Path(folder) / "back" / "data.yaml").train)
            found = {int(sample.image[0, 0, 0]): sample.masks[0].numpy() for sample in data}
            assert sorted(found) == list(range(1, len(names) + 1))
            assert all((found[number] == mask).all() for number, mask in enumerate(masks, start=1))

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("size", [(6, 9), (7, 7)])
    @pytest.mark.parametrize("name", WRITERS)
    def test_photographs_that_are_stored_turned(self, name, size: tuple[int, int], orientation: int, tmp_path: Path):
        """YOLO's and LabelMe's tools turn them, COCO's do not: the object stays where it is in the photograph."""
        there_and_back(turned_photograph(tmp_path / "source", size, orientation), name, tmp_path)
        assert_the_object_is_what_is_white(tmp_path / "back")

    @pytest.mark.parametrize("orientation", [3, 6])
    @pytest.mark.parametrize("name", WRITERS)
    def test_tiffs_that_are_stored_turned(self, name, orientation: int, tmp_path: Path):
        """Pillow turns these by itself."""
        source = turned_photograph(tmp_path / "source", (6, 9), 1)
        photo = source / "train" / "001.png"
        exif = Image.Exif()
        exif[0x0112] = orientation
        turn_back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]
        Image.open(photo).convert("RGB").transpose(turn_back).save(photo.with_suffix(".tif"), exif=exif)
        file = source / "instances_train.json"
        file.write_text(file.read_text().replace("001.png", "001.tif"))
        there_and_back(source, name, tmp_path)
        assert_the_object_is_what_is_white(tmp_path / "back")

    @pytest.mark.parametrize("orientation", [3, 6])
    @pytest.mark.parametrize("name", WRITERS)
    def test_photographs_in_labelme_files_that_are_stored_turned(self, name, orientation: int, tmp_path: Path):
        convert(turned_photograph(tmp_path / "coco", (6, 9), orientation), tmp_path / "source", "labelme")
        file, photo = tmp_path / "source" / "train" / "001.json", tmp_path / "source" / "train" / "001.png"
        content = json.loads(file.read_text())
        content["imageData"] = base64.b64encode(photo.read_bytes()).decode()
        file.write_text(json.dumps(content))
        photo.unlink()
        there_and_back(tmp_path / "source", name, tmp_path)
        assert_the_object_is_what_is_white(tmp_path / "back")


def turned_photograph(folder: Path, size: tuple[int, int], orientation: int) -> Path:
    """A COCO data set of one photograph, black but for its object."""
    mask = np.zeros(size, bool)
    mask[0, :2] = mask[1, 0] = True
    source = write_coco(folder, [[("person", mask)]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(source / "train" / "001.png", exif=exif)
    return source


def assert_the_object_is_what_is_white(folder: Path) -> None:
    (sample,) = CocoDataset(DataConfig.read(folder / "data.yaml").train)
    assert ((sample.image[0] == 255) == sample.masks[0]).all()


class TestWhatIsLostIsSaid:
    @pytest.mark.parametrize("name", ["yolo", "voc", "masks", "instance-ids"])
    def test_crowds(self, name, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE), ("person", ~SQUARE)]], crowds=True)
        report = convert(source, tmp_path / "out", name)
        assert any("crowd" in line and "001.png" in line for line in report.losses)
        assert report.dropped == (0 if name == "voc" else 1)
        assert report.is_sound

    @pytest.mark.parametrize("name", ["voc", "instance-ids"])
    def test_overlaps(self, name, tmp_path: Path):
        objects = [("person", SQUARE), ("person", np.ones((8, 8), bool)), ("person", SQUARE)]
        report = convert(write_coco(tmp_path / "source", [objects]), tmp_path / "out", name)
        assert any("overlapping objects" in line for line in report.losses)
        assert any("entirely under" in line for line in report.losses)
        assert report.dropped == 1

    def test_more_objects_than_pascal_voc_has_numbers(self, tmp_path: Path):
        single = np.eye(300, dtype=bool).reshape(300, 15, 20)
        source = write_coco(tmp_path / "source", [[("person", mask) for mask in single]])
        report = convert(source, tmp_path / "out", "voc")
        assert any("more than 254 objects in an image, the smallest dropped: 46 in 1 image" in x for x in report.losses)
        convert(tmp_path / "out", tmp_path / "back", "coco")
        assert contents(tmp_path / "back" / "annotations" / "instances_train.json").total() == 254
        back = there_and_back(source, "instance-ids", tmp_path / "other")
        assert contents(back) == contents(source / "instances_train.json")

    def test_ids_and_what_only_coco_knows(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]])
        file = source / "instances_train.json"
        content = json.loads(file.read_text())
        content["licenses"] = []
        content["annotations"][0]["keypoints"] = [1, 2, 2]
        file.write_text(json.dumps(content))
        report = convert(source, tmp_path / "out", "yolo")
        assert any("licenses, keypoints of annotations" in line for line in report.problems)
        assert any("no category ids" in line for line in report.losses)
        assert any("no image ids" in line for line in report.losses)


class TestImages:
    def inode(self, path: Path) -> int:
        return path.stat().st_ino

    def test_links_copies_and_none(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]])
        photo = source / "train" / "001.png"
        for how in ("link", "copy", "none"):
            convert(source, tmp_path / how, "coco", images=how)
        assert self.inode(tmp_path / "link" / "images" / "train" / "001.png") == self.inode(photo)
        copied = tmp_path / "copy" / "images" / "train" / "001.png"
        assert self.inode(copied) != self.inode(photo)
        assert copied.read_bytes() == photo.read_bytes()
        assert not (tmp_path / "none" / "images").exists()
        assert DataConfig.read(tmp_path / "none" / "data.yaml").train[0].images == source / "train"

    def test_a_file_system_without_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def refuse(*_):
            raise OSError("cross-device link")

        monkeypatch.setattr(os, "link", refuse)
        convert(write_coco(tmp_path / "source", [[("person", SQUARE)]]), tmp_path / "out", "yolo")
        assert (tmp_path / "out" / "images" / "train" / "001.png").is_file()

    def test_the_source_stays_as_it_is(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]])
        before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
        for name in WRITERS:
            convert(source, tmp_path / name, name)  # type: ignore[arg-type]
        assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


class TestSplitting:
    def test_a_share_is_split_off(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 20)
        train, train_objects = convert(source, tmp_path / "a", "coco", val_share=0.25).written["train"]
        assert (train, train_objects) == (15, 15)
        convert(source, tmp_path / "b", "coco", val_share=0.25)
        convert(source, tmp_path / "c", "coco", val_share=0.25, seed=1)
        texts = [(tmp_path / x / "annotations" / "instances_val.json").read_text() for x in "abc"]
        assert texts[0] == texts[1] != texts[2]

    def test_equal_images_stay_together(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 12)
        for number in range(1, 13):
            Image.new("RGB", (8, 8), (number % 3, 0, 0)).save(source / "train" / f"{number:03d}.png")
        convert(source, tmp_path / "out", "yolo", val_share=0.3)
        sides = {}
        for path in (tmp_path / "out" / "images").rglob("*.png"):
            sides.setdefault(path.read_bytes(), set()).add(path.parent.name)
        assert sorted(map(len, sides.values())) == [1, 1, 1]
        assert len(list((tmp_path / "out" / "images" / "val").iterdir())) == 4

    def test_mistakes(self, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 2)
        with pytest.raises(ValueError, match="--val-share 20"):
            convert(source, tmp_path / "out", "coco", val_share=20.0)
        write_coco(source, [[("person", SQUARE)]], split="val")
        with pytest.raises(ValueError, match="there are splits already"):
            convert(source, tmp_path / "out", "coco", val_share=0.2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("yolo", {"photos": Path("photos")}, "--photos photos, but yolo says itself"),
        ("coco", {"photos": Path("photos")}, "data.yaml says where the images are; leave it out"),
        ("coco", {"class_name": "cat"}, "--class-name cat, but coco says itself"),
        ("coco", {"masks": "rle", "destination_format": "yolo"}, "--masks rle, but yolo has one way"),
    ],
)
def test_options_without_effect_are_refused(name, options: dict[str, Any], message: str, tmp_path: Path):
    convert(write_coco(tmp_path / "source", [[("person", SQUARE)]]), tmp_path / "there", name)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "there", tmp_path / "out", **{"destination_format": "coco", **options})


class TestDamage:
    @pytest.mark.parametrize("name", WRITERS)
    def test_damaged_files_are_left_out_or_refused_in_one_line(self, name, tmp_path: Path):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)], [("a/b: c?", ~SQUARE)]])
        convert(source, tmp_path / "sound", name, images="copy")
        random = np.random.default_rng(0)
        for path in sorted(path for path in (tmp_path / "sound").rglob("*") if path.is_file()):
            sound = path.read_bytes()
            somewhere = int(random.integers(len(sound)))
            for damaged in (b"", sound[:somewhere], sound[:somewhere] + b"\xe6" + sound[somewhere + 1 :]):
                path.write_bytes(damaged)
                out = tmp_path / "out" / str(random.integers(2**60))
                said = str(tmp_path)
                try:
                    convert(tmp_path / "sound", out, "coco", name)
                except ValueError as error:
                    said = str(error)
                assert "\n" not in said
                assert str(tmp_path) in said
            path.write_bytes(sound)


class TestTheVerb:
    def run(self, *arguments: object) -> int:
        with pytest.raises(SystemExit) as exited:
            main(["data", *map(str, arguments)])
        assert isinstance(exited.value.code, int)
        return exited.value.code

    def test_it_converts(self, tmp_path: Path, capsys: pytest.CaptureFixture):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]])
        assert self.run("convert", source, tmp_path / "out", "--to", "yolo", "--from", "coco") == 0
        printed = capsys.readouterr()
        assert "(coco) → " in printed.out
        assert "train 1 images, 1 objects" in printed.out
        assert all(line.startswith("warning: ") for line in printed.err.splitlines())

    def test_what_was_dropped_is_an_exit_of_one(self, tmp_path: Path, capsys: pytest.CaptureFixture):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 2)
        (source / "train" / "002.png").write_bytes(b"no image")
        assert self.run("convert", source, tmp_path / "out", "--to", "masks") == 1
        assert "002.png" in capsys.readouterr().err

    def test_names_do_not_reach_the_terminal_as_they_are(self, tmp_path: Path, capsys: pytest.CaptureFixture):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]] * 2)
        file = source / "instances_train.json"
        file.write_text(file.read_text().replace("002.png", "x\\n\\u001b[31mred.png"))
        assert self.run("convert", source, tmp_path / "out", "--to", "coco") == 1
        assert capsys.readouterr().err.endswith("dropped: 1 in 1 image: x ?[31mred.png\n")

    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (("{tmp}/nowhere", "{tmp}/out", "--to", "coco"), "nowhere does not exist"),
            (("{tmp}/empty", "{tmp}/out", "--to", "coco"), "none of the known layouts; say which with --from"),
            (("{tmp}/source", "{tmp}/source", "--to", "coco"), "holds something"),
            (("{tmp}/source", "{tmp}/out", "--to", "coco", "--photos", "{tmp}/empty"), "--photos FOLDER"),
            (("{tmp}/empty", "{tmp}/out", "--to", "coco", "--from", "voc"), "SegmentationObject"),
            (("{tmp}/empty", "{tmp}/out", "--to", "coco", "--from", "sbd"), "inst and img"),
            (("{tmp}/empty", "{tmp}/out", "--to", "coco", "--from", "yolo"), "0 files .yaml"),
            (("{tmp}/empty", "{tmp}/out", "--to", "coco", "--from", "labelme"), "no LabelMe files"),
            (("{tmp}/empty", "{tmp}/out", "--to", "coco", "--from", "masks"), "--photos FOLDER"),
            (("{tmp}/empty", "{tmp}/out", "--to", "coco", "--from", "coco"), "no annotation file"),
        ],
    )
    def test_each_mistake_gives_one_line(self, arguments, part: str, tmp_path: Path, capsys: pytest.CaptureFixture):
        write_coco(tmp_path / "source", [[("person", SQUARE)]])
        (tmp_path / "empty").mkdir()
        assert self.run("convert", *(argument.format(tmp=tmp_path) for argument in arguments)) == 2
        printed = capsys.readouterr()
        assert part in printed.err
        assert len(printed.err.strip().splitlines()) == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "source"]

    def test_an_empty_folder_is_filled(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]])
        (tmp_path / "out").mkdir()
        monkeypatch.chdir(tmp_path / "out")
        assert self.run("convert", source, ".", "--to", "yolo") == 0
        assert sorted(path.name for path in Path().iterdir()) == ["data.yaml", "images", "labels"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]

    def test_nothing_is_left_of_a_conversion_that_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def fail(*_):
            raise OSError("disk full")

        monkeypatch.setattr("yolact.data.formats.yolo.place", fail)
        source = write_coco(tmp_path / "source", [[("person", SQUARE)]])
        assert self.run("convert", source, tmp_path / "out", "--to", "yolo") == 2
        assert [path.name for path in tmp_path.iterdir()] == ["source"]

    def test_formats_are_listed(self, capsys: pytest.CaptureFixture):
        assert self.run("formats") == 0
        listed = capsys.readouterr().out
        assert all(any(line.startswith(name) for line in listed.splitlines()) for name in WRITERS)
