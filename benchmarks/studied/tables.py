"""Markdown from results: each figure the mean over the seeds, with what the seeds spread over."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from studied.runs import BASELINE, FITTED, PEER

Result = Mapping[str, Any]
ByVariant = Mapping[str, Sequence[Result]]
"""The results of each variant, one a seed."""

PENDING = "not measured yet"

ALIKE = 0.05
"""IoU that boxes of the same object may differ by."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of Markdown; words to the left, figures to the right."""
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, ruler, *rows)]


def figure(result: Result, path: str) -> float:
    """`mask.AP` is `result["mask"]["AP"]`; NaN where there is none."""
    value: Any = result
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return float("nan") if value is None else float(value)


def spread(values: Sequence[float], factor: float = 100.0, digits: int = 1) -> str:
    """The mean, and in brackets the smallest and the largest; of a single value itself."""
    known = [factor * value for value in values if value == value]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    return f"{np.mean(known):.{digits}f} ({min(known):.{digits}f} to {max(known):.{digits}f})"


def column(results: Sequence[Result], path: str, factor: float = 100.0, digits: int = 1) -> str:
    return spread([figure(result, path) for result in results], factor, digits)


def paired(results: Sequence[Result], baseline: Sequence[Result], path: str) -> list[float]:
    """Differences to the baseline of the same seed, in points; only of seeds that both have."""
    by_seed = {result["seed"]: figure(result, path) for result in baseline}
    return [100 * (figure(r, path) - by_seed[r["seed"]]) for r in results if r["seed"] in by_seed]


