"""Outlines of soft masks as polygons, finer than a pixel."""

import cv2
import numpy as np
from jaxtyping import Float32

Ring = Float32[np.ndarray, "_ 2"]
"""Corners (x, y) in pixels. The center of the image's first pixel is (0.5, 0.5)."""


def trace(
    mask: Float32[np.ndarray, "h w"], corner: tuple[int, int], image_size: tuple[int, int], tolerance: float | int
) -> list[Ring]:
    """The outlines along which a soft mask crosses one half.

    Each connected part is one polygon. A hole is joined to the ring around it by a bridge of no width that is walked
    there and back, so that area and filling come out right in formats that know no holes, such as COCO's.

    Args:
        mask: the part of the soft mask that is not zero, at the image's scale, in 0..1.
        corner: (x, y) of that part's first pixel in the image.
        image_size: (height, width) of the image.
        tolerance: how far, in pixels, corners may be left out of the outline; 0 keeps one for every pixel of it.
    """
    if mask.size == 0:
        return []
    inside = (mask > 0.5).astype(np.uint8)
    contours, hierarchy = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return []
    pixels = [contour[:, 0, :] for contour in contours]
    rings = [_onto_level(points, mask, corner, image_size) for points in pixels]
    rings = [_simplify(ring, tolerance) for ring in rings]
    polygons = []
    for index, (_, _, first_child, parent) in enumerate(hierarchy[0]):
        if parent >= 0:
            continue
        # A part one pixel thin is walked there and back along one line, which may have corners, but has no area.
        outer = rings[index] if abs(_signed_area(rings[index])) > 1e-3 else _around(pixels[index], corner)
        holes, child = [], first_child
        while child >= 0:
            holes.append(rings[child])
            child = hierarchy[0][child][0]
        polygons.append(_join([outer, *(hole for hole in holes if len(hole) >= 3)]))
    return polygons


def _onto_level(
    points: np.ndarray,
    mask: Float32[np.ndarray, "h w"],
    corner: tuple[int, int],
    image_size: tuple[int, int],
) -> Ring:
    """Move the outermost pixels of a mask to where it is one half, by one Newton step of at most a pixel.

    Pixels at the image's border move onto the border: the object goes on there, and only the view ends.
    """
    columns, rows = points[:, 0], points[:, 1]
    slope = _slope(mask, rows, columns)
    steepness = np.maximum(np.square(slope).sum(axis=1, keepdims=True), 1e-12)
    step = (0.5 - mask[rows, columns])[:, None] * slope / steepness
    step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1)
    in_image = points + np.array(corner)
    ring = in_image + 0.5 + step
    size = np.array([image_size[1], image_size[0]])
    ring = np.where(in_image == 0, 0, ring)
    ring = np.where(in_image == size - 1, size, ring)
    return ring.astype(np.float32)


def _slope(mask: Float32[np.ndarray, "h w"], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """How much the mask rises toward +x and +y at some pixels, by central differences."""
    above, below = np.maximum(rows - 1, 0), np.minimum(rows + 1, mask.shape[0] - 1)
    left, right = np.maximum(columns - 1, 0), np.minimum(columns + 1, mask.shape[1] - 1)
    along_x, along_y = mask[rows, right] - mask[rows, left], mask[below, columns] - mask[above, columns]
    return np.stack([along_x, along_y], axis=-1) / 2


def _simplify(ring: Ring, tolerance: float | int) -> Ring:
    return cv2.approxPolyDP(ring[:, None], tolerance, closed=True)[:, 0] if tolerance > 0 else ring


def _around(points: np.ndarray, corner: tuple[int, int]) -> Ring:
    """The rectangle around a part too thin to have an outline."""
    x1, y1 = points.min(axis=0) + np.array(corner)
    x2, y2 = points.max(axis=0) + 1 + np.array(corner)
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float32)


def _join(rings: list[Ring]) -> Ring:
    """One ring from an outer ring and its holes, nearest holes first."""
    joined, holes = rings[0], rings[1:]
    while holes:
        gaps = [_nearest(joined, hole) for hole in holes]
        chosen = min(range(len(holes)), key=lambda i: gaps[i][0])
        _, at_ring, at_hole = gaps[chosen]
        hole = holes.pop(chosen)
        if (_signed_area(hole) > 0) == (_signed_area(rings[0]) > 0):
            hole, at_hole = hole[::-1], len(hole) - 1 - at_hole
        detour = np.concatenate([hole[at_hole:], hole[: at_hole + 1]])
        joined = np.concatenate([joined[: at_ring + 1], detour, joined[at_ring:]])
    return joined


def _nearest(a: Ring, b: Ring) -> tuple[float, int, int]:
    """The smallest distance between corners of two rings, and which corners these are."""
    distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
    i, j = np.unravel_index(distances.argmin(), distances.shape)
    return float(distances[i, j]), int(i), int(j)


def _signed_area(ring: Ring) -> float:
    x, y = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
