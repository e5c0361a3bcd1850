"""What came of the comparison, as tables."""

from dataclasses import dataclass, replace

import numpy as np

from contenders import OURS, Found, Times
from contenders.agreement import agree, worst

STAGES = ("preparation", "network", "graph", "detection", "masks", "after", "total")

FLOAT32 = ("eager", "compiled", "openvino", "onnxruntime")

TARGETS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str, float], ...] = (
    ("PyTorch float32, the better of eager and compiled", ("eager", "compiled"), ("original",), "total", 1.5),
    ("PyTorch bfloat16, compiled", ("compiled-bf16",), ("original",), "total", 7),
    ("INT8", ("openvino-int8", "onnxruntime-int8"), ("original",), "total", 12),
    ("detection and masks alone", ("eager", "compiled", "compiled-bf16"), ("original",), "after", 20),
    ("float32 against Mask R-CNN, its default size", FLOAT32, ("mask-rcnn",), "total", 3),
    ("float32 against Mask R-CNN, 550", FLOAT32, ("mask-rcnn-550",), "total", 3),
    ("best against Mask R-CNN, its default size", tuple(OURS), ("mask-rcnn", "mask-rcnn-bf16"), "total", 10),
    ("best against Mask R-CNN, 550", tuple(OURS), ("mask-rcnn-550", "mask-rcnn-550-bf16"), "total", 10),
)
"""What is held against what: ours (the best of these), theirs (the best of these), the stage, how many times faster."""

IMAGES_A_SECOND = 15.0
"""In INT8, in the best round."""


@dataclass(frozen=True)
class Summary:
    """The times of one contender."""

    name: str
    description: str
    medians: dict[str, float]
    """Milliseconds of each stage, over all photographs and rounds."""

    best_round: float
    """Images a second in the round that was fastest as a whole."""

    agreement: str = ""


def summarize(name: str, description: str, rounds: list[list[Times]]) -> Summary:
    present = [stage for stage in STAGES if stage in rounds[0][0]]
    medians = {stage: 1000 * float(np.median([t[stage] for one in rounds for t in one])) for stage in present}
    speeds = [len(one) / sum(times["total"] for times in one) for one in rounds]
    return Summary(name, description, medians, max(speeds))


def with_agreement(summaries: dict[str, Summary], found: dict[str, list[Found]]) -> dict[str, Summary]:
    """What ours found, against the original, or else against our own eager PyTorch."""
    reference = next((key for key in ("original", "eager") if key in found), None)
    if reference is None:
        return summaries
    compared = {}
    for key, summary in summaries.items():
        text = ""
        if key in OURS and key != reference:
            text = worst([agree(a, b) for a, b in zip(found[key], found[reference], strict=True)])
        compared[key] = replace(summary, agreement=text)
    return compared


def table(summaries: dict[str, Summary]) -> list[str]:
    """A row a contender, times in milliseconds. `graph` is network and detection (and preparation) in one."""
    titles = ["median ms", *STAGES, "x original", "best round, images/s", "results against the original"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    reference = summaries.get("original")
    for summary in summaries.values():
        figures = [f"{summary.medians[stage]:.1f}" if stage in summary.medians else "" for stage in STAGES]
        ratio = f"{reference.medians['total'] / summary.medians['total']:.2f}" if reference else ""
        cells = [summary.name, *figures, ratio, f"{summary.best_round:.1f}", summary.agreement]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def targets(summaries: dict[str, Summary]) -> list[str]:
    """A row a target whose contenders took part."""
    lines = ["| how many times faster | measured | target | |", "|---|---|---|---|"]
    for name, ours, theirs, stage, wanted in TARGETS:
        ratio = times_faster(summaries, ours, theirs, stage)
        if ratio is not None:
            lines.append(f"| {name} | {ratio:.2f} | {wanted:g} | {'reached' if ratio >= wanted else 'missed'} |")
    speeds = [summaries[key].best_round for key in ("openvino-int8", "onnxruntime-int8") if key in summaries]
    if speeds:
        verdict = "reached" if max(speeds) >= IMAGES_A_SECOND else "missed"
        lines.append(
            f"| INT8, images a second in the best round | {max(speeds):.1f} | {IMAGES_A_SECOND:g} | {verdict} |"
        )
    return lines


def times_faster(
    summaries: dict[str, Summary], ours: tuple[str, ...], theirs: tuple[str, ...], stage: str
) -> float | None:
    """The best of theirs over the best of ours, in medians of a stage; None if a side is not there."""
    best = [
        min(
            (summaries[key].medians[stage] for key in keys if stage in getattr(summaries.get(key), "medians", {})),
            default=None,
        )
        for keys in (theirs, ours)
    ]
    return None if best[0] is None or best[1] is None else best[0] / best[1]
