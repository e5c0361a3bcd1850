"""From one format of annotations to another, without losing a pixel; what a format cannot hold is said."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from yolact.data.annotations import Problems
from yolact.data.formats import coco, labelme, mask_folder, sbd, voc, yolo
from yolact.data.formats.detect import detect
from yolact.data.formats.image_files import Placing
from yolact.data.formats.request import Masks, Reading, Writing
from yolact.data.formats.splits import KNOWN
from yolact.data.labeled import LabeledData, LabeledImage
from yolact.whole_files import staging_beside

SourceFormat = Literal["coco", "yolo", "voc", "sbd", "labelme", "masks", "instance-ids"]
DestinationFormat = Literal["coco", "yolo", "voc", "labelme", "masks", "instance-ids"]

READERS: dict[str, Callable[[Path, Reading], LabeledData]] = {
    "coco": coco.read,
    "yolo": yolo.read,
    "voc": voc.read,
    "sbd": sbd.read,
    "labelme": labelme.read,
    "masks": mask_folder.read_masks,
    "instance-ids": mask_folder.read_instance_ids,
}

WRITERS: dict[str, Callable[[LabeledData, Path, Writing], None]] = {
    "coco": coco.write,
    "yolo": yolo.write,
    "voc": voc.write,
    "labelme": labelme.write,
    "masks": mask_folder.write_masks,
    "instance-ids": mask_folder.write_instance_ids,
}

REFERRING = ("coco", "labelme")
"""Formats that can say where an image is. All others want it in a folder of their own."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a conversion did."""

    source_format: str
    destination_format: str
    written: dict[str, tuple[int, int]]
    """For each split, how many images and objects, crowds included, there were to write."""

    dropped: int
    """How many of these objects the destination's format cannot hold."""

    problems: list[str]
    """What is wrong in the source: a line for each kind, with how often and the first names."""

    losses: list[str]
    """What of a sound source the destination does not have, likewise."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing of the source was dropped for being wrong."""
        return not any(", dropped" in line for line in self.problems)


def convert(
    source: Path,
    destination: Path,
    destination_format: DestinationFormat,
    source_format: SourceFormat | None = None,
    *,
    images: Placing | None = None,
    masks: Masks = "keep",
    photos: Path | None = None,
    class_name: str | None = None,
    val_share: float | None = None,
    seed: int = 0,
) -> Report:
    """Convert a data set. The destination appears when it is complete, or not at all; the source is never touched.

    Args:
        destination: a folder, new or empty.
        source_format: None looks at the files.
        images: how the destination gets its images. None: as hard links, but for COCO not at all: its data.yaml says
            where they are. Images inside LabelMe files are always taken out, for COCO.
        masks: how COCO files hold masks.
        photos: where the images are, if the source does not say.
        class_name: the class of masks that have none.
        val_share: the share of the images, in 0..1, that becomes the split val of a source that has none. Files that
            are equal to the byte stay together.
        seed: of that choice.

    Raises:
        ValueError: in one line, why nothing was written.
    """
    source, destination = Path(source), Path(destination)
    _check_destination(destination, source)
    source_format = source_format or detect(source)  # type: ignore[assignment]
    for name, formats in ((source_format, READERS), (destination_format, WRITERS)):
        if name not in formats:
            raise ValueError(f"format {name!r} is unknown; choose one of {', '.join(formats)}")
    if not source.exists():
        raise ValueError(f"{source} does not exist; name a file or folder of annotations")
    _check_options(str(source_format), destination_format, photos, class_name, masks)
    data = READERS[str(source_format)](source, Reading(photos, class_name))
    problems = [line for p in data.problems for line in p.lines()]
    if not any(data.images()):
        raise ValueError(f"no image of {source} can be used{'; ' + problems[0] if problems else ''}")
    _check_names(data)
    if val_share is not None:
        data = split_off(data, val_share, seed)
    if images is None:
        embedded = any(image.is_embedded for image in data.images())
        images = "none" if destination_format == "coco" and not embedded else "link"
    losses = Problems(Path(destination_format))
    writing = Writing(destination, images, masks, losses, [])
    _write(data, destination, destination_format, writing)
    written = {split: (len(i), sum(len(image.objects) for image in i)) for split, i in data.splits.items()}
    lost = [*losses.lines(), *(f"{destination_format}: {note}" for note in writing.notes)]
    lost += [f"{destination_format}: {line}" for line in _lost_by_all(data, destination_format, images)]
    dropped = sum(len(images) for kind, images in losses.images.items() if kind.endswith("dropped"))
    return Report(str(source_format), destination_format, written, dropped, problems + data.notes, lost)


