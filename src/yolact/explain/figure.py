"""How one mask came about, as a figure like the paper's figure 5."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from yolact.explain.character import Character
from yolact.explain.lettering import INK, QUIET, lettered, write_figure
from yolact.explain.mixture import Explanation
from yolact.explain.thumbnail import picture_of

PLUS, MINUS, CUT, LEAK, FINAL = "#0072B2", "#B84A00", "#C0508F", "#E69F00", "#56B4E9"
"""Added, subtracted, cut off, leaked, kept: apart from each other for color-blind readers, and each
named in words where it is used."""

LEAK_INK = "#9C6500"
"""The color of leaks, dark enough to be read."""

COLUMNS, TILE, CAPTION, MARGIN, HEADING, DPI = 6, 1.75, 0.5, 0.14, 0.62, 110


@dataclass(frozen=True)
class _Tile:
    picture: UInt8[np.ndarray, "h w 3"]
    title: str
    below: str = ""
    color: str = INK
    framed: bool = False
    """Draw the window's edges."""


def draw_explanation(
    path: Path,
    photograph: UInt8[np.ndarray, "H W 3"],
    prototypes: Float[np.ndarray, "K Hp Wp"],
    explanation: Explanation,
    characters: tuple[Character, ...],
    title: str,
) -> None:
    """Write the figure as a PNG: the photograph, the few prototypes, the mask after each, and where it ends wrongly.

    All but the first picture show the window and half as much around it.

    Args:
        characters: of each prototype; () leaves their kinds out.
        title: a heading, such as the class and the score.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.figure import Figure

    view = _view(explanation.window, explanation.mask.shape)
    stories = _stories(photograph, prototypes, explanation, characters, view)
    wide = max(min((view[2] - view[0]) / (view[3] - view[1]) * _proportion(photograph, prototypes), 2.2), 0.6)
    width, height = (TILE, TILE / wide) if wide > 1 else (max(TILE * wide, 1.5), TILE)
    bands = -(-len(stories) // COLUMNS)
    columns = -(-len(stories) // bands)  # no last story alone in its band
    across = columns * (width + MARGIN) + MARGIN
    down = HEADING + bands * 2 * (height + CAPTION + MARGIN)
    sheet = (across, down)
    figure = Figure(figsize=sheet, dpi=DPI, facecolor="white")
    lettered(figure, MARGIN, 0.1, title, *sheet, size=12)
    lettered(figure, MARGIN, 0.34, _summary(explanation), *sheet, size=8.5, color=QUIET)
    for place, (row, tile) in enumerate(row_and_tile for story in stories for row_and_tile in enumerate(story)):
        band, column = divmod(place // 2, columns)
        x = MARGIN + column * (width + MARGIN)
        y = HEADING + (2 * band + row) * (height + CAPTION + MARGIN)
        axes = figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))
        axes.set_axis_off()
        whole = place == 0
        axes.imshow(tile.picture, aspect="equal" if whole else "auto", extent=None if whole else _extent(view))
        if tile.framed:
            _frame(axes, explanation.window)
        lettered(figure, x, y + height + 0.04, tile.title, *sheet, size=8.5, color=tile.color, bold=True, room=width)
        lettered(figure, x, y + height + 0.23, tile.below, *sheet, size=7.5, color=QUIET, room=width)
    write_figure(figure, path)


def _stories(
    photograph: UInt8[np.ndarray, "H W 3"],
    prototypes: Float[np.ndarray, "K Hp Wp"],
    explanation: Explanation,
    characters: tuple[Character, ...],
    view: tuple[int, int, int, int],
) -> list[tuple[_Tile, _Tile]]:
    """One above the other: the photograph and the mask, each prototype and the sum so far, cut and leak."""
    part = _part(photograph, view, explanation.mask.shape)
    x1, y1, x2, y2 = view
    inside = (slice(y1, y2), slice(x1, x2))
    whole = cv2.resize(photograph, _fitted(photograph.shape), interpolation=cv2.INTER_AREA)
    rest = f"the other {len(explanation.rest)}: +{explanation.rest_gained}, \N{MINUS SIGN}{explanation.rest_lost} cells"
    final = _Tile(_painted(part, explanation.mask[inside], FINAL), "final mask", rest, framed=True)
    stories = [(_Tile(_painted(whole, explanation.mask, FINAL), "the photograph"), final)]
    for number, step in enumerate(explanation.steps, start=1):
        kind = f", {characters[step.prototype].kind}" if characters else ""
        sign, verb = (PLUS, "added") if step.coefficient >= 0 else (MINUS, "subtracted")
        signed = f"{step.coefficient:+.2f}".replace("-", "\N{MINUS SIGN}")
        shown = picture_of(prototypes[step.prototype][inside], part.shape[:2])
        sums = _painted(part, step.mask[inside], FINAL)
        said = f"IoU with the mask {step.iou:.2f}"
        above = _Tile(shown, signed, f"no. {step.prototype}{kind}, {verb}", sign)
        stories.append((above, _Tile(sums, f"after {number} of {len(explanation.steps)}", said, framed=True)))
    kept = _painted(part, explanation.mask[inside], "#BBBBBB")
    joined, pieces = int(explanation.cut.joined.sum()), int(explanation.cut.apart.sum())
    cut = _painted(kept, explanation.cut.mask[inside], CUT)
    leak = _painted(kept, explanation.leak.mask[inside], LEAK)
    shared = ", ".join(f"no. {i}" for i in list(explanation.leak.shared)[:3])
    told = f"shared with {shared}" if shared else f"{int(explanation.leak.apart.sum())} cells lie apart"
    above = _Tile(cut, "cut off", f"{joined} joined, {pieces} apart inside", CUT, framed=True)
    stories.append((above, _Tile(leak, f"may have leaked: {explanation.leak.share:.0%}", told, LEAK_INK, framed=True)))
    return stories


def _summary(explanation: Explanation) -> str:
    if not explanation.steps:
        return "its mask is empty: within its limits, the sum of the prototypes is nowhere above 0"
    count, last = len(explanation.steps), explanation.steps[-1].iou
    make = "prototype makes" if count == 1 else "prototypes make"
    return f"{count} {make} it to an IoU of {last:.2f}, of {len(explanation.rest) + count} in all; dashed: its limits"


def _view(window: tuple[int, int, int, int], grid: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The window and half as much around it, at least an eighth of the grid, in cells within the grid."""
    spans = []
    for low, high, cells in ((window[0], window[2], grid[1]), (window[1], window[3], grid[0])):
        half = max(high - low, cells / 8) * 0.75 + 2 if high > low else cells
        middle = (low + high) / 2
        spans.append((max(int(middle - half), 0), min(int(np.ceil(middle + half)), cells)))
    (x1, x2), (y1, y2) = spans
    return x1, y1, x2, y2


