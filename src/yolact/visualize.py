"""Drawing instances on photographs.

Edges come from the soft masks, not from their binary form: each is treated as a smooth surface (a cubic B-spline over
the prototype grid), whose height and slope together tell how far a pixel is from the outline, so that fill and line are
anti-aliased at any size of photograph. Work goes in strips of rows, and memory stays small.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image, ImageDraw

from yolact import captions
from yolact.captions import Color, Rectangle

PALETTE: tuple[Color, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178),
    (136, 204, 238), (153, 153, 51), (170, 68, 153), (68, 170, 153), (204, 102, 119), (221, 204, 119), (102, 92, 190),
)  # fmt: skip
"""The seven colors of Okabe and Ito, then seven of Paul Tol's: apart from each other for color-blind readers too."""

SHADES = (0.0, 0.35, -0.3)
"""Neighbors of one class take turns: its color as it is, mixed with this much white, and with this much black."""

STRIP_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class Style:
    """How instances look."""

    opacity: float | int = 0.45
    """Of the fill, 0..1."""

    outlines: bool = True
    """Draw a line along the inner edge of each mask."""

    boxes: bool = False
    labels: bool = True
    """Name each instance, as long as there is room that no other label takes."""

    scores: bool = True
    """Put the score behind the name."""

    color_by: Literal["auto", "class", "instance"] = "auto"
    """`class`: a color a class, the same in every picture, and a shade of it for neighbors. `instance`: a color an
    instance, from left to right. `auto`: by class, or by instance where the model knows one class only."""

    font: Path | None = None
    """A TrueType or OpenType file; needed for names in other than Latin letters."""

    scale: float | int = 1.0
    """Multiplies the size of lines and letters, which otherwise follow the size of the photograph."""

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"opacity is {self.opacity}; it must lie between 0 and 1")
        if not 0 < self.scale < float("inf"):
            raise ValueError(f"scale is {self.scale}; it must be above 0")


def draw(
    image: UInt8[np.ndarray, "H W 3"],
    soft_masks: Float32[np.ndarray, "N Hp Wp"],
    boxes: Float32[np.ndarray, "N 4"],
    labels: Int64[np.ndarray, " N"],
    scores: Float32[np.ndarray, " N"],
    class_names: tuple[str, ...],
    style: Style,
) -> Image.Image:
    """A copy of the photograph with instances drawn on it, small ones over large ones.

    Args:
        image: RGB.
        soft_masks: probabilities on a grid that spans the photograph.
        boxes: in pixels of the photograph.
        labels: index into `class_names`, from 0.
        scores: in 0..1.
    """
    canvas = image.copy()
    side = float(np.sqrt(image.shape[0] * image.shape[1])) * style.scale
    line = max(side / 320, 1.25)
    colors = instance_colors(labels, boxes, len(class_names), style.color_by)
    for i in np.argsort(-soft_masks.sum(axis=(1, 2)), kind="stable"):
        _paint(canvas, soft_masks[i], colors[i], style.opacity, line if style.outlines else 0.0)
    picture = Image.fromarray(canvas)
    if style.boxes:
        pen = ImageDraw.Draw(picture)
        for (x1, y1, x2, y2), color in zip(boxes.tolist(), colors, strict=True):
            if x1 <= x2 and y1 <= y2:  # parity mode leaves boxes beyond the image inside out
                pen.rectangle((x1, y1, x2, y2), outline=color, width=max(round(line), 1))
    if style.labels:
        texts = [class_names[label] for label in labels.tolist()]
        if style.scores:
            texts = [f"{text} {score:.0%}" for text, score in zip(texts, scores.tolist(), strict=True)]
        anchors = [captions.anchor_of(mask, box, canvas.shape) for mask, box in zip(soft_masks, boxes, strict=True)]
        font = captions.load_font(style.font, max(side / 45, 10.0))
        captions.write_all(picture, texts, anchors, colors, font)
    return picture


def cut_out(image: UInt8[np.ndarray, "H W 3"], soft_mask: Float32[np.ndarray, "Hp Wp"]) -> Image.Image:
    """An instance alone: RGBA, as large as the instance (one transparent pixel if its mask is empty)."""
    size = image.shape[:2]
    x1, y1, x2, y2 = _extent(soft_mask, size, margin=1)
    alpha = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
    for top, bottom in _strips(y1, y2):
        distance = _distance_inside(soft_mask, (x1, top, x2, bottom), size)
        alpha[top - y1 : bottom - y1] = np.rint(255 * _coverage(distance))
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if len(rows) == 0:
        return Image.new("RGBA", (1, 1))
    inner = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return Image.fromarray(np.dstack([image[y1:y2, x1:x2][inner], alpha[inner]]))


def instance_colors(
    labels: Int64[np.ndarray, " N"],
    boxes: Float32[np.ndarray, "N 4"],
    num_classes: int,
    color_by: str,
) -> list[Color]:
    """A color for each instance, as `Style.color_by` says; taken in turns from left to right, so neighbors differ."""
    if color_by not in ("auto", "class", "instance"):
        raise ValueError(f"color_by is {color_by!r}; choose auto, class or instance")
    by_instance = color_by == "instance" or (color_by == "auto" and num_classes == 1)
    colors: list[Color] = [PALETTE[0]] * len(labels)
    turns: dict[int, int] = {}
    for i in np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable"):
        kind = 0 if by_instance else int(labels[i])
        turn = turns.get(kind, 0)
        turns[kind] = turn + 1
        cycle, color = _palette_color(turn if by_instance else int(labels[i]))
        colors[i] = _shade(color, SHADES[(cycle if by_instance else turn + cycle) % len(SHADES)])
    return colors


