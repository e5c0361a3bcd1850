"""Do masks flicker less when no region is resampled for them? Two clips with true masks, ours and Mask R-CNN's.

What is measured is kept frame by frame, so that two networks are compared on the same pairs of frames.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from studied import RESULTS
from studied.precision import box_ious
from studied.runs import BASELINE, FITTED, PEER, Run, all_runs
from studied.stability_clips import CLIPS, Followed, Segment, followed, frames_of, segmenter
from studied.stability_measures import boundary_change, box_of, mask_iou, shape_change
from studied.turns import result_file, trained_weights, write_result

SHIPPED = "shipped"
NETWORKS = (BASELINE, FITTED, PEER)


def measure_all(
    backbone_weights: str | None, runs: Path, again: bool = False, results: Path = RESULTS
) -> Iterator[tuple[str, bool]]:
    """Each network's name, and whether it was measured now.

    Args:
        runs: has the trained weights, and takes those that are trained now, and the masks that are found.
        again: measure anew, of the masks that were found before.
    """
    for run in (None, *all_runs(NETWORKS)):
        name = f"stability-{run.name if run else SHIPPED}"
        is_new = again or not result_file(name, results).exists()
        if is_new:
            write_result(name, measure(run, backbone_weights, runs), results)
        yield name, is_new


def measure(run: Run | None, backbone_weights: str | None, runs: Path) -> dict[str, Any]:
    """One network, on all clips."""

    @cache
    def make() -> Segment:
        return segmenter(run, trained_weights(run, backbone_weights, runs) if run else None)

    name = run.name if run else SHIPPED
    figures = {}
    for clip in CLIPS:
        true = np.array([mask for _, mask in frames_of(clip)])
        figures[clip] = compare(followed(runs / "stability" / f"{name}-{clip}.npz", clip, make), true)
    return {"variant": run.variant if run else SHIPPED, "seed": run.seed if run else None, "clips": figures}


def compare(found: Followed, true: Bool[np.ndarray, "T H W"]) -> dict[str, Any]:
    """T figures a list, or T - 1 for pairs of frames; NaN where the object was not found, or not in both.

    `own` is of the network's own boxes, `surest` of the surest detection instead of the one that overlaps the object
    most, `true` of masks in true boxes; of each, `iou` and `area`, the logarithm of the
    mask's area over the true one, and for pairs `shape` and `boundary`. `box` has the same of boxes, and `nudged` what
    the mask changes by when a true box is nudged, inside of it and beyond.
    """
    boxes = np.array([box_of(mask) for mask in true])
    return {
        "own": of_masks(found.own, true, found.is_found),
        "surest": of_masks(found.surest, true, found.is_found),
        "true": of_masks(found.held, true, found.is_found),
        "box": {
            "iou": [float(box_ious(a[None], b[None])[0, 0]) for a, b in zip(found.boxes, boxes, strict=True)],
            "area": np.log(_areas(found.boxes) / _areas(boxes)).tolist(),
        },
        "nudged": {"inside": found.nudged[:, 0].tolist(), "beyond": found.nudged[:, 1].tolist()},
    }


def of_masks(
    masks: Bool[np.ndarray, "T H W"], true: Bool[np.ndarray, "T H W"], is_found: Bool[np.ndarray, " T"]
) -> dict[str, list[float]]:
    unknown = float("nan")
    figures: dict[str, list[float]] = {"iou": [], "area": [], "shape": [], "boundary": []}
    for t in range(len(true)):
        figures["iou"].append(mask_iou(masks[t], true[t]) if is_found[t] else unknown)
        figures["area"].append(float(np.log(masks[t].sum() / true[t].sum())) if is_found[t] else unknown)
    for t in range(len(true) - 1):
        both = is_found[t] and is_found[t + 1]
        pair = ((masks[t], masks[t + 1]), (true[t], true[t + 1]))
        figures["shape"].append(shape_change(*pair) if both else unknown)
        figures["boundary"].append(boundary_change(*pair) if both else unknown)
    return figures


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
