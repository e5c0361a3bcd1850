"""What a check says: findings, and the data set in numbers."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from yolact.config import ModelConfig
from yolact.doctor.anchor_recall import Recall
from yolact.doctor.findings import Finding
from yolact.doctor.survey import Survey
from yolact.doctor.tally import SIZES, ClassCount, Tally
from yolact.printable import printable

MOST_CLASSES = 100
"""Lines of the table of classes; the rest is in `Report.to_dict`."""


@dataclass(frozen=True)
class Report:
    """A data set, examined."""

    name: str
    """Of the data set."""

    model: ModelConfig
    """The network whose input and anchors count."""

    findings: tuple[Finding, ...]
    """Errors first."""

    splits: dict[str, Tally]
    surveys: dict[str, Survey] = field(repr=False)
    """What the pictures are made from."""

    @property
    def errors(self) -> int:
        """Kinds of problems that harm training or evaluation."""
        return sum(finding.severity == "error" for finding in self.findings)

    def table(self) -> str:
        """The whole report as text."""
        height, width = self.model.image_size
        lines = [f"{printable(self.name)}, as {self.model.name} sees it at {height} x {width} (height x width)", ""]
        lines += [*_columns(self.splits, _ROWS), "", *self._classes(), "", *self._findings()]
        return "\n".join(lines)

    def verdict(self) -> str:
        """One line."""
        notes = len(self.findings) - self.errors
        kinds = f"{self.errors} kind{'s' * (self.errors != 1)} of errors" if self.errors else "no errors"
        return f"{kinds}, {notes} note{'s' * (notes != 1)}"

    def _findings(self) -> list[str]:
        lines = [f"{finding.severity:6}{finding.line()}" for finding in self.findings]
        return [*lines, *([""] if lines else []), self.verdict()]

    def _classes(self) -> list[str]:
        """Counts, shares and anchor recall of each class."""
        names = next(iter(self.splits.values())).classes
        width = max(len("class"), *(len(name) for name in names))
        head = "".join(f"{split:>10}{'images':>8}{'share':>8}{'anchor':>8}" for split in self.splits)
        lines = [f"{'class':{width}}{head}"]
        for name in list(names)[:MOST_CLASSES]:
            cells = [_class_cells(tally.classes[name], tally) for tally in self.splits.values()]
            lines.append(f"{printable(name):{width}}{''.join(cells)}")
        if len(names) > MOST_CLASSES:
            lines.append(f"and {len(names) - MOST_CLASSES} more classes")
        lines.append("anchor: the share of the objects whose best anchor overlaps by at least 0.5")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "data": self.name,
            "model": self.model.name,
            "image_size": self.model.image_size,
            "anchor_scales": self.model.anchor_scales,
            "anchor_ratios": self.model.anchor_ratios,
            "verdict": self.verdict(),
            "findings": [finding.to_dict() for finding in self.findings],
            "splits": {split: asdict(tally) for split, tally in self.splits.items()},
        }


def _class_cells(count: ClassCount, tally: Tally) -> str:
    share = count.objects / max(tally.objects, 1)
    return f"{count.objects:>10}{count.images:>8}{share:>8.1%}{percent(count.recall, 'positive'):>8}"


def percent(recall: Recall | None, name: str) -> str:
    """One of the shares of a recall; a dash if there are no objects."""
    return "-" if recall is None else f"{getattr(recall, name):.1%}"


def _share(count: Callable[[Tally], int]) -> Callable[[Tally], str]:
    return lambda tally: f"{count(tally)} ({count(tally) / max(tally.objects, 1):.1%})"


def _size(number: int) -> Callable[[Tally], str]:
    return lambda tally: "{} x {}".format(*tally.image_sizes[number])


def _each(number: int) -> Callable[[Tally], str]:
    return lambda tally: f"{tally.objects_an_image[number]:.1f}".removesuffix(".0")


def _recall(name: str) -> Callable[[Tally], str]:
    return lambda tally: percent(tally.recall, name)


def _recall_of(size: str) -> Callable[[Tally], str]:
    return lambda tally: percent(tally.recall_by_size[size], "positive")


_ROWS: dict[str, Callable[[Tally], str]] = {
    "images": lambda tally: str(tally.images),
    "images without objects": lambda tally: str(tally.images_without_objects),
    "smallest image (height x width)": _size(0),
    "middle image": _size(1),
    "largest image": _size(2),
    "objects": lambda tally: str(tally.objects),
    "crowds": lambda tally: str(tally.crowds),
    "objects an image, mean": _each(0),
    "objects an image, median": _each(1),
    "objects an image, most": _each(2),
    **{f"{size}, as annotated": _share(lambda tally, size=size: tally.sizes[size]) for size in SIZES},
    **{f"{size}, at the input": _share(lambda tally, size=size: tally.input_sizes[size]) for size in SIZES},
    "below a pixel at the input": lambda tally: str(tally.below_a_pixel),
    "anchor overlap at least 0.5": _recall("positive"),
    **{f"anchor overlap at least 0.5, {size}": _recall_of(size) for size in SIZES},
    "anchor overlap 0.4 to 0.5": _recall("nearly"),
    "anchor overlap below 0.4": _recall("forced"),
    "no overlap, left out of training": _recall("unreachable"),
    "anchor overlap, mean": lambda tally: "-" if tally.recall is None else f"{tally.recall.mean_iou:.3f}",
}


def rows(splits: dict[str, Tally]) -> list[tuple[str, list[str]]]:
    """The data set in numbers: what, and its value in each split."""
    return [(name, [value(tally) for tally in splits.values()]) for name, value in _ROWS.items()]


def _columns(splits: dict[str, Tally], wanted: dict[str, Callable[[Tally], str]]) -> list[str]:
    width = max(len(name) for name in wanted)
    lines = [f"{'':{width}}{''.join(f'{split:>16}' for split in splits)}"]
    return lines + [f"{name:{width}}{''.join(f'{value:>16}' for value in values)}" for name, values in rows(splits)]
