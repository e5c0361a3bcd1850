"""Where the pixels of masks lie that are not on their object, and what objects lose to the crop."""

from dataclasses import dataclass

import numpy as np
from faster_coco_eval.core import mask as coco_mask

from yolact.evaluate.boundary import Code
from yolact.evaluate.pairing import Pairing
from yolact.evaluate.scene import Scene, areas_of, shared_pixels

CLIPPED = 0.01
"""A mask counts as clipped by its crop from this share of its object on."""


@dataclass(frozen=True)
class Shares:
    """Of the pixels of a mask, mean over masks, in 0..1; together 1. -1 if there is no mask to tell."""

    own: float
    """On the object that the mask is of."""

    others: float
    """On other objects, crowds included, and not on its own."""

    background: float
    """On nothing that is annotated."""


@dataclass(frozen=True)
class Leakage:
    """Over the pairs of a detection and an object of the same class, see `pairing`."""

    pairs: int

    masks: Shares
    """Of the masks as they are."""

    perfect_boxes: Shares
    """Of the same, cropped by their object's box."""

    uncropped: Shares
    """Of the same, not cropped at all."""

    covered: float
    """Share of the object's pixels that the mask has, mean over pairs, in 0..1."""

    cut: float
    """That the mask would have, had its crop not cut them away."""

    missed: float
    """That the mask does not have, cropped or not. These three together are 1."""

    clipped: float
    """Share of the pairs where the crop cuts away `CLIPPED` of the object or more."""

    empty: int
    """Masks without a pixel; they are in the object's shares only."""

    def table(self) -> list[str]:
        """Lines, in percent."""
        rows = (("as they are", self.masks), ("perfect boxes", self.perfect_boxes), ("not cropped", self.uncropped))
        lines = [f"{'where the pixels of masks lie':30}{'own':>8}{'others':>8}{'background':>12}"]
        for name, share in rows:
            lines.append(f"  {name:28}{percent(share.own)}{percent(share.others)}{percent(share.background, 12)}")
        lines += ["", f"{'what masks have of their object':30}{'has':>7}{'cut off':>8}{'misses':>12}"]
        lines.append(f"{'':30}{percent(self.covered)}{percent(self.cut)}{percent(self.missed, 12)}")
        clipped = f"{percent(self.clipped, 0)} % lose {CLIPPED:.0%} or more of their object to the crop"
        return [*lines, f"  of {self.pairs} masks; {clipped}" + (f"; empty: {self.empty}" if self.empty else "")]


class LeakageSums:
    """Adds up image by image; a few numbers, however many images."""

    def __init__(self) -> None:
        self.pairs = self.clipped = 0
        self.masks = np.zeros((3, 4))
        """As they are, in perfect boxes, uncropped: sums of the shares, and the number of masks with pixels."""

        self.objects = np.zeros(3)
        """Sums of what is covered, cut, missed."""

    def update(self, scene: Scene, pairing: Pairing) -> None:
        """Take the pairs of one image. An object without pixels, or without a mask, has nothing to tell."""
        objects = scene.objects
        areas = areas_of(objects.codes)
        pairs = [(row, column) for row, column in pairing.right if areas[column] > 0]
        if not pairs:
            return
        rows, columns = np.array(pairs).T
        found, own_objects = scene.found[rows], [objects.codes[column] for column in columns]
        everywhere = np.array([[0.0, 0.0, *found.image_size[::-1]]]).repeat(len(rows), axis=0)
        forms = [[scene.codes[row] for row in rows]]
        forms += [found.recropped(objects.boxes[columns]).rles(), found.recropped(everywhere, "box").rles()]
        own = np.array([list(map(shared_pixels, codes, own_objects)) for codes in forms])
        annotated = coco_mask.merge(objects.codes)
        for sums, codes, on_own in zip(self.masks, forms, own, strict=True):
            sums += _shares(codes, on_own, annotated)
        covered, uncut = own[0] / areas[columns], own[2] / areas[columns]
        self.objects += [covered.sum(), (uncut - covered).sum(), (1 - uncut).sum()]
        self.clipped += int((uncut - covered >= CLIPPED).sum())
        self.pairs += len(pairs)

    def compute(self) -> Leakage:
        masks, perfect_boxes, uncropped = (
            Shares(*(sums[:3] / sums[3]).tolist()) if sums[3] else Shares(-1.0, -1.0, -1.0) for sums in self.masks
        )
        covered, cut, missed = (self.objects / self.pairs).tolist() if self.pairs else (-1.0, -1.0, -1.0)
        clipped, empty = self.clipped / self.pairs if self.pairs else -1.0, self.pairs - int(self.masks[0, 3])
        return Leakage(self.pairs, masks, perfect_boxes, uncropped, covered, cut, missed, clipped, empty)


def _shares(codes: list[Code], own: np.ndarray, annotated: Code) -> np.ndarray:
    """Sums of the shares of masks on their own object, on others, on nothing; and how many masks have pixels."""
    areas = areas_of(codes)
    there = areas > 0
    on_any = np.array([shared_pixels(code, annotated) for code in codes])[there] / areas[there]
    on_own = own[there] / areas[there]
    return np.array([on_own.sum(), (on_any - on_own).sum(), (1 - on_any).sum(), there.sum()])


def percent(value: float, width: int = 8) -> str:
    """A share in percent; -1 says that there was nothing to measure."""
    return f"{'-' if value < 0 else f'{100 * value:.1f}':>{width}}"
