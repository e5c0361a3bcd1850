"""Each defect that is planted is found, named, and told apart from what is only worth knowing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synthetic import write_dataset
from yolact.data.source import DataConfig
from yolact.doctor import Report, check
from yolact.presets import yolact_resnet18

MODEL = yolact_resnet18(image_size=(96, 128))


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, images=4, size=(96, 128))


def checked(data_yaml: Path, **settings: Any) -> Report:
    return check(DataConfig.read(data_yaml), settings.pop("model", MODEL), "test", progress=False)


def edit(data_yaml: Path, split: str, change: Any) -> None:
    """Change what the annotation file of a split says."""
    file = data_yaml.parent / f"instances_{split}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def errors(report: Report) -> dict[str, tuple[str, ...]]:
    return {f"{f.split}: {f.kind}": f.where for f in report.findings if f.severity == "error"}


def notes(report: Report) -> dict[str, tuple[str, ...]]:
    return {f"{f.split}: {f.kind}": f.where for f in report.findings if f.severity == "note"}


def only(found: dict[str, tuple[str, ...]], part: str) -> tuple[str, ...]:
    """Where the one finding is that has these words."""
    matching = [where for kind, where in found.items() if part in kind]
    assert len(matching) == 1, found
    return matching[0]


def test_a_good_data_set_has_no_errors(data_yaml: Path):
    report = checked(data_yaml)
    assert errors(report) == {}
    assert report.errors == 0
    assert report.splits["train"].objects == 8
    assert report.splits["train"].classes["disk"].objects == 4
    assert report.splits["val"].objects_an_image == (2.0, 2.0, 2)
    assert report.splits["val"].image_sizes == ((96, 128),) * 3
    assert "no errors" in report.table()
    assert json.loads(json.dumps(report.to_dict()))["splits"]["train"]["objects"] == 8


def test_coco_mini_in_coco_2017s_layout(shared: Path, tmp_path: Path):
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / f"{split}2017").symlink_to(shared / "data" / "coco-mini" / split)
        link = tmp_path / "annotations" / f"instances_{split}2017.json"
        link.symlink_to(shared / "data" / "coco-mini" / f"instances_{split}.json")
    report = check(DataConfig.read("coco2017", tmp_path), MODEL, "test", progress=False)
    assert errors(report) == {}
    assert [report.splits[split].images for split in ("train", "val")] == [158, 79]
    assert [report.splits[split].crowds for split in ("train", "val")] == [9, 16]
    assert not any("category id" in kind for kind in notes(report))


def test_truncated_images(data_yaml: Path):
    pictures = data_yaml.parent / "train"
    good = (pictures / "train002.png").read_bytes()
    (pictures / "train002.png").write_bytes(good[: len(good) // 2])  # the header is whole
    (pictures / "train003.png").write_bytes(b"")
    (pictures / "train004.png").unlink()
    found = errors(checked(data_yaml))
    assert only(found, "cannot be decoded") == ("train002.png",)
    assert only(found, "missing image file") == ("train004.png",)
    assert any("train003.png" in where for where in found.values())


def test_leaks_and_repetitions(data_yaml: Path):
    folder = data_yaml.parent
    edit(data_yaml, "val", lambda content: content["images"][2].update(file_name="val003.jpg"))
    pictures = [Image.open(folder / "train" / f"train00{i}.png") for i in (1, 2)]
    pictures[0].save(folder / "val" / "val001.png")
    pictures[1].save(folder / "val" / "val003.jpg", quality=85)
    pictures[1].transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "train" / "train004.png")
    report = checked(data_yaml)
    found = errors(report)
    assert only(found, "photograph in both, identical") == ("train001.png = val001.png",)
    assert only(found, "photograph in both, nearly identical") == ("train002.png = val003.jpg",)
    assert only(found, "photograph in both, mirrored") == ("train004.png = val003.jpg",)
    assert only(notes(report), "there twice, mirrored") == ("train002.png = train004.png",)


def test_repeated_ids(data_yaml: Path):
    def repeat(content: dict[str, Any]) -> None:
        content["annotations"].append(content["annotations"][0])
        content["annotations"][3]["id"] = content["annotations"][2]["id"]
        content["images"].append(dict(content["images"][1]))

    edit(data_yaml, "train", repeat)
    report = checked(data_yaml)
    assert only(errors(report), "annotation repeated") == ("image id 1",)
    assert only(errors(report), "image id used twice") == ("train002.png",)
    assert only(notes(report), "annotation id used twice") == ("image id 2",)


def test_objects_annotated_twice(data_yaml: Path):
    def repeat(content: dict[str, Any]) -> None:
        first, second = content["annotations"][0], content["annotations"][2]
        content["annotations"].append(first | {"id": 90})
        content["annotations"].append(second | {"id": 91, "category_id": 10 - second["category_id"]})
        content["annotations"].append(first | {"id": 92, "iscrowd": 1})

    edit(data_yaml, "val", repeat)
    report = checked(data_yaml)
    assert only(errors(report), "annotated twice") == ("val001.png",)
    assert only(notes(report), "as two classes") == ("val002.png",)


def test_boxes_against_masks(data_yaml: Path):
    def move(content: dict[str, Any]) -> None:
        boxes = [annotation["bbox"] for annotation in content["annotations"]]
        boxes[0][0] += 2
        boxes[2][2] += 3
        boxes[4][0] = (boxes[4][0] + 64) % 96

    edit(data_yaml, "train", move)
    report = checked(data_yaml)
    assert only(notes(report), "box misses its mask") == ("train002.png",)
    assert only(errors(report), "different places") == ("train003.png",)


def test_degenerate_and_tiny_objects(data_yaml: Path):
    def shrink(content: dict[str, Any]) -> None:
        for place, (x1, y1, x2, y2) in enumerate([(10.6, 10.6, 10.9, 60.0), (20, 20, 21, 60), (30, 30, 36, 36)]):
            content["annotations"][2 * place] |= {
                "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
            }
        content["annotations"][7]["bbox"][2] = 0

    edit(data_yaml, "train", shrink)
    report = checked(data_yaml, model=yolact_resnet18(image_size=(96, 100)))
    assert only(errors(report), "too thin") == ("train001.png",)
    assert only(errors(report), "box without area") == ("train004.png",)
    assert all(finding.spots for finding in report.findings if finding.unit == "image" and finding.where)
    assert only(notes(report), "below a pixel") == ("train002.png",)
    assert only(notes(report), "too small for the smallest anchor") == ("train003.png",)
    assert report.splits["train"].below_a_pixel == 1
    assert report.splits["train"].objects == 6


def test_classes_of_one_split_only(data_yaml: Path):
    def rename(content: dict[str, Any]) -> None:
        content["categories"].append({"id": 33, "name": "star"})

    def remove(content: dict[str, Any]) -> None:
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] == 3]

    edit(data_yaml, "val", rename)
    edit(data_yaml, "train", remove)
    report = checked(data_yaml)
    assert only(errors(report), "train has no object of") == ("box",)
    assert only(errors(report), "train does not list") == ("star",)
    assert only(notes(report), "fewer than 10") == ("disk",)
    edit(data_yaml, "val", remove)
    assert only(notes(checked(data_yaml)), "class without an object") == ("box",)


def test_a_choice_of_classes(data_yaml: Path):
    with data_yaml.open("a") as file:
        file.write("classes: {4: disk, 9: zebra}\n")
    report = checked(data_yaml)
    assert only(errors(report), "no annotation file of it lists") == ("zebra",)
    assert "train: annotated class that is not asked for, becomes background" in notes(report)
    assert notes(report)["val: class with another category id than published"] == ("disk (3 instead of 4)",)


def test_unknown_categories_and_crowds(data_yaml: Path):
    def change(content: dict[str, Any]) -> None:
        content["annotations"][0]["category_id"] = 99
        content["annotations"][1]["iscrowd"] = 1

    edit(data_yaml, "train", change)
    report = checked(data_yaml)
    assert only(errors(report), "unknown category 99") == ("train001.png",)
    tally = report.splits["train"]
    assert (tally.objects, tally.crowds, tally.images_without_objects) == (6, 1, 0)


def test_more_objects_than_are_counted(data_yaml: Path):
    def fill(content: dict[str, Any]) -> None:
        for i in range(101):
            x, y = 4 * (i % 20), 6 * (i // 20)
            content["annotations"].append(
                content["annotations"][0]
                | {"id": 100 + i, "bbox": [x, y, 3, 3], "segmentation": [[x, y, x + 3, y, x + 3, y + 3, x, y + 3]]}
            )

    edit(data_yaml, "train", fill)
    report = checked(data_yaml)
    assert only(notes(report), "more objects than the 100") == ("train001.png",)
    assert report.splits["train"].objects_an_image[2] == 103


def test_no_usable_image(data_yaml: Path):
    for path in (data_yaml.parent / "val").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="val has no usable image; val: missing image file"):
        checked(data_yaml)
    edit(data_yaml, "val", lambda content: content.update(images=[], annotations=[]))
    with pytest.raises(ValueError, match="val lists no image"):
        checked(data_yaml)


def test_without_validation_and_without_objects(data_yaml: Path):
    data_yaml.write_text("train: {images: train, annotations: instances_train.json}\n")
    edit(data_yaml, "train", lambda content: content.update(annotations=[]))
    report = checked(data_yaml)
    assert report.splits["train"].recall is None
    assert report.splits["train"].images_without_objects == 4
    assert "class without an object: 2 classes: disk, box" in report.table()


def test_sizes_are_those_at_the_input(tmp_path: Path):
    data = write_dataset(tmp_path, images=2, size=(48, 64))
    near = checked(data, model=yolact_resnet18(image_size=(480, 640))).splits["train"]
    far = checked(data, model=yolact_resnet18(image_size=(96, 64))).splits["train"]
    assert near.sizes == far.sizes == {"small": 4, "medium": 0, "large": 0}
    assert near.input_sizes["large"] == 4
    assert far.input_sizes["small"] == 4
    assert sum(r.objects for r in near.recall_by_size.values() if r is not None) == 4


def test_the_boxes_of_objects_are_those_of_their_masks(data_yaml: Path):
    report = checked(data_yaml)
    content = json.loads((data_yaml.parent / "instances_val.json").read_text())
    x, y, width, height = np.array([a["bbox"] for a in content["annotations"]], dtype=float).T
    objects = report.surveys["val"].objects
    assert objects["bounds"].tolist() == np.stack([x, y, x + width, y + height], axis=1).tolist()
    assert objects["area"].tolist() == [a["area"] for a in content["annotations"]]
