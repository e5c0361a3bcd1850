"""The masks of one photograph, kept as what they are made of."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, UInt8, UInt16

from yolact import polygons
from yolact.config import CropKind
from yolact.detect.crop import cropped_cells
from yolact.detect.mask_implementation import mask_implementation
from yolact.detect.masks import soft_region
from yolact.detect.run_lengths import Region


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Masks:
    """N masks of one photograph: the prototypes that all share, how each mixes them, and in which window.

    Whatever needs masks at the photograph's size works on one mask's region at a time. Only `masks` makes N full-size
    arrays.
    """

    coefficients: Float32[np.ndarray, "N K"]
    """How each instance mixes the prototypes, in -1..1."""

    windows: Int32[np.ndarray, "N 4"]
    """(x1, y1, x2, y2) in whole cells of the prototypes, x2 and y2 outside: beyond, a mask is cut away by any crop."""

    prototypes: Float32[np.ndarray, "K Hp Wp"]
    """Of the whole photograph, whatever its proportions."""

    image_size: tuple[int, int]
    """(height, width) of the photograph in pixels."""

    crop: CropKind = field(default="box", kw_only=True)
    """What is cut away besides, see `yolact.detect.crop`."""

    @property
    def soft_masks(self) -> Float32[np.ndarray, "N Hp Wp"]:
        """Probabilities at prototype scale, 0 where they are cut away. Made anew at each call."""
        cells = cropped_cells(self.crop, self.prototypes, self.coefficients, self.windows)
        masks = np.zeros((len(cells), *self.prototypes.shape[1:]), np.float32)
        for i, (inside, (x1, y1, x2, y2)) in enumerate(zip(cells, self.windows.tolist(), strict=True)):
            masks[i, y1:y2, x1:x2] = inside
        return masks

    @property
    def masks(self) -> Bool[np.ndarray, "N H W"]:
        """The masks at the photograph's size, True where the probability is above one half.

        Made anew at each call: N times H times W bytes. A hundred instances of 12 megapixels are 1.2 GB; `rles`,
        `polygons`, `areas` and `plot` do without.
        """
        return mask_implementation().full_masks(*self._parts())

    def region_mask(self, i: int) -> tuple[Bool[np.ndarray, "h w"], Region]:
        """Instance i's mask in the part of the photograph that can hold it, and that part as (x1, y1, x2, y2)."""
        return mask_implementation().region_mask(*self._parts_of(i))

    @property
    def areas(self) -> Int64[np.ndarray, " N"]:
        """Pixels of the photograph that each mask covers."""
        return mask_implementation().areas(*self._parts())

    def label_map(self) -> UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"]:
        """All masks in one picture: 0 is background, i + 1 is instance i. Small ones lie over large ones."""
        labels = np.zeros(self.image_size, dtype=np.uint8 if len(self.windows) < 256 else np.uint16)
        for i in np.argsort(-self.areas, kind="stable"):
            mask, (x1, y1, x2, y2) = self.region_mask(int(i))
            labels[y1:y2, x1:x2][mask] = i + 1
        return labels

    def rle(self, i: int) -> dict[str, Any]:
        """Instance i's mask as a COCO run-length code: `{"size": [H, W], "counts": str}`."""
        return mask_implementation().encode_rles(*self._parts(i))[0]

    def rles(self) -> list[dict[str, Any]]:
        return mask_implementation().encode_rles(*self._parts())

    def polygons(self, tolerance: float | int = 0.5) -> list[list[polygons.Ring]]:
        """The outlines of each instance: a list of its separate parts, each an (n, 2) array of corners (x, y).

        Corners are in pixels, finer than a pixel, with the center of the first pixel at (0.5, 0.5). A hole is joined to
        its part's outline by a bridge of no width, so filling a polygon leaves it open. An instance whose mask is empty
        has an empty list. For masks exact to the pixel, take `rles`.

        Args:
            tolerance: how far, in pixels, corners may be left out; 0 keeps one for every pixel of the outline.
        """
        outlines = []
        for i in range(len(self.windows)):
            soft, (x1, y1, _, _) = soft_region(*self._parts_of(i))
            outlines.append(polygons.trace(soft, (x1, y1), self.image_size, tolerance))
        return outlines

    def _parts(self, only: int | None = None) -> tuple[Any, ...]:
        """What the functions for several masks take: for all of them, or for one."""
        rows = slice(None) if only is None else [range(len(self.windows))[only]]
        mixed = self.prototypes, self.coefficients[rows], self.windows[rows]
        cells = cropped_cells(self.crop, *mixed) if self.crop in ("soft", "component") else None  # else made on the way
        return *mixed, self.image_size, cells

    def _parts_of(self, i: int) -> tuple[Any, ...]:
        """What the functions for one mask take."""
        prototypes, (coefficients,), (window,), image_size, cells = self._parts(i)
        return prototypes, coefficients, window, image_size, cells and cells[0]