def _proportion(photograph: UInt8[np.ndarray, "H W 3"], prototypes: np.ndarray) -> float:
    """How much wider than high a cell is."""
    return (photograph.shape[1] / prototypes.shape[2]) / (photograph.shape[0] / prototypes.shape[1])


def _fitted(shape: tuple[int, ...], side: int = 480) -> tuple[int, int]:
    """(width, height) with the proportions of `shape`, its longer side this many pixels."""
    scale = side / max(shape[:2])
    return max(round(shape[1] * scale), 1), max(round(shape[0] * scale), 1)


def _part(
    photograph: UInt8[np.ndarray, "H W 3"], view: tuple[int, int, int, int], grid: tuple[int, ...]
) -> UInt8[np.ndarray, "h w 3"]:
    """What lies under the cells of the view."""
    across, down = photograph.shape[1] / grid[1], photograph.shape[0] / grid[0]
    x, y = int(view[0] * across), int(view[1] * down)
    right, bottom = max(int(view[2] * across), x + 1), max(int(view[3] * down), y + 1)
    part = photograph[y:bottom, x:right]
    return cv2.resize(part, _fitted(part.shape), interpolation=cv2.INTER_AREA)


def _painted(
    ground: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "Hp Wp"], color: str
) -> UInt8[np.ndarray, "h w 3"]:
    """The ground with a mask over it; its edges are smooth between cells."""
    size = (ground.shape[1], ground.shape[0])
    soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    alpha = 0.65 * ((soft - 0.5) * 4 + 0.5).clip(0, 1)[..., None]
    ink = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    return np.rint(ground * (1 - alpha) + ink * alpha).astype(np.uint8)


def _extent(view: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = view
    return x1, x2, y2, y1


def _frame(axes: Any, window: tuple[int, int, int, int]) -> None:
    """Dashed in black on white, to be seen on any ground."""
    x1, y1, x2, y2 = window
    xs, ys = [x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1]
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(xs, ys, color="white", linewidth=1.6)
    axes.plot(xs, ys, color="black", linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
