"""All prototypes of a photograph on one sheet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from yolact.explain.character import Character, Kind
from yolact.explain.lettering import INK, QUIET, lettered, write_figure
from yolact.explain.thumbnail import picture_of

KIND_COLORS: dict[Kind, str] = {
    "position": "#D55E00", "contour": "#CC79A7", "region": "#0072B2", "mixed": "#555555", "dead": "#999999",
}  # fmt: skip
"""Of Okabe and Ito's colors, apart from each other for color-blind readers; the word stands beside each."""

TILE = 1.55
"""Inches; the longer side of a prototype's picture is at most this."""

CAPTION, MARGIN, HEADING = 0.24, 0.12, 0.78


def draw_gallery(
    path: Path,
    prototypes: Float[np.ndarray, "K Hp Wp"],
    characters: Sequence[Character],
    image_size: tuple[int, int],
    photograph: UInt8[np.ndarray, "H W 3"],
    name: str,
) -> None:
    """Write the gallery as a PNG: the photograph first, then each prototype with its number, kind and largest value.

    Args:
        image_size: (height, width) of the photograph in pixels: prototypes get its proportions.
        name: of the photograph, for the heading.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.figure import Figure

    height, width = _tile(image_size)
    columns = _columns(len(prototypes) + 1, height + CAPTION, width)
    rows = -(-(len(prototypes) + 1) // columns)
    across = max(columns * (width + MARGIN) + MARGIN, 5.6)
    down = HEADING + rows * (height + CAPTION + MARGIN)
    sheet = (across, down)
    figure = Figure(figsize=sheet, dpi=110, facecolor="white")
    kinds: list[Kind] = [character.kind for character in characters]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KIND_COLORS if kind in kinds)
    for text, y, size in (
        (f"{len(prototypes)} prototypes of {name}", 0.1, 11),
        (counts, 0.33, 8.5),
        ("each from 0 (dark) to its own largest value (yellow), which stands beside its kind", 0.53, 7.5),
    ):
        lettered(figure, MARGIN, y, text, *sheet, size=size, color=INK if size > 8 else QUIET)
    pixels = (max(round(height * 110), 1), max(round(width * 110), 1))
    for place in range(len(prototypes) + 1):
        row, column = divmod(place, columns)
        x, y = MARGIN + column * (width + MARGIN), HEADING + row * (height + CAPTION + MARGIN)
        axes = figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))
        axes.set_axis_off()
        if place == 0:
            axes.imshow(photograph, aspect="auto")
            lettered(figure, x, y + height + 0.03, "photograph", *sheet, size=7.5)
            continue
        axes.imshow(picture_of(prototypes[place - 1], pixels), aspect="auto")
        kind = kinds[place - 1]
        named = f"{place - 1} {kind}"
        lettered(figure, x, y + height + 0.03, named, *sheet, size=7.5, color=KIND_COLORS[kind], room=0.72 * width)
        top = f"{float(prototypes[place - 1].max()):.3g}"
        lettered(figure, x + width, y + height + 0.03, top, *sheet, size=7, color=QUIET, align="right")
    write_figure(figure, path)


def _tile(image_size: tuple[int, int]) -> tuple[float, float]:
    """(height, width) in inches. Of very long photographs, the short side is no less than a fifth, squeezed."""
    height, width = image_size
    longer = max(height, width)
    tall, wide = max(TILE * height / longer, TILE / 5), max(TILE * width / longer, 1.05)
    return tall, wide


def _columns(tiles: int, height: float, width: float) -> int:
    """So many that the sheet is about a third wider than high."""
    return min(max(round((1.35 * tiles * height / width) ** 0.5), 1), tiles)
