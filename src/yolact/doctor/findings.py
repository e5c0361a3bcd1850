"""What a check found, one kind a finding."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from yolact.data.annotations import named
from yolact.printable import printable

Severity = Literal["error", "note"]
"""`error`: training or evaluation suffer, or data are lost. `note`: worth knowing."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A photograph, or an object in it."""

    split: str
    photograph: int
    """Row of the split's records."""

    number: int | None = None
    """Of the record's objects; None: the whole photograph."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing that is wrong with a split, or worth knowing about it."""

    severity: Severity
    split: str
    kind: str
    where: tuple[str, ...] = ()
    """The path of the image in its folder, or the class, once an occurrence."""

    spots: tuple[tuple[Spot, ...], ...] = ()
    """What can be looked at: each a photograph, an object, or two of them side by side."""

    unit: Literal["image", "class", "pair"] = "image"

    def line(self) -> str:
        """How often, and where."""
        where = [printable(name) for name in self.where]
        if not where:
            return f"{self.split}: {printable(self.kind)}"
        unit = self.unit if len(where) == 1 else {"class": "classes", "pair": "pairs"}.get(self.unit)
        places = named(where) if self.unit == "image" else f"{len(where)} {unit}: {_first(where)}"
        return f"{self.split}: {printable(self.kind)}: {places}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, with every place."""
        return {"severity": self.severity, "split": self.split, "kind": self.kind, "where": list(self.where)}


def severity_of(problem: str) -> Severity:
    """Of a kind of problem of `yolact.data.annotations`: what is dropped there is missing everywhere."""
    return "error" if problem.endswith("dropped") else "note"


def _first(names: Iterable[str], shown: int = 5) -> str:
    listed = list(names)
    more = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return ", ".join(listed[:shown]) + more
