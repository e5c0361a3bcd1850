"""The studies' pictures: on white, so that they are legible in light and in dark, in colors that all can tell apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studied.runs import BASELINE, FITTED, PEER
from studied.tables import ByVariant, Result, figure

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
"""Of Okabe and Ito."""

MARKS = ("o", "s", "^", "D", "v", "P")


def blank(columns: int = 1, width: float = 5.4, height: float = 3.4) -> tuple[Any, Any]:
    """A figure, and its axes in a row."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "studies", "svg.fonttype": "none"})  # the same file from the same figures
    page = Figure(figsize=(width, height), layout="constrained")
    axes = page.subplots(1, columns, squeeze=False)[0]
    for each in axes:
        each.grid(alpha=0.3)
    return page, axes


def save(page: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    page.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=110)


def ap_by_prototypes(results: ByVariant, file: Path) -> None:
    """Each seed a point, the means joined."""
    page, (axes,) = blank()
    styles: dict[str, tuple[str, str, str]] = {
        "box.AP": (BLUE, "o", "box AP"),
        "mask.AP": (ORANGE, "s", "mask AP"),
        "mask.AP75": (GREEN, "^", "mask AP75"),
    }
    counts = [k for k in (8, 16, 32, 64, 128) if results.get(f"prototypes-{k}")]
    for shift, (path, (color, mark, name)) in enumerate(styles.items()):
        values = [[100 * figure(r, path) for r in results[f"prototypes-{k}"]] for k in counts]
        axes.plot(counts, [np.mean(each) for each in values], color=color, label=name)
        for k, each in zip(counts, values, strict=True):
            axes.plot([k * 1.04 ** (shift - 1)] * len(each), each, mark, color=color, markersize=4, alpha=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(k) for k in counts])
    axes.minorticks_off()
    axes.set_ylim(0)
    axes.set_xlabel("prototypes (k)")
    axes.set_ylabel("AP")
    axes.set_title("Accuracy by k; a point is a seed", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    save(page, file)


def spectra(results: ByVariant, file: Path) -> None:
    """Singular values of the prototypes of all validation photographs, of the first seed."""
    page, (axes,) = blank()
    colors = (PURPLE, GREEN, ORANGE, BLUE, "black")
    for k, color, mark in zip((8, 16, 32, 64, 128), colors, MARKS, strict=False):
        for result in results.get(f"prototypes-{k}", ())[:1]:
            values = np.array(result["prototypes"]["singular_values"])
            share = np.maximum(values / max(values.max(), 1e-12), 1e-4)
            axes.plot(np.arange(1, len(share) + 1), share, color=color, marker=mark, markersize=3, label=f"k = {k}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks((1, 2, 4, 8, 16, 32, 64, 128), ("1", "2", "4", "8", "16", "32", "64", "128"))
    axes.minorticks_off()
    axes.set_xlabel("direction")
    axes.set_ylabel("singular value, the largest being 1")
    axes.set_title("How many directions the prototypes span (seed 0)", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    save(page, file)


def correlation_matrices(results: ByVariant, file: Path) -> None:
    """Between the living prototypes of the first seed."""
    counts = [k for k in (8, 32, 128) if results.get(f"prototypes-{k}")]
    page, row = blank(len(counts), 3.0 * len(counts) + 0.6, 3.1)
    shown = None
    for axes, k in zip(row, counts, strict=True):
        matrix = np.abs(np.array(results[f"prototypes-{k}"][0]["prototypes"]["correlation_matrix"]))
        shown = axes.imshow(matrix, vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
        axes.grid(False)
        axes.set_title(f"k = {k}: {len(matrix)} alive", fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    page.colorbar(shown, ax=list(row), label="|correlation|", shrink=0.8)
    save(page, file)


def ap_by_iou(results: ByVariant, file: Path) -> None:
    """Ours and Mask R-CNN's, box and mask, each seed a thin line, the mean a thick one."""
    page, row = blank(2, 8.0, 3.4)
    thresholds = np.arange(0.5, 0.96, 0.05)
    for axes, kind in zip(row, ("box", "mask"), strict=True):
        for variant, color, mark, name in (
            (BASELINE, BLUE, "o", "YOLACT"),
            (FITTED, GREEN, "^", "YOLACT, proposed anchors"),
            (PEER, ORANGE, "s", "Mask R-CNN"),
        ):
            curves = [100 * np.array(result[kind]["by_iou"]) for result in results.get(variant, ())]
            for curve in curves:
                axes.plot(thresholds, curve, color=color, alpha=0.35, linewidth=0.8)
            if curves:
                axes.plot(thresholds, np.mean(curves, axis=0), color=color, marker=mark, markersize=4, label=name)
        axes.set_ylim(0, 100)
        axes.set_xlabel("IoU threshold")
        axes.set_title(f"{kind} AP", fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    save(page, file)


def fading(study: Result, file: Path) -> None:
    """How far the border's influence reaches."""
    page, (axes,) = blank()
    for (name, network), color in zip(study["networks"].items(), (BLUE, ORANGE, GREEN, PURPLE), strict=False):
        distances, changes = np.array(network["profile"]).T
        axes.plot(distances, np.maximum(changes, 1e-4), color=color, label=name)
    axes.axhline(0.01, color="gray", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.set_xlim(0, 512)
    axes.set_xlabel("distance from the border, pixels of the network input")
    axes.set_ylabel("change of prototypes, the widest being 1")
    axes.set_title("Zero padding seen from the border of a solid image", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    save(page, file)


def solid_prototypes(maps: Mapping[str, np.ndarray], file: Path) -> None:
    """Prototypes (K, h, w) of a solid image, a row for each padding; the same gray for both rows of a column."""
    count = min(6, min(len(each) for each in maps.values()))
    zeros = next(iter(maps.values()))
    chosen = np.argsort(-np.ptp(zeros.reshape(len(zeros), -1), axis=1))[:count]
    from matplotlib.figure import Figure

    page = Figure(figsize=(1.25 * count, 1.35 * len(maps)), layout="constrained")
    grid = page.subplots(len(maps), count, squeeze=False)
    for row, (name, prototypes) in zip(grid, maps.items(), strict=True):
        for axes, i in zip(row, chosen, strict=True):
            low = min(each[i].min() for each in maps.values())
            high = max(each[i].max() for each in maps.values())
            axes.imshow(prototypes[i], vmin=low, vmax=max(high, low + 1e-6), cmap="cividis")
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(name, fontsize=9)
    save(page, file)


def suppression_times(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Milliseconds by candidates, of 80 classes."""
    page, (axes,) = blank(1, 7.4, 3.4)
    rows = [row for row in rows if row["classes"] > 1]
    counts = [row["candidates"] for row in rows]
    colors = (BLUE, "#56B4E9", PURPLE, "black", ORANGE, "#E69F00")
    for name, color, mark in zip(rows[0]["ms"], colors, MARKS, strict=True):
        axes.plot(counts, [row["ms"][name] for row in rows], color=color, marker=mark, markersize=5, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("candidates above the floor, 80 classes")
    axes.set_ylabel("ms")
    axes.set_title("NMS of one photograph on one CPU core", fontsize=10)
    page.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    save(page, file)
