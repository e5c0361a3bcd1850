"""Which tracker is steadier: every kind on the same detections.

    uv run --extra track benchmarks/tracking.py --data ../shared/data

The clips are DAVIS's, with one annotated object each; of its car the weights for people know nothing, so that clip is
left out. In the made-up ones (`moving_people.py`) five people cross each other, in two of them before a camera that
shakes. The network runs once a frame; trackers then see all frames, or every third only.

found: frames in which the object is there, detected (mask IoU 0.5 or more) and has an id, of those it is there; ids:
how many different ones it got; switches: how often the id is another than before; longest: the frames from the first to
the last in a row with one id, as a share of all; IDF1: of all detections with an id, as Ristani et al. (2016) define
it; all ids: handed out in the whole clip; ms: a frame, median and worst.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from moving_people import RATE, film
from PIL import Image
from scipy.optimize import linear_sum_assignment

import yolact
from yolact.host import host_facts
from yolact.images import read_image
from yolact.instances import Instances
from yolact.predictor import Predictor
from yolact.tracking import Tracker, TrackerKind, open_tracker

CLIPS = ("dance-twirl", "parkour")
MADE_UP = {"crossing": ((0, 1), False), "crossing, shaken": ((2, 3), True)}
LEAST_VISIBLE = 400
"""Pixels of an object that one must see for it to be there."""


@dataclass(frozen=True)
class Shot:
    """A frame, as all trackers get it."""

    instances: Instances
    overlaps: np.ndarray
    """Mask IoU of each annotated object and each instance."""

    visible: np.ndarray
    """Which objects are there."""


@dataclass(frozen=True)
class Record:
    """What one tracker made of one clip."""

    owners: np.ndarray
    """The id of each object in each frame, (frames, objects); 0 where it is not detected or has none."""

    visible: np.ndarray
    ious: list[float]
    given: list[np.ndarray]
    """The ids of each frame."""

    times: list[float]

    def row(self) -> dict[str, float]:
        objects = range(self.owners.shape[1])
        followed = [self.owners[self.visible[:, i], i] for i in objects]
        ids = [each[each > 0] for each in followed]
        lives = np.unique(np.concatenate(self.given), return_counts=True)[1]
        return {
            "found %": 100 * float(np.mean([(each > 0).mean() for each in followed])),
            "ids": float(np.mean([len(set(each.tolist())) for each in ids])),
            "switches": float(np.sum([np.count_nonzero(np.diff(each)) for each in ids])),
            "longest %": 100 * float(np.mean([longest_run(each) / len(each) for each in followed])),
            "IDF1": 100 * self.identity_f1(),
            "IoU": 100 * float(np.mean(self.ious)) if self.ious else float("nan"),
            "all ids": float(len(lives)),
            "their life": float(np.median(lives)) if len(lives) else 0.0,
            "ms": 1000 * statistics.median(self.times),
            "worst ms": 1000 * max(self.times),
        }

    def identity_f1(self) -> float:
        """Twice the frames in which an object has the one id that is called its own, by the frames it is there and the
        frames that the ids of annotated objects cover; each id is one object's own at most."""
        numbers = np.unique(self.owners[self.owners > 0])
        if not len(numbers):
            return 0.0
        together = np.array([[(column == number).sum() for number in numbers] for column in self.owners.T])
        rows, columns = linear_sum_assignment(together, maximize=True)
        return 2 * together[rows, columns].sum() / (self.visible.sum() + together.sum())


def longest_run(ids: np.ndarray) -> int:
    """Frames from the first to the last with one id and no other in between."""
    best, begin, last = 0, 0, 0
    for i, number in enumerate(ids.tolist()):
        if number == 0:
            continue
        if number != last:
            begin, last = i, number
        best = max(best, i - begin + 1)
    return best


