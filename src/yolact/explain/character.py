"""What prototypes have become: measured by how they answer to photographs, to crops of them, and to nothing.

A prototype may show where a cell lies in the picture, where outlines run, or what is inside of objects (the paper's
figure 5). Each of these is a number here, near 0 for a prototype that has nothing of it, and 1 for one that is nothing
else; the largest gives the kind, if it reaches `CLEAR`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Photograph = UInt8[np.ndarray, "_ _ 3"]
Prototypes = Float[np.ndarray, "K Hp Wp"]
Masks = Bool[np.ndarray, "N Hp Wp"]
Probe = Callable[[Photograph], Prototypes]

Kind = Literal["position", "contour", "region", "mixed", "dead"]
KINDS: tuple[Kind, ...] = ("position", "contour", "region", "mixed", "dead")

CLEAR = 0.25
"""What a number must reach to give a prototype its kind; below, it is mixed."""

DEAD = 1e-3
"""A prototype that varies less than this share of the one that varies most shows nothing."""

WIDESPREAD = 0.1
"""By how much more often than not a cell on an outline must be brighter than one elsewhere, for a contour."""

COLORS = ((0, 0, 0), (255, 255, 255), (40, 120, 60))
"""Of the images with nothing in them: RGB, 0..255."""

CROP = 0.75
"""Side of the crops, each from a corner of the photograph, as a share of its side."""

PLACES = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")


@dataclass(frozen=True, slots=True)
class Character:
    """What one prototype has become. Shares and contrasts are None where there was nothing to measure them on."""

    number: int
    """From 0."""

    kind: Kind

    largest: float
    """The largest value in the photographs."""

    spread: float
    """Standard deviation over the cells of all photographs."""

    solid: float
    """Standard deviation over the cells of images of one color, as a share of `spread`: how much of it needs no
    content."""

    position: float
    """The share of the variance over crops of the photographs that the place of a cell alone explains, 0..1: content
    lies elsewhere in each crop, what belongs to the place stays. Corrected for chance."""

    follows: float
    """How far a cell agrees with the cell of another crop that shows the same content, 0..1."""

    unmoved: float
    """How much needs no content and does not follow it either: `solid`, at most 1, times what `follows` leaves."""

    lights: str
    """The brightest ninth of the image, on average over all crops."""

    contour: float | None
    """How much brighter it is along the outlines of the found masks, on their inner or outer side, than inside and
    outside of them, whichever is brighter: (a - b) / (a + b) of the means, 0..1."""

    region: float | None
    """How well it tells cells inside of the found masks from those outside, away from outlines: 1 if all inside are
    brighter, -1 if all are darker, 0 by chance."""

    gradient: float
    """Correlation with how steep the photograph is, -1..1: does it show edges of any kind?"""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, rounded."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def kind_of(position: float, unmoved: float, contour: float | None, region: float | None) -> Kind:
    """The rule, for a prototype that is not dead: the largest counts, if it is clear. Two of them tell of positions:
    `position` misses what lights few cells, and `unmoved` what changes slowly."""
    strengths: dict[Kind, float] = {
        "position": max(position, unmoved),
        "contour": contour or 0.0,
        "region": abs(region or 0.0),
    }
    best = max(strengths, key=lambda kind: strengths[kind])
    return best if strengths[best] >= CLEAR else "mixed"


def measure(probe: Probe, photographs: Sequence[Photograph], masks: Sequence[Masks]) -> tuple[Character, ...]:
    """What each of a network's prototypes has become, as far as these photographs tell.

    Args:
        probe: gives the prototypes of a photograph, always as many and of the same size. It is called five times for
            each photograph and once for each of `COLORS`.
        photographs: RGB, 0..255; at least one.
        masks: what was found in each of them, on the grid of the prototypes.

    Raises:
        ValueError: no photographs, or not as many masks.
    """
    if not photographs or len(photographs) != len(masks):
        raise ValueError(f"{len(photographs)} photographs and {len(masks)} lots of masks; give as many, at least one")
    whole = np.stack([probe(photograph) for photograph in photographs]).astype(np.float64)
    corners = np.stack([[probe(crop) for crop in _crops(each)] for each in photographs]).astype(np.float64)
    side = (min(photographs[0].shape[0], 512), min(photographs[0].shape[1], 512))
    solid = np.stack([probe(np.full((*side, 3), color, np.uint8)) for color in COLORS]).astype(np.float64)
    spread = whole.std(axis=(0, 2, 3))
    steepness = np.stack([_steepness(photograph, whole.shape[2:]) for photograph in photographs])
    tiers = np.stack([_tiers(each, whole.shape[2:]) for each in masks])
    found = []
    for k in range(whole.shape[1]):
        is_dead = spread[k] <= DEAD * spread.max()
        crops = corners[:, :, k]
        position, follows = (0.0, 0.0) if is_dead else (_share_of_place(crops), _agreement(crops))
        bare = 0.0 if is_dead else float(np.sqrt(solid[:, k].var(axis=(1, 2)).mean()) / spread[k])
        unmoved = min(bare, 1.0) * (1 - follows)
        contour, region = (None, None) if is_dead else _contrasts(whole[:, k], tiers)
        found.append(
            Character(
                number=k,
                kind="dead" if is_dead else kind_of(position, unmoved, contour, region),
                largest=float(whole[:, k].max()),
                spread=float(spread[k]),
                solid=bare,
                position=position,
                follows=follows,
                unmoved=unmoved,
                lights="nothing" if is_dead else _brightest_ninth(crops.mean(axis=(0, 1))),
                contour=contour,
                region=region,
                gradient=0.0 if is_dead else _correlation(whole[:, k], steepness),
            )
        )
    return tuple(found)


def _crops(photograph: Photograph) -> list[Photograph]:
    """From top left, top right, bottom left and bottom right."""
    height, width = photograph.shape[:2]
    h, w = max(round(CROP * height), 1), max(round(CROP * width), 1)
    return [np.ascontiguousarray(photograph[y : y + h, x : x + w]) for y in (0, height - h) for x in (0, width - w)]


def _share_of_place(crops: Float[np.ndarray, "n 4 h w"]) -> float:
    """The variance between cells, over all: the intraclass correlation of the crops' values at each cell."""
    values = crops.reshape(-1, crops.shape[2] * crops.shape[3])
    count = len(values)
    within = values.var(axis=0, ddof=1).mean()
    between = max(values.mean(axis=0).var(ddof=1) - within / count, 0.0)  # a mean of few varies by chance
    return float(between / (between + within)) if between + within > 0 else 0.0


