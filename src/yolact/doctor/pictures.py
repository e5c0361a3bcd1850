"""Pictures of a data set: photographs with their masks, and what a finding is about, close up."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from yolact.data.annotations import ImageRecord, read_image
from yolact.data.coco import decode_mask
from yolact.doctor.findings import Finding, Spot
from yolact.doctor.report import Report
from yolact.doctor.survey import Survey, clipped
from yolact.visualize import Style, draw

SIDE = 440
"""Of a picture, in pixels: its longer one."""

GAP = 6
"""Between two photographs side by side."""

MARGIN = 0.6
"""Around an object that is shown close up, as a share of its longer side."""

SMALLEST_WINDOW = 40
"""Pixels of the photograph that a close-up shows at least along each side."""

BOX_COLOR = (255, 64, 64)

View = tuple[int, int, int, int]
"""The part of a photograph that is shown: x1, y1, x2, y2 in whole pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Something to look at, and the words below it."""

    image: Image.Image
    caption: str


def sample_pictures(report: Report, count: int, seed: int) -> Iterator[Picture]:
    """Photographs drawn by lot from all splits, each as often as its share of them, with their masks."""
    places = [Spot(split, row) for split, survey in report.surveys.items() for row in range(len(survey.records))]
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    yield from _pictures(report, ((places[i],) for i in sorted(chosen.tolist())))


def finding_pictures(report: Report, finding: Finding, most: int) -> Iterator[Picture]:
    """Some of the places of a finding, evenly spread over all of them."""
    count = min(most, len(finding.spots))
    chosen = (finding.spots[i * len(finding.spots) // count] for i in range(count))
    yield from _pictures(report, chosen)


def _pictures(report: Report, groups: Iterable[tuple[Spot, ...]]) -> Iterator[Picture]:
    for group in groups:
        try:
            yield _picture(report, group)
        except ValueError as error:  # the file, which may be what the finding is about
            survey = report.surveys[group[0].split]
            path = survey.records[group[0].photograph].path
            text = f"{group[0].split}: {str(error).replace(str(path), survey.name(group[0]))}"
            yield Picture(Image.new("RGB", (SIDE, SIDE // 3), (128, 128, 128)), text)


def _picture(report: Report, group: tuple[Spot, ...]) -> Picture:
    surveys = [report.surveys[spot.split] for spot in group]
    if len(group) == 2 and group[0].number is None:
        halves = [
            _photograph(survey, spot, (SIDE - GAP) // 2, masks=False)
            for survey, spot in zip(surveys, group, strict=True)
        ]
        names = (f"{spot.split}: {survey.name(spot)}" for survey, spot in zip(surveys, group, strict=True))
        return Picture(_side_by_side(halves), " and ".join(names))
    survey, spot = surveys[0], group[0]
    if spot.number is None:
        return Picture(_photograph(survey, spot, SIDE, masks=True), f"{spot.split}: {survey.name(spot)}")
    numbers = [one.number for one in group if one.number is not None]
    return _close_up(survey, spot, numbers)


def _photograph(survey: Survey, spot: Spot, side: int, masks: bool) -> Image.Image:
    record = survey.records[spot.photograph]
    height, width = record.size
    numbers = list(range(len(record.objects))) if masks else []
    return _draw(record, survey.classes, (0, 0, width, height), numbers, side)


def _close_up(survey: Survey, spot: Spot, numbers: list[int]) -> Picture:
    """Objects of one photograph, large, with the boxes that they were annotated with."""
    record = survey.records[spot.photograph]
    view = _view(record, numbers)
    picture = _draw(record, survey.classes, view, numbers, SIDE)
    scale = picture.width / (view[2] - view[0])
    pen = ImageDraw.Draw(picture)
    for number in numbers:
        box = record.objects[number].box
        if box is not None:
            corners = [(v - view[i % 2]) * scale for i, v in enumerate(clipped(box, record.size))]
            pen.rectangle(corners, outline=BOX_COLOR, width=2)
    names = ", ".join(dict.fromkeys(survey.classes[record.objects[number].label] for number in numbers))
    size = " x ".join(f"{v:.0f}" for v in _extent(record, numbers, boxes=False)[1])
    return Picture(picture, f"{spot.split}: {survey.name(spot)}, {names}, {size} pixels")


def _extent(
    record: ImageRecord, numbers: list[int], boxes: bool = True
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Corner (x, y) and sides (width, height) of what the masks of some objects take up, and their boxes if wanted."""
    ends = []
    for number in numbers:
        mask = decode_mask(record.objects[number].segmentation, record.size)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            ends.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        box = record.objects[number].box
        if boxes and box is not None:
            ends.append(clipped(box, record.size))
    if not ends:
        return (0.0, 0.0), (float(record.size[1]), float(record.size[0]))
    corners = np.array(ends, dtype=np.float64)
    (x1, y1), (x2, y2) = corners[:, :2].min(axis=0).tolist(), corners[:, 2:].max(axis=0).tolist()
    return (x1, y1), (x2 - x1, y2 - y1)


def _view(record: ImageRecord, numbers: list[int]) -> View:
    """A window around some objects, inside the photograph, at most four times as long as it is high."""
    (x, y), (width, height) = _extent(record, numbers)
    ends = []
    longer = max(width, height)
    for start, length, whole in ((x, width, record.size[1]), (y, height, record.size[0])):
        wanted = max(length + 2 * MARGIN * longer, SMALLEST_WINDOW, longer / 2)
        first = int(np.clip(start + length / 2 - wanted / 2, 0, max(whole - wanted, 0)))
        ends.append((first, min(int(np.ceil(first + wanted)), whole)))
    (x1, x2), (y1, y2) = ends
    return x1, y1, x2, y2


def _draw(record: ImageRecord, classes: tuple[str, ...], view: View, numbers: list[int], side: int) -> Image.Image:
    """A part of a photograph at `side` pixels, with the masks of some of its objects."""
    x1, y1, x2, y2 = view
    scale = side / max(x2 - x1, y2 - y1)
    size = max(round((x2 - x1) * scale), 1), max(round((y2 - y1) * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale > 3 else cv2.INTER_LINEAR
    pixels = _resized(read_image(record.path, record.size)[y1:y2, x1:x2], size, how)
    masks = np.zeros((len(numbers), size[1], size[0]), dtype=np.float32)
    for place, number in enumerate(numbers):
        mask = decode_mask(record.objects[number].segmentation, record.size)[y1:y2, x1:x2]
        masks[place] = _resized(mask.astype(np.float32), size, cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    kept = [place for place in range(len(numbers)) if masks[place].max() > 0.5]
    labels = np.array([record.objects[numbers[place]].label for place in kept], dtype=np.int64)
    boxes = np.array([_bounds(masks[place]) for place in kept], dtype=np.float32).reshape(-1, 4)
    style = Style(scores=False, labels=scale < 3)
    return draw(pixels, masks[kept], boxes, labels, np.ones(len(kept), dtype=np.float32), classes, style)


def _resized(array: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    return np.ascontiguousarray(cv2.resize(np.ascontiguousarray(array), size, interpolation=how))


def _bounds(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.max(axis=1) > 0.5), np.flatnonzero(mask.max(axis=0) > 0.5)
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    height = max(picture.height for picture in pictures)
    joined: UInt8[np.ndarray, "H W 3"] = np.full(
        (height, sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1), 3), 128, dtype=np.uint8
    )
    left = 0
    for picture in pictures:
        joined[: picture.height, left : left + picture.width] = np.asarray(picture)
        left += picture.width + GAP
    return Image.fromarray(joined)
