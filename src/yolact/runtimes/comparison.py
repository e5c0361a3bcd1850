"""How far the outputs of one runtime are from those of another, detection by detection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The differences from PyTorch that rounding explains, and no more."""

    score: float
    box: float
    """Of the photograph's longer side."""

    mask_iou: float
    """Of masks of at least `LEAST_PIXELS`: one pixel of a tiny mask is a large part of it."""

    pixels: float
    """The share of mask pixels that may differ."""

    unmatched: float
    """The share of detections without a counterpart: where two boxes overlap by just the threshold of NMS, or two
    scores compete for the last place, rounding decides."""


LEAST_PIXELS = 64
FURTHEST = 0.01
"""Of the photograph's longer side: where a counterpart is looked for."""

LIMITS = {
    "float32": Limits(score=1e-3, box=2e-4, mask_iou=0.98, pixels=1e-4, unmatched=0.01),
    "float16": Limits(score=0.03, box=FURTHEST, mask_iou=0.9, pixels=2e-3, unmatched=0.1),
}
"""By the precision of the network."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Between the outputs for one batch. What is not a share or a count is the worst of all detections."""

    name: str
    """The batch: number, width and height."""

    detections: int
    unmatched: int
    score: float
    box: float
    """Pixels."""

    mask_iou: float
    pixels: float
    """The share of mask pixels that differ."""

    side: int
    """The photographs' longer side in pixels."""

    def problems(self, precision: str) -> list[str]:
        """What is beyond the limits, in words."""
        limits = LIMITS.get(precision, LIMITS["float16"])
        allowed = int(np.ceil(limits.unmatched * self.detections))
        found = {
            f"{self.unmatched} of {self.detections} detections have no counterpart": self.unmatched > allowed,
            f"scores differ by {self.score:.2g}": self.score > limits.score,
            f"boxes differ by {self.box:.2g} pixels": self.box > limits.box * max(self.side, 500),
            f"a mask's IoU is only {self.mask_iou:.3f}": self.mask_iou < limits.mask_iou,
            f"{self.pixels:.2%} of the mask pixels differ": self.pixels > limits.pixels,
        }
        return [problem for problem, holds in found.items() if holds]

    @staticmethod
    def table(differences: Sequence["Difference"]) -> str:
        """A row a batch."""
        head = ("photographs", "detections", "unmatched", "score", "box, pixels", "lowest mask IoU", "equal pixels")
        rows = [
            (
                each.name,
                str(each.detections),
                str(each.unmatched),
                f"{each.score:.1e}",
                f"{each.box:.1e}",
                f"{each.mask_iou:.4f}",
                f"{100 * (1 - each.pixels):.4f} %",
            )
            for each in differences
        ]
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
        return "\n".join(lines)


def compare(expected: Outputs, found: Outputs, image_size: tuple[int, int]) -> Difference:
    """Compare a batch of outputs.

    Detections are matched, not taken in order: equal scores may come in any order, and the last place may go to
    another.

    Args:
        expected, found: outputs as `yolact.deployable.Deployable` gives them, with the same forms of masks.
        image_size: (height, width) of the photographs.

    Raises:
        ValueError: an output is missing, or has another type or shape.
    """
    for name, array in expected.items():
        if name not in found or found[name].dtype != array.dtype or found[name].shape != array.shape:
            has = f"{found[name].dtype} {found[name].shape}" if name in found else "missing"
            raise ValueError(f"output {name} is {has}; it should be {array.dtype} {array.shape}")
    score = box = pixels = area = 0.0
    lowest = 1.0
    total = unmatched = 0
    for i in range(len(expected["count"])):
        pairs, lonely = _match(expected, found, i, max(image_size))
        total, unmatched = total + len(pairs) + lonely, unmatched + lonely
        for a, b in pairs:
            score = max(score, *(abs(float(expected[n][i, a] - found[n][i, b])) for n in ("scores", "mask_scores")))
            box = max(box, _distance(expected, found, i, a, b))
            ours, theirs = _mask(expected, i, a), _mask(found, i, b)
            inside, union = np.count_nonzero(ours & theirs), np.count_nonzero(ours | theirs)
            pixels, area = pixels + union - inside, area + ours.size
            if np.count_nonzero(ours) >= LEAST_PIXELS:
                lowest = min(lowest, inside / union)
    height, width = image_size
    return Difference(
        name=f"{len(expected['count'])} of {width}x{height}",
        detections=total,
        unmatched=unmatched,
        score=score,
        box=box,
        mask_iou=float(lowest),
        pixels=float(pixels / max(area, 1)),
        side=max(height, width),
    )


def _match(expected: Outputs, found: Outputs, i: int, side: int) -> tuple[list[tuple[int, int]], int]:
    """For each detection of photograph i its counterpart; and how many of either side have none.

    What is further away than rounding could move it is another object, or another choice among boxes of the same one.
    """
    ours, theirs = int(expected["count"][i]), int(found["count"][i])
    free = np.ones(theirs, dtype=bool)
    pairs = []
    for a in range(ours):
        score = np.abs(found["scores"][i, :theirs] - expected["scores"][i, a])
        box = np.abs(found["boxes"][i, :theirs] - expected["boxes"][i, a]).max(axis=-1, initial=0)
        fits = (
            free & (found["labels"][i, :theirs] == expected["labels"][i, a]) & (score < 0.1) & (box <= FURTHEST * side)
        )
        if fits.any():
            b = int(np.where(fits, box / side + score, np.inf).argmin())
            free[b] = False
            pairs.append((a, b))
    return pairs, max(ours, theirs) - len(pairs)


def _distance(expected: Outputs, found: Outputs, i: int, a: int, b: int) -> float:
    names = [name for name in ("boxes", "region_boxes") if name in expected]
    return max(float(np.abs(expected[name][i, a] - found[name][i, b]).max()) for name in names)


def _mask(outputs: Outputs, i: int, n: int) -> Bool[np.ndarray, "H W"]:
    """A detection's mask, of the forms that there are the finest."""
    if "mask_bits" in outputs:
        return _unpack(outputs["mask_bits"][i, n])
    if "soft_masks" in outputs:
        return outputs["soft_masks"][i, n] > 0.5
    if "region_masks" in outputs:
        return outputs["region_masks"][i, n] > 127
    x1, y1, x2, y2 = outputs["windows"][i, n].tolist()
    logits = np.tensordot(outputs["coefficients"][i, n], outputs["prototypes"][i, :, y1:y2, x1:x2], axes=1)
    mask = np.zeros(outputs["prototypes"].shape[2:], dtype=bool)
    mask[y1:y2, x1:x2] = logits > 0
    return mask


def _unpack(bits: UInt8[np.ndarray, "H W8"]) -> Bool[np.ndarray, "H W"]:
    return np.unpackbits(bits, axis=-1).view(bool)
