"""PNGs whose pixels are numbers: of objects, or of classes."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from yolact.data.annotations import Problems
from yolact.data.labeled import LabeledObject
from yolact.images import UNREADABLE, opened

UNLABELED = 224 << 16 | 224 << 8 | 192
"""Void in Pascal's colors, where a PNG has colors and no numbers."""


def palette() -> UInt8[np.ndarray, "256 3"]:
    """Pascal VOC's colors: bit k of red, green and blue, from the top, is bit 3k, 3k + 1 and 3k + 2 of the number."""
    numbers = np.arange(256)[:, None]
    channels = np.arange(3)
    colors = sum(((numbers >> (3 * bit + channels)) & 1) << (7 - bit) for bit in range(3))
    return np.asarray(colors).astype(np.uint8)


def read_png(path: Path, by_color: bool = False) -> tuple[np.ndarray, bool]:
    """The numbers of an indexed or gray PNG of 8 or 16 bits (False), or a number for each color of another (True).

    Args:
        by_color: in an indexed PNG it is the colors that count, and not their indices, which a program may choose.

    Raises:
        ValueError: no such file, or none that can be opened.
    """
    try:
        with opened(path.read_bytes()) as image:
            if image.mode in ("L", "1", "I", "I;16") or (image.mode == "P" and not by_color):
                return np.array(image), False
            image = image.convert("RGBA") if image.mode == "P" else image  # indices may be transparent
            pixels = np.array(image.convert("RGB")).astype(np.int64)
            return pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2], True
    except FileNotFoundError:
        raise ValueError("missing PNG of masks") from None
    except UNREADABLE:
        raise ValueError("PNG of masks that cannot be opened") from None


def write_png(path: Path, numbers: np.ndarray) -> None:
    """Numbers up to 255 in Pascal's colors, others as 16-bit gray."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers)
    if numbers.dtype == np.uint8:
        image.putpalette(palette().tobytes())
    image.save(path, optimize=False)


def ids_of(numbers: np.ndarray, others: tuple[int, ...]) -> list[int]:
    """The numbers of objects, in order."""
    if numbers.max(initial=0) <= 0xFFFF and numbers.min(initial=0) >= 0:  # counting is ten times as fast as sorting
        found = np.flatnonzero(np.bincount(numbers.ravel()))
    else:
        found = np.unique(numbers)
    return [int(number) for number in found if number not in others]


def stacked(
    objects: list[LabeledObject], most: int, name: str, losses: Problems
) -> list[tuple[int, LabeledObject, np.ndarray]]:
    """Objects with their numbers, and with masks that overlap no more: where some do, the smaller one has the pixels.

    They keep their order. What is lost is noted: pixels under smaller objects, and objects that have no others.
    """
    by_area = sorted(range(len(objects)), key=lambda i: objects[i].area)
    if len(by_area) > most:
        for _ in by_area[:-most]:
            losses.add(f"more than {most} objects in an image, the smallest dropped", name)
        by_area = by_area[-most:]
    taken: np.ndarray | None = None
    visible: dict[int, np.ndarray] = {}
    for i in by_area:
        mask = objects[i].mask()
        taken = np.zeros_like(mask) if taken is None else taken
        left = mask & ~taken
        taken |= mask
        if not left.any():
            losses.add("object entirely under smaller ones, dropped", name)
            continue
        if left.sum() < mask.sum():
            losses.add("overlapping objects, pixels left to the smaller one", name)
        visible[i] = left
    return [(number, objects[i], visible[i]) for number, i in enumerate(sorted(visible), start=1)]
