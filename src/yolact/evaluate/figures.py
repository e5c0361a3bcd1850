"""What an evaluation found, as values and as text."""

from dataclasses import asdict, dataclass
from typing import Any

from yolact.data.ground_truth import Kind
from yolact.evaluate.confusion import Confusion
from yolact.evaluate.leakage import Leakage, percent
from yolact.evaluate.precision import FIGURES

KINDS: tuple[Kind, ...] = ("box", "mask")

APART = ("perfect_boxes", "boundary")
"""Two more comparisons of masks."""


@dataclass(frozen=True)
class Evaluation:
    """How good detections are: `evaluation["mask"]["AP"]`, in 0..1; -1 where the data have no such object."""

    box: dict[str, float]
    """The `FIGURES` of boxes, ranked by `scores`."""

    mask: dict[str, float]
    """The `FIGURES` of masks, ranked by `mask_scores`."""

    box_by_class: dict[str, float]
    mask_by_class: dict[str, float]
    """The AP of each class."""

    objects: dict[str, int]
    """How many objects of each class there were to find, crowds not counted."""

    images: int
    """How many images counted."""

    notes: tuple[str, ...] = ()
    """What was left out, and why: a line each."""

    unreadable: tuple[str, ...] = ()
    """Image files that could not be read."""

    perfect_boxes: dict[str, float] | None = None
    """The `FIGURES` of masks that are cropped by the boxes of their objects; None if not asked for, as all below."""

    boundary: dict[str, float] | None = None
    """The `FIGURES` of masks by Boundary IoU."""

    leakage: Leakage | None = None
    confusion: Confusion | None = None
    objects_by_size: dict[str, int] | None = None
    """How many objects of each of COCO's sizes there were to find by mask: `small`, `medium`, `large`."""

    def __getitem__(self, kind: str) -> dict[str, float]:
        if kind not in (*KINDS, *APART) or getattr(self, kind) is None:
            raise KeyError(kind)
        return getattr(self, kind)

    def table(self) -> str:
        """COCO's twelve lines in percent, boxes and masks side by side; the AP of each class; masks apart from boxes;
        what objects are taken for; the notes."""
        lines = [f"{sum(self.objects.values())} objects in {self.images} images", "", f"{'':5}{'box':>8}{'mask':>8}"]
        for name, meaning in FIGURES.items():
            lines.append(f"{name:5}{percent(self.box[name])}{percent(self.mask[name])}   {meaning}{self._count(name)}")
        if len(self.objects) > 1:
            width = max(len(name) for name in self.objects)
            lines += ["", f"{'AP':{width}}{'box':>8}{'mask':>8}{'objects':>10}"]
            for name, count in self.objects.items():
                box, mask = self.box_by_class[name], self.mask_by_class[name]
                lines.append(f"{name:{width}}{percent(box)}{percent(mask)}{count:>10}")
        lines += self._apart()
        confusion = self.confusion.table() if self.confusion else []
        return "\n".join([*lines, *([""] if confusion else []), *confusion, *(["", *self.notes] if self.notes else [])])

    def _count(self, name: str) -> str:
        size = {"APs": "small", "APm": "medium", "APl": "large"}.get(name)
        return f": {self.objects_by_size[size]}" if size and self.objects_by_size else ""

    def _apart(self) -> list[str]:
        """Lines on masks apart from boxes."""
        if self.perfect_boxes is None or self.boundary is None or self.leakage is None:
            return []
        lines = ["", "masks apart from boxes", f"{'':5}{'mask':>8}{'in perfect boxes':>18}{'by boundary':>13}"]
        for name in list(FIGURES)[:6]:
            values = percent(self.mask[name]), percent(self.perfect_boxes[name], 18), percent(self.boundary[name], 13)
            lines.append(f"{name:5}{''.join(values)}")
        return [*lines, "", *self.leakage.table()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, but for the confusion table, which has a file of its own."""
        plain = asdict(self)
        del plain["confusion"]
        return plain
