"""Precision over recall, and the confusion table, as pictures."""

import csv
import warnings
from pathlib import Path

import numpy as np

from yolact.evaluate.confusion import Confusion
from yolact.evaluate.precision import RECALLS, Precision
from yolact.printable import printable
from yolact.whole_files import written_whole

CURVES = (0.5, 0.75, 0.9)
"""IoU of the curves."""

LONGEST_TICK = 40
"""Letters of a class's name."""

NUMBERED = 20
"""Up to this many classes, a plotted table has numbers in its cells."""


def plot_precision(path: Path, box: Precision, mask: Precision) -> None:
    """Precision over recall of boxes and of masks, mean over classes, as a PNG; the values beside it as a CSV."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    columns = {}
    for axis, (title, comparison) in zip(axes, (("boxes", box), ("masks", mask)), strict=True):
        for iou, color in zip(CURVES, ("#08519c", "#3182bd", "#9ecae1"), strict=True):
            values = comparison.curve(iou).clip(min=0)
            columns[f"{title} at IoU {iou:.2f}"] = values
            axis.plot(RECALLS, values, color=color, linewidth=1.8, label=f"IoU {iou:.2f}: AP {100 * values.mean():.1f}")
        axis.set(title=title, xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        axis.grid(alpha=0.25)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=len(CURVES), frameon=False, fontsize=8)
    axes[0].set_ylabel("precision")
    with written_whole(path) as unfinished:
        figure.savefig(unfinished, dpi=150)
    with written_whole(path.with_suffix(".csv")) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recall", *columns])
        writer.writerows([f"{cell:.4f}" for cell in row] for row in zip(RECALLS, *columns.values(), strict=True))


def plot_confusion(path: Path, confusion: Confusion) -> None:
    """The table as a PNG: colors are shares of a class's objects, numbers are counts."""
    from matplotlib.figure import Figure

    counts, classes = confusion.counts, [printable(name)[:LONGEST_TICK] for name in confusion.classes]
    names = (*classes, "nothing")
    sums = counts.sum(axis=1, keepdims=True)
    size = min(max(4.0, 1.5 + 0.45 * len(names)), 18.0)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axis = figure.subplots()
    shares = np.divide(counts, sums, out=np.zeros(counts.shape), where=sums > 0)
    shares[-1] = 0  # what is no object has no share
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    letters = 9 if len(names) <= NUMBERED else 6
    axis.set_xticks(range(len(names)), [*classes, "missed"], rotation=90, fontsize=letters, parse_math=False)
    axis.set_yticks(range(len(names)), names, fontsize=letters, parse_math=False)
    axis.set(xlabel="detected as", ylabel="object")
    if len(names) <= NUMBERED + 1:
        for i, j in np.argwhere(counts > 0):
            color = "white" if shares[i, j] > 0.6 else "black"
            axis.text(j, i, str(counts[i, j]), ha="center", va="center", color=color, fontsize=letters)
    figure.colorbar(picture, label="share of the class's objects", shrink=0.8)
    with written_whole(path) as unfinished, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is drawn for it
        figure.savefig(unfinished, dpi=150)
