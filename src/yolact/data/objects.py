"""One COCO annotation: what of it can be used, and what is wrong with it."""

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

Segmentation = list[list[int | float]] | dict[str, Any]
"""Polygons, each x1, y1, x2, y2, ... in pixels; or one RLE, compressed (string) or not (list of run lengths)."""

UNKNOWN = "unknown category"

FARTHEST = 10
"""Sides of its image that a polygon's corner may be away."""

TOLERATED_OVERHANG = 1.0
"""Pixels that a box may reach out of its image without a word: COCO itself rounds that way."""


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """One annotated object, or one crowd."""

    label: int
    """Foreground class from 0."""

    segmentation: Segmentation
    is_crowd: bool
    box: tuple[float | int, ...] | None = None
    """As annotated: x, y, width, height in pixels. Training measures boxes from masks; `yolact data check` compares."""


def read_object(
    annotation: dict[str, Any], size: tuple[int, int], known: dict[int, int | None]
) -> tuple[ObjectRecord | None, list[str]]:
    """An annotation as an object, or None if it has none to offer; and what is wrong with it.

    Args:
        size: (height, width) of its image.
        known: label of each category id, None for classes that are not asked for.
    """
    category_id = annotation.get("category_id")
    if not isinstance(category_id, int) or category_id not in known:
        return None, [f"{UNKNOWN} {repr(category_id)[:40]}, dropped"]
    label = known[category_id]
    if label is None:
        return None, []
    problems, usable = _check_box(annotation.get("bbox"), size)
    if not usable:
        return None, problems
    segmentation, flaws = _check_segmentation(annotation.get("segmentation"), size)
    if segmentation is None:
        return None, flaws
    box = annotation.get("bbox")
    annotated = tuple(box) if isinstance(box, list | tuple) and len(box) == 4 and are_numbers(box) else None
    return ObjectRecord(label, segmentation, bool(annotation.get("iscrowd", 0)), annotated), problems + flaws


def _check_box(box: Any, size: tuple[int, int]) -> tuple[list[str], bool]:
    """What is wrong with a box, and whether its object can be used all the same: boxes are measured from masks."""
    if box is None:
        return ["no box, taken from the mask"], True
    if not are_numbers(box) or len(box) != 4:
        return ["box is not four finite numbers, taken from the mask"], True
    x, y, w, h = box
    if w <= 0 or h <= 0:
        return ["box without area, dropped"], False
    height, width = size
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        return ["box outside the image, dropped"], False
    overhang = max(-x, -y, x + w - width, y + h - height)
    return ["box reaches out of the image, clipped"] if overhang > TOLERATED_OVERHANG else [], True


def _check_segmentation(segmentation: Any, size: tuple[int, int]) -> tuple[Segmentation | None, list[str]]:
    """A segmentation without its useless parts, or None; and what is wrong with it."""
    if isinstance(segmentation, dict):
        area = rle_area(segmentation, size)
        if not area:
            return None, ["RLE does not fit the image, dropped" if area is None else "RLE without area, dropped"]
        return sized(segmentation, size), []
    if not segmentation:
        return None, ["no segmentation, dropped"]
    if not isinstance(segmentation, list):
        return None, ["segmentation is neither polygons nor RLE, dropped"]
    if are_numbers(segmentation):
        segmentation = [segmentation]  # one polygon, without the list around it
    flaws = [_flaw(polygon, size) for polygon in segmentation]
    usable = [polygon for polygon, flaw in zip(segmentation, flaws, strict=True) if flaw is None]
    if not usable:
        return None, [f"{flaws[-1]}, dropped"]
    polygons = [polygon for polygon in usable if _signed_area(polygon) or _covers_pixels(polygon, size)]
    if not polygons:
        return None, ["polygon without area, dropped"]
    return polygons, [f"part of an object: {flaw}, dropped" for flaw in flaws if flaw is not None]


def _flaw(polygon: Any, size: tuple[int, int]) -> str | None:
    """Why a polygon is of no use, or None."""
    if not are_numbers(polygon) or len(polygon) < 6 or len(polygon) % 2:
        return "empty polygon"
    return "polygon far outside its image" if leads_far(polygon, size) else None


def rle_area(rle: dict[str, Any], size: tuple[int, int]) -> int | None:
    """How many pixels an RLE covers; None if its runs are not those of an image of this size."""
    counts, own_size = rle.get("counts"), rle.get("size")
    if not isinstance(own_size, list | tuple) or tuple(own_size) != size:
        return None
    if isinstance(counts, str):
        from faster_coco_eval.core import mask as coco_mask

        try:
            # Its `area` would take any string, and then its `iou` may never return.
            counts = coco_mask._mask.toUncompressedRLE([sized(rle, size)])[0]["counts"]
        except (RuntimeError, ValueError):
            return None
    if not isinstance(counts, list) or not all(isinstance(n, int) and n >= 0 for n in counts):
        return None
    return sum(counts[1::2]) if sum(counts) == math.prod(size) else None


def sized(rle: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """An RLE that fits its image, with its size in whole numbers: COCO's code reads no others, such as 480.0."""
    return {"size": list(size), "counts": rle["counts"]}


def are_numbers(values: Any) -> bool:
    """Whether this is a list of finite numbers."""
    return isinstance(values, list | tuple) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= sys.float_info.max for v in values
    )


def leads_far(polygon: list[int | float], size: tuple[int, int]) -> bool:
    """Whether a polygon leaves its image by more than the rest of it could explain.

    COCO's code walks along every edge in memory, however far it leads: a coordinate of 1e9 takes gigabytes.
    """
    return max(map(abs, polygon)) > FARTHEST * max(size)


def _signed_area(points: list[int | float]) -> float:
    """In pixels, positive or negative as the corners run. The halves of a bow tie cancel out, yet COCO fills both."""
    x, y = np.asarray(points[0::2], dtype=float), np.asarray(points[1::2], dtype=float)
    return float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def _covers_pixels(polygon: list[int | float], size: tuple[int, int]) -> bool:
    from faster_coco_eval.core import mask as coco_mask

    (rle,) = coco_mask.frPyObjects([[float(v) for v in polygon]], *size)
    return bool(coco_mask.area(rle))
