"""Weights to compare on, where no published ones are at hand: made by a recipe, then adjusted to behave as trained.

Random weights mislead. Nearly every anchor passes the original's threshold, which makes its detection look slower than
it is; and boxes are tiny, which suits us, since we compute masks only where they are. So, from outside:

- the background's bias is shifted until about 300 anchors of a photograph score above 0.05, as in a trained network;
- photographs that still have fewer than 200 or more than 400 are given more or less contrast;
- the predicted widths and heights are shifted and spread until the 100 detections are as large as COCO's annotated
  objects: on average 5.7 % of the picture, half of them below 0.9 %.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from parity import ORIGINALS, rebuild
from torch import Tensor

from yolact.boxes import area
from yolact.config import DetectConfig
from yolact.convert import original_name
from yolact.detect.postprocess import detect
from yolact.model import Yolact
from yolact.pixels import to_network_input
from yolact.structures import RawOutput

PASSING = 300
"""Anchors of a photograph that a trained network gives more than 0.05."""

TOLERATED = (200, 400)

MEAN_AREA, MEDIAN_AREA = 0.057, 0.009
"""Of the boxes of COCO's annotated objects, in fractions of the picture."""


@dataclass(frozen=True)
class Fit:
    """How close the adjusted weights come to a trained network, for each photograph."""

    passing: list[int]
    """Anchors that score above 0.05."""

    contrast: list[float]
    mean_area: float
    median_area: float
    """Of the boxes of all detections, in fractions of the picture."""


def make(original: str, photographs: list[np.ndarray], references: Path, file: Path) -> tuple[list[np.ndarray], Fit]:
    """Write a checkpoint as the original code saves it; see `calibrated`.

    Args:
        file: the `.pth` to write.
    """
    network, photographs, fit = calibrated(original, photographs, references)
    torch.save({original_name(name): value for name, value in network.state_dict().items()}, file)
    return photographs, fit


def calibrated(original: str, photographs: list[np.ndarray], references: Path) -> tuple[Yolact, list[np.ndarray], Fit]:
    """A network with such weights.

    Args:
        original: what the original calls the configuration, such as `yolact_resnet50`.
        photographs: RGB, (H, W, 3) uint8. At least one.
        references: the folder with `recipe.py`.

    Returns:
        The network; the photographs to compare on; and how well it worked.
    """
    network = rebuild(references, original, seed=11)
    raws = [look(network, photograph) for photograph in photographs]
    shift = background_shift([raw.class_logits[0] for raw in raws])
    contrasts = [find_contrast(network, photograph, shift) for photograph in photographs]
    photographs = [with_contrast(*both) for both in zip(photographs, contrasts, strict=True)]
    raws = [shifted(look(network, photograph), shift) for photograph in photographs]
    adjust(network, shift, *fit_sizes(raws))
    raws = [look(network, photograph) for photograph in photographs]
    passing = [int((background_margins(raw.class_logits[0]) > 0).sum()) for raw in raws]
    return network, photographs, Fit(passing, contrasts, *areas(raws))


def preset_of(original: str) -> str:
    return ORIGINALS[original]


@torch.inference_mode()
def look(network: Yolact, photograph: np.ndarray) -> RawOutput:
    return network(to_network_input(torch.from_numpy(photograph).permute(2, 0, 1), network.config)[None])


def background_margins(class_logits: Tensor, floor: float = 0.05) -> Tensor:
    """How much could be added to each anchor's background logit with its best class still above the floor.

    p = e^m / (F + e^(b + shift)) > floor, solved for the shift: m the best class's logit, F the sum of all classes'.
    """
    foreground = class_logits[:, 1:].double()
    rest = foreground.amax(-1).exp() / floor - foreground.exp().sum(-1)
    return rest.clamp(min=0).log() - class_logits[:, 0]


def background_shift(class_logits: list[Tensor], passing: int = PASSING) -> float:
    """What to add to the background's logit so that the median photograph has this many anchors above the floor."""
    margins = [background_margins(logits).sort(descending=True).values for logits in class_logits]
    return float(np.median([(m[passing - 1] + m[passing]) / 2 for m in margins]))


def find_contrast(network: Yolact, photograph: np.ndarray, shift: float, tries: int = 12) -> float:
    """The contrast, mostly 1, with which a tolerable number of anchors pass: more contrast, more of them."""
    low, high, contrast = 0.2, 5.0, 1.0
    for _ in range(tries):
        raw = look(network, with_contrast(photograph, contrast))
        passing = int((background_margins(raw.class_logits[0]) > shift).sum())
        if TOLERATED[0] <= passing <= TOLERATED[1]:
            return contrast
        low, high = (low, contrast) if passing > TOLERATED[1] else (contrast, high)
        contrast = math.sqrt(low * high)
    raise ValueError(f"no contrast gives {TOLERATED[0]} to {TOLERATED[1]} anchors above 0.05; take other photographs")


def with_contrast(photograph: np.ndarray, contrast: float) -> np.ndarray:
    if contrast == 1.0:
        return photograph
    middle = np.float32(117.0)  # about what the network subtracts
    return np.clip(np.rint((photograph - middle) * np.float32(contrast) + middle), 0, 255).astype(np.uint8)


def shifted(raw: RawOutput, shift: float = 0.0, spread: float = 1.0, size_shift: float = 0.0) -> RawOutput:
    """What the network would give after `adjust`."""
    class_logits, box_deltas = raw.class_logits.clone(), raw.box_deltas.clone()
    class_logits[..., 0] += shift
    box_deltas[..., 2:] = box_deltas[..., 2:] * spread + size_shift
    return RawOutput(class_logits, box_deltas, raw.coefficients, raw.prototypes, raw.anchors_cxcywh, raw.image_size)


@torch.inference_mode()
def areas(raws: list[RawOutput]) -> tuple[float, float]:
    """Mean and median area of the best 100 boxes of each photograph, in fractions of it."""
    found = torch.cat([area(detect(raw, DetectConfig()).boxes[0].clamp(0, 1)) for raw in raws])
    return float(found.mean()), float(found.median())


def fit_sizes(raws: list[RawOutput], rounds: int = 20) -> tuple[float, float]:
    """The factor and the shift of the predicted widths and heights that give COCO's areas.

    Sizes are exponentials of them, so the shift moves the median and the factor the mean's distance from it.
    """
    spread, size_shift = 3.0, 2.0
    for _ in range(rounds):
        mean, median = areas([shifted(raw, 0.0, spread, size_shift) for raw in raws])
        if abs(mean / MEAN_AREA - 1) < 0.1 and abs(median / MEDIAN_AREA - 1) < 0.1:
            break
        size_shift += 0.6 * math.log(MEDIAN_AREA / median) / (2 * 0.2)
        excess = math.log(MEAN_AREA / MEDIAN_AREA) / max(math.log(mean / median), 0.05)
        spread *= min(max(excess, 0.5), 2.0) ** 0.4  # timidly: beyond the picture, boxes are cut
    return spread, size_shift


@torch.no_grad()
def adjust(network: Yolact, shift: float, spread: float, size_shift: float) -> None:
    """Write the adjustments into the last layers of the head."""
    head, anchors = network.head, network.config.anchors_per_location
    assert head.class_logits.bias is not None
    assert head.box_deltas.bias is not None
    head.class_logits.bias.view(anchors, -1)[:, 0] += shift
    for parameter in (head.box_deltas.weight, head.box_deltas.bias):
        parameter.view(anchors, 4, -1)[:, 2:] *= spread
    head.box_deltas.bias.view(anchors, 4)[:, 2:] += size_shift
