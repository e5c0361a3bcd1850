"""Images with annotated objects and detections of them, given to the pixel."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mask_parts import parts_of
from yolact.config import ModelConfig
from yolact.data.ground_truth import GroundTruth
from yolact.evaluate.scene import Objects, Scene
from yolact.instances import Instances
from yolact.presets import yolact_mobilenetv4

SIZE = (180, 240)
CLASSES = ("cat", "dog", "bird")
IDS = {"cat": 12, "dog": 5, "bird": 7}
"""Neither in the order of the labels, nor those of the model's config."""


def config_of(*names: str) -> ModelConfig:
    return yolact_mobilenetv4(class_names=names, category_ids=())


def disk(random: np.random.Generator, diameter: int) -> np.ndarray:
    y, x = random.integers(0, SIZE[0] - diameter + 1), random.integers(0, SIZE[1] - diameter + 1)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    radius = diameter / 2
    return (rows + 0.5 - y - radius) ** 2 + (columns + 0.5 - x - radius) ** 2 <= radius**2


def bounds(mask: np.ndarray) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def annotation(number: int, image_id: int, name: str, mask: np.ndarray, crowd: bool = False) -> dict[str, Any]:
    x1, y1, x2, y2 = bounds(mask)
    code: dict[str, Any] = dict(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))))
    return {
        "id": number,
        "image_id": image_id,
        "category_id": IDS[name],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": float(mask.sum()),
        "iscrowd": int(crowd),
        "segmentation": {"size": list(SIZE), "counts": code["counts"].decode()},
    }


def write_annotations(
    path: Path, objects: dict[int, list[tuple[str, np.ndarray, bool]]], names: tuple[str, ...] = CLASSES
) -> Path:
    flat = [(image_id, row) for image_id, rows in objects.items() for row in rows]
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": SIZE[0], "width": SIZE[1]} for i in objects],
        "categories": [{"id": IDS[name], "name": name} for name in names],
        "annotations": [annotation(n, i, *row) for n, (i, row) in enumerate(flat, start=1)],
    }
    path.write_text(json.dumps(content))
    return path


def instances_of(
    rows: list[tuple[str, np.ndarray, float, float]], config: ModelConfig, size: tuple[int, int] = SIZE
) -> Instances:
    """Detections whose prototypes are as large as the image, so that masks are given to the pixel."""
    return Instances(
        boxes=np.array([bounds(mask) for _, mask, _, _ in rows], np.float32).reshape(-1, 4),
        scores=np.array([score for _, _, score, _ in rows], np.float32),
        mask_scores=np.array([score for _, _, _, score in rows], np.float32),
        labels=np.array([config.class_names.index(name) for name, _, _, _ in rows], np.int64),
        **parts_of(np.array([mask for _, mask, _, _ in rows], np.float32).reshape(-1, *size)),
        image_size=size,
        class_names=config.class_names,
        category_ids=config.coco_ids,
    )


def random_scene(seed: int = 0) -> tuple[dict[int, list], dict[int, list]]:
    """Objects of all sizes and detections of mixed quality, with many equal scores.

    Image 3 has no object, image 4 no detection, images 5 and 8 a crowd.
    """
    random = np.random.default_rng(seed)
    objects: dict[int, list] = {}
    detections: dict[int, list] = {}
    for image_id in (4, 1, 9, 3, 8, 5, 7, 2):
        objects[image_id], detections[image_id] = [], []
        for _ in range(0 if image_id == 3 else 8):
            name, mask = str(random.choice(CLASSES)), disk(random, int(random.choice([12, 25, 45, 70, 120, 150])))
            crowd = image_id in (5, 8) and len(objects[image_id]) == 0
            objects[image_id].append((name, mask, crowd))
            for shift in random.integers(-6, 7, (int(random.integers(0, 3)), 2)):
                moved = np.roll(mask, shift, axis=(0, 1))
                scores = random.choice([0.1, 0.3, 0.5, 0.5, 0.9], 2)
                detections[image_id].append((name, moved, *scores))
        detections[image_id] += [
            (str(random.choice(CLASSES)), disk(random, int(random.integers(8, 100))), *random.random(2))
            for _ in range(5)
        ]
    detections[4] = []
    return objects, detections


def square(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def scene_of(folder: Path, objects: list, found: Instances) -> Scene:
    truth = GroundTruth(write_annotations(folder / "truth.json", {1: objects}), ("cat", "dog"))
    return Scene(found, found.labels, Objects.of(truth, 1))


def boxed(instances: Instances, *boxes: tuple[float, float, float, float]) -> Instances:
    """The same with other boxes, and nothing cut away but by them."""
    height, width = instances.image_size
    everywhere = instances.recropped(np.tile(np.array([[0.0, 0.0, width, height]]), (len(instances), 1)))
    moved = replace(everywhere, boxes=np.array(boxes, np.float32))
    return moved.recropped(moved.boxes.astype(np.float64) - 1e-9)  # not quite equal, which would change nothing
