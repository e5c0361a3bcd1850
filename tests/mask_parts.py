"""Masks as `Instances` keeps them: drawn by a test, or at random."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch.nn import functional

from yolact.detect.masks import assemble_masks, window_cells


def parts_of(masks: np.ndarray) -> dict[str, Any]:
    """Fields of `Instances` from which probabilities (N, Hp, Wp) come out again: each mask has its own prototype."""
    masks = np.asarray(masks, np.float32)
    inside = masks.clip(1e-6, 1 - 1e-6)
    return {
        "coefficients": np.eye(len(masks), dtype=np.float32),
        "windows": np.array([bounds(mask) for mask in masks], np.int32).reshape(-1, 4),
        "prototypes": np.log(inside / (1 - inside)),
    }


def assemble_windows(prototypes: np.ndarray, coefficients: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """All probabilities (N, Hp, Wp), 0 outside the windows, by NumPy."""
    return placed(window_cells(prototypes, coefficients, windows), windows, prototypes.shape[1:])


def placed(cells: list[np.ndarray], windows: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """(N, Hp, Wp): the cells of each window in place, 0 elsewhere."""
    masks = np.zeros((len(windows), *grid), np.float32)
    for mask, inside, (x1, y1, x2, y2) in zip(masks, cells, windows.tolist(), strict=True):
        mask[y1:y2, x1:x2] = inside
    return masks


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(x1, y1, x2, y2) of what is not zero, x2 and y2 outside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 0, 0)


@dataclass(frozen=True)
class Scene:
    """Some instances of a photograph."""

    prototypes: np.ndarray
    coefficients: np.ndarray
    windows: np.ndarray
    image_size: tuple[int, int]

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
        return self.prototypes, self.coefficients, self.windows, self.image_size

    def cropped(self) -> np.ndarray:
        """Probabilities at prototype scale, all assembled by torch and then cut."""
        masks = assemble_masks(torch.from_numpy(self.prototypes)[None], torch.from_numpy(self.coefficients)[None])[0]
        rows, columns = np.mgrid[: masks.shape[1], : masks.shape[2]]
        x1, y1, x2, y2 = self.windows.T[:, :, None, None]
        return masks.numpy() * ((rows >= y1) & (rows < y2) & (columns >= x1) & (columns < x2)).astype(np.float32)

    def enlarged(self) -> np.ndarray:
        """Probabilities at the photograph's scale, all of it enlarged by torch."""
        masks = torch.from_numpy(self.cropped())[None]
        return functional.interpolate(masks, self.image_size, mode="bilinear", align_corners=False)[0].numpy()


@st.composite
def scenes(draw: st.DrawFn, largest: int = 150) -> Scene:
    """Windows of all kinds (at the borders, everything, nothing), larger and smaller photographs, odd sizes."""
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    height, width = draw(st.sampled_from([(138, 138), (13, 20), (40, 17), (5, 5), (1, 9), (1, 1)]))
    count, mixed = draw(st.integers(1, 4)), draw(st.sampled_from([1, 3, 4, 7, 32]))
    coarse = torch.from_numpy(random.standard_normal((1, mixed, height // 4 + 2, width // 4 + 2), np.float32))
    prototypes = functional.interpolate(coarse, (height, width), mode="bicubic")[0].numpy()
    ends = [np.sort(random.integers(0, size, (count, 2), endpoint=True)) for size in (width, height)]
    ends = [
        [[0, size]] * count if draw(st.booleans()) else some for some, size in zip(ends, (width, height), strict=True)
    ]
    (x1, x2), (y1, y2) = np.array(ends).transpose(0, 2, 1)
    windows = np.stack([x1, y1, x2, y2], axis=1)
    windows[random.random(count) < 0.1] = 0
    return Scene(
        prototypes=prototypes * np.float32(3),
        coefficients=np.tanh(random.standard_normal((count, mixed), np.float32)),
        windows=windows.astype(np.int32),
        image_size=(draw(st.integers(1, largest)), draw(st.integers(1, largest))),
    )
