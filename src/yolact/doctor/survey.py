"""One pass over the photographs and masks of a split: what is in it, and what is wrong with it."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from yolact.data.annotations import ImageRecord, category_names, name_in, read_image, read_json, read_records
from yolact.data.coco import compressed_rle
from yolact.data.objects import ObjectRecord
from yolact.data.source import DataConfig, Source
from yolact.doctor.findings import Finding, Severity, Spot, severity_of
from yolact.doctor.fingerprints import Fingerprint, fingerprint

OBJECT = np.dtype(
    [("photograph", "i4"), ("number", "i4"), ("label", "i4"), ("is_crowd", "?"), ("area", "f8"), ("bounds", "f8", 4)]
)
"""An object: row of its photograph, its number there, class, whether it is a crowd, area of its mask in pixels, and the
box around its mask, x1, y1, x2, y2."""

BOX_TOLERANCE = 2.0
"""Pixels by which an edge of a box may miss its mask: tools round, and COCO's own boxes are those of its polygons."""

SAME_PLACE = 0.5
"""IoU of a box and the box around its mask below which one of them belongs elsewhere."""

SAME_OBJECT = 0.95
"""IoU of two masks above which they are taken for one object."""

AT_ONCE = 64
"""Photographs that are handed to the threads together."""

BROKEN = "image that cannot be decoded"
THIN = "object too thin to cover the center of a pixel, dropped"
UNREADABLE = "mask that cannot be read, dropped"
TWICE = f"object annotated twice (mask IoU above {SAME_OBJECT})"
TWO_CLASSES = f"object annotated as two classes (mask IoU above {SAME_OBJECT})"
ELSEWHERE = f"box and mask in different places (IoU below {SAME_PLACE})"
MISFIT = f"box misses its mask by more than {BOX_TOLERANCE:g} pixels; training measures boxes from masks"
FLAWS: dict[str, Severity] = {
    BROKEN: "error",
    THIN: "error",
    UNREADABLE: "error",
    TWICE: "error",
    TWO_CLASSES: "note",
    ELSEWHERE: "error",
    MISFIT: "note",
}


@dataclass(frozen=True, slots=True)
class Survey:
    """A split, measured."""

    split: str
    classes: tuple[str, ...]
    records: list[ImageRecord]
    names: list[str]
    """By row of `records`: the path of each photograph in its folder."""

    objects: np.ndarray
    """Of type `OBJECT`, those whose mask has an area; crowds included."""

    fingerprints: dict[int, Fingerprint]
    """By row of `records`, of the photographs that can be decoded."""

    categories: dict[str, int]
    """The id of each class that the files list, whether asked for or not."""

    findings: list[Finding]

    def name(self, spot: Spot) -> str:
        """What a photograph is called."""
        return self.names[spot.photograph]


def split_sources(data: DataConfig) -> dict[str, tuple[Source, ...]]:
    """The sources of each split that the data set has."""
    return {"train": data.train} | ({"val": (data.val,)} if data.val is not None else {})


def survey(
    split: str, sources: tuple[Source, ...], classes: tuple[str, ...], pixels: bool = True, progress: bool = True
) -> Survey:
    """Decode every photograph and every mask of a split once. Of each, only a few numbers are kept.

    Args:
        classes: in the order of their labels.
        pixels: look at the photographs too, and not at their headers and masks only.

    Raises:
        ValueError: a file that is not COCO's layout.
    """
    labels = {name: label for label, name in enumerate(classes)}
    records: list[ImageRecord] = []
    names: list[str] = []
    findings: list[Finding] = []
    categories: dict[str, int] = {}
    for source in sources:
        content = read_json(source.annotations)
        for category_id, category in category_names(content, source.annotations).items():
            categories.setdefault(category, category_id)
        found, problems = read_records(content, source, labels)
        own_names = [name_in(source.images, record.path) for record in found]
        rows = {name: len(records) + row for row, name in enumerate(own_names)}
        records += found
        names += own_names
        for kind, images in sorted(problems.images.items()):
            spots = tuple((Spot(split, rows[name]),) for name in dict.fromkeys(images) if name in rows)
            findings.append(Finding(severity_of(kind), split, kind, tuple(images), spots))
    unmeasured = Survey(split, classes, records, names, np.zeros(0, OBJECT), {}, categories, findings)
    return _measured(unmeasured, pixels, progress)


def _measured(unmeasured: Survey, pixels: bool, progress: bool) -> Survey:
    """A survey with what the masks and the photographs themselves say."""
    split, records = unmeasured.split, unmeasured.records
    objects: list[np.ndarray] = [unmeasured.objects]
    fingerprints: dict[int, Fingerprint] = {}
    flaws: dict[str, list[tuple[Spot, ...]]] = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow: whatever cannot be decoded is found here anyway
        for row, examined in enumerate(_examined(split, records, pixels, progress)):
            objects.append(examined.objects)
            if examined.fingerprint is not None:
                fingerprints[row] = examined.fingerprint
            for kind, numbers in examined.flaws:
                flaws[kind].append(tuple(Spot(split, row, number) for number in numbers))
    found = []
    for kind, spots in sorted(flaws.items()):
        where = tuple(unmeasured.name(group[0]) for group in spots)
        found.append(Finding(FLAWS[kind], split, kind, where, tuple(spots)))
    findings = [*unmeasured.findings, *found]
    return replace(unmeasured, objects=np.concatenate(objects), fingerprints=fingerprints, findings=findings)


