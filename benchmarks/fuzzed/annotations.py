"""Files of annotations: COCO, YOLO, LabelMe, PNGs of masks, and the data.yaml that names them."""

import base64
import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fuzzed.target import Target, check

SIZE = (12, 16)
"""(height, width) of the one photograph, which all annotations are of."""


def _photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)


def coco_seeds() -> list[bytes]:
    shapes = [
        [[1, 1, 9, 1, 9, 9, 1, 9]],
        [[1, 1, 9, 1, 9, 9], [2.5, 3.5, 4.5, 3.5, 4.5, 8]],
        {"size": list(SIZE), "counts": [20, 30, 142]},
        {"size": list(SIZE), "counts": "d0n0^4"},
    ]
    files = []
    for crowd in (0, 1):
        annotations = [
            {"id": i, "image_id": 1, "category_id": i % 2 + 1, "iscrowd": crowd, "bbox": [1, 1, 8, 8], "area": 64}
            | {"segmentation": shape}
            for i, shape in enumerate(shapes)
        ]
        image = {"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}
        other = {"id": 2, "file_name": "../../b.png", "height": 9, "width": 9}
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        files.append({"images": [image, other], "annotations": annotations, "categories": categories})
    return [json.dumps(file).encode() for file in files]


def prepare_coco(folder: Path) -> Callable[[bytes], object]:
    """For training, for measuring, and for a conversion."""
    from yolact.data.annotations import read_json, read_records
    from yolact.data.coco import decode_mask
    from yolact.data.formats import coco
    from yolact.data.formats.request import Reading
    from yolact.data.ground_truth import GroundTruth
    from yolact.data.source import Source

    file, photos = folder / "a.json", folder / "images"
    _photograph(photos / "a.png")
    source = Source(photos, file)

    def read(data: bytes) -> None:
        file.write_bytes(data)
        records, problems = read_records(read_json(file), source, {"cat": 0, "dog": 1})
        for line in problems.lines():
            check(len(line) < 4000, f"a problem of {len(line)} characters")
        for record in records:
            for one in record.objects:
                check(decode_mask(one.segmentation, record.size).shape == record.size, "a mask of another size")
        truth = GroundTruth(file, ("cat", "dog"))
        for image_id in truth.images:
            for one in truth.annotations(None, image_id):
                check(one["area"] == one["area"], f"the area {one['area']}")
        _check_labeled(coco.read(file, Reading(photos)))

    return read


def _check_labeled(data) -> None:
    for image in data.images():
        check(".." not in Path(image.name).parts and not Path(image.name).is_absolute(), f"the name {image.name!r}")
        for one in image.objects:
            mask = one.mask()
            check(mask.shape == image.size and mask.any(), f"a mask {mask.shape}, {mask.sum()} of {image.size}")
            if one.polygons is not None:
                one.ring()


def yolo_seeds() -> list[bytes]:
    yaml = b"path: .\ntrain: images\nval: list.txt\nnames:\n  0: cat\n  1: dog\n"
    labels = b"0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n1 0.5 0.5 0.25 0.25\n1 0 0 1 0 1 1\n"
    short = b"names: [cat]\ntrain: [images]\nnc: 1\n"
    return [b"\0".join(parts) for parts in ((yaml, labels, b"./images/a.png\n"), (short, b"0 0 0 1 1 0 1", b""))]


def prepare_yolo(folder: Path) -> Callable[[bytes], object]:
    """Of each input, what is before the first zero is data.yaml, and the label file and a list of images follow."""
    from yolact.data.formats import yolo
    from yolact.data.formats.request import Reading

    _photograph(folder / "images" / "a.png")
    (folder / "labels").mkdir()

    def read(data: bytes) -> None:
        parts = [*data.split(b"\0", 2), b"", b""]
        for name, part in zip(("data.yaml", "labels/a.txt", "list.txt"), parts, strict=False):
            (folder / name).write_bytes(part)
        _check_labeled(yolo.read(folder, Reading()))

    return read


def labelme_seeds() -> list[bytes]:
    points = {
        "polygon": [[1, 1], [9, 1], [9, 9]],
        "rectangle": [[1, 1], [9, 9]],
        "circle": [[5, 5], [7, 5]],
        "linestrip": [[1, 1], [4, 4], [4, 9]],
        "point": [[3, 3]],
        "mask": [[1, 1], [3, 2]],
    }
    mask = base64.b64encode(_png(np.ones((2, 3), np.uint8))).decode()
    shapes = [
        {"label": "cat", "points": place, "shape_type": kind, "group_id": None, "flags": {}, "mask": mask}
        for kind, place in points.items()
    ]
    photo = base64.b64encode(_png(np.zeros(SIZE, np.uint8))).decode()
    common = {"version": "5.4.1", "flags": {}, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    files = [
        {**common, "shapes": shapes, "imagePath": "a.png", "imageData": None},
        {**common, "shapes": shapes[:2], "imagePath": "..\\b.png", "imageData": photo},
    ]
    return [json.dumps(file).encode() for file in files]


def prepare_labelme(folder: Path) -> Callable[[bytes], object]:
    from yolact.data.formats import labelme
    from yolact.data.formats.request import Reading

    _photograph(folder / "a.png")

    def read(data: bytes) -> None:
        (folder / "a.json").write_bytes(data)
        _check_labeled(labelme.read(folder, Reading()))

    return read


def _png(numbers: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(numbers).save(file, "PNG")
    return file.getvalue()


def mask_seeds() -> list[bytes]:
    ids = np.zeros(SIZE, np.uint8)
    ids[2:6, 3:9], ids[7:, 10:] = 1, 2
    indexed = Image.fromarray(ids).convert("P")
    indexed.putpalette([v for i in range(256) for v in (i, 255 - i, 7 * i % 256)])
    file = BytesIO()
    indexed.save(file, "PNG")
    return [_png(ids), _png(ids.astype(np.uint16) * 300), _png(np.stack([ids] * 3, -1)), file.getvalue()]


def prepare_masks(folder: Path) -> Callable[[bytes], object]:
    """One PNG stands for Pascal's two, for that of all objects of a class, and for that of one object."""
    from yolact.data.formats import mask_folder, voc
    from yolact.data.formats.request import Reading

    _photograph(folder / "images" / "a.png")
    _photograph(folder / "voc" / "JPEGImages" / "a.png")
    places = ("ids/cat/a.png", "masks/a/cat_1.png", "voc/SegmentationObject/a.png", "voc/SegmentationClass/a.png")
    for place in places:
        (folder / place).parent.mkdir(parents=True)
    Image.MAX_IMAGE_PIXELS = 1_000_000

    def read(data: bytes) -> None:
        for place in places:
            (folder / place).write_bytes(data)
        with warnings.catch_warnings(action="ignore"):
            _check_labeled(mask_folder.read_instance_ids(folder / "ids", Reading(folder / "images")))
            _check_labeled(mask_folder.read_masks(folder / "masks", Reading(folder / "images")))
            _check_labeled(voc.read(folder / "voc", Reading()))

    return read


def yaml_seeds() -> list[bytes]:
    return [
        b"train: {images: photos, annotations: a.json}\nval: {images: photos, annotations: a.json}\nclasses: [cat]\n",
        b"train:\n- images: [photos, x]\n  annotations: a.json\nclasses: {1: cat, 18: dog}\norigin: https://a.b/c\n",
        b"a: &a [1, 2]\nb: [*a, *a, *a]\ntrain: ~/x\n",
    ]


def prepare_yaml(folder: Path) -> Callable[[bytes], object]:
    from yolact.data.formats.detect import detect
    from yolact.data.source import DataConfig

    _photograph(folder / "photos" / "a.png")
    (folder / "a.json").write_text("{}")
    file = folder / "data.yaml"

    def read(data: bytes) -> None:
        file.write_bytes(data)
        with suppress(ValueError):
            detect(file)
        config = DataConfig.read(file)
        check(all(source.images.is_dir() and source.annotations.is_file() for source in config.train), "not there")

    return read


TARGETS = (
    Target("coco", coco_seeds, prepare_coco, is_json=True),
    Target("yolo", yolo_seeds, prepare_yolo, may_read=True),  # lists of images are full of absolute paths
    Target("labelme", labelme_seeds, prepare_labelme, is_json=True),
    Target("masks", mask_seeds, prepare_masks),
    Target("data-yaml", yaml_seeds, prepare_yaml, may_read=True),
)
