"""Tracking by what prototypes give: masks a quarter of the network's input, and how each object mixes them.

The order of events is ByteTrack's (Zhang et al., 2022): confident instances choose among all tracks first, doubtful
ones among the tracks that are left, and only confident ones may begin a track. What is compared is our own.
"""

from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy.optimize import linear_sum_assignment

from yolact.instances import Instances
from yolact.tracking import similarity
from yolact.tracking.motion import Motion

CONFIDENT = 0.4
"""Scores from which on an instance may begin a track. Below, it may only continue one."""

HITS = 2
"""Frames that an object must be seen in, one after the other, to get an id."""

PATIENCE = 1.0
"""Seconds that a track outlives its object's absence."""

CAUTION = 0.2
"""Seconds beyond a frame after which a track without an id is given up, and doubtful instances continue none."""

LEAST = 0.15
"""Similarity that two instances must have to be the same object."""

LEAST_MIXING = 0.4
"""The same by coefficients and position, where masks miss each other."""

MEMORY = 0.5
"""How much of a track's coefficients stays when it is seen again."""


@dataclass
class Track:
    """One object."""

    label: int
    motion: Motion
    mask: Float32[np.ndarray, "Hp Wp"]
    """Where it was last seen."""

    center: np.ndarray
    """Of that mask."""

    coefficients: Float32[np.ndarray, " K"]
    seen: float
    """When, in seconds."""

    hits: int = 1
    number: int = 0
    """Its id; 0 until it was seen often enough."""


class PrototypeTracker:
    """Follows objects by mask overlap and, where that fails, by coefficients (`mask`), or by those alone."""

    def __init__(self, kind: Literal["mask", "coefficients"] = "mask") -> None:
        self.kind = kind
        self._least_mixing = LEAST_MIXING if kind == "mask" else LEAST
        self.reset()

    def reset(self) -> None:
        self._tracks: list[Track] = []
        self._numbers = count(1)
        self._time: float | None = None

    def update(self, instances: Instances, time: float) -> Instances:
        if not np.isfinite(time):
            raise ValueError(f"the time of a frame is {time}; it must be a number of seconds")
        # In an order of their own, so that ids do not depend on the order that they come in.
        order = np.lexsort((*instances.boxes.T, instances.labels, -instances.scores))
        numbers = np.zeros(len(instances), np.int64)
        numbers[order] = self._follow(instances[order], float(time))
        return replace(instances, track_ids=numbers)

    def _follow(self, found: Instances, time: float) -> Int64[np.ndarray, " N"]:
        step = self._advance(time)
        masks = found.soft_masks
        positions, sizes = similarity.centers(masks, found)
        overlap, mixing = self._likeness(found, masks, positions)
        confident = found.scores >= CONFIDENT
        fresh = np.array([time - t.seen <= CAUTION + step for t in self._tracks], bool)
        owners = np.full(len(found), -1)
        everything = np.ones(len(self._tracks), bool)
        if self.kind == "mask":
            assign(overlap, everything, confident, owners)
        # Whatever jumped away from under its own mask still mixes the prototypes as before.
        assign(np.where(mixing >= self._least_mixing, mixing, 0), everything, confident, owners)
        assign(overlap if self.kind == "mask" else mixing, fresh, ~confident, owners)
        numbers = np.zeros(len(found), np.int64)
        for i, owner in enumerate(owners.tolist()):
            row = (masks[i].copy(), positions[i], found.coefficients[i].copy())
            if owner >= 0:
                track = self._tracks[owner]
                track.motion.correct(positions[i], sizes[i])
                self._see(track, *row, time)
                numbers[i] = track.number
            elif confident[i]:
                motion = Motion.start(positions[i], sizes[i])
                self._tracks.append(Track(int(found.labels[i]), motion, *row, time))
        return numbers

    def _advance(self, time: float) -> float:
        """Move all tracks to where they should be by now, and give up those that were not seen for too long.

        Returns:
            The seconds that passed.
        """
        step = 0.0 if self._time is None else time - self._time
        self._time = time
        if step < 0:
            self._tracks, step = [], 0.0
        self._tracks = [t for t in self._tracks if time - t.seen <= (PATIENCE if t.number else CAUTION + step)]
        for track in self._tracks:
            track.motion.predict(step)
        return step

    def _likeness(
        self, found: Instances, masks: np.ndarray, positions: np.ndarray
    ) -> tuple[Float32[np.ndarray, "M N"], Float32[np.ndarray, "M N"]]:
        """Of each track and each instance, in 0..1: by masks (zeros if that is not the kind), and by coefficients."""
        tracks = self._tracks
        if not tracks or not len(found):
            nothing = np.zeros((len(tracks), len(found)), np.float32)
            return nothing, nothing
        same = similarity.same_class(np.array([track.label for track in tracks]), found.labels)
        mixing = similarity.coefficient_likeness(np.stack([track.coefficients for track in tracks]), found.coefficients)
        near = similarity.nearness(
            np.stack([track.motion.position for track in tracks]),
            np.stack([track.motion.size for track in tracks]),
            np.array([track.motion.spread for track in tracks]),
            positions,
        )
        mixing = (same * mixing * near).astype(np.float32)
        if self.kind == "coefficients":
            return np.zeros_like(mixing), mixing
        expected = np.stack([similarity.moved(t.mask, t.motion.position - t.center) for t in tracks])
        return same * similarity.mask_overlap(expected, masks), mixing

    def _see(self, track: Track, mask: np.ndarray, center: np.ndarray, coefficients: np.ndarray, time: float) -> None:
        track.mask, track.center, track.seen = mask, center, time
        track.coefficients = MEMORY * track.coefficients + (1 - MEMORY) * coefficients
        track.hits += 1
        if not track.number and track.hits >= HITS:
            track.number = next(self._numbers)


def assign(
    likeness: Float32[np.ndarray, "M N"],
    tracks: Bool[np.ndarray, " M"],
    instances: Bool[np.ndarray, " N"],
    owners: Int64[np.ndarray, " N"],
) -> None:
    """Pair tracks and instances that are still free, so that the pairs' likeness is greatest in sum.

    Args:
        tracks, instances: which may be paired.
        owners: the track of each instance, -1 for none; changed in place.
    """
    free = tracks.copy()
    free[owners[owners >= 0]] = False
    rows, columns = np.flatnonzero(free), np.flatnonzero(instances & (owners < 0))
    table = likeness[np.ix_(rows, columns)]
    # What is too unlike counts as nothing here already: it should not keep others from what is theirs.
    table = np.where(table >= LEAST, table, 0)
    for row, column in zip(*linear_sum_assignment(table, maximize=True), strict=True):
        if table[row, column] > 0:
            owners[columns[column]] = rows[row]
