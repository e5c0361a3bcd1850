"""The worst errors of all images: the few that a person can look at, kept as small pictures."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from yolact.evaluate.error_picture import Close, draw
from yolact.evaluate.pairing import Pairing
from yolact.evaluate.scene import MATCHING_BOX, Scene, mask_iou

ErrorKind = Literal["missed", "wrong", "mask", "confused"]

SHOWN = 12
"""Errors of each kind that are kept."""

POOR_MASK = 0.75
"""Below this IoU, a mask in the right place is an error: it is none for AP75."""


NEAR = 0.1
"""From this IoU of boxes on, a wrong detection seems to mean an object."""


@dataclass(frozen=True, order=True)
class Error:
    """One error, and what it looks like."""

    badness: float
    order: int
    """Of equally bad ones the first is kept."""

    caption: str = field(compare=False)
    truth: bytes = field(compare=False)
    """A JPEG of what is annotated, with a frame around what this is about."""

    prediction: bytes = field(compare=False)
    """A JPEG of the same part of the photograph with what is detected."""


class WorstErrors:
    """Looks at all errors and keeps `SHOWN` of each kind; pictures are made of those alone that are among the worst.

    - missed: objects that no detection stands for, largest first.
    - wrong: detections that stand for no object, best score first.
    - mask: detections of the right class whose mask has an IoU below `POOR_MASK`, lowest first.
    - confused: detections of another class than their object's, best score first.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self._kept: dict[ErrorKind, list[Error]] = {"missed": [], "wrong": [], "mask": [], "confused": []}
        self._seen = 0

    def __getitem__(self, kind: ErrorKind) -> list[Error]:
        """The errors of a kind, worst first."""
        return sorted(self._kept[kind], reverse=True)

    def update(self, name: str, photograph: np.ndarray, scene: Scene, pairing: Pairing) -> None:
        """Take one image.

        Args:
            name: that captions give it.
            photograph: RGB, 0..255, (height, width, 3).
        """
        found, objects, names = scene.found, scene.objects, self.classes
        shown = [*(row for row, _ in (*pairing.right, *pairing.confused)), *pairing.surplus]

        def consider(kind: ErrorKind, badness: float, caption: str, row: int | None, column: int | None) -> None:
            look = Close(photograph, scene, shown, row, column)
            self._consider(kind, badness, f"{name}: {caption}", lambda: draw(look))

        for column in pairing.missed:
            area = float(objects.areas[column])
            consider("missed", area, f"{names[objects.labels[column]]} of {area:.0f} pixels is missed", None, column)
        for row in pairing.surplus:
            of_class = (objects.labels == scene.labels[row]) & ~objects.is_crowd
            what = _near(float(pairing.box_ious[row, of_class].max(initial=0)))
            caption = f"{names[scene.labels[row]]} with score {found.scores[row]:.2f}, {what}"
            consider("wrong", float(found.scores[row]), caption, row, None)
        for row, column in pairing.right:
            iou = mask_iou(scene.codes[row], objects.codes[column])
            if iou < POOR_MASK and objects.has_mask[column]:
                caption = f"{names[scene.labels[row]]} with score {found.scores[row]:.2f}, mask IoU {iou:.2f}"
                consider("mask", 1 - iou, caption, row, column)
        for row, column in pairing.confused:
            taken = f"{names[objects.labels[column]]} taken for {names[scene.labels[row]]}"
            consider("confused", float(found.scores[row]), f"{taken} with score {found.scores[row]:.2f}", row, column)

    def _consider(
        self, kind: ErrorKind, badness: float, caption: str, pictures: Callable[[], tuple[bytes, bytes]]
    ) -> None:
        kept, self._seen = self._kept[kind], self._seen + 1
        if len(kept) == SHOWN and badness <= kept[0].badness:
            return
        error = Error(badness, -self._seen, caption, *pictures())
        (heapq.heappushpop if len(kept) == SHOWN else heapq.heappush)(kept, error)


def _near(iou: float) -> str:
    """How a detection that stands for nothing lies to the object of its class that its box overlaps most."""
    if iou >= MATCHING_BOX:
        return "one more of an object that is detected"
    return f"its box has an IoU of only {iou:.2f} with its object's" if iou >= NEAR else "of nothing that is annotated"
