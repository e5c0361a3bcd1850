"""Steadier masks: each track's soft mask is averaged over time, moved along with its object.

    m̄ ← m̄' + w (m − m̄')      w = 1 − 2^(−t/h)

with m the soft mask of this frame, m̄' the average moved to where the object is now, t the seconds since the track was
seen before, and h the half-life. All of it at prototype scale, within the window of this frame's mask, and cropped as
that one is.

Why not average the coefficients, which would leave each mask a mixture of this frame's prototypes? It was measured
(`benchmarks/mask_smoothing.py`): they hardly change from frame to frame, the prototypes do, and masks stay as they are.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Float64

from yolact.instances import Instances
from yolact.tracking import Tracker, similarity

FORGOTTEN = 10.0
"""Half-lives after which an average is not worth keeping."""

SUREST = 1e-6
"""A probability is at least this far from 0 and 1 before it becomes a logit."""

Past = tuple[float, Float64[np.ndarray, "2"], Float32[np.ndarray, "Hp Wp"]]
"""When a track was seen, where (x, y in fractions of the frame), and its average."""


class SmoothingTracker:
    """A tracker whose instances come back with smoothed masks. Boxes, scores and windows stay as they are.

    Such instances no longer mix what the network gave: each has a prototype of its own, the logit of its smoothed mask,
    and a coefficient of 1 for it.
    """

    def __init__(self, tracker: Tracker, half_life: float) -> None:
        self.tracker = tracker
        self.half_life = half_life
        self._past: dict[int, Past] = {}

    def reset(self) -> None:
        self.tracker.reset()
        self._past = {}

    def update(self, instances: Instances, time: float) -> Instances:
        tracked = self.tracker.update(instances, time)
        assert tracked.track_ids is not None
        oldest = time - FORGOTTEN * self.half_life
        self._past = {number: past for number, past in self._past.items() if oldest <= past[0] <= time}
        if not len(tracked):
            return tracked
        # What fades is averaged before it does, since the result's own crop makes it fade.
        masks = (replace(tracked, crop="box") if tracked.crop == "soft" else tracked).soft_masks
        positions, _ = similarity.centers(masks, tracked)
        for i, number in enumerate(tracked.track_ids.tolist()):
            if number in self._past and self._past[number][2].shape == masks[i].shape:
                x1, y1, x2, y2 = tracked.windows[i].tolist()
                blended = blend(self._past[number], masks[i], positions[i], time, self.half_life)
                masks[i, y1:y2, x1:x2] = blended[y1:y2, x1:x2]
            if number:
                self._past[number] = (time, positions[i], masks[i].copy())
        inside = masks.clip(SUREST, 1 - SUREST)
        return replace(
            tracked,
            prototypes=np.log(inside / (1 - inside)),
            coefficients=np.eye(len(tracked), dtype=np.float32),
        )


def blend(
    past: Past, mask: Float32[np.ndarray, "Hp Wp"], position: Float64[np.ndarray, "2"], time: float, half_life: float
) -> Float32[np.ndarray, "Hp Wp"]:
    """m̄ of one track."""
    before = similarity.moved(past[2], position - past[1])
    return before + np.float32(new_weight(time - past[0], half_life)) * (mask - before)


def new_weight(seconds: float, half_life: float) -> float:
    """w, in 0..1."""
    return 1 - 2 ** (-seconds / half_life)
