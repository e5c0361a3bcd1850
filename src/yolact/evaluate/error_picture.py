"""One error as two small pictures of the same part of the photograph: what is annotated, and what is detected."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import UInt8
from PIL import Image

from yolact.evaluate.boundary import Code
from yolact.evaluate.scene import Scene

SIDE = 320
"""Of the pictures, in pixels."""

SURROUNDINGS = 0.4
"""Of the error's larger side, shown on each side of it."""

SMALLEST = 48
"""Pixels of the photograph that are shown at least."""

TRUTH, PREDICTION, OTHER = (0, 200, 83), (255, 111, 0), (255, 255, 255)

Part = tuple[int, int, int, int]
"""(x1, y1, x2, y2) in whole pixels of the photograph; x2 and y2 are outside."""


@dataclass(frozen=True)
class Close:
    """What to look at."""

    photograph: UInt8[np.ndarray, "H W 3"]
    scene: Scene
    shown: Sequence[int]
    """The detections to draw."""

    row: int | None
    """The detection that is wrong."""

    column: int | None
    """The object that is not found as it should be."""


def draw(look: Close) -> tuple[bytes, bytes]:
    """JPEGs of the annotation and of the prediction. The one that the error is about is filled, others are outlined."""
    scene, objects = look.scene, look.scene.objects
    part = part_around(look)
    truth, prediction = _enlarged(look.photograph, part), _enlarged(look.photograph, part)
    _outline(truth, part, (code for i, code in enumerate(objects.codes) if i != look.column), OTHER)
    _outline(prediction, part, (scene.codes[row] for row in look.shown if row != look.row), OTHER)
    if look.column is not None:
        _outline(truth, part, [objects.codes[look.column]], TRUTH, fill=True)
    if look.row is not None:
        _outline(prediction, part, [scene.codes[look.row]], PREDICTION, fill=True)
        _frame(prediction, part, scene.found.boxes[look.row])
    return _jpeg(truth), _jpeg(prediction)


def part_around(look: Close) -> Part:
    """The part of the photograph with the object, the detection and some of what is around them."""
    boxes = [] if look.row is None else [look.scene.found.boxes[look.row]]
    boxes += [] if look.column is None else [look.scene.objects.boxes[look.column]]
    height, width = look.photograph.shape[:2]
    corners = np.array(boxes, np.float64).clip(0, (width, height, width, height))
    x1, y1, x2, y2 = *corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)
    side = max((x2 - x1, y2 - y1, SMALLEST / (1 + 2 * SURROUNDINGS)))
    reach = side * (0.5 + SURROUNDINGS)
    center_x, center_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(int(center_x - reach), 0), max(int(center_y - reach), 0)
    right, bottom = min(int(np.ceil(center_x + reach)), width), min(int(np.ceil(center_y + reach)), height)
    return min(left, width - 1), min(top, height - 1), max(right, left + 1), max(bottom, top + 1)


def _enlarged(photograph: UInt8[np.ndarray, "H W 3"], part: Part) -> UInt8[np.ndarray, "h w 3"]:
    x1, y1, x2, y2 = part
    scale = SIDE / max(x2 - x1, y2 - y1)
    size = max(round((x2 - x1) * scale), 1), max(round((y2 - y1) * scale), 1)
    return cv2.resize(photograph[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _outline(
    picture: np.ndarray, part: Part, codes: Iterable[Code], color: tuple[int, int, int], fill: bool = False
) -> None:
    x1, y1, x2, y2 = part
    for code in codes:
        left, top, width, height = coco_mask.toBbox(code)
        if left >= x2 or top >= y2 or left + width <= x1 or top + height <= y1:
            continue
        mask = np.ascontiguousarray(coco_mask.decode(code)[y1:y2, x1:x2])
        mask = cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        if fill:
            picture[mask > 0] = (picture[mask > 0] * 0.55 + np.array(color) * 0.45).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, color, 2 if fill else 1, cv2.LINE_AA)


def _frame(picture: np.ndarray, part: Part, box: np.ndarray) -> None:
    scale = picture.shape[1] / (part[2] - part[0])
    x1, y1, x2, y2 = np.rint((np.asarray(box, np.float64) - (*part[:2], *part[:2])) * scale).astype(int).tolist()
    cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), PREDICTION, 1)


def _jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return file.getvalue()
