"""Simulated output of a detector with many classes, from the annotated objects of real photographs.

For what no weights are at hand: how crowded photographs are and which classes meet is COCO's; how candidates scatter
around objects is made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Candidates:
    """What NMS is given for one photograph."""

    probabilities: Float[Tensor, "1 A C"]
    boxes: Float[Tensor, "1 A 4"]
    """Fractions of the photograph."""


def simulate(truth: Mapping[str, Any], image: Mapping[str, Any], seed: int = 0, each: int = 16) -> Candidates | None:
    """Candidates of one photograph: `each` around every object, with more or less wrong boxes, sometimes wrong classes.

    The score of a candidate tells of its IoU with the object, as a trained network's does, but not exactly: it is the
    IoU to the power of 1.5, and noise. A third of the objects are taken for another class, too, half as surely.
    None for a photograph without objects.
    """
    ids = sorted(category["id"] for category in truth["categories"])
    objects = [a for a in truth["annotations"] if a["image_id"] == image["id"] and not a.get("iscrowd")]
    if not objects:
        return None
    random = np.random.default_rng((seed, image["id"]))
    boxes, probabilities = [], []
    for annotation in objects:
        x, y, width, height = annotation["bbox"]
        box = np.array([x, y, x + width, y + height])
        sizes = np.array([width, height, width, height])
        scattered = box + random.normal(0, 1, (each, 4)) * sizes * random.uniform(0.02, 0.25, (each, 1))
        scattered[:, 2:] = np.maximum(scattered[:, 2:], scattered[:, :2] + 1)
        score = np.clip(overlap(box, scattered) ** 1.5 + random.normal(0, 0.12, each), 0.01, 0.99)
        row = np.zeros((each, len(ids)))
        row[:, ids.index(annotation["category_id"])] = score
        if random.random() < 1 / 3:
            other = random.integers(len(ids))
            row[:, other] = np.maximum(row[:, other], 0.5 * score)
        boxes.append(scattered)
        probabilities.append(row)
    scale = np.array([image["width"], image["height"]] * 2)
    return Candidates(
        torch.from_numpy(np.concatenate(probabilities)).float()[None],
        torch.from_numpy(np.concatenate(boxes) / scale).float()[None],
    )


def overlap(box: Float[np.ndarray, "4"], boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """IoU of one box with others."""
    from studied.precision import box_ious

    return box_ious(box[None], boxes)[0]


def crowd(candidates: int, classes: int, seed: int = 0) -> Candidates:
    """So many candidates above the floor, twelve an object, each object of one class: for timing."""
    random = np.random.default_rng((seed, candidates, classes))
    objects = max(candidates // 12, 1)
    centers, sides = random.uniform(0.1, 0.9, (objects, 2)), random.uniform(0.05, 0.3, (objects, 2))
    of = random.integers(objects, size=candidates)
    center = centers[of] + random.normal(0, 0.1, (candidates, 2)) * sides[of]
    half = sides[of] * np.exp(random.normal(0, 0.1, (candidates, 2))) / 2
    probabilities = random.uniform(0, 0.02, (candidates, classes))
    label = random.integers(classes, size=objects)[of]
    probabilities[np.arange(candidates), label] = random.uniform(0.06, 0.98, candidates)
    boxes = np.concatenate([center - half, center + half], axis=1)
    return Candidates(torch.from_numpy(probabilities).float()[None], torch.from_numpy(boxes).float()[None])
