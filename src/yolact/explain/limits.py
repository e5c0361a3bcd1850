"""Where a mask ends wrongly: where it was cut, and where it leaked."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool

Mask = Bool[np.ndarray, "Hp Wp"]
Masks = Bool[np.ndarray, "N Hp Wp"]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """What the cut took from a mask. Most of it is no loss: prototypes show all objects, and the cut picks one."""

    mask: Mask
    """The cells that were above one half and are not in the final mask."""

    share: float
    """Of the uncut mask's cells, 0..1."""

    joined: Mask
    """Those that hang together with what is left and lie in no other instance's mask: what a box that is too small cuts
    off."""

    apart: Mask
    """Those inside the window that do not hang together with what is left and lie in no other instance's mask: what
    `component` may wrongly take, such as an arm behind a table. Empty for `box` and `expand`."""

    others: int
    """Cells that lie in other instances' masks."""

    def to_dict(self) -> dict[str, Any]:
        joined, apart = int(self.joined.sum()), int(self.apart.sum())
        counts = {"cells": int(self.mask.sum()), "joined": joined, "apart": apart, "others": self.others}
        return {"share": round(self.share, 4), **counts}


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """Cells of a final mask that may not be the object's."""

    mask: Mask
    """All of them: those that are shared and those that lie apart."""

    share: float
    """Of the mask's cells, 0..1."""

    shared: dict[int, int]
    """How many cells each other instance's mask has in common with this one; those with none are left out."""

    apart: Mask
    """The cells that do not hang together with the mask's largest piece."""

    contact: dict[str, float]
    """Along `left`, `top`, `right` and `bottom` of the window: the share of the mask's reach across it (its height, or
    its width) that touches. 0 where the window ends with the photograph, as nothing is cut there."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "share": round(self.share, 4),
            "cells": int(self.mask.sum()),
            "apart": int(self.apart.sum()),
            "shared": [{"instance": instance, "cells": cells} for instance, cells in self.shared.items()],
            "contact": {side: round(share, 4) for side, share in self.contact.items()},
        }


def cut_of(uncut: Mask, masks: Masks, window: tuple[int, int, int, int], instance: int) -> Cut:
    """What an instance's mask lost between the sum of its prototypes and the final masks of the result.

    Args:
        masks: the final ones, of all instances.
        window: x1, y1, x2, y2 of this instance in whole cells; x2 and y2 are outside.
    """
    mask = masks[instance]
    lost = uncut & ~mask
    others = np.delete(masks, instance, axis=0).any(axis=0)
    pieces = _pieces((lost & ~others) | mask)
    joined = np.isin(pieces, np.unique(pieces[mask])) & ~mask
    x1, y1, x2, y2 = window
    apart = np.zeros_like(lost)
    apart[y1:y2, x1:x2] = (lost & ~others & ~joined)[y1:y2, x1:x2]
    return Cut(lost, int(lost.sum()) / max(int(uncut.sum()), 1), joined, apart, int((lost & others).sum()))


def leak_of(masks: Masks, window: tuple[int, int, int, int], instance: int) -> Leak:
    """What an instance's mask may have from elsewhere.

    Args:
        masks: the final ones, of all instances.
        window: x1, y1, x2, y2 of this instance in whole cells; x2 and y2 are outside.
    """
    mask = masks[instance]
    common = {j: int((mask & other).sum()) for j, other in enumerate(masks) if j != instance}
    others = np.delete(masks, instance, axis=0).any(axis=0)
    pieces = _pieces(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    apart = mask & (pieces != sizes.argmax())
    leaked = (mask & others) | apart
    share = int(leaked.sum()) / max(int(mask.sum()), 1)
    return Leak(leaked, share, {j: cells for j, cells in common.items() if cells}, apart, _contact(mask, window))


def _contact(mask: Mask, window: tuple[int, int, int, int]) -> dict[str, float]:
    x1, y1, x2, y2 = window
    height, width = mask.shape
    if x1 >= x2 or y1 >= y2 or not mask.any():
        return dict.fromkeys(("left", "top", "right", "bottom"), 0.0)
    tall, wide = int(mask.any(axis=1).sum()), int(mask.any(axis=0).sum())
    return {
        "left": int(mask[:, x1].sum()) / tall if x1 > 0 else 0.0,
        "top": int(mask[y1].sum()) / wide if y1 > 0 else 0.0,
        "right": int(mask[:, x2 - 1].sum()) / tall if x2 < width else 0.0,
        "bottom": int(mask[y2 - 1].sum()) / wide if y2 < height else 0.0,
    }


def _pieces(mask: Mask) -> np.ndarray:
    """(Hp, Wp): which connected piece each cell is of, from 1; 0 outside. Corners do not connect."""
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