def main() -> int:
    arguments = parse()
    model = yolact.load(device="cpu")
    rows: list[tuple[str, float, int, str, dict[str, float]]] = []
    for name, clips in footage(arguments.data, model, arguments.clips):
        for threshold in arguments.thresholds:
            for step in arguments.steps:
                for kind in arguments.kinds:
                    rows.append((name, threshold, step, kind, average(clips, kind, threshold, step, arguments.smooth)))
        print("\n".join(table([row for row in rows if row[0] == name])), flush=True)
    print(f"\n{host_facts()}")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with davis, pennfudan and coco-mini")
    parser.add_argument("--clips", nargs="+", default=[*CLIPS, *MADE_UP])
    parser.add_argument("--kinds", nargs="+", default=get_args(TrackerKind))
    parser.add_argument("--thresholds", nargs="+", type=float, default=[0.15, 0.3])
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--smooth", type=float, default=0.0)
    return parser.parse_args()


def footage(data: Path, model: Predictor, names: Iterable[str]) -> Iterable[tuple[str, list[list[Shot]]]]:
    """Clips by name, predicted; those with one name are measured together."""
    for name in names:
        if name in MADE_UP:
            seeds, shake = MADE_UP[name]
            yield name, [predicted(model, film(data, seed, shake)) for seed in seeds]
        else:
            yield name, [predicted(model, davis(data / "davis" / name))]


def davis(folder: Path) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Frames and their one annotated object."""
    for path in sorted((folder / "frames").glob("*.jpg")):
        mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png")) > 0
        yield read_image(path), mask[None]


def predicted(model: Predictor, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[Shot]:
    shots = []
    for pixels, truth in frames:
        instances = model.predict(pixels, score_threshold=0.1)
        shots.append(Shot(instances, mask_ious(truth, instances), truth.sum(axis=(1, 2)) >= LEAST_VISIBLE))
    return shots


def mask_ious(truth: np.ndarray, instances: Instances) -> np.ndarray:
    a = truth.reshape(len(truth), -1).astype(np.float32)
    b = instances.masks.reshape(len(instances), -1).astype(np.float32)
    both = a @ b.T
    return both / np.maximum(a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - both, 1)


def average(clips: Sequence[list[Shot]], kind: TrackerKind, threshold: float, step: int, smooth: float) -> dict:
    rows = [follow(shots, open_tracker(kind, smooth, RATE), threshold, step).row() for shots in clips]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def follow(shots: list[Shot], tracker: Tracker, threshold: float, step: int) -> Record:
    owners, ious, given, times = [], [], [], []
    last = np.zeros(len(shots[0].overlaps), np.int64)
    for number in range(0, len(shots), step):
        shot = shots[number]
        keep = shot.instances.scores > threshold
        instances = shot.instances[keep]
        start = time.perf_counter()
        tracked = tracker.update(instances, number / RATE)
        times.append(time.perf_counter() - start)
        assert tracked.track_ids is not None
        overlaps = shot.overlaps[:, keep]
        # As CLEAR MOT has it: whoever has an object keeps it, as long as it overlaps enough.
        kept = (overlaps >= 0.5) & (tracked.track_ids == last[:, None]) & (last[:, None] > 0)
        best = zip(*linear_sum_assignment(overlaps + kept, maximize=True), strict=True)
        pairs = [(i, j) for i, j in best if overlaps[i, j] >= 0.5 and shot.visible[i]]
        owner = np.zeros(len(overlaps), np.int64)
        for i, j in pairs:
            owner[i] = tracked.track_ids[j]
            ious.append(float(overlaps[i, j]))
        owners.append(owner)
        last = np.where(owner > 0, owner, last)
        given.append(tracked.track_ids[tracked.track_ids > 0])
    return Record(np.array(owners), np.array([shot.visible for shot in shots[::step]]), ious, given, times)


def table(rows: Sequence[tuple[str, float, int, str, dict[str, float]]]) -> list[str]:
    """Markdown."""
    names = list(rows[0][-1])
    lines = ["", f"| clip | score | every | kind | {' | '.join(names)} |", "|---|---|---|---|" + "---:|" * len(names)]
    for name, threshold, step, kind, row in rows:
        figures = " | ".join(f"{row[each]:.1f}" for each in names)
        lines.append(f"| {name} | {threshold} | {step} | {kind} | {figures} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
