"""How much a mask changes from one frame to the next, beyond what its object did.

Of each frame there are a predicted mask P and the true one G. The object's place is the center of G and its size the
square root of G's area; `moved` carries a mask along from one place and size to the next. Of three ways to carry it
along (with the center, with center and size, with the box), center and size leave the least change of G itself in the
clips: a leg that is stretched out changes a box more than a body.

All three measures are 0 for a mask that is perfect, whatever the object does, and for one that is wrong in the same way
in both frames while the object moves or comes closer.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Place(NamedTuple):
    """Where an object is, in pixels; the center of the first pixel is at (0.5, 0.5)."""

    x: float
    y: float
    size: float
    """The square root of its area."""


def place_of(mask: Bool[np.ndarray, "H W"]) -> Place:
    rows, columns = np.nonzero(mask)
    return Place(float(columns.mean()) + 0.5, float(rows.mean()) + 0.5, float(np.sqrt(len(rows))))


def box_of(mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "4"]:
    """(x1, y1, x2, y2) in pixels, x2 and y2 outside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def moved(values: Int[np.ndarray, "H W"], of: Place, to: Place) -> Int[np.ndarray, "H W"]:
    """What lies at `of`, at `to`; 0 where that comes from outside. Each pixel takes the value of the nearest one."""
    height, width = values.shape
    columns = np.floor((np.arange(width) + 0.5 - to.x) * of.size / to.size + of.x).astype(np.int64)
    rows = np.floor((np.arange(height) + 0.5 - to.y) * of.size / to.size + of.y).astype(np.int64)
    taken = values[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    is_inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return np.where(is_inside, taken, 0)


def error_of(predicted: Bool[np.ndarray, "H W"], true: Bool[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """1 where the mask has too much, -1 where it lacks something, 0 where it is right."""
    return predicted.astype(np.int64) - true.astype(np.int64)


def shape_change(
    predicted: tuple[np.ndarray, np.ndarray], true: tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]
) -> float:
    """The pixels at which the error, carried along, is another one than before, as a share of the object's.

    With E = P - G of both frames and M that carries along: |{M(E_t) != E_t+1}| / |G_t+1|.
    """
    before, after = (error_of(p, g) for p, g in zip(predicted, true, strict=True))
    carried = moved(before, place_of(true[0]), place_of(true[1]))
    return float((carried != after).sum() / true[1].sum())


def boundary_change(
    predicted: tuple[np.ndarray, np.ndarray], true: tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]
) -> float:
    """How much the predicted contour comes and goes along the true one, as a share of the object's size.

    d(p) is how far the predicted contour lies outside of the true one at its point p, less than 0 if inside, as a share
    of the object's size. Each p of the later frame is compared with the nearest point q of the earlier one, carried
    along: the mean of |d_t+1(p) - d_t(q)|. Unlike for the change of shape, an even margin around the object counts for
    next to nothing even when the object bends. NaN if the picture cuts off all of a contour.
    """
    from scipy.spatial import KDTree

    places = [place_of(g) for g in true]
    points = [contour_of(g) for g in true]
    margins = [
        margin(p, g)[tuple(np.floor(xy).astype(np.int64).T[::-1])] / place.size
        for p, g, xy, place in zip(predicted, true, points, places, strict=True)
    ]
    if not len(points[0]) or not len(points[1]):
        return float("nan")
    carried = (points[0] - places[0][:2]) * places[1].size / places[0].size + places[1][:2]
    nearest = KDTree(carried).query(points[1])[1]
    return float(np.abs(margins[1] - margins[0][nearest]).mean())


def contour_of(mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "n 2"]:
    """(x, y) of the mask's pixels with a side outside of it; where the picture cuts the object, there is no contour."""
    padded = np.pad(mask, 1, constant_values=True)
    is_within = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rows, columns = np.nonzero(mask & ~is_within)
    return np.stack([columns, rows], axis=1) + 0.5


def margin(predicted: Bool[np.ndarray, "H W"], true: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """At the true contour: how far outside of it the predicted one lies, in pixels; less than 0 if inside."""
    return depth(predicted) - depth(true)


def depth(mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """The distance to the mask's contour in pixels, less than 0 outside of the mask, which must not be empty."""
    import cv2

    inside, outside = (
        cv2.distanceTransform(each.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for each in (mask, ~mask)
    )
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float64)


def mask_iou(a: Bool[np.ndarray, "H W"], b: Bool[np.ndarray, "H W"]) -> float:
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 0.0


def nudges(box: Float[np.ndarray, "4"], share: float = 0.05) -> Float[np.ndarray, "8 4"]:
    """The box with one of its edges moved, out or in, by a share of its width or height."""
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2) * share
    return np.concatenate([box + np.diag(sides), box - np.diag(sides)])


def nudge_changes(
    masks: Bool[np.ndarray, "n H W"], boxes: Float[np.ndarray, "n 4"], area: float
) -> tuple[float, float]:
    """How a mask changes with its box, as shares of `area`: inside of both boxes, and beyond, where the box cuts.

    The mean over all rows after the first, which is what they are compared with.
    """
    height, width = masks.shape[1:]
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    inside, beyond = [], []
    for mask, box in zip(masks[1:], boxes[1:], strict=True):
        low, high = np.maximum(box[:2], boxes[0, :2]), np.minimum(box[2:], boxes[0, 2:])
        is_inside = ((y > low[1]) & (y < high[1]))[:, None] & ((x > low[0]) & (x < high[0]))
        differs = mask ^ masks[0]
        inside.append(float((differs & is_inside).sum() / area))
        beyond.append(float((differs & ~is_inside).sum() / area))
    return float(np.mean(inside)), float(np.mean(beyond))