def _palette_color(number: int) -> tuple[int, Color]:
    """How often the palette was used up before this number, and its color. The first color is never used again: label 0
    is people in most data sets, and they should look like nothing else."""
    cycle, place = divmod(number - 1, len(PALETTE) - 1)
    return (0, PALETTE[0]) if number == 0 else (cycle, PALETTE[1 + place])


def _shade(color: Color, amount: float) -> Color:
    """Mix a color with white (amount above 0) or black (below)."""
    target = 255 if amount > 0 else 0
    red, green, blue = (round(channel + (target - channel) * abs(amount)) for channel in color)
    return red, green, blue


def _paint(
    canvas: UInt8[np.ndarray, "H W 3"],
    soft_mask: Float32[np.ndarray, "Hp Wp"],
    color: Color,
    opacity: float,
    line: float,
) -> None:
    """Fill a mask and draw its outline, in place. The line lies inside the mask, so that neighbors stay apart."""
    size = canvas.shape[:2]
    x1, y1, x2, y2 = _extent(soft_mask, size, margin=1)
    for top, bottom in _strips(y1, y2):
        distance = _distance_inside(soft_mask, (x1, top, x2, bottom), size)
        alpha = opacity * _coverage(distance)
        if line:
            alpha = np.maximum(alpha, _coverage(distance) * _coverage(line - distance))
        strip = canvas[top:bottom, x1:x2]
        for channel, value in enumerate(color):
            strip[..., channel] = np.rint(strip[..., channel] + alpha * (np.float32(value) - strip[..., channel]))


def _coverage(distance: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """How much of each pixel lies inside an edge that is this far from its center."""
    return (distance + 0.5).clip(0, 1)


def _strips(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for top in range(start, stop, STRIP_ROWS):
        yield top, min(top + STRIP_ROWS, stop)


def _extent(mask: Float32[np.ndarray, "Hp Wp"], image_size: tuple[int, int], margin: int) -> Rectangle:
    """(x1, y1, x2, y2) in pixels around the mask's cells above zero and `margin` cells more; zeros if none is."""
    ends = []
    for axis, size in ((0, image_size[1]), (1, image_size[0])):
        cells = np.flatnonzero(mask.any(axis=axis))
        if len(cells) == 0:
            return 0, 0, 0, 0
        scale = size / mask.shape[1 - axis]
        ends.append((max(int((cells[0] - margin) * scale), 0), min(int((cells[-1] + 1 + margin) * scale) + 1, size)))
    (x1, x2), (y1, y2) = ends
    return x1, y1, x2, y2


def _distance_inside(
    mask: Float32[np.ndarray, "Hp Wp"], part: Rectangle, image_size: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """About how many pixels each pixel is inside the mask's outline, below 0 outside; right near the outline."""
    x1, y1, x2, y2 = part
    top, rows, row_slopes = _spline(mask.shape[0], image_size[0], y1, y2)
    left, columns, column_slopes = _spline(mask.shape[1], image_size[1], x1, x2)
    cells = mask[top : top + rows.shape[1], left : left + columns.shape[1]]
    along_columns = _product(cells, columns.T)
    height = _product(rows, along_columns)
    slope_y, slope_x = _product(row_slopes, along_columns), _product(rows, _product(cells, column_slopes.T))
    return (height - 0.5) / np.maximum(np.sqrt(slope_x * slope_x + slope_y * slope_y), 1e-6)


def _product(a: Float32[np.ndarray, "h n"], b: Float32[np.ndarray, "n w"]) -> Float32[np.ndarray, "h w"]:
    """`a @ b`. OpenCV's needs no threads for such thin matrices; numpy's, on a busy machine, waits for its own."""
    nothing = np.empty((0, 0), dtype=np.float32)
    return cv2.gemm(np.ascontiguousarray(a), np.ascontiguousarray(b), 1.0, nothing, 0.0)


def _spline(cells: int, pixels: int, start: int, stop: int) -> tuple[int, np.ndarray, np.ndarray]:
    """A uniform cubic B-spline over `cells` at the centers of pixels start to stop, ends repeated.

    Returns:
        The first cell that counts, the weights of the cells from there on (one row a pixel), and their derivative by
        pixels.
    """
    position = (np.arange(start, stop) + 0.5) * (cells / pixels) - 0.5
    nearest = np.floor(position).astype(np.int64)
    t = position - nearest
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    slopes = (-3 * (1 - t) ** 2, 9 * t**2 - 12 * t, -9 * t**2 + 6 * t + 3, 3 * t**2)
    first, last = max(int(nearest[0]) - 1, 0), min(int(nearest[-1]) + 2, cells - 1)
    values, derivative = np.zeros((2, stop - start, last - first + 1), dtype=np.float32)
    row = np.arange(stop - start)
    for offset, weight, slope in zip((-1, 0, 1, 2), weights, slopes, strict=True):
        cell = (nearest + offset).clip(first, last) - first
        np.add.at(values, (row, cell), weight / 6)
        np.add.at(derivative, (row, cell), slope / 6 * (cells / pixels))
    return first, values, derivative