def _check_destination(destination: Path, source: Path) -> None:
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ValueError(f"{destination} holds something; choose a new folder")
    if destination.resolve() == source.resolve():
        raise ValueError(f"{destination} is the source; choose a new folder")


def _check_options(read: str, written: str, photos: Path | None, class_name: str | None, masks: Masks) -> None:
    """Refuse what would have no effect."""
    if photos is not None and read in ("yolo", "voc", "sbd"):
        raise ValueError(f"--photos {photos}, but {read} says itself where its images are; leave it out")
    if class_name is not None and read not in ("masks", "instance-ids"):
        raise ValueError(f"--class-name {class_name}, but {read} says itself what its classes are; leave it out")
    if masks != "keep" and written != "coco":
        raise ValueError(f"--masks {masks}, but {written} has one way to hold masks; leave it out")


def _check_names(data: LabeledData) -> None:
    for name in data.categories:
        if not name.strip() or len(name.splitlines()) != 1:
            raise ValueError(f"a class is called {name!r}, which most formats cannot hold; rename it")


def _write(data: LabeledData, destination: Path, name: str, request: Writing) -> None:
    """Write beside the destination, and move it there when it is complete."""
    with staging_beside(destination.resolve()) as unfinished:
        WRITERS[name](data, unfinished, request)
        if not destination.exists():
            unfinished.rename(destination)
        else:  # empty, and perhaps the folder that the caller is in
            for part in unfinished.iterdir():
                part.rename(destination / part.name)


def _lost_by_all(data: LabeledData, name: str, images: Placing) -> list[str]:
    """What a format holds of no data set."""
    lines = []
    if name != "coco":
        if any(number is not None and number != i for i, number in enumerate(data.categories.values(), start=1)):
            lines.append("no category ids: reading it again numbers the classes from 1, in their order")
        if any(image.image_id is not None for image in data.images()):
            lines.append("no image ids: reading it again numbers the images from 1, in the order of their names")
    if name in ("voc", "masks", "instance-ids") and any(o.polygons for i in data.images() for o in i.objects):
        lines.append("no polygons: their masks are there, pixel by pixel")
    if name in ("labelme", "masks", "instance-ids") and not set(data.splits) & set(KNOWN):
        lines.append(f"no split is called train, val or test: reading it again makes one split of {len(data.splits)}")
    if images == "none" and name not in REFERRING:
        lines.append("the images were not put beside; their place is the folder images, or Pascal's JPEGImages")
    return lines


def split_off(data: LabeledData, share: float, seed: int) -> LabeledData:
    """Move a share of the images into a split val. Files that are equal to the byte go to the same side.

    Raises:
        ValueError: a share outside of 0..1, a data set that is split already, or too few different images.
    """
    if not 0 < share < 1:
        raise ValueError(f"--val-share {share} is not between 0 and 1; try 0.2")
    if len(data.splits) > 1 or "val" in data.splits:
        raise ValueError(f"--val-share {share}, but there are splits already: {', '.join(data.splits)}; leave it out")
    (images,) = data.splits.values()
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[_digest(image)].append(index)
    if len(groups) < 2:
        raise ValueError(f"--val-share {share} of {len(groups)} different images; leave it out")
    order = sorted(groups.values(), key=lambda group: images[group[0]].name)
    random.Random(seed).shuffle(order)
    wanted, chosen = max(1, round(share * len(images))), set(order[0])
    for group in order[1:-1]:
        if len(chosen) + len(group) <= wanted:
            chosen.update(group)
    parts = {"train": [i for n, i in enumerate(images) if n not in chosen], "val": [images[n] for n in sorted(chosen)]}
    return replace(data, splits=parts)


def _digest(image: LabeledImage) -> bytes:
    with image.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
