"""Outlines that COCO's rule for polygons fills with exactly the pixels of a mask.

They run along the edges between pixels, from corner to corner. Of such an outline COCO's rule takes a column's pixels
between the first and the second edge that it meets, the third and the fourth, and so on. Two edges in one place cancel
each other, so a bridge that is walked there and back changes nothing, wherever it lies. That makes any mask one ring:
holes, parts, single pixels and those that touch at a corner included.

`yolact.polygons` draws outlines finer than a pixel through soft masks. Those look better, and are not exact.
"""

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Int

Ring = Int[np.ndarray, "_ 2"]
"""Corners (x, y) in pixels; (0, 0) is the upper left corner of the image's first pixel."""

SAMPLED_CORNERS = 4096
"""Ends of bridges are sought among this many corners of all rings together: finding short ones costs their square."""

MANY_RINGS = 1000
"""With more of them, each is joined to the one before: they come in the order of their rows."""


def outlines(mask: Bool[np.ndarray, "H W"]) -> list[list[Ring]]:
    """For each connected part of a mask its outer ring, and the rings around its holes, turning the other way.

    Parts that touch at a corner only are one.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = rows[0], columns[0]
    window = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    # Four small pixels for each one: then every small pixel of a contour lies at one corner of a large one.
    contours, hierarchy = cv2.findContours(
        window.repeat(2, axis=0).repeat(2, axis=1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    rings = [_corners((contour[:, 0].astype(np.int64) + 1) // 2) + np.array([left, top]) for contour in contours]
    parts: dict[int, list[Ring]] = {i: [rings[i]] for i in range(len(rings)) if hierarchy[0][i][3] < 0}
    for ring, (_, _, _, parent) in zip(rings, hierarchy[0], strict=True):
        if parent >= 0:
            parts[int(parent)].append(ring)
    return list(parts.values())


def _corners(points: Ring) -> Ring:
    """A ring without points that stand still or lie on the straight way between their neighbors."""
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    arrives, leaves = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[np.any(arrives != leaves, axis=1)]


def join(rings: list[np.ndarray]) -> np.ndarray:
    """Several rings as one, which walks short bridges there and back.

    The rings are joined nearest first, as a tree that grows. Bridges count for nothing, so any of them will do for the
    mask; but a viewer that draws the ring as a line shows them, so they had better be short.
    """
    corners = np.concatenate(rings)
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    ends = np.cumsum([len(ring) for ring in rings])
    starts = ends - [len(ring) for ring in rings]
    follows = np.arange(1, len(corners) + 1)
    follows[ends - 1] = starts
    points, chain = [tuple(corner) for corner in corners.tolist()], follows.tolist()
    bridges = _bridges(corners, ring_of) if len(rings) <= MANY_RINGS else list(pairwise(starts.tolist()))
    for at, reached in bridges:
        # at → reached → ... once around ... → reached → at → where it went before
        points += [points[reached], points[at]]
        back_there, back_here = len(points) - 2, len(points) - 1
        ring = ring_of[reached]
        before = ends[ring] - 1 if reached == starts[ring] else reached - 1
        chain += [back_here, chain[at]]
        chain[before] = back_there
        chain[at] = reached
    return np.array(_walk(points, chain), dtype=corners.dtype)


def _walk(points: list[tuple[int | float, ...]], chain: list[int]) -> list[tuple[int | float, ...]]:
    walked, at = [points[0]], chain[0]
    while at != 0:
        walked.append(points[at])
        at = chain[at]
    return walked


def _bridges(corners: np.ndarray, ring_of: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of corners that join all rings to the first one: (on what is joined already, on the next ring)."""
    stride = -(-len(corners) // SAMPLED_CORNERS)
    is_first = np.diff(ring_of, prepend=-1) > 0
    sampled = np.flatnonzero((np.arange(len(corners)) % stride == 0) | is_first)
    places, owner = corners[sampled].astype(np.float64), ring_of[sampled]
    distance, nearest = np.full(len(sampled), np.inf), np.zeros(len(sampled), dtype=np.int64)
    joined, bridges, ring = owner < 0, [], 0
    while True:
        joined |= owner == ring
        waiting = np.flatnonzero(~joined)
        if not len(waiting):
            return bridges
        for i in np.flatnonzero(owner == ring):
            gaps = np.abs(places[waiting] - places[i]).sum(axis=1)
            closer = gaps < distance[waiting]
            distance[waiting[closer]], nearest[waiting[closer]] = gaps[closer], i
        chosen = waiting[distance[waiting].argmin()]
        bridges.append((int(sampled[nearest[chosen]]), int(sampled[chosen])))
        ring = owner[chosen]
