"""How alike instances of two frames are, as only prototypes let one tell.

Both measures are matrix products of what the network gave; no mask is made at the photograph's size.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from yolact.instances import Instances

NOTHING = 1e-12


def centers(
    masks: Float32[np.ndarray, "N Hp Wp"], instances: Instances
) -> tuple[Float64[np.ndarray, "N 2"], Float64[np.ndarray, "N 2"]]:
    """Where each instance is, x and y, and its width and height, in fractions of the frame.

    The position is the mask's center of mass. An arm that is stretched out moves a box's center, and hardly this one.
    """
    height, width = instances.image_size
    corners = instances.boxes.astype(np.float64).reshape(-1, 2, 2) / (width, height)
    sizes = np.abs(corners[:, 1] - corners[:, 0]).clip(1e-3, 1)
    points = corners.mean(axis=1).clip(0, 1)
    for axis in (0, 1):
        cells = masks.shape[2 - axis]
        profile = masks.sum(axis=1 + axis, dtype=np.float64)
        mass = profile.sum(axis=1)
        there = mass > 0
        points[there, axis] = (profile[there] @ (np.arange(cells) + 0.5)) / mass[there] / cells
    return points, sizes


def moved(mask: Float32[np.ndarray, "Hp Wp"], shift: Float64[np.ndarray, "2"]) -> Float32[np.ndarray, "Hp Wp"]:
    """A mask moved by (x, y), in fractions of the frame. What leaves the frame is gone."""
    height, width = mask.shape
    matrix = np.array([[1, 0, shift[0] * width], [0, 1, shift[1] * height]])
    return cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)


def mask_overlap(
    masks: Float32[np.ndarray, "M Hp Wp"], others: Float32[np.ndarray, "N Hp Wp"]
) -> Float32[np.ndarray, "M N"]:
    """IoU of soft masks, in 0..1: a·b / (a·a + b·b − a·b), which is the IoU where all cells are 0 or 1."""
    a, b = masks.reshape(len(masks), -1), others.reshape(len(others), -1)
    both = a @ b.T
    either = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None] - both
    return (both / np.maximum(either, NOTHING)).clip(0, 1)


def coefficient_likeness(
    coefficients: Float32[np.ndarray, "M K"], others: Float32[np.ndarray, "N K"]
) -> Float32[np.ndarray, "M N"]:
    """Cosine of the angle between coefficient vectors, in 0..1 (0 where it is obtuse): c·d / |c||d|."""
    lengths = [np.linalg.norm(rows, axis=1).clip(min=NOTHING) for rows in (coefficients, others)]
    return (coefficients @ others.T / np.outer(*lengths)).clip(0, 1).astype(np.float32)


def nearness(
    positions: Float64[np.ndarray, "M 2"],
    sizes: Float64[np.ndarray, "M 2"],
    spreads: Float64[np.ndarray, " M"],
    others: Float64[np.ndarray, "N 2"],
) -> Float64[np.ndarray, "M N"]:
    """exp(−d²/2), in 0..1, of the distance d between predicted and seen positions, in sizes of the object; those that
    may be far off by their `spreads` allow for more."""
    away = (others[None] - positions[:, None]) / sizes[:, None]
    allowed = 0.5 + spreads[:, None]
    return np.exp(-0.5 * ((away / allowed[..., None]) ** 2).sum(axis=2))


def same_class(labels: Int64[np.ndarray, " M"], others: Int64[np.ndarray, " N"]) -> Bool[np.ndarray, "M N"]:
    return labels[:, None] == others[None]
