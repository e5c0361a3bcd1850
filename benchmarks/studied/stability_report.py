"""Tables and the picture of the study of steady masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studied import RESULTS, plots
from studied.runs import BASELINE, FITTED, PEER, SEEDS, Run
from studied.stability import SHIPPED
from studied.stability_clips import CLIPS
from studied.tables import ALIKE, Result, difference, spread, table
from studied.turns import read_result

NAMES = {
    BASELINE: "YOLACT",
    FITTED: "with proposed anchors",
    PEER: "Mask R-CNN",
    SHIPPED: "shipped weights",
}
CHANGES = ("area", "shape", "boundary")

Pairs = dict[str, np.ndarray]
"""Of each pair of frames, one clip after the other: its `iou` and its `CHANGES`; NaN where it is not known."""


def results_of(variant: str, folder: Path = RESULTS) -> list[Result]:
    """Those that are there, in the order of the seeds."""
    runs = [SHIPPED] if variant == SHIPPED else [Run(variant, seed).name for seed in SEEDS]
    found = [read_result(f"stability-{name}", folder) for name in runs]
    return [result for result in found if result is not None]


def values(figures: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in figures], np.float64)


def pairs(result: Result, boxes: str, clips: Sequence[str] = CLIPS) -> Pairs:
    """
    Args:
        boxes: `own`, `surest` or `true`.
    """
    of: dict[str, list[np.ndarray]] = {name: [] for name in ("iou", *CHANGES)}
    for clip in clips:
        figures = result["clips"][clip][boxes]
        ious = values(figures["iou"])
        of["iou"].append((ious[1:] + ious[:-1]) / 2)
        of["area"].append(np.abs(np.diff(values(figures["area"]))))
        of["shape"].append(values(figures["shape"]))
        of["boundary"].append(values(figures["boundary"]))
    return {name: np.concatenate(each) for name, each in of.items()}


def by_network(folder: Path = RESULTS) -> list[str]:
    """Each on the pairs of frames in which it found the object itself."""
    rows = []
    for variant, name in NAMES.items():
        results = results_of(variant, folder)
        for boxes in ("own", "true"):
            measured = [pairs(result, boxes) for result in results]
            found = [sum(int(np.isfinite(values(r["clips"][c]["own"]["iou"])).sum()) for c in CLIPS) for r in results]
            steady = [np.concatenate([box_changes(result, clip) for clip in CLIPS]) for result in results]
            rows.append(
                [
                    f"{name}, {boxes} boxes",
                    spread(found, 1, 0),
                    *(spread([float(np.nanmean(each[column])) for each in measured]) for column in ("iou", *CHANGES)),
                    spread([float(np.nanmean(each)) for each in steady]) if boxes == "own" else "",
                ]
            )
    header = ("", "frames found", "mask IoU", "area", "shape", "boundary", "area of the box")
    return table(header, rows)


def box_changes(result: Result, clip: str) -> np.ndarray:
    """The change of the box's area beyond the true one's."""
    return np.abs(np.diff(values(result["clips"][clip]["box"]["area"])))


def differences(folder: Path = RESULTS) -> list[str]:
    """Ours less Mask R-CNN's of the same seed, on the pairs of frames in which both found the object."""
    peers = {result["seed"]: result for result in results_of(PEER, folder)}
    rows = []
    for variant, name in NAMES.items():
        ours = results_of(variant, folder)
        both = [(r, p) for r in ours for seed, p in peers.items() if r["seed"] in (seed, None)]
        if variant == PEER or not both:
            continue
        rows.append(_compared(f"{name}: all", both, "own"))
        rows += [_compared(f"{name}: {clip}", both, "own", (clip,)) for clip in CLIPS]
        rows.append(_compared(f"{name}: masks equally good", both, "own", is_alike=True))
        for boxes, words in (("surest", "surest detections"), ("true", "true boxes")):
            rows.append(_compared(f"{name}: {words}", both, boxes))
            rows.append(_compared(f"{name}: {words}, masks equally good", both, boxes, is_alike=True))
    header = ("", "pairs", "mask IoU", "Mask R-CNN's", *(f"Δ {change}" for change in CHANGES))
    return table(header, rows)


