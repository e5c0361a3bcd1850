"""Anchors for a data set: the scales and ratios under which most of its objects get an anchor of their own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from yolact.config import ModelConfig
from yolact.data.source import DataConfig
from yolact.doctor.anchor_recall import AnchorFit, Recall, anchor_shapes, feature_sizes
from yolact.doctor.survey import Survey, split_sources, survey
from yolact.doctor.tally import input_boxes
from yolact.losses.matching import POSITIVE_IOU

STRIDES = (1.5, 8.0)
"""The least and the most that a level's scales may be, in steps of its grid; the paper's are 3. Without bounds, large
objects might be left to P3, which sees a small part of each; and anchors smaller than a step leave gaps."""

FACTORS = (1.5, 1.2, 1.08, 1.03)
"""What a number is multiplied and divided by in the search, coarse first."""

MOST_OBJECTS = 20_000
"""The search looks at this many, evenly spread."""


@dataclass(frozen=True)
class Proposal:
    """A network with other anchors, and how both fit the objects of each split."""

    before: ModelConfig
    after: ModelConfig
    recall: dict[str, tuple[Recall, Recall]]
    """Before and after, by split."""

    def table(self) -> str:
        """Both side by side, and the options for training."""
        lines = ["anchors, in pixels of the input", *self._anchors(), ""]
        splits = "".join(f"{split + ', preset':>18}{split + ', proposed':>18}" for split in self.recall)
        lines.append(f"{'share of the objects':26}{splits}")
        names = {
            "positive": "overlap at least 0.5",
            "nearly": "0.4 to 0.5",
            "forced": "below 0.4",
            "unreachable": "none, left out",
        }
        for name, text in names.items():
            values = (f"{getattr(recall, name):.1%}" for both in self.recall.values() for recall in both)
            lines.append(f"{text:26}{''.join(f'{value:>18}' for value in values)}")
        means = (f"{recall.mean_iou:.3f}" for both in self.recall.values() for recall in both)
        lines.append(f"{'mean best overlap':26}{''.join(f'{mean:>18}' for mean in means)}")
        return "\n".join([*lines, "", f"to train with the proposed anchors: {self.options()}"])

    def options(self) -> str:
        """For `yolact train`."""
        scales = " ".join(f"{scale:g}" for scales in self.after.anchor_scales for scale in scales)
        ratios = " ".join(f"{ratio:g}" for ratio in self.after.anchor_ratios)
        size = "{} {}".format(*self.after.image_size)
        return f"--image-size {size} --anchor-scales {scales} --anchor-ratios {ratios}"

    def _anchors(self) -> Iterator[str]:
        for name, config in (("preset", self.before), ("proposed", self.after)):
            levels = " | ".join(" ".join(f"{scale:.4g}" for scale in scales) for scales in config.anchor_scales)
            ratios = " ".join(f"{ratio:g}" for ratio in config.anchor_ratios)
            square = ", all as high as wide" if config.square_anchors else ""
            yield f"  {name:9} P3 to P7: {levels}; width over height: {ratios}{square}"


def propose(
    data: DataConfig,
    classes: tuple[str, ...],
    model: ModelConfig,
    scales_per_level: int | None = None,
    progress: bool = True,
) -> Proposal:
    """Search for anchors that fit the training objects; the validation objects only show whether they generalize.

    Args:
        classes: in the order of their labels, see `yolact.doctor.class_names`.
        model: whose input size counts, and whose anchors the search starts from.
        scales_per_level: None takes as many as `model` has.

    Raises:
        ValueError: a file that is not COCO's layout, or no object to fit anchors to.
    """
    sizes = feature_sizes(model)
    fits = {}
    for split, sources in split_sources(data).items():
        boxes = _object_boxes(survey(split, sources, classes, pixels=False, progress=progress), model)
        if len(boxes):
            fits[split] = boxes, AnchorFit(boxes, sizes, model.image_size)
    if "train" not in fits:
        raise ValueError(f"train has no usable object of {', '.join(classes[:5])}; there is nothing to fit anchors to")
    boxes = fits["train"][0]
    sample = boxes[np.linspace(0, len(boxes) - 1, min(len(boxes), MOST_OBJECTS)).round().astype(int)]
    proposed = search(AnchorFit(sample, sizes, model.image_size), sizes, model, scales_per_level)
    recall = {}
    for split, (_, fit) in fits.items():
        both = (Recall.of(fit.best(anchor_shapes(config))) for config in (model, proposed))
        recall[split] = tuple(found for found in both if found is not None)
    return Proposal(model, proposed, recall)


def _object_boxes(found: Survey, model: ModelConfig) -> Float[np.ndarray, "N 4"]:
    return input_boxes(found, model.image_size)[~found.objects["is_crowd"]]


def search(
    fit: AnchorFit, sizes: tuple[tuple[int, int], ...], model: ModelConfig, scales_per_level: int | None = None
) -> ModelConfig:
    """The network with better anchors, or with its own if none are found that are better. Always the same ones.

    The search starts from quantiles of the objects' sizes and shapes, and from the network's own anchors where their
    number allows; it changes one number at a time, for as long as `_score` rises.
    """
    each = scales_per_level or len(model.anchor_scales[0])
    strides = np.array([np.sqrt(np.prod(model.image_size) / (rows * columns)) for rows, columns in sizes])
    limits = np.outer(strides, STRIDES)
    starts = [_quantiles(fit, limits, each, len(model.anchor_ratios))]
    if each == len(model.anchor_scales[0]):
        starts.append((np.array(model.anchor_scales, dtype=np.float64), np.array(model.anchor_ratios)))
    candidates = [_climb(fit, _clipped(scales, limits), ratios, limits) for scales, ratios in starts]
    configs = [replace(model, **_rounded(scales, ratios), square_anchors=False) for scales, ratios in candidates]
    if each == len(model.anchor_scales[0]):
        configs.append(model)
    return max(configs, key=lambda config: _score(fit.best(anchor_shapes(config))))


def _score(overlaps: Float[np.ndarray, " N"]) -> float:
    """The share of objects with an anchor of their own, and the mean overlap: the first makes them learned from several
    anchors, the second is what pulls those along that are still below."""
    return float(np.mean(overlaps >= POSITIVE_IOU) + overlaps.mean())


def _quantiles(
    fit: AnchorFit, limits: Float[np.ndarray, "L 2"], each: int, ratios: int
) -> tuple[Float[np.ndarray, "L S"], Float[np.ndarray, " R"]]:
    sides = np.maximum(fit.sides, 1e-3)
    count = len(limits) * each
    scales = np.quantile(np.sqrt(sides.prod(axis=1)), (np.arange(count) + 0.5) / count).reshape(-1, each)
    shapes = np.quantile(sides[:, 0] / sides[:, 1], (np.arange(ratios) + 0.5) / ratios)
    return _clipped(scales, limits), shapes


def _clipped(scales: Float[np.ndarray, "L S"], limits: Float[np.ndarray, "L 2"]) -> Float[np.ndarray, "L S"]:
    return np.clip(scales, limits[:, :1], limits[:, 1:])


def _climb(
    fit: AnchorFit, scales: Float[np.ndarray, "L S"], ratios: Float[np.ndarray, " R"], limits: Float[np.ndarray, "L 2"]
) -> tuple[Float[np.ndarray, "L S"], Float[np.ndarray, " R"]]:
    """Coordinate ascent. Of a change to one level only that level is computed anew."""
    levels = np.stack([fit.best_on_level(i, _shapes(row, ratios)) for i, row in enumerate(scales)])
    best = _score(levels.max(axis=0))
    for factor in FACTORS:
        improved = True
        while improved:
            improved = False
            for place in range(scales.size + len(ratios)):
                for change in (factor, 1 / factor):
                    trial, other = scales.copy(), ratios.copy()
                    if place < scales.size:
                        trial.flat[place] *= change
                        trial = _clipped(trial, limits)
                        changed = [place // scales.shape[1]]
                    else:
                        other[place - scales.size] *= change
                        changed = list(range(len(scales)))
                    if np.any(np.diff(trial, axis=0) < 0):  # coarser levels are for larger objects
                        continue
                    new = levels.copy()
                    for level in changed:
                        new[level] = fit.best_on_level(level, _shapes(trial[level], other))
                    score = _score(new.max(axis=0))
                    if score > best + 1e-9:
                        scales, ratios, levels, best, improved = trial, other, new, score, True
    return scales, ratios


def _shapes(scales: Float[np.ndarray, " S"], ratios: Float[np.ndarray, " R"]) -> Float[np.ndarray, "S*R 2"]:
    roots = np.sqrt(ratios)
    return np.stack([np.outer(scales, roots).ravel(), np.outer(scales, 1 / roots).ravel()], axis=1)


def _rounded(scales: Float[np.ndarray, "L S"], ratios: Float[np.ndarray, " R"]) -> dict[str, tuple]:
    """Numbers that can be typed."""
    levels = tuple(tuple(sorted(float(f"{scale:.3g}") for scale in row)) for row in scales.tolist())
    return {"anchor_scales": levels, "anchor_ratios": tuple(sorted(float(f"{ratio:.3g}") for ratio in ratios.tolist()))}