def difference(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard error of paired differences."""
    if not values:
        return PENDING
    if len(values) == 1:
        return f"{values[0]:+.{digits}f}"
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):+.{digits}f} ± {error:.{digits}f}"


def prototypes(results: ByVariant) -> list[str]:
    """By k: accuracy, and what the prototypes are like."""
    rows = []
    for k in (8, 16, 32, 64, 128):
        of = results.get(f"prototypes-{k}", ())
        rows.append(
            [
                str(k),
                str(len(of)),
                column(of, "mask.AP"),
                column(of, "mask.AP75"),
                column(of, "mask.APl"),
                column(of, "box.AP"),
                column(of, "mask_perfect_boxes.AP"),
            ]
        )
    return table(["k", "seeds", "mask AP", "mask AP75", "large", "box AP", "mask AP, true boxes"], rows)


def redundancy(results: ByVariant) -> list[str]:
    columns = {
        "effective rank": ("effective_rank", 1.0, 1),
        "99 % of the energy": ("rank_99", 1.0, 1),
        "of one photograph": ("rank_99_of_an_image", 1.0, 1),
        "mean correlation": ("mean_correlation", 1.0, 2),
        "closest twin": ("nearest_twin", 1.0, 2),
        "dead": ("dead", 100.0, 0),
        "mixed by an instance": ("mixed", 1.0, 1),
        "mean coefficient": ("mean_coefficient", 1.0, 2),
    }
    rows = []
    for k in (8, 16, 32, 64, 128):
        of = results.get(f"prototypes-{k}", ())
        rows.append([str(k), *(column(of, f"prototypes.{name}", f, d) for name, f, d in columns.values())])
    shipped = results.get("shipped", ())
    rows.append(["shipped, 32", *(column(shipped, f"prototypes.{name}", f, d) for name, f, d in columns.values())])
    header = [f"{name}, %" if name == "dead" else name for name in columns]
    return table(["k", *header], rows)


def by_rank(results: ByVariant, names: Mapping[str, str]) -> list[str]:
    """Mask AP when the prototypes are projected on their first directions."""
    ranks = ("1", "2", "4", "8", "16")
    rows = []
    for variant, name in names.items():
        of = results.get(variant, ())
        rows.append([name, *(column(of, f"mask_by_rank.{rank}") for rank in ranks), column(of, "mask.AP")])
    return table(["mask AP with directions", *ranks, "all"], rows)


def ablations(results: ByVariant, names: Mapping[str, str]) -> list[str]:
    """Each against the baseline of the same seed."""
    baseline = results.get(BASELINE, ())
    rows = [["baseline", str(len(baseline)), column(baseline, "mask.AP"), column(baseline, "box.AP"), "", "", ""]]
    for variant, name in names.items():
        of = results.get(variant, ())
        gains = [difference(paired(of, baseline, path)) for path in ("mask.AP", "mask.AP75", "box.AP")]
        rows.append([name, str(len(of)), column(of, "mask.AP"), column(of, "box.AP"), *gains])
    return table(["", "seeds", "mask AP", "box AP", "Δ mask AP", "Δ mask AP75", "Δ box AP"], rows)


def crop(results: ByVariant) -> list[str]:
    """Trained with and without, evaluated with and without."""
    rows = []
    for variant, name in ((BASELINE, "trained with crop"), ("no-crop", "trained without")):
        of = results.get(variant, ())
        paths = ("mask.AP", "mask_uncropped.AP", "mask_perfect_boxes.AP")
        rows.append([name, str(len(of)), *(column(of, path) for path in paths)])
    return table(["mask AP", "seeds", "cropped", "not cropped", "cropped by true boxes"], rows)


def peer(results: ByVariant) -> list[str]:
    """Ours, with the paper's anchors and with fitting ones, beside Mask R-CNN, and the gaps."""
    ours, fitted, theirs = (results.get(variant, ()) for variant in (BASELINE, FITTED, PEER))
    rows = []
    for kind in ("box", "mask"):
        for name in ("AP", "AP50", "AP75", "APm", "APl"):
            path = f"{kind}.{name}"
            gaps = [difference(paired(of, theirs, path)) for of in (ours, fitted)]
            rows.append([f"{kind} {name}", *(column(of, path) for of in (ours, fitted, theirs)), *gaps])
    path = "mask_perfect_boxes.AP"
    rows.append(["mask AP, true boxes", column(ours, path), column(fitted, path), "", "", ""])
    names = (
        "YOLACT",
        "with proposed anchors",
        "Mask R-CNN",
        "YOLACT less Mask R-CNN",
        "with proposed anchors, less it",
    )
    return table(["", *names], rows)


def objects(results: ByVariant) -> list[str]:
    """IoU of boxes and masks of the objects that ours and Mask R-CNN both found, seed by seed; all seeds together.

    And of those among them whose boxes are as good as the other's: if boxes were all, their masks were as good, too.
    """
    rows = []
    for variant, name in ((BASELINE, "YOLACT"), (FITTED, "with proposed anchors")):
        ious = _of_both(results.get(variant, ()), results.get(PEER, ()))
        if not len(ious):
            continue
        alike = np.abs(ious[:, 0, 0] - ious[:, 1, 0]) < ALIKE
        for chosen, which in ((ious, "all"), (ious[alike], "boxes alike")):
            means = [f"{mean:.3f}" for mean in chosen.mean(axis=0).T.ravel()]
            rows.append([f"{name}: {which}", str(len(chosen)), *means])
    header = ("", "objects", "box IoU", "Mask R-CNN's", "mask IoU", "Mask R-CNN's")
    return table(header, rows) if rows else [PENDING]


def _of_both(ours: Sequence[Result], theirs: Sequence[Result]) -> np.ndarray:
    """(objects, 2, 2): ours and theirs, box and mask IoU."""
    peers = {result["seed"]: result["objects"] for result in theirs}
    pairs = [
        (result["objects"][name], peers[result["seed"]][name])
        for result in ours
        if result["seed"] in peers
        for name in sorted(result["objects"].keys() & peers[result["seed"]].keys())
    ]
    return np.array(pairs).reshape(-1, 2, 2)


def suppression(nms: Result, results: ByVariant) -> list[str]:
    """AP by kind, and what Fast NMS costs."""
    trained = [result["nms"] for of in results.values() for result in of if "nms" in result and "seed" in result]
    sets = {
        "shipped weights, Penn-Fudan val": [nms["shipped_pennfudan"]],
        "shipped weights, people of coco-mini val": [nms["shipped_coco"]],
        f"{len(trained)} networks of the other studies, Penn-Fudan val": trained,
    }
    rows = [
        _kinds(f"{name}: {each}", [{kind: of[kind][each] for kind in of} for of in measured])
        for name, measured in sets.items()
        for each in ("box", "mask")
    ]
    rows.append(_kinds("simulated, 80 classes, 3 seeds: box", nms["simulated"]))
    return table(["AP", "fast", "cross-class", "traditional", "fast less traditional"], rows)


def _kinds(name: str, measured: Sequence[Mapping[str, float]]) -> list[str]:
    kinds = ("fast", "cross-class", "traditional")
    gaps = [100 * (of["fast"] - of["traditional"]) for of in measured]
    return [name, *(f"{100 * np.mean([of[kind] for of in measured]):.2f}" for kind in kinds), difference(gaps, 2)]


def suppression_times(times: Result) -> list[str]:
    """Milliseconds."""
    names = list(times["rows"][0]["ms"])
    rows = [
        [f"{row['candidates']:,}", str(row["classes"]), *(f"{row['ms'][name]:.2f}" for name in names)]
        for row in times["rows"]
    ]
    return table(["candidates", "classes", *names], rows)


def translation(study: Result) -> list[str]:
    rows, shifts = [], []
    for name, network in study["networks"].items():
        for kind in ("zeros", "replicate", "reflect"):
            of = network[kind]
            errors = of["shift_error"]
            shifts = [f"moved by {shift}" for shift in errors]
            rows.append(
                [
                    f"{name}, {kind}",
                    f"{100 * of['spread']:.1f}",
                    f"{100 * of['varying']:.0f}",
                    f"{of['position_r2']:.2f}",
                    *(f"{100 * errors[shift]['near']:.0f} / {100 * errors[shift]['far']:.0f}" for shift in errors),
                ]
            )
    return table(["network, padding", "spread, %", "varying, %", "R² of the place", *shifts], rows)


def padding_ap(study: Result) -> list[str]:
    kinds = ("zeros", "replicate", "reflect")
    rows = [
        [f"{name}: {each}", *(f"{100 * by_kind[kind][each]:.1f}" for kind in kinds)]
        for name, by_kind in study["ap"].items()
        for each in ("box", "mask")
    ]
    return table(["AP", *kinds], rows)
