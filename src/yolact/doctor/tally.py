"""How much there is of what in a split: classes, sizes, crowds, and what anchors make of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from yolact.config import ModelConfig
from yolact.doctor.anchor_recall import AnchorFit, Recall, anchor_shapes, feature_sizes
from yolact.doctor.survey import Survey

MEDIUM, LARGE = 32**2, 96**2
"""Areas in pixels from which COCO calls an object medium, and large."""

SIZES = ("small", "medium", "large")


@dataclass(frozen=True, slots=True)
class ClassCount:
    """What a split has of a class, crowds not counted."""

    objects: int
    images: int
    recall: Recall | None


@dataclass(frozen=True, slots=True)
class Tally:
    """A split in numbers. Objects do not include crowds."""

    images: int
    images_without_objects: int
    objects: int
    crowds: int
    objects_an_image: tuple[float, float, int]
    """Mean, median and most, over all images."""

    image_sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    """(height, width): the smallest, the middle and the largest, by area."""

    sizes: dict[str, int]
    """Objects that COCO calls small, medium and large: below 32 x 32 and 96 x 96 pixels of mask."""

    input_sizes: dict[str, int]
    """The same, as the network sees them."""

    below_a_pixel: int
    """Objects with a side below one pixel of the network input: training leaves them out."""

    recall: Recall | None
    recall_by_size: dict[str, Recall | None]
    """By size as the network sees them."""

    classes: dict[str, ClassCount]


def input_boxes(survey: Survey, image_size: tuple[int, int]) -> Float[np.ndarray, "N 4"]:
    """The boxes of all objects of a survey in pixels of the network input, to which each photograph is stretched."""
    scale = np.array([_scale(record.size, image_size) for record in survey.records]).reshape(-1, 2)
    return survey.objects["bounds"] * np.tile(scale[survey.objects["photograph"]], 2)


def tally(survey: Survey, model: ModelConfig) -> Tally:
    """Count a split as the network of `model` would see it."""
    objects = survey.objects[~survey.objects["is_crowd"]]
    boxes = input_boxes(survey, model.image_size)[~survey.objects["is_crowd"]]
    overlaps = AnchorFit(boxes, feature_sizes(model), model.image_size).best(anchor_shapes(model))
    scale = np.array([_scale(record.size, model.image_size) for record in survey.records]).reshape(-1, 2)
    own_sizes = _size_names(objects["area"])
    input_sizes = _size_names(objects["area"] * scale[objects["photograph"]].prod(axis=1))
    each = np.bincount(objects["photograph"], minlength=len(survey.records))
    has_any = np.bincount(survey.objects["photograph"], minlength=len(survey.records)) > 0
    sizes = sorted((record.size for record in survey.records), key=lambda size: (size[0] * size[1], size))
    sides = boxes[:, 2:] - boxes[:, :2]
    return Tally(
        images=len(survey.records),
        images_without_objects=int((~has_any).sum()),
        objects=len(objects),
        crowds=len(survey.objects) - len(objects),
        objects_an_image=(float(each.mean()), float(np.median(each)), int(each.max())),
        image_sizes=(sizes[0], sizes[len(sizes) // 2], sizes[-1]),
        sizes={name: int((own_sizes == i).sum()) for i, name in enumerate(SIZES)},
        input_sizes={name: int((input_sizes == i).sum()) for i, name in enumerate(SIZES)},
        below_a_pixel=int((sides.min(axis=1) < 1).sum()),
        recall=Recall.of(overlaps),
        recall_by_size={name: Recall.of(overlaps[input_sizes == i]) for i, name in enumerate(SIZES)},
        classes=_by_class(survey, objects, overlaps),
    )


def _by_class(survey: Survey, objects: np.ndarray, overlaps: Float[np.ndarray, " N"]) -> dict[str, ClassCount]:
    order = np.argsort(objects["label"], kind="stable")
    borders = np.searchsorted(objects["label"][order], np.arange(len(survey.classes) + 1))
    counts = {}
    for label, name in enumerate(survey.classes):
        own = order[borders[label] : borders[label + 1]]
        images = len(np.unique(objects["photograph"][own]))
        counts[name] = ClassCount(len(own), images, Recall.of(overlaps[own]))
    return counts


def _scale(size: tuple[int, int], image_size: tuple[int, int]) -> tuple[float, float]:
    """Along x and y."""
    return image_size[1] / size[1], image_size[0] / size[0]


def _size_names(areas: np.ndarray) -> np.ndarray:
    """Place in `SIZES`."""
    return np.digitize(areas, [MEDIUM, LARGE])
