"""Captions on a picture: beside what they name, never on each other, in letters that stand out from their ground."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
"""Red, green, blue in 0..255."""

Rectangle = tuple[int, int, int, int]
Anchor = tuple[float, float, float, float, float]
"""What a caption is placed by: x1, y1, x2, y2 of what one sees of an instance, and x of its topmost part; in pixels."""


@lru_cache(16)
def load_font(path: Path | None, size: float) -> ImageFont.FreeTypeFont:
    if path is None:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
        return font
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise ValueError(f"cannot read the font {path} ({error}); give a TrueType or OpenType file") from error


def write_all(
    picture: Image.Image,
    texts: Sequence[str],
    anchors: Sequence[Anchor],
    colors: Sequence[Color],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Write captions into a picture, where `arrange` puts them."""
    spots = arrange(texts, anchors, picture.size, font)
    for text, spot, color in zip(texts, spots, colors, strict=True):
        if spot is not None:
            _write(picture, spot, text, color, font)


def arrange(
    texts: Sequence[str], anchors: Sequence[Anchor], size: tuple[int, int], font: ImageFont.FreeTypeFont
) -> list[Rectangle | None]:
    """A place for each caption that no other takes, first come, first served; None if there is no room near by.

    Args:
        size: (width, height) of the picture.
    """
    ascent, descent = font.getmetrics()
    height = ascent + descent + _padding(font)
    taken: list[Rectangle | None] = []
    for text, anchor in zip(texts, anchors, strict=True):
        width = int(np.ceil(_length(text, font))) + 2 * _padding(font)
        if width > size[0] or height > size[1]:
            taken.append(None)
            continue
        spots = (_into(size, x, y, width, height) for x, y in _places(anchor, width, height))
        free = (spot for spot in spots if not any(other and _overlap(spot, other) for other in taken))
        taken.append(next(free, None))
    return taken


def _padding(font: ImageFont.FreeTypeFont) -> int:
    return max(round(font.size / 4), 2)


def anchor_of(
    soft_mask: Float32[np.ndarray, "Hp Wp"], box: Float32[np.ndarray, "4"], image_shape: tuple[int, ...]
) -> Anchor:
    inside = soft_mask > 0.5
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if len(rows) == 0:
        # A network that has gone astray gives boxes that are not even numbers.
        height, width = image_shape[:2]
        x1, y1, x2, y2 = np.clip(np.nan_to_num(box), 0, (width, height, width, height)).tolist()
        return x1, y1, x2, y2, (x1 + x2) / 2
    down, across = image_shape[0] / inside.shape[0], image_shape[1] / inside.shape[1]
    top = (float(np.flatnonzero(inside[rows[0]]).mean()) + 0.5) * across
    return columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down, top


def _places(anchor: Anchor, width: int, height: int) -> Iterator[tuple[float, float]]:
    """Top left corners to try for an instance's label, best first: over its top, in, under, beside, along it."""
    x1, y1, x2, y2, top = anchor
    yield top - width / 2, y1 - height
    if y2 - y1 > 3 * height and x2 - x1 > width:
        yield top - width / 2, y1 + height / 4
        yield (x1 + x2 - width) / 2, (y1 + y2 - height) / 2
    yield x1, y1 - height
    yield x2 - width, y1 - height
    yield (x1 + x2 - width) / 2, y2
    yield x2, y1
    yield x1 - width, y1
    for step in range(1, int((y2 - y1) / height)):
        yield (x1 + x2 - width) / 2, y1 + step * height


def _into(size: tuple[int, int], x: float, y: float, width: int, height: int) -> Rectangle:
    """The label's rectangle, moved into the picture."""
    left = round(min(max(x, 0), max(size[0] - width, 0)))
    top = round(min(max(y, 0), max(size[1] - height, 0)))
    return left, top, left + width, top + height


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _write(picture: Image.Image, spot: Rectangle, text: str, color: Color, font: ImageFont.FreeTypeFont) -> None:
    """A rounded plate in the instance's color, with the caption in black or white, whichever is easier to read."""
    x1, y1, x2, y2 = spot
    picture.paste(color, (x1, y1), _plate(x2 - x1, y2 - y1, _padding(font)))
    picture.paste(ink_on(color), (x1, y1), _letters(text, x2 - x1, y2 - y1, font))


@lru_cache(512)  # a video has the same captions again and again
def _plate(width: int, height: int, pad: int) -> Image.Image:
    finer = 4
    plate = Image.new("L", (width * finer, height * finer))
    ImageDraw.Draw(plate).rounded_rectangle((0, 0, plate.width - 1, plate.height - 1), pad * finer, fill=240)
    return plate.resize((width, height), Image.Resampling.BOX)


@lru_cache(2048)
def _letters(text: str, width: int, height: int, font: ImageFont.FreeTypeFont) -> Image.Image:
    letters, pad = Image.new("L", (width, height)), _padding(font)
    ImageDraw.Draw(letters).text((pad, pad / 2), text, fill=255, font=font)
    return letters


@lru_cache(2048)
def _length(text: str, font: ImageFont.FreeTypeFont) -> float:
    return font.getlength(text)


@lru_cache(256)
def ink_on(color: Color) -> Color:
    """Black or white, whichever has more contrast with this ground (WCAG 2)."""
    return (0, 0, 0) if _luminance(color) > 0.179 else (255, 255, 255)


def _luminance(color: Color) -> float:
    """Relative luminance as WCAG 2 defines it, 0..1."""
    channels = np.array(color) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