@dataclass(frozen=True, slots=True)
class _Examined:
    objects: np.ndarray
    fingerprint: Fingerprint | None
    flaws: list[tuple[str, tuple[int | None, ...]]]
    """Kinds, each with the objects that have it together."""


def _examined(split: str, records: list[ImageRecord], pixels: bool, progress: bool) -> Iterator[_Examined]:
    """In the order of the records. Decoding leaves Python's lock, so threads share the work."""
    with (
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool,
        tqdm(total=len(records), desc=f"checking {split}", unit="image", disable=None if progress else True) as bar,
    ):
        for start in range(0, len(records), AT_ONCE):  # `map` takes all it is given at once
            part = records[start : start + AT_ONCE]
            for examined in pool.map(_examine, range(start, start + len(part)), part, [pixels] * len(part)):
                bar.update()
                yield examined


def _examine(row: int, record: ImageRecord, pixels: bool) -> _Examined:
    flaws: list[tuple[str, tuple[int | None, ...]]] = []
    found = None
    if pixels:
        try:
            found = fingerprint(read_image(record.path, record.size))
        except ValueError:
            flaws.append((BROKEN, (None,)))
    objects, masks = [], []
    for number, annotated in enumerate(record.objects):
        rle, bounds, area = _measure(annotated, record.size)
        if rle is None or area == 0:
            flaws.append((UNREADABLE if rle is None else THIN, (number,)))
            continue
        objects.append((row, number, annotated.label, annotated.is_crowd, area, bounds))
        masks.append(rle)
        misfit = _compare(annotated.box, bounds, record.size)
        if misfit:
            flaws.append((misfit, (number,)))
    measured = np.array(objects, dtype=OBJECT)
    return _Examined(measured, found, flaws + _repeated(measured, masks))


def _measure(annotated: ObjectRecord, size: tuple[int, int]) -> tuple[Any, tuple[float, ...], float]:
    """An object's mask as a compressed RLE (None: it cannot be read), the box around it, and its area."""
    from faster_coco_eval.core import mask as coco_mask

    try:
        rle = compressed_rle(annotated.segmentation, size)
        x, y, width, height = (float(v) for v in coco_mask.toBbox(rle))
        return rle, (x, y, x + width, y + height), float(coco_mask.area(rle))
    except (RuntimeError, ValueError):
        return None, (0.0, 0.0, 0.0, 0.0), 0.0


def _compare(box: tuple[float | int, ...] | None, bounds: tuple[float, ...], size: tuple[int, int]) -> str | None:
    """What is wrong with a box (x, y, width, height), compared with the one around the mask."""
    if box is None:
        return None
    annotated, masked = clipped(box, size), np.array(bounds)
    if np.abs(annotated - masked).max() <= BOX_TOLERANCE:
        return None
    shared = np.prod(np.maximum(np.minimum(annotated[2:], masked[2:]) - np.maximum(annotated[:2], masked[:2]), 0))
    union = np.prod(annotated[2:] - annotated[:2]) + np.prod(masked[2:] - masked[:2]) - shared
    return ELSEWHERE if shared < SAME_PLACE * union else MISFIT


def clipped(box: tuple[float | int, ...], size: tuple[int, int]) -> Float[np.ndarray, "4"]:
    """x1, y1, x2, y2 of the part of a box (x, y, width, height) that is inside its image."""
    x, y, width, height = map(float, box)
    return np.clip([x, y, x + width, y + height], 0, [size[1], size[0]] * 2)


def _repeated(objects: np.ndarray, masks: list[Any]) -> list[tuple[str, tuple[int | None, ...]]]:
    """Objects of one image that are annotated more than once; each with the first of its kind."""
    from faster_coco_eval.core import mask as coco_mask

    single = np.flatnonzero(~objects["is_crowd"])
    if len(single) < 2:
        return []
    chosen = [masks[i] for i in single]
    overlaps = np.asarray(coco_mask.iou(chosen, chosen, [0] * len(chosen)))
    found: list[tuple[str, tuple[int | None, ...]]] = []
    for later in range(1, len(single)):
        twins = np.flatnonzero(overlaps[later, :later] > SAME_OBJECT)
        if len(twins):
            a, b = objects[single[int(twins[0])]], objects[single[later]]
            kind = TWICE if a["label"] == b["label"] else TWO_CLASSES
            found.append((kind, (int(a["number"]), int(b["number"]))))
    return found
