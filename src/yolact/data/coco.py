"""COCO-format data sets: photographs with boxes, classes and masks."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from yolact.data.annotations import (
    ImageRecord,
    category_names,
    read_image,
    read_json,
    read_records,
)
from yolact.data.cache import PixelCache
from yolact.data.objects import ObjectRecord
from yolact.data.packed import Packed
from yolact.data.source import DataConfig, Source

__all__ = ["CocoDataset", "DataConfig", "Sample", "Source"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A photograph and its objects, as annotated: nothing is resized yet."""

    image: UInt8[Tensor, "3 H W"]
    """RGB, 0..255."""

    boxes: Float[Tensor, "N 4"]
    """The bounds of the masks, in pixels."""

    labels: Int[Tensor, " N"]
    """Foreground classes from 0."""

    masks: Bool[Tensor, "N H W"]
    is_crowd: Bool[Tensor, " N"]
    image_id: int


class CocoDataset(Dataset[Sample]):
    """The images of one or more COCO-format sources, with one list of classes.

    Images without objects are part of it. Whatever in the files cannot be used is left out and listed in `problems`.
    """

    def __init__(
        self, sources: tuple[Source, ...], classes: tuple[str, ...] | None = None, cache: PixelCache | None = None
    ) -> None:
        """Read the annotations and look at the header of every image.

        Args:
            cache: keeps decoded photographs. None: they are decoded each time.
            classes: in the order of their labels; other classes are passed over. None: all, in the order in which the
                files list them.

        Raises:
            ValueError: a file that is not COCO's layout, a class that no file has, or no image at all.
        """
        contents = [read_json(source.annotations) for source in sources]
        names = [category_names(c, s.annotations) for c, s in zip(contents, sources, strict=True)]
        self.category_ids: dict[str, int] = {}
        """The id of each class in the first file that has it."""
        for file_names in names:
            for category_id, name in file_names.items():
                self.category_ids.setdefault(name, category_id)
        self.classes: tuple[str, ...] = tuple(self.category_ids) if classes is None else classes
        if not self.classes:
            raise ValueError(f"{sources[0].annotations} lists no category; name the classes there")
        labels = {name: label for label, name in enumerate(self.classes)}
        self._read = read_image if cache is None else cache.read
        usable: list[ImageRecord] = []
        self.problems: list[str] = []
        """One line for each kind of problem in each file."""
        for content, source in zip(contents, sources, strict=True):
            records, problems = read_records(content, source, labels)
            usable += records
            self.problems += problems.lines()
        self.records = Packed(usable)
        self._num_objects = sum(not o.is_crowd for record in usable for o in record.objects)
        if not self.records:
            reason = f"; {self.problems[0]}" if self.problems else ""
            raise ValueError(f"{sources[0].annotations} lists no image that is in {sources[0].images}{reason}")

    def check_classes(self) -> None:
        """Raise a ValueError if a class is in none of the files."""
        missing = [name for name in self.classes if name not in self.category_ids]
        if missing:
            known = ", ".join(list(self.category_ids)[:10])
            raise ValueError(f"class {missing[0]!r} is in none of the annotation files; they have {known}")

    @property
    def num_objects(self) -> int:
        """Usable objects, crowds not counted."""
        return self._num_objects

    def __len__(self) -> int:
        return len(self.records)

    def read(self, record: ImageRecord) -> UInt8[np.ndarray, "H W 3"]:
        """The photograph of a record, RGB, 0..255; from the cache if there is one.

        Raises:
            ValueError: the image file is broken.
        """
        return self._read(record.path, record.size)

    def __getitem__(self, index: int) -> Sample:
        """
        Raises:
            ValueError: the image file is broken.
        """
        record = self.records[index]
        image = torch.from_numpy(self.read(record)).permute(2, 0, 1)
        masks, objects = _decode_all(record)
        return Sample(
            image=image,
            boxes=mask_bounds(masks),
            labels=torch.tensor([o.label for o in objects], dtype=torch.int64),
            masks=masks,
            is_crowd=torch.tensor([o.is_crowd for o in objects], dtype=torch.bool),
            image_id=record.image_id,
        )


def _decode_all(record: ImageRecord) -> tuple[Bool[Tensor, "N H W"], list[ObjectRecord]]:
    """The masks of an image, and their objects. Objects too thin to cover a pixel's center are left out."""
    kept = []
    for o in record.objects:
        try:
            mask = decode_mask(o.segmentation, record.size)
        except (RuntimeError, ValueError) as error:
            warnings.warn(f"{record.path}: an object is left out: {error}", stacklevel=2)
            continue
        if mask.any():
            kept.append((mask, o))
    masks = np.stack([mask for mask, _ in kept]) if kept else np.zeros((0, *record.size), dtype=bool)
    return torch.from_numpy(masks), [o for _, o in kept]


def decode_mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Polygons or RLE as a boolean (height, width) mask, by COCO's own rule of which pixels belong to a polygon."""
    from faster_coco_eval.core import mask as coco_mask

    return coco_mask.decode(compressed_rle(segmentation, size)).astype(bool)


def compressed_rle(segmentation: Any, size: tuple[int, int]) -> Any:
    """Polygons or RLE as the compressed RLE that COCO's tools compute with."""
    from faster_coco_eval.core import mask as coco_mask

    height, width = size
    if isinstance(segmentation, list):
        parts: Any = coco_mask.frPyObjects(segmentation, height, width)
        return coco_mask.merge(parts)
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation


def mask_bounds(masks: Bool[Tensor, "N H W"]) -> Float[Tensor, "N 4"]:
    """The smallest box around each mask, in pixels: (x1, y1, x2, y2), the last two exclusive. Empty masks give 0."""
    height, width = masks.shape[1:]
    if masks.numel() == 0:
        return torch.zeros(len(masks), 4)
    bits = masks.view(torch.uint8)  # of which torch finds the maximum far more quickly than `any` of booleans
    bounds = []
    for hit, side in ((bits.amax(dim=1) > 0, width), (bits.amax(dim=2) > 0, height)):
        positions = torch.arange(side)
        first = torch.where(hit, positions, side).amin(dim=1)
        last = torch.where(hit, positions + 1, 0).amax(dim=1)
        bounds.append((torch.where(last > 0, first, 0), last))
    (x1, x2), (y1, y2) = bounds
    return torch.stack([x1, y1, x2, y2], dim=1).float()
