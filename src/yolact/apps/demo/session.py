"""What the page remembers of a visitor: one photograph, what the network said about it, and what was changed."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32, UInt8

from yolact.apps.demo.limits import MOST_VISITORS, REMEMBERED
from yolact.config import CropKind
from yolact.instances import Instances


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the controls of the page say."""

    score: float | int = 0.4
    """Instances that score above this, in 0..1."""

    number: int = 20
    """At most this many, the best."""

    mask: float | int = 0.5
    """A pixel belongs to a mask if its probability is above this, in 0..1."""

    classes: tuple[str, ...] = ()
    """These only; none means all."""

    opacity: float | int = 0.5
    """Of the masks in the picture, in 0..1."""

    crop: CropKind | None = None
    """What cuts masks. None: as the model has it."""


@dataclass
class Session:
    """One photograph of one visitor. The network has run once for each model; all else is made from what it said."""

    name: str
    """Of the photograph's file, without its suffix."""

    shown: UInt8[np.ndarray, "H W 3"]
    """The photograph as large as the page shows it."""

    found: Instances
    """All that the network found, however unlikely, numbered from 1 by `track_ids`; of the photograph's full size."""

    others: dict[str, Instances] = field(default_factory=dict)
    """What other models found, by their names."""

    edited: dict[int, Float32[np.ndarray, " K"]] = field(default_factory=dict)
    """Coefficients that the visitor changed, by row of `found`."""

    chosen: int | None = None
    """The row of `found` that is explained."""

    prototype: int | None = None
    """Whose coefficient the slider changes."""

    def choose(self, row: int) -> None:
        """Explain this row of `found`, beginning with the prototype that matters most."""
        self.chosen, self.prototype = row, self.ranking(row)[0]

    def ranking(self, row: int) -> list[int]:
        """The prototypes by how much of an instance's sum is theirs inside its box, the most first; as the network
        mixed them, so that the ranking stays while a coefficient is changed."""
        x1, y1, x2, y2 = self.found.windows[row]
        inside = np.abs(self.found.prototypes[:, y1:y2, x1:x2])
        size = inside.mean(axis=(1, 2)) if inside.size else np.ones(len(inside))
        return np.argsort(-np.abs(self.found.coefficients[row]) * size, kind="stable").tolist()

    def coefficients(self, row: int) -> Float32[np.ndarray, " K"]:
        """As they are now."""
        return self.edited[row] if row in self.edited else self.found.coefficients[row]

    @property
    def current(self) -> Instances:
        """`found`, with the changed coefficients."""
        if not self.edited:
            return self.found
        coefficients = self.found.coefficients.copy()
        for row, values in self.edited.items():
            coefficients[row] = values
        return replace(self.found, coefficients=coefficients)

    def at_page_size(self, instances: Instances) -> Instances:
        """The same instances, of the photograph as large as the page shows it."""
        height, width = self.shown.shape[:2]
        scale = np.array([width / instances.image_size[1], height / instances.image_size[0]] * 2, dtype=np.float32)
        return replace(instances, boxes=instances.boxes * scale, image_size=(height, width), image=self.shown)


def selected(instances: Instances, choice: Choice) -> Instances:
    """Those that the controls ask for, see `as_chosen`."""
    kept = instances[instances.scores > choice.score]
    if choice.classes:
        kept = kept[np.isin(kept.names, choice.classes)]
    return as_chosen(kept[: choice.number], choice)


def as_chosen(instances: Instances, choice: Choice) -> Instances:
    """These instances with masks cut in the way, and at the threshold, that the controls ask for.

    A threshold t other than one half is one more prototype, 1 everywhere, that each instance takes away as much of as
    makes a probability of t into one half.
    """
    kept = instances.recropped(crop=choice.crop)
    if choice.mask == 0.5:
        return kept
    offset = np.full((len(kept), 1), -np.log(choice.mask / (1 - choice.mask)), dtype=np.float32)
    everywhere = np.ones((1, *kept.prototypes.shape[1:]), dtype=np.float32)
    return replace(
        kept,
        prototypes=np.concatenate([kept.prototypes, everywhere]),
        coefficients=np.concatenate([kept.coefficients, offset], axis=1),
    )


def numbered(instances: Instances) -> Instances:
    """With numbers from 1, by which pictures and lists color and name them, whichever of them are shown."""
    return replace(instances, track_ids=np.arange(1, len(instances) + 1))


class Sessions:
    """The sessions of all visitors; a bounded number of them, each for a bounded time. Threads may share it."""

    def __init__(self, most: int = MOST_VISITORS, seconds: float | int = REMEMBERED) -> None:
        self.most, self.seconds = most, seconds
        self._kept: OrderedDict[str, tuple[float, Session]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, visitor: str, session: Session) -> None:
        with self._lock:
            self._kept[visitor] = (time.monotonic(), session)
            self._kept.move_to_end(visitor)
            if len(self._kept) > self.most:
                self._kept.popitem(last=False)

    def get(self, visitor: str) -> Session | None:
        """None if this visitor has shown no photograph, or too long ago."""
        with self._lock:
            used, session = self._kept.get(visitor, (0.0, None))
            if session is None or used < time.monotonic() - self.seconds:
                return None
            self._kept[visitor] = (time.monotonic(), session)
            self._kept.move_to_end(visitor)
            return session

    def forget(self, visitor: str) -> None:
        with self._lock:
            self._kept.pop(visitor, None)

    def forget_old(self) -> None:
        """Those that nobody has used for too long."""
        with self._lock:
            oldest = time.monotonic() - self.seconds
            while self._kept and next(iter(self._kept.values()))[0] < oldest:
                self._kept.popitem(last=False)
