"""The published trackers of the package `trackers`, which compare boxes, behind our interface."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import supervision
from jaxtyping import Int64, UInt8
from trackers import BoTSORTTracker, ByteTrackTracker, OCSORTTracker

from yolact.images import read_image
from yolact.instances import Instances
from yolact.tracking.prototype_tracker import CONFIDENT

MAKERS: dict[str, Callable[[float], Any]] = {
    "bytetrack": lambda rate: ByteTrackTracker(
        frame_rate=rate, track_activation_threshold=CONFIDENT, high_conf_det_threshold=CONFIDENT
    ),
    "ocsort": lambda rate: OCSORTTracker(frame_rate=rate, high_conf_det_threshold=CONFIDENT),
    "botsort": lambda rate: BoTSORTTracker(
        frame_rate=rate, track_activation_threshold=CONFIDENT, high_conf_det_threshold=CONFIDENT
    ),
}
"""How each is made for a frame rate. Their scores are ours, for the same instances to begin tracks; all else is their
authors' choice."""


class BoxTracker:
    """One of them for each class, since they know none, with ids in common."""

    def __init__(self, kind: str, frame_rate: float) -> None:
        self.kind = kind
        self.frame_rate = frame_rate
        self.reset()

    def reset(self) -> None:
        self._trackers: dict[int, Any] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._next = count(1)
        self._time: float | None = None

    def update(self, instances: Instances, time: float) -> Instances:
        if not np.isfinite(time):
            raise ValueError(f"the time of a frame is {time}; it must be a number of seconds")
        if self._time is not None and time < self._time:
            self._trackers = {}
            self._numbers = {}  # the new ones count from 0 again; ids go on
        self._time = float(time)
        frame = self._frame(instances) if self.kind == "botsort" else None
        numbers = np.zeros(len(instances), np.int64)
        for label in np.union1d(list(self._trackers), instances.labels).astype(int).tolist():
            if label not in self._trackers:
                self._trackers[label] = MAKERS[self.kind](self.frame_rate)
            rows = np.flatnonzero(instances.labels == label)
            numbers[rows] = self._follow(label, instances[rows], frame)
        return replace(instances, track_ids=numbers)

    def _follow(self, label: int, found: Instances, frame: np.ndarray | None) -> Int64[np.ndarray, " N"]:
        # Boxes that parity mode leaves inside out would have negative areas.
        first, second = found.boxes[:, :2], found.boxes[:, 2:]
        detections = supervision.Detections(
            xyxy=np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1),
            confidence=found.scores.copy(),
            data={"row": np.arange(len(found))},
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # two frames of the same time: it goes on, as it should
            tracked = self._trackers[label].update(detections, frame=frame, timestamp=self._time)
        numbers = np.zeros(len(found), np.int64)
        if len(tracked):
            for row, theirs in zip(tracked.data["row"].tolist(), tracked.tracker_id.tolist(), strict=True):
                numbers[row] = self._number(label, theirs) if theirs >= 0 else 0
        return numbers

    def _number(self, label: int, theirs: int) -> int:
        if (label, theirs) not in self._numbers:
            self._numbers[label, theirs] = next(self._next)
        return self._numbers[label, theirs]

    def _frame(self, instances: Instances) -> UInt8[np.ndarray, "H W 3"] | None:
        """The picture, by which BoT-SORT knows how the camera moved, in OpenCV's order of colors."""
        image = instances.image
        pixels = read_image(image) if isinstance(image, Path) else image
        return None if pixels is None else np.ascontiguousarray(pixels[..., ::-1])
