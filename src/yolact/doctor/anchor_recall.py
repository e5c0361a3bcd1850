"""How well anchors fit objects: what the matching of `yolact.losses.matching` can make of each object of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from yolact.config import ModelConfig
from yolact.losses.matching import BACKGROUND_IOU, POSITIVE_IOU
from yolact.model.backbone import build_backbone
from yolact.model.fpn import FeaturePyramid

Shapes = Sequence[Float[np.ndarray, "S 2"]]
"""Width and height of the anchors of each level, in pixels of the network input."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What becomes of the objects of a group in training; the four shares add up to 1."""

    objects: int
    mean_iou: float
    """Of each object with its best anchor."""

    positive: float
    """The share whose best anchor overlaps by at least 0.5: it is theirs by its IoU, and others may be too."""

    nearly: float
    """At least 0.4: besides the one anchor that each object is given, others take no part in the loss."""

    forced: float
    """Less: one anchor is all that learns the object, from afar."""

    unreachable: float
    """The object overlaps no anchor and is left out of training."""

    @classmethod
    def of(cls, overlaps: Float[np.ndarray, " N"]) -> "Recall | None":
        """None: there are no objects."""
        if len(overlaps) == 0:
            return None
        positive = float(np.mean(overlaps >= POSITIVE_IOU))
        above = float(np.mean(overlaps >= BACKGROUND_IOU))
        reached = float(np.mean(overlaps > 0))
        return cls(len(overlaps), float(overlaps.mean()), positive, above - positive, reached - above, 1.0 - reached)


def feature_sizes(config: ModelConfig) -> tuple[tuple[int, int], ...]:
    """(height, width) of P3 to P7: those of the network itself, which is laid out but never computed."""
    with torch.device("meta"):
        backbone = build_backbone(config)
        pyramid = FeaturePyramid(backbone.channels, config.width)  # type: ignore[arg-type]
        levels = pyramid(*backbone(torch.empty(1, 3, *config.image_size)))
    return tuple((int(level.shape[-2]), int(level.shape[-1])) for level in levels)


def anchor_shapes(config: ModelConfig) -> list[Float[np.ndarray, "S 2"]]:
    """What `yolact.model.anchors.make_anchors` lays over each cell of a level."""
    ratios = np.sqrt(np.asarray(config.anchor_ratios, dtype=np.float64))
    shapes = []
    for scales in config.anchor_scales:
        width = np.outer(scales, ratios).ravel()
        height = width if config.square_anchors else np.outer(scales, 1 / ratios).ravel()
        shapes.append(np.stack([width, height], axis=1))
    return shapes


class AnchorFit:
    """The best IoU of each object with the anchors of any shape, where these really lie."""

    def __init__(
        self, boxes: Float[np.ndarray, "N 4"], sizes: tuple[tuple[int, int], ...], image_size: tuple[int, int]
    ) -> None:
        """
        Args:
            boxes: (x1, y1, x2, y2) in pixels of the network input.
            sizes: (height, width) of the levels.
            image_size: (height, width) of the network input.
        """
        self.sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
        self.centers = (boxes[:, 2:] + boxes[:, :2]) / 2
        self.distances = [self._to_nearest_center(rows, columns, image_size) for rows, columns in sizes]

    def _to_nearest_center(self, rows: int, columns: int, image_size: tuple[int, int]) -> Float[np.ndarray, "N 2"]:
        """From the center of each object, along x and y.

        Among anchors of one shape the nearest overlaps most: the overlap is a product of one along x and one along y,
        and neither grows with the distance. So no anchor has to be compared but this one.
        """
        stride = np.array([image_size[1] / columns, image_size[0] / rows])
        cell = np.clip(np.floor(self.centers / stride), 0, np.array([columns, rows]) - 1)
        return np.abs(self.centers - (cell + 0.5) * stride)

    def best(self, shapes: Shapes) -> Float[np.ndarray, " N"]:
        """In 0..1, over all levels."""
        return np.max([self.best_on_level(level, wanted) for level, wanted in enumerate(shapes)], axis=0)

    def best_on_level(self, level: int, shapes: Float[np.ndarray, "S 2"]) -> Float[np.ndarray, " N"]:
        best = np.zeros(len(self.sides))
        half, distance = self.sides / 2, self.distances[level]
        area = self.sides.prod(axis=1)
        for shape in np.asarray(shapes, dtype=np.float64):
            reach = np.minimum(half, distance + shape / 2) - np.maximum(-half, distance - shape / 2)
            shared = np.maximum(reach, 0).prod(axis=1)
            best = np.maximum(best, shared / (area + shape.prod() - shared))
        return best