def _agreement(crops: Float[np.ndarray, "n 4 h w"]) -> float:
    """Of opposite corners' crops where both show the same: 1 less the squared difference over that by chance."""
    height, width = crops.shape[2:]
    down, across = round(height * (1 / CROP - 1)), round(width * (1 / CROP - 1))
    top_left, top_right, bottom_left, bottom_right = np.moveaxis(crops, 1, 0)
    first = np.stack([top_left[:, down:, across:], top_right[:, down:, : width - across]])
    second = np.stack([bottom_right[:, : height - down, : width - across], bottom_left[:, : height - down, across:]])
    chance = 2 * np.concatenate([first, second]).var()
    return float(max(1 - ((first - second) ** 2).mean() / chance, 0.0)) if chance > 0 else 0.0


def _brightest_ninth(mean: Float[np.ndarray, "h w"]) -> str:
    ninths = cv2.resize(mean.astype(np.float32), (3, 3), interpolation=cv2.INTER_AREA)
    return PLACES[int(ninths.argmax())]


def _steepness(photograph: Photograph, grid: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """How much a photograph changes from each cell to the next, in gray values."""
    gray = cv2.cvtColor(np.ascontiguousarray(photograph), cv2.COLOR_RGB2GRAY).astype(np.float32)
    cells = cv2.resize(gray, grid[::-1], interpolation=cv2.INTER_AREA)
    return np.hypot(cv2.Sobel(cells, cv2.CV_32F, 1, 0), cv2.Sobel(cells, cv2.CV_32F, 0, 1))


OUTSIDE, OUTER, INNER, INSIDE = range(4)


def _tiers(masks: Masks, grid: tuple[int, int]) -> np.ndarray:
    """(Hp, Wp): whether a cell is inside of a mask, outside of all, or along an outline, on its inner or outer side."""
    square = np.ones((3, 3), np.uint8)
    covered = np.zeros(grid, np.uint8)
    for mask in masks:
        covered[mask] = 1
    tiers = np.full(grid, OUTSIDE)
    tiers[cv2.dilate(covered, square, iterations=2) > 0] = OUTER
    tiers[covered > 0] = INSIDE
    for mask in masks:
        tiers[mask & (cv2.erode(mask.astype(np.uint8), square) == 0)] = INNER
    return tiers


def _contrasts(values: Float[np.ndarray, "n h w"], tiers: np.ndarray) -> tuple[float | None, float | None]:
    """(contour, region); None where there are no such cells."""
    outside, outer, inner, inside = (values[tiers == tier] for tier in (OUTSIDE, OUTER, INNER, INSIDE))
    if not len(inside) or not len(outside):
        return None, None
    sides = [_stands_out(side, inside, outside) for side in (outer, inner) if len(side)]
    return max(sides, default=0.0), _contrast(inside, outside)


def _stands_out(outline: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> float:
    """How much brighter one side of the outlines is than what lies to both sides of it, 0..1, on average."""
    if min(_contrast(outline, inside), _contrast(outline, outside)) < WIDESPREAD:
        return 0.0  # a few bright cells make a mean
    line, next_to_it = float(outline.mean()), max(float(inside.mean()), float(outside.mean()))
    return max(line - next_to_it, 0.0) / (line + max(next_to_it, 0.0)) if line > 0 else 0.0


def _contrast(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> float:
    """P(a > b) - P(a < b), of one value drawn from each: 1 if all of `a` are larger, -1 if all are smaller."""
    ranked = np.sort(b)
    below, up_to = np.searchsorted(ranked, a, "left"), np.searchsorted(ranked, a, "right")
    return float((below + up_to - len(b)).mean() / len(b))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / scale) if scale > 0 else 0.0
