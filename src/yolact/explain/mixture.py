"""Which few prototypes make a mask, and what each adds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from yolact.detect.run_lengths import encode_rle
from yolact.explain.limits import Cut, Leak, cut_of, leak_of

ENOUGH = 0.95
"""IoU with the whole sum from which on more prototypes are told as "the rest"."""

Mask = Bool[np.ndarray, "Hp Wp"]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One prototype that is added to those before it."""

    prototype: int
    """Its number, from 0."""

    coefficient: float
    """How the instance takes it: above 0 it is added, below subtracted."""

    inside: float
    """What it adds to the logit of a cell on average, over the cells of the mask."""

    outside: float
    """The same over the other cells of the window; NaN if there are none. Below `inside`, it tells them apart."""

    mask: Mask
    """Where the sum so far is above 0, in the whole photograph."""

    iou: float
    """Of that and the final mask, over the cells that the cut leaves: what it takes away does not count."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """How an instance's mask came about, in cells of the prototypes."""

    instance: int
    steps: tuple[Step, ...]
    """The few prototypes that make the mask, in the order in which they are added."""

    rest: tuple[int, ...]
    """The numbers of all others that are taken at all."""

    rest_gained: int
    rest_lost: int
    """Cells that the rest adds to the mask of the steps, and takes away, among those that the cut leaves."""

    uncut: Mask
    """Where the sum of all is above 0, in the whole photograph: the mask before it is cut."""

    mask: Mask
    """What is left of it: the final mask."""

    window: tuple[int, int, int, int]
    """x1, y1, x2, y2 in whole cells; x2 and y2 are outside. What lies beyond is cut away: the box, widened by all ways
    to cut but `box`."""

    cut: Cut
    leak: Leak

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it. Masks are COCO run-length codes, on the grid of the prototypes."""
        return {
            "instance": self.instance,
            "window": list(self.window),
            "steps": [
                {
                    "prototype": step.prototype,
                    "coefficient": round(step.coefficient, 4),
                    "inside": _number(step.inside),
                    "outside": _number(step.outside),
                    "iou": round(step.iou, 4),
                    "mask": _code(step.mask),
                }
                for step in self.steps
            ],
            "rest": {"prototypes": list(self.rest), "gained": self.rest_gained, "lost": self.rest_lost},
            "cells": int(self.mask.sum()),
            "mask": _code(self.mask),
            "cut": self.cut.to_dict() | {"mask": _code(self.cut.mask)},
            "leak": self.leak.to_dict() | {"mask": _code(self.leak.mask)},
        }


def explain(
    prototypes: Float32[np.ndarray, "K Hp Wp"],
    coefficients: Float32[np.ndarray, "N K"],
    windows: Int[np.ndarray, "N 4"],
    soft_masks: Float32[np.ndarray, "N Hp Wp"],
    instance: int,
    *,
    enough: float | int = ENOUGH,
    most: int | None = None,
) -> Explanation:
    """How the mask of one instance came about.

    The prototypes that make it are found greedily: each time the one is added whose sum with those before it comes
    closest to the mask, over the cells that the cut leaves, until that is close enough. Those that turn out to be
    needless afterwards are left out again. There may be smaller sets; none is a part of this one.

    Args:
        windows: in whole cells, see `yolact.instances.Instances`.
        soft_masks: the final probabilities of all instances, with whatever cut they have.
        instance: which, from 0.
        enough: the IoU that is close enough, above 0, at most 1.
        most: add at most so many prototypes, however far they come. None: as many as it takes.

    Raises:
        ValueError: there is no such instance, or an option is out of range.
    """
    if not -len(windows) <= instance < len(windows):
        raise ValueError(f"there is no instance {instance}; {len(windows)} were found, numbered from 0")
    if not 0 < enough <= 1:
        raise ValueError(f"enough is {enough}; it must be above 0 and at most 1")
    if most is not None and most < 1:
        raise ValueError(f"most is {most}; it must be at least 1")
    instance %= len(windows)
    signed = coefficients[instance, :, None, None] * prototypes
    uncut, mask = signed.sum(axis=0) > 0, soft_masks[instance] > 0.5
    x1, y1, x2, y2 = (int(edge) for edge in windows[instance])
    left = np.zeros_like(mask)
    left[y1:y2, x1:x2] = ~uncut[y1:y2, x1:x2] | mask[y1:y2, x1:x2]
    parts, whole = signed[:, left], uncut[left]
    taken = _few(parts, whole, float(enough), most)
    rest = tuple(k for k in np.flatnonzero(parts.any(axis=1)).tolist() if k not in taken)
    before_rest = parts[taken].sum(axis=0) > 0
    return Explanation(
        instance=instance,
        steps=tuple(_steps(signed, parts, whole, taken, coefficients[instance])),
        rest=rest,
        rest_gained=int((whole & ~before_rest).sum()),
        rest_lost=int((before_rest & ~whole).sum()),
        uncut=uncut,
        mask=mask,
        window=(x1, y1, x2, y2),
        cut=cut_of(uncut, soft_masks > 0.5, (x1, y1, x2, y2), instance),
        leak=leak_of(soft_masks > 0.5, (x1, y1, x2, y2), instance),
    )


def _few(parts: Float[np.ndarray, "K n"], whole: Bool[np.ndarray, " n"], enough: float, most: int | None) -> list[int]:
    """The numbers of the prototypes that make the mask, in order. None for a mask that is empty."""
    limit = len(parts) if most is None else most
    taken = _greedy(parts, whole, enough, limit, np.flatnonzero(parts.any(axis=1)).tolist())
    for k in sorted(taken, key=lambda k: float(np.abs(parts[k]).sum())):  # the faintest is the likeliest to be needless
        others = [other for other in taken if other != k]
        if _iou(parts[others].sum(axis=0) > 0, whole) >= enough:
            taken = others
    return _greedy(parts, whole, enough, limit, taken)


def _greedy(
    parts: Float[np.ndarray, "K n"], whole: Bool[np.ndarray, " n"], enough: float, limit: int, candidates: list[int]
) -> list[int]:
    if not whole.any():
        return []
    total, taken, left = np.zeros(parts.shape[1], parts.dtype), [], list(candidates)
    strength = np.abs(parts).sum(axis=1)
    while left and len(taken) < limit and _iou(total > 0, whole) < enough:
        sums = total + parts[left] > 0
        both, either = (sums & whole).sum(axis=1), (sums | whole).sum(axis=1)
        best = max(range(len(left)), key=lambda i: (both[i] / either[i], strength[left[i]]))
        taken.append(left.pop(best))
        total = total + parts[taken[-1]]
    return taken


def _steps(
    signed: Float[np.ndarray, "K Hp Wp"],
    parts: Float[np.ndarray, "K n"],
    whole: Bool[np.ndarray, " n"],
    taken: list[int],
    coefficients: Float[np.ndarray, " K"],
) -> list[Step]:
    steps, everywhere, within = [], np.zeros(signed.shape[1:], signed.dtype), np.zeros(len(whole), signed.dtype)
    for k in taken:
        everywhere, within = everywhere + signed[k], within + parts[k]
        outside = float(parts[k][~whole].mean()) if not whole.all() else float("nan")
        inside, iou = float(parts[k][whole].mean()), _iou(within > 0, whole)
        steps.append(Step(k, float(coefficients[k]), inside, outside, everywhere > 0, iou))
    return steps


def _iou(a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> float:
    """1 if both are empty."""
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _code(mask: Mask) -> dict[str, Any]:
    height, width = mask.shape
    return encode_rle(mask, (0, 0, width, height), (height, width))
