"""What objects are taken for."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from yolact.evaluate.pairing import Pairing
from yolact.evaluate.scene import Objects
from yolact.whole_files import written_whole

PRINTED = 8
"""Up to this many classes, the table fits a terminal."""


@dataclass(frozen=True)
class Confusion:
    """How many objects of each class were detected as each class. Crowds are not counted."""

    classes: tuple[str, ...]

    counts: Int64[np.ndarray, "C1 C1"]
    """By true class, then by detected class. Of the last row and column, the row counts detections that stand for no
    object, and the column objects that are missed."""

    score_threshold: float

    def table(self) -> list[str]:
        """Lines; none beyond `PRINTED` classes."""
        if len(self.classes) > PRINTED:
            return []
        rows = [["", *self.classes, "missed"]]
        rows += [[name, *map(str, row)] for name, row in zip(self._row_names, self.counts.tolist(), strict=True)]
        rows[-1][-1] = ""  # what is neither annotated nor detected cannot be counted
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{row[0]:{widths[0]}}" + "".join(f"{cell:>{w + 2}}" for cell, w in zip(row[1:], widths[1:], strict=True))
            for row in rows
        ]
        return [
            f"objects, by row, and what they are detected as (scores above {self.score_threshold:g})",
            *(line.rstrip() for line in lines),
        ]

    @property
    def _row_names(self) -> tuple[str, ...]:
        return (*self.classes, "nothing")

    def save(self, path: Path) -> None:
        """As comma-separated values, with a heading."""
        with written_whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["object", *self.classes, "missed"])
            for name, row in zip(self._row_names, self.counts.tolist(), strict=True):
                writer.writerow([name, *row])


class ConfusionCounts:
    def __init__(self, classes: Sequence[str], score_threshold: float) -> None:
        self.classes, self.score_threshold = tuple(classes), score_threshold
        self.counts = np.zeros((len(classes) + 1, len(classes) + 1), np.int64)

    def update(self, labels: Int64[np.ndarray, " N"], objects: Objects, pairing: Pairing) -> None:
        """Take one image.

        Args:
            labels: of the detections.
        """
        for row, column in (*pairing.right, *pairing.confused):
            self.counts[objects.labels[column], labels[row]] += 1
        self.counts[-1, :-1] += np.bincount(labels[pairing.surplus], minlength=len(self.classes))
        self.counts[:-1, -1] += np.bincount(objects.labels[pairing.missed], minlength=len(self.classes))

    def compute(self) -> Confusion:
        return Confusion(self.classes, self.counts.copy(), self.score_threshold)
