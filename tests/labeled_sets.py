"""Small annotated data sets, and what of them has to survive a conversion."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as arbiter

from synthetic import run_lengths

NAMES = ("person", "traffic light", "a/b: c?")
IDS = (3, 7, 90)

Objects = list[tuple[str, np.ndarray]]
"""The objects of an image: class and mask."""


@st.composite
def object_lists(draw: st.DrawFn) -> Objects:
    """An image's objects, which may overlap; none of them is empty."""
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=9))
    masks = draw(st.lists(arrays.arrays(bool, shape), max_size=4))
    return [(draw(st.sampled_from(NAMES)), mask) for mask in masks if mask.any()] or [("person", np.ones(shape, bool))]


def without_overlap(objects: Objects) -> Objects:
    taken = np.zeros_like(objects[0][1])
    apart = []
    for name, mask in objects:
        apart.append((name, mask & ~taken))
        taken |= mask
    return [(name, mask) for name, mask in apart if mask.any()]


def write_coco(folder: Path, images: list[Objects], crowds: bool = False, split: str = "train") -> Path:
    """A COCO data set with RLE; every image has a color of its own. With crowds, every second object is one."""
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    content["categories"] = [{"id": number, "name": name} for number, name in zip(IDS, NAMES, strict=True)]
    (folder / split).mkdir(parents=True, exist_ok=True)
    for number, objects in enumerate(images, start=1 if split == "train" else 101):
        height, width = objects[0][1].shape
        name = f"{number:03d}.png"
        Image.new("RGB", (width, height), (number % 256, len(split), 0)).save(folder / split / name)
        content["images"].append({"id": 10 * number, "file_name": name, "height": height, "width": width})
        for name, mask in objects:
            annotation: dict[str, Any] = {"id": len(content["annotations"]) + 1, "image_id": 10 * number}
            annotation["category_id"] = IDS[NAMES.index(name)]
            annotation["iscrowd"] = int(crowds and annotation["id"] % 2 == 0)
            annotation["bbox"] = [0, 0, width, height]
            annotation["segmentation"] = {"size": [height, width], "counts": run_lengths(mask)}
            content["annotations"].append(annotation)
    (folder / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


def contents(file: Path) -> Counter[tuple[str, str, int, bytes]]:
    """Of a COCO file: image, class, crowd or not, and pixels of every object, as pycocotools reads them."""
    content = json.loads(file.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    files = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    found: Counter[tuple[str, str, int, bytes]] = Counter()
    for annotation in content["annotations"]:
        number, segmentation = annotation["image_id"], annotation["segmentation"]
        if isinstance(segmentation, list):
            segmentation = arbiter.merge(arbiter.frPyObjects(segmentation, *sizes[number]))
        elif isinstance(segmentation["counts"], list):
            segmentation = arbiter.frPyObjects(segmentation, *sizes[number])
        mask = arbiter.decode(segmentation)
        if "area" in annotation:
            assert annotation["area"] == mask.sum()
        found[files[number], names[annotation["category_id"]], annotation["iscrowd"], mask.tobytes()] += 1
    return found
