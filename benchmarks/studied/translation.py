"""Does padding tell a network where it is? Prototypes of images that are the same everywhere, and of shifted ones."""

import copy
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from studied.padding import PADDINGS, Padding, prototypes_of, with_padding

COLORS = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 60, 40), (40, 120, 60), (50, 80, 200))
"""RGB, 0..255."""

LARGE = 1024
"""Side of an image whose middle is farther from the border than the border's influence reaches, in pixels."""

VISIBLE = 0.01
"""A change of this share of the widest one counts as influence."""

SHIFTS = (8, 16, 32, 64)
"""In pixels of the network input."""

NEAR = 0.2
"""Cells closer than this share of the side to a border of what both windows show are "near"."""


def solid(color: tuple[int, int, int], side: int, config: Any) -> Float[Tensor, "1 3 side side"]:
    """An image of one color, as the network takes it."""
    from yolact.pixels import normalize

    pixels = torch.tensor(color, dtype=torch.float32)[:, None, None].expand(3, side, side)
    return normalize(pixels, config)[None].contiguous()


def measure_network(network: Any, images: list[Tensor]) -> dict[str, Any]:
    """The study of one network, in evaluation mode.

    Args:
        images: normalized photographs (3, S + s, S + s), S the side of the network input, s the largest of `SHIFTS`.
    """
    side = network.config.image_size[0]
    figures: dict[str, Any] = {"side": side}
    for kind in PADDINGS:
        padded: Any = with_padding(copy.deepcopy(network).eval(), kind)
        flat = [prototypes_of(padded, solid(color, side, network.config))[0].numpy() for color in COLORS]
        figures[kind] = {
            "spread": float(np.mean([relative_spread(each) for each in flat])),
            "varying": float(np.mean([share_varying(each) for each in flat])),
            "position_r2": float(np.mean([position_r2(each) for each in flat])),
            "shift_error": {str(shift): shift_error(padded, images, shift) for shift in SHIFTS},
        }
    figures["profile"] = profile(network)
    figures["reach"] = reach(figures["profile"])
    return figures


def relative_spread(prototypes: Float[np.ndarray, "K h w"]) -> float:
    """The standard deviation over positions, of all prototypes together, over their root mean square; 0 if constant."""
    scale = np.sqrt((prototypes.astype(np.float64) ** 2).mean())
    return float(np.sqrt(prototypes.astype(np.float64).var(axis=(1, 2)).mean()) / scale) if scale > 0 else 0.0


def share_varying(prototypes: Float[np.ndarray, "K h w"]) -> float:
    """The share of prototypes whose range is more than a hundredth of the largest value of all."""
    ranges = np.ptp(prototypes.reshape(len(prototypes), -1), axis=1)
    return float((ranges > VISIBLE * max(np.abs(prototypes).max(), 1e-12)).mean())


def position_r2(prototypes: Float[np.ndarray, "K h w"]) -> float:
    """How well a linear map of a cell's prototypes tells where the cell is: R squared of its row and column.

    Fitted on the black squares of a checkerboard of 4 by 4 cells, tested on the white ones. 0: not at all.
    """
    height, width = prototypes.shape[1:]
    rows, columns = np.mgrid[:height, :width]
    is_fitted = ((rows // 4 + columns // 4) % 2 == 0).ravel()
    values = prototypes.reshape(len(prototypes), -1).T.astype(np.float64)
    values = values - values[is_fitted].mean(axis=0)
    scale = np.abs(values).max()
    if scale < 1e-4 * max(float(np.abs(prototypes).max()), 1e-12):  # rounding
        return 0.0
    values = np.concatenate([values / scale, np.ones((len(values), 1))], axis=1)
    places = np.stack([rows.ravel() / height, columns.ravel() / width], axis=1) - 0.5
    weights = np.linalg.lstsq(values[is_fitted], places[is_fitted], rcond=1e-6)[0]
    rest = ((places[~is_fitted] - values[~is_fitted] @ weights) ** 2).sum()
    return float(max(1 - rest / ((places[~is_fitted] - places[~is_fitted].mean(axis=0)) ** 2).sum(), 0.0))


def profile(network: Any) -> list[list[float]]:
    """How the border's influence fades: distance from it in pixels, and the change it makes there, the widest being 1.

    Of a large image of one color, along the middle row from the left border; the largest over prototypes and colors.
    """
    network = copy.deepcopy(network).eval()
    changes, cell = [], 1.0
    for color in COLORS:
        prototypes = prototypes_of(network, solid(color, LARGE, network.config))[0].numpy()
        line = prototypes[:, prototypes.shape[1] // 2, : prototypes.shape[2] // 2]
        changes.append(np.abs(line - line[:, -1:]).max(axis=0))
        cell = LARGE / prototypes.shape[2]
    change = np.max(changes, axis=0)
    share = change / max(change.max(), 1e-12)
    return [[(i + 0.5) * cell, float(value)] for i, value in enumerate(share)]


def reach(profile: list[list[float]]) -> float:
    """The farthest distance, in pixels, at which the change is above `VISIBLE`; 0 if nowhere."""
    return max((distance for distance, change in profile if change > VISIBLE), default=0.0)


def shift_error(network: Any, images: list[Tensor], shift: int) -> dict[str, float]:
    """How prototypes of a photograph differ from those of the same photograph, moved by `shift` pixels both ways.

    Two windows of one picture are compared where they show the same. Of the prototypes' standard deviation; `near` and
    `far` from the border of either window.
    """
    side = network.config.image_size[0]
    near, far, scale = [], [], []
    for image in images:
        moved = image[:, shift : shift + side, shift : shift + side]
        first, second = (
            prototypes_of(network, window[None].contiguous())[0].numpy() for window in (image[:, :side, :side], moved)
        )
        cells = round(shift * first.shape[1] / side)
        a, b = first[:, cells:, cells:], second[:, : first.shape[1] - cells, : first.shape[2] - cells]
        squares = ((a - b).astype(np.float64) ** 2).mean(axis=0)
        margin = round(NEAR * first.shape[1])
        is_far = np.zeros(squares.shape, bool)
        is_far[margin:-margin, margin:-margin] = True
        near.append(squares[~is_far].mean())
        far.append(squares[is_far].mean())
        scale.append(first.astype(np.float64).var(axis=(1, 2)).mean())
    total = np.mean(scale)
    return {"near": float(np.sqrt(np.mean(near) / total)), "far": float(np.sqrt(np.mean(far) / total))}


def measure_ap(weights: str | None) -> dict[Padding, dict[str, float]]:
    """Box and mask AP of a network whose padding is replaced without any training after it."""
    import yolact
    from studied.measuring import predict, val_source
    from studied.precision import of_instances
    from yolact.predictor import Predictor

    source, truth = val_source()
    network = (yolact.load(weights, device="cpu") if weights else yolact.load(device="cpu")).network
    figures = {}
    for kind in PADDINGS:
        padded: Any = with_padding(copy.deepcopy(network), kind)
        found = predict(Predictor(padded, "cpu"), source, truth)
        figures[kind] = {each: of_instances(truth, found, each)["AP"] for each in ("box", "mask")}
    return figures
