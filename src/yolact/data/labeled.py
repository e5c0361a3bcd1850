"""What every format of annotations is read into and written from: images, their objects, and exact masks as runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from yolact.data.annotations import Problems
from yolact.data.objects import are_numbers, leads_far
from yolact.data.outlines import join, outlines

Polygons = tuple[tuple[int | float, ...], ...]
"""Each x1, y1, x2, y2, ... in pixels, with COCO's rule of which pixels they hold; several are united."""


@dataclass(frozen=True, slots=True)
class LabeledObject:
    """One object, or one crowd."""

    name: str
    """Its class."""

    size: tuple[int, int]
    """(height, width) of its image."""

    counts: str
    """Its mask as COCO's compressed run lengths. Never empty."""

    polygons: Polygons | None = None
    """What the mask was given as, if it was polygons. They decode to the same pixels."""

    is_crowd: bool = False

    @property
    def rle(self) -> dict[str, Any]:
        """COCO's RLE."""
        return {"size": list(self.size), "counts": self.counts}

    @property
    def area(self) -> int:
        """Pixels."""
        return int(_coco().area(self.rle))

    @property
    def box(self) -> list[float]:
        """COCO's bbox, x, y, width and height in pixels, measured from the mask."""
        return [float(v) for v in np.asarray(_coco().toBbox(self.rle)).ravel()]

    def mask(self) -> Bool[np.ndarray, "H W"]:
        return _coco().decode(self.rle).astype(bool)

    def outline_polygons(self) -> Polygons:
        """Polygons that hold exactly the mask: one for each connected part, bridged to its holes."""
        return tuple(tuple(join(rings).ravel().tolist()) for rings in outlines(self.mask()))

    def ring(self) -> tuple[int, ...]:
        """One polygon, x1, y1, x2, y2, ..., that holds exactly the mask: all parts and holes joined by bridges."""
        return tuple(join([ring for rings in outlines(self.mask()) for ring in rings]).ravel().tolist())


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """An image and its objects, possibly none.

    Masks refer to the pixels as they are stored, but where only the turned image (EXIF) has their size.
    """

    name: str
    """Its path in the data set, with /; without .. and not absolute."""

    path: Path
    """The image file, or the LabelMe file that has it inside."""

    size: tuple[int, int]
    """(height, width)."""

    objects: tuple[LabeledObject, ...] = ()
    image_id: int | None = None

    @property
    def is_embedded(self) -> bool:
        return self.path.suffix.lower() == ".json"


@dataclass(frozen=True, slots=True)
class LabeledData:
    """A data set. Its masks are run lengths: it is small next to its images."""

    splits: dict[str, list[LabeledImage]]
    """By name, such as train and val."""

    categories: dict[str, int | None]
    """All classes in their order, also those without objects, with the ids of COCO files."""

    problems: list[Problems] = field(default_factory=list)
    """What was left out of each file or folder while reading, and why."""

    notes: list[str] = field(default_factory=list)
    """What else was not read, a line each."""

    def images(self) -> Iterator[LabeledImage]:
        for images in self.splits.values():
            yield from images


def from_mask(name: str, mask: Bool[np.ndarray, "H W"], is_crowd: bool = False) -> LabeledObject | None:
    """An object with this mask; None if it is empty."""
    if not mask.any():
        return None
    rle = _coco().encode(np.asfortranarray(mask, dtype=np.uint8))
    return LabeledObject(name, (mask.shape[0], mask.shape[1]), _text(rle["counts"]), is_crowd=is_crowd)


def from_polygons(
    name: str, polygons: Sequence[Sequence[int | float]], size: tuple[int, int], is_crowd: bool = False
) -> LabeledObject | None:
    """An object of one or several polygons, whose pixels are united; None if they hold no pixel."""
    rle = rle_of(list(polygons), size)
    if not _coco().area(rle):
        return None
    kept = tuple(tuple(float(v) for v in polygon) for polygon in polygons)
    return LabeledObject(name, size, _text(rle["counts"]), kept, is_crowd)


def from_rle(name: str, rle: dict[str, Any], size: tuple[int, int], is_crowd: bool = False) -> LabeledObject | None:
    """An object with this RLE, compressed or not, which is known to fit the image; None if it is empty."""
    rle = rle_of(rle, size)
    return LabeledObject(name, size, _text(rle["counts"]), None, is_crowd) if _coco().area(rle) else None


def rle_of(segmentation: list[Any] | dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Polygons or an RLE as one compressed RLE, the same for the same mask."""
    height, width = size
    if isinstance(segmentation, list):
        parts: Any = _coco().frPyObjects([[float(v) for v in polygon] for polygon in segmentation], height, width)
        return _coco().merge(parts)
    counts = segmentation["counts"]
    if not isinstance(counts, list):
        counts = _coco()._mask.toUncompressedRLE([segmentation])[0]["counts"]
    return _coco().frPyObjects({"size": list(size), "counts": _without_gaps(counts)}, height, width)


def _without_gaps(counts: list[int]) -> list[int]:
    """Run lengths without empty runs in between, which mean nothing and would make equal masks look different."""
    tidy = [counts[0]] if counts else [0]
    is_on = False
    for i, count in enumerate(counts[1:], start=1):
        if not count:
            continue
        if bool(i % 2) == is_on:
            tidy[-1] += count
        else:
            tidy.append(count)
            is_on = not is_on
    return tidy


def polygon_flaw(points: Any, size: tuple[int, int]) -> str | None:
    """Why x1, y1, x2, y2, ... is no polygon that can be used, or None."""
    if not are_numbers(points):
        return "polygon with a coordinate that is no finite number, dropped"
    if len(points) % 2:
        return "polygon with an odd number of coordinates, dropped"
    if len(points) < 6:
        return "polygon of fewer than three corners, dropped"
    return "polygon far outside its image, dropped" if leads_far(points, size) else None


def _text(counts: str | bytes) -> str:
    return counts.decode() if isinstance(counts, bytes) else counts


def _coco() -> Any:
    from faster_coco_eval.core import mask

    return mask
