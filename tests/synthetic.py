"""Tiny COCO-format data sets, drawn on the spot: bright disks and boxes on dark noise."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from yolact.data.coco import CocoDataset
from yolact.data.source import CATALOG, DataConfig

CATEGORY_IDS = (3, 7, 12, 20)
"""With gaps, as in COCO itself, so that mistaking an id for a label shows."""


def write_dataset(
    folder: Path,
    images: int = 4,
    size: tuple[int, int] = (96, 128),
    classes: tuple[str, ...] = ("disk", "box"),
    seed: int = 0,
) -> Path:
    """Write `images` training and as many validation pictures of `size` (height, width), and return the data.yaml.

    Every picture has two objects that do not touch: classes take turns, even ones are disks (uncompressed RLE), odd
    ones are boxes (polygons).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i, split in enumerate(("train", "val")):
        _write_split(folder, split, images, size, classes, np.random.default_rng((seed, i)))
    data_yaml = folder / "data.yaml"
    lines = [f"{s}:\n  images: {s}\n  annotations: instances_{s}.json\n" for s in ("train", "val")]
    data_yaml.write_text("".join(lines))
    return data_yaml


def write_published(folder: Path, name: str, images: int = 2, size: tuple[int, int] = (96, 128)) -> Path:
    """Write a data set as `coco2017` or `sbd` are laid out, with their classes, and return its root."""
    described = yaml.safe_load((CATALOG / f"{name}.yaml").read_text())
    root = folder / f"{name}-root"
    write_dataset(folder / "made", images, size)
    for split in ("train", "val"):
        first = described[split]["images"][0]
        (root / first).mkdir(parents=True, exist_ok=True)
        for picture in (folder / "made" / split).iterdir():
            picture.rename(root / first / picture.name)
        content = json.loads((folder / "made" / f"instances_{split}.json").read_text())
        content["categories"] = [{"id": number, "name": text} for number, text in described["classes"].items()]
        listed = described[split]["annotations"]
        annotations = root / (listed[0] if isinstance(listed, list) else listed)
        annotations.parent.mkdir(exist_ok=True)
        annotations.write_text(json.dumps(content))
    return root


def write_sbd(folder: Path, splits: dict[str, list[str]]) -> None:
    """Write the folder `dataset` of the published SBD; every photograph has a monitor above a person."""
    scipy_io = pytest.importorskip("scipy.io")
    numbers = np.repeat(np.array([[0], [1], [2]], dtype=np.uint8), [4, 6, 6], axis=0).repeat(24, axis=1)
    for part in ("img", "inst"):
        (folder / part).mkdir(parents=True)
    for split, stems in splits.items():
        for stem in stems:
            Image.fromarray(100 * numbers).save(folder / "img" / f"{stem}.jpg")
            truth = {"Segmentation": numbers, "Categories": np.array([[20], [15]], dtype=np.uint8)}
            scipy_io.savemat(folder / "inst" / f"{stem}.mat", {"GTinst": truth})
        (folder / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))


def _write_split(
    folder: Path,
    split: str,
    images: int,
    size: tuple[int, int],
    classes: tuple[str, ...],
    random: np.random.Generator,
) -> None:
    (folder / split).mkdir(exist_ok=True)
    height, width = size
    content: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": CATEGORY_IDS[label], "name": name} for label, name in enumerate(classes)],
    }
    for image_id in range(1, images + 1):
        picture = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
        for half in (0, 1):
            label = (image_id + half) % len(classes)
            mask, segmentation = _draw(random, size, half, as_box=label % 2 == 1)
            picture[mask] = np.array([60, 120, 255])[[label % 3, (label + 1) % 3, (label + 2) % 3]]
            content["annotations"].append(_annotation(len(content["annotations"]) + 1, image_id, label, mask))
            content["annotations"][-1]["segmentation"] = segmentation
        name = f"{split}{image_id:03d}.png"
        Image.fromarray(picture).save(folder / split / name)
        content["images"].append({"id": image_id, "file_name": name, "width": width, "height": height})
    (folder / f"instances_{split}.json").write_text(json.dumps(content))


def _annotation(annotation_id: int, image_id: int, label: int, mask: np.ndarray) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": CATEGORY_IDS[label],
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(mask.sum()),
        "iscrowd": 0,
    }


def _draw(
    random: np.random.Generator, size: tuple[int, int], half: int, as_box: bool
) -> tuple[np.ndarray, dict[str, Any] | list[list[float]]]:
    """One object in the left (0) or right (1) half of a picture: its mask and its COCO segmentation."""
    height, width = size
    w, h = (int(random.integers(side // 4, side // 3)) for side in (width, height))
    x = half * width // 2 + int(random.integers(0, width // 2 - w))
    y = int(random.integers(0, height - h))
    rows, columns = np.mgrid[:height, :width]
    if as_box:
        mask = (rows >= y) & (rows < y + h) & (columns >= x) & (columns < x + w)
        corners = (x, y, x + w, y, x + w, y + h, x, y + h)
        return mask, [[float(corner) for corner in corners]]
    mask = ((columns + 0.5 - x - w / 2) / (w / 2)) ** 2 + ((rows + 0.5 - y - h / 2) / (h / 2)) ** 2 <= 1
    return mask, {"size": [height, width], "counts": run_lengths(mask)}


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed RLE: lengths of alternating runs of 0 and 1 in column-major order, starting with 0."""
    flat = np.concatenate([[0], mask.flatten(order="F"), [0]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
    return [int(count) for count in (counts if counts[-1] else counts[:-1])]


def undecodable(width: int, height: int) -> bytes:
    """An image file of a kind that Pillow knows by its header and cannot open: a DDS of a compression nobody uses."""
    return struct.pack("<4s7I44x2I4s40x", b"DDS ", 124, 0x1007, height, width, 0, 0, 0, 32, 4, b"none")


def edited(data_yaml: Path, change: Any) -> CocoDataset:
    """The training images after `change` was applied to the content of their annotation file."""
    source = DataConfig.read(data_yaml).train[0]
    content = json.loads(source.annotations.read_text())
    change(content)
    source.annotations.write_text(json.dumps(content))
    return CocoDataset((source,))
