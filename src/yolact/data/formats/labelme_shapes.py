"""LabelMe's shapes: what they cover, and how an object becomes some."""

import base64
import binascii
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from yolact.data.annotations import Problems
from yolact.data.labeled import LabeledObject, from_mask, from_polygons, polygon_flaw
from yolact.data.objects import are_numbers
from yolact.images import UNREADABLE

CROWD = "crowd"
"""The flag of shapes that are crowds."""


def group_shapes(shapes: list[Any], problems: Problems, name: str) -> list[list[dict[str, Any]]]:
    """Shapes that are one object: those of one label and group_id, and each other one alone."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for index, shape in enumerate(shapes):
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"]:
            problems.add("shape without a label, dropped", name)
            continue
        number = shape.get("group_id")
        key = ("alone", index) if number is None else (shape["label"], str(number))
        groups.setdefault(key, []).append(shape)
    return list(groups.values())


def read_group(shapes: list[dict[str, Any]], size: tuple[int, int]) -> tuple[LabeledObject | None, str | None]:
    """The object of shapes that belong together, or None; and what is wrong with them, if anything."""
    polygons: list[list[float]] = []
    masks: list[np.ndarray] = []
    flaw = None
    for shape in shapes:
        try:
            found = _cover(shape, size)
        except ValueError as error:
            flaw = f"{error}, dropped"
            continue
        if isinstance(found, list):
            polygons.append(found)
        else:
            masks.append(found)
    flags = shapes[0].get("flags")
    is_crowd = isinstance(flags, dict) and bool(flags.get(CROWD))
    name = shapes[0]["label"]
    drawn = from_polygons(name, polygons, size, is_crowd) if polygons else None
    if not masks:
        return drawn, flaw or (None if drawn else "polygon that covers no pixel, dropped")
    mask = np.logical_or.reduce(masks + ([drawn.mask()] if drawn else []))
    found = from_mask(name, mask, is_crowd)
    return found, flaw or (None if found else "mask that covers no pixel, dropped")


def _cover(shape: dict[str, Any], size: tuple[int, int]) -> list[float] | np.ndarray:
    """What a shape covers: a polygon x1, y1, x2, y2, ..., or a mask.

    Raises:
        ValueError: nothing that can be used; the message says why.
    """
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 and are_numbers(p) for p in points):
        raise ValueError("shape with a coordinate that is no finite number")
    if kind == "polygon":
        polygon = [float(v) for point in points for v in point]
        flaw = polygon_flaw(polygon, size)
        if flaw:
            raise ValueError(flaw.removesuffix(", dropped"))
        return polygon
    if kind not in ("rectangle", "circle", "mask"):
        raise ValueError(f"{kind if isinstance(kind, str) else 'unknown shape'} without an area")
    if len(points) != 2:
        raise ValueError(f"{kind} of {len(points)} points instead of two")
    (x1, y1), (x2, y2) = points
    if kind == "mask":
        return _decode(shape.get("mask"), (x1, y1, x2, y2), size)
    if kind == "rectangle":
        polygon = [float(v) for v in (x1, y1, x2, y1, x2, y2, x1, y2)]
        flaw = polygon_flaw(polygon, size)
        if flaw:
            raise ValueError(flaw.removesuffix(", dropped"))
        return polygon
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    return np.hypot(columns - x1, rows - y1) <= np.hypot(x2 - x1, y2 - y1)


def _decode(text: Any, box: tuple[int | float, ...], size: tuple[int, int]) -> np.ndarray:
    """The mask of a box whose last column and row are part of it, as LabelMe has it."""
    x1, y1 = int(box[0]), int(box[1])
    try:
        with Image.open(BytesIO(base64.b64decode(text))) as image:
            inside = np.array(image.convert("L")) > 0
    except (TypeError, binascii.Error, *UNREADABLE):
        raise ValueError("mask that is no PNG in base64") from None
    height, width = inside.shape
    # Other programs that write this format leave the last column and row out of the box.
    fits = all(side - (end - start) in (0, 1) for side, start, end in ((width, x1, box[2]), (height, y1, box[3])))
    if not fits or min(x1, y1) < 0 or y1 + height > size[0] or x1 + width > size[1]:
        raise ValueError("mask that does not fit its box or its image")
    mask = np.zeros(size, dtype=bool)
    mask[y1 : y1 + height, x1 : x1 + width] = inside
    return mask


def shapes_of(o: LabeledObject, index: int) -> list[dict[str, Any]]:
    """The shapes that say what an object says; several share its index as their group_id."""
    if o.polygons is None:
        return [_shape(o, "mask", *_mask_and_box(o))]
    group = index if len(o.polygons) > 1 else None
    corners = [[list(corner) for corner in zip(p[::2], p[1::2], strict=True)] for p in o.polygons]
    return [_shape(o, "polygon", points, None, group) for points in corners]


def _mask_and_box(o: LabeledObject) -> tuple[list[list[float]], str]:
    x, y, w, h = (int(v) for v in o.box)
    buffer = BytesIO()
    Image.fromarray(o.mask()[y : y + h, x : x + w]).save(buffer, "PNG")
    points = [[float(x), float(y)], [float(x + w - 1), float(y + h - 1)]]
    return points, base64.b64encode(buffer.getvalue()).decode()


def _shape(o: LabeledObject, kind: str, points: Any, mask: str | None, group: int | None = None) -> dict[str, Any]:
    return {
        "label": o.name,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {CROWD: True} if o.is_crowd else {},
        "mask": mask,
    }
