"""Do masks get steadier, or only later? A track's soft masks averaged over time, beside its coefficients.

    uv run --extra track benchmarks/mask_smoothing.py --data ../shared/data

`masks` is what `open_tracker(smooth=...)` does. `coefficients` averages those instead, so that each mask stays a
mixture of its own frame's prototypes. Of the annotated object of each DAVIS clip, where it is detected:

IoU: with the annotation; flicker: 1 − IoU of its masks in successive frames, after the object's own movement (of the
annotation's center of mass) is taken out; beyond: flicker less that of the annotation, which changes too.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

import yolact
from tracking import CLIPS, RATE, davis
from yolact.host import host_facts
from yolact.instances import Instances
from yolact.tracking import open_tracker
from yolact.tracking.similarity import moved
from yolact.tracking.smoothing import SmoothingTracker, new_weight

HALF_LIVES = (0.02, 0.04, 0.08, 0.16)


class CoefficientAverage:
    """The alternative, for one object."""

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self.average: np.ndarray | None = None
        self.time = 0.0

    def update(self, one: Instances, time: float) -> Instances:
        if self.average is None:
            self.average = one.coefficients
        weight = np.float32(new_weight(time - self.time, self.half_life))
        self.average = self.average + weight * (one.coefficients - self.average)
        self.time = time
        return replace(one, coefficients=self.average)


class Followed:
    """A tracker of one object, which has id 1 throughout."""

    def update(self, instances: Instances, time: float) -> Instances:
        return replace(instances, track_ids=np.ones(len(instances), np.int64))

    def reset(self) -> None: ...


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data / "davis"
    model = yolact.load(device="cpu")
    print("| clip | smoothed | half-life | IoU | flicker | beyond |\n|---|---|---:|---:|---:|---:|")
    for clip in CLIPS:
        frames = list(foreground(model, folder / clip))
        for name, half_life in [("nothing", 0.0), *((n, h) for n in ("coefficients", "masks") for h in HALF_LIVES)]:
            ious, flicker, own = measure(frames, name, half_life)
            print(f"| {clip} | {name} | {half_life} | {ious:.1f} | {flicker:.1f} | {flicker - own:.1f} |", flush=True)
    print(f"\n{host_facts()}")
    return 0


def foreground(model: yolact.Predictor, folder: Path) -> list[tuple[float, Instances, np.ndarray]]:
    """Time, detection and annotation, at prototype scale, of the object in the frames where it is found."""
    tracker, found = open_tracker("mask"), []
    for number, (pixels, truth) in enumerate(davis(folder)):
        instances = tracker.update(model.predict(pixels), number / RATE)
        annotation = shrunk(truth[0], instances.prototypes.shape[1:])
        overlaps = [iou(mask > 0.5, annotation) for mask in instances.soft_masks]
        if overlaps and max(overlaps) >= 0.5:
            found.append((number / RATE, instances[int(np.argmax(overlaps))], annotation))
    return found


def measure(
    frames: list[tuple[float, Instances, np.ndarray]], name: str, half_life: float
) -> tuple[float, float, float]:
    """Percent: IoU with the annotation, flicker of the masks, flicker of the annotation."""
    smoothing = {
        "nothing": Followed(),
        "coefficients": CoefficientAverage(max(half_life, 1e-9)),
        "masks": SmoothingTracker(Followed(), max(half_life, 1e-9)),
    }[name]
    masks = [smoothing.update(one, time).soft_masks[0] > 0.5 for time, one, _ in frames]
    truths = [truth for _, _, truth in frames]
    ious = [iou(mask, truth) for mask, truth in zip(masks, truths, strict=True)]
    flicker, own = [], []
    for i in range(1, len(frames)):
        if frames[i][0] - frames[i - 1][0] < 1.5 / RATE:
            shift = center(truths[i]) - center(truths[i - 1])
            for changes, shapes in ((flicker, masks), (own, truths)):
                before = moved(shapes[i - 1].astype(np.float32), shift) > 0.5
                changes.append(1 - iou(before, shapes[i]))
    return 100 * float(np.mean(ious)), 100 * float(np.mean(flicker)), 100 * float(np.mean(own))


def shrunk(mask: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(mask.astype(np.float32), (grid[1], grid[0]), interpolation=cv2.INTER_AREA) >= 0.5


def center(mask: np.ndarray) -> np.ndarray:
    """Of mass, (x, y) in fractions of the frame."""
    rows, columns = np.nonzero(mask)
    return np.array([(columns.mean() + 0.5) / mask.shape[1], (rows.mean() + 0.5) / mask.shape[0]])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


if __name__ == "__main__":
    sys.exit(main())
