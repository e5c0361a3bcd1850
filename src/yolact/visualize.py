"""Drawing instances on photographs: their masks, their names, and colors that tell them apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image, ImageDraw

from yolact import captions
from yolact.captions import Color
from yolact.painting import coverage, distance_inside, extent_of, paint, strips
from yolact.printable import printable

PALETTE: tuple[Color, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178),
    (136, 204, 238), (153, 153, 51), (170, 68, 153), (68, 170, 153), (204, 102, 119), (221, 204, 119), (102, 92, 190),
)  # fmt: skip
"""The seven colors of Okabe and Ito, then seven of Paul Tol's: apart from each other for color-blind readers too."""

SHADES = (0.0, 0.35, -0.3)
"""Neighbors of one class take turns: its color as it is, mixed with this much white, and with this much black."""

UNFOLLOWED: Color = (170, 170, 170)
"""Of instances without a track, where colors tell tracks apart."""


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

    color_by: Literal["auto", "class", "instance", "track"] = "auto"
    """`class`: a color a class, the same in every picture, and a shade of it for neighbors. `instance`: a color an
    instance, from left to right. `track`: a color a track, the same in every frame. `auto`: by track where there are
    track ids, else by class, or by instance where the model knows one class only."""

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
    track_ids: Int64[np.ndarray, " N"] | None = None,
) -> Image.Image:
    """A copy of the photograph with instances drawn on it, small ones over large ones.

    Args:
        image: RGB.
        soft_masks: probabilities on a grid that spans the photograph.
        boxes: in pixels of the photograph.
        labels: index into `class_names`, from 0.
        scores: in 0..1.
        track_ids: from 1, written behind the name; 0 for none.
    """
    canvas = image.copy()
    side = float(np.sqrt(image.shape[0] * image.shape[1])) * style.scale
    line = max(side / 320, 1.25)
    colors = instance_colors(labels, boxes, len(class_names), style.color_by, track_ids)
    for i in np.argsort(-soft_masks.sum(axis=(1, 2)), kind="stable"):
        paint(canvas, soft_masks[i], colors[i], style.opacity, line if style.outlines else 0.0)
    picture = Image.fromarray(canvas)
    if style.boxes:
        pen = ImageDraw.Draw(picture)
        for (x1, y1, x2, y2), color in zip(boxes.tolist(), colors, strict=True):
            if x1 <= x2 and y1 <= y2:  # parity mode leaves boxes beyond the image inside out
                pen.rectangle((x1, y1, x2, y2), outline=color, width=max(round(line), 1))
    if style.labels:
        texts = [printable(class_names[label]) for label in labels.tolist()]
        if track_ids is not None:
            texts = [f"{text} {track or ''}".rstrip() for text, track in zip(texts, track_ids.tolist(), strict=True)]
        if style.scores:
            texts = [f"{text} {score:.0%}" for text, score in zip(texts, scores.tolist(), strict=True)]
        anchors = [captions.anchor_of(mask, box, canvas.shape) for mask, box in zip(soft_masks, boxes, strict=True)]
        font = captions.load_font(style.font, max(side / 45, 10.0))
        captions.write_all(picture, texts, anchors, colors, font)
    return picture


def cut_out(image: UInt8[np.ndarray, "H W 3"], soft_mask: Float32[np.ndarray, "Hp Wp"]) -> Image.Image:
    """An instance alone: RGBA, as large as the instance (one transparent pixel if its mask is empty)."""
    size = image.shape[:2]
    x1, y1, x2, y2 = extent_of(soft_mask, size, margin=1)
    alpha = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
    for top, bottom in strips(y1, y2):
        distance = distance_inside(soft_mask, (x1, top, x2, bottom), size)
        alpha[top - y1 : bottom - y1] = np.rint(255 * coverage(distance))
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
    track_ids: Int64[np.ndarray, " N"] | None = None,
) -> list[Color]:
    """A color for each instance, as `Style.color_by` says; taken in turns from left to right, so neighbors differ."""
    if color_by not in ("auto", "class", "instance", "track"):
        raise ValueError(f"color_by is {color_by!r}; choose auto, class, instance or track")
    if color_by == "track" and track_ids is None:
        raise ValueError("color_by is 'track', but nothing was tracked; choose auto, class or instance")
    if color_by in ("auto", "track") and track_ids is not None:
        return [_track_color(track) for track in track_ids.tolist()]
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


def _track_color(track: int) -> Color:
    if track == 0:
        return UNFOLLOWED
    cycle, color = _palette_color(track - 1)
    return _shade(color, SHADES[cycle % len(SHADES)])


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