def _compared(
    name: str, both: Sequence[tuple[Result, Result]], boxes: str, clips: Sequence[str] = CLIPS, is_alike: bool = False
) -> list[str]:
    count, ious = 0, []
    gaps: dict[str, list[float]] = {change: [] for change in CHANGES}
    for ours, theirs in both:
        a, b = (pairs(result, boxes, clips) for result in (ours, theirs))
        chosen = np.isfinite(a["boundary"]) & np.isfinite(b["boundary"])
        if is_alike:
            chosen &= np.abs(a["iou"] - b["iou"]) <= ALIKE
        if not chosen.any():
            continue
        count += int(chosen.sum())
        ious.append((a["iou"][chosen].mean(), b["iou"][chosen].mean()))
        for change in CHANGES:
            gaps[change].append(100 * float((a[change] - b[change])[chosen].mean()))
    quality = [f"{100 * mean:.1f}" for mean in np.mean(ious, axis=0)] if ious else ["-", "-"]
    return [name, str(count), *quality, *(difference(gaps[change]) for change in CHANGES)]


def by_nudge(folder: Path = RESULTS) -> list[str]:
    rows = []
    for variant, name in NAMES.items():
        results = results_of(variant, folder)
        parts = [
            [float(np.nanmean(np.concatenate([values(r["clips"][c]["nudged"][part]) for c in CLIPS]))) for r in results]
            for part in ("inside", "beyond")
        ]
        both = [sum(of) for of in zip(*parts, strict=True)]
        rows.append([name, *(spread(each, 100, 2) for each in (*parts, both))])
    return table(("changed, % of the object", "inside of both boxes", "beyond", "both"), rows)


def draw(file: Path, folder: Path = RESULTS) -> None:
    """On the left masks of the first seed over time, on the right the change of the boundary by the masks' IoU."""
    page, (left, right) = plots.blank(2, 9.4, 3.6)
    looks: dict[str, tuple[str, str]] = {
        BASELINE: (plots.BLUE, "o"),
        FITTED: (plots.GREEN, "^"),
        PEER: (plots.ORANGE, "s"),
        SHIPPED: (plots.PURPLE, "D"),
    }
    for variant in (BASELINE, PEER):
        for result in results_of(variant, folder)[:1]:
            area = np.exp(values(result["clips"]["parkour"]["own"]["area"]))
            left.plot(area, color=looks[variant][0], marker=looks[variant][1], markersize=2, label=NAMES[variant])
    left.axhline(1, color="gray", linewidth=0.8, linestyle="--")
    left.set_xlabel("frame of parkour (seed 0)")
    left.set_ylabel("area of the mask over the true one")
    left.set_title("Masks over time, own boxes", fontsize=10)
    left.legend(frameon=False, fontsize=8)
    for variant, (color, mark) in looks.items():
        _by_quality(
            right, [pairs(result, "own") for result in results_of(variant, folder)], color, mark, NAMES[variant]
        )
    right.set_ylim(0)
    right.set_xlabel("mask IoU of the pair")
    right.set_ylabel("change of the boundary, % of the size")
    right.set_title("Flicker by how good masks are, own boxes", fontsize=10)
    right.legend(frameon=False, fontsize=8)
    plots.save(page, file)


def _by_quality(axes: Any, measured: Sequence[Pairs], color: str, mark: str, name: str) -> None:
    """Means over steps of 0.1 of IoU that have ten pairs or more."""
    if not measured:
        return
    ious, changes = (np.concatenate([each[column] for each in measured]) for column in ("iou", "boundary"))
    is_known = np.isfinite(ious) & np.isfinite(changes)
    steps = np.floor(ious[is_known] * 10).astype(int)
    shown = [step for step in range(10) if (steps == step).sum() >= 10]
    means = [100 * changes[is_known][steps == step].mean() for step in shown]
    axes.plot([(step + 0.5) / 10 for step in shown], means, color=color, marker=mark, markersize=4, label=name)
