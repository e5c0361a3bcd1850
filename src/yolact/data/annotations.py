"""A COCO annotation file as records that can be trusted: what is wrong in it is named and left out."""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from yolact.data.objects import UNKNOWN, ObjectRecord, read_object
from yolact.data.source import Source
from yolact.images import UNREADABLE, opened, pil_to_rgb

ORIENTATION_TAG = 0x0112
"""EXIF: how a viewer is to turn the stored pixels."""

MOST_UNKNOWN = 5
"""Unknown categories that are reported one by one."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image that exists, and its usable objects, possibly none."""

    image_id: int
    path: Path
    size: tuple[int, int]
    """(height, width) of the pixels that the annotations refer to."""

    objects: tuple[ObjectRecord, ...]


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong in an annotation file: for each kind of problem, the images that have it, once per occurrence."""

    file: Path
    images: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, image: str) -> None:
        self.images[kind].append(image)

    def lines(self) -> list[str]:
        """One line a kind: how often, and the first images."""
        return [f"{self.file.name}: {kind}: {named(images)}" for kind, images in sorted(self.images.items())]


def named(images: list[str], shown: int = 3) -> str:
    """How often, in how many images, and the names of the first ones."""
    counts = Counter(images)
    names = [f"{name} ({n}x)" if n > 1 else name for name, n in list(counts.items())[:shown]]
    more = f" and {len(counts) - shown} more" if len(counts) > shown else ""
    return f"{len(images)} in {len(counts)} image{'s' * (len(counts) != 1)}: {', '.join(names)}{more}"


def read_json(path: Path) -> dict[str, Any]:
    """The content of a COCO annotation file, with its three lists in place.

    Raises:
        ValueError: no such file, not JSON, or not COCO's layout.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; name the COCO annotation file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); name a COCO annotation file") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path} has no list {key!r}; a COCO file has images, annotations and categories")
    return content


def category_names(content: dict[str, Any], file: Path) -> dict[int, str]:
    """The name of each category id, in the file's order.

    Raises:
        ValueError: a category without a number as id, or without a name; or two of the same id.
    """
    names = {}
    for category in content["categories"]:
        if not isinstance(category, dict) or not isinstance(category.get("id"), int) or "name" not in category:
            raise ValueError(f"{file} has the category {category!r}; each needs a whole number as id, and a name")
        number, name = category["id"], str(category["name"])
        if names.setdefault(number, name) != name:
            raise ValueError(
                f"{file} has two categories of id {number}, {names[number]!r} and {name!r}; number them anew"
            )
    return names


def read_records(content: dict[str, Any], source: Source, labels: dict[str, int]) -> tuple[list[ImageRecord], Problems]:
    """The images of a file with their usable objects, and what was wrong with the rest.

    Args:
        content: what `read_json` returned for `source.annotations`.
        labels: the label of each class to be learned; objects of other known categories are passed over silently.
    """
    problems = Problems(source.annotations)
    names = category_names(content, source.annotations)
    known = {category_id: labels.get(name) for category_id, name in names.items()}
    annotations = _by_image(content, problems)
    records = []
    for image_id, path, size in _images(content, source, problems):
        objects, name = [], name_in(source.images, path)
        for annotation in annotations.pop(image_id, []):
            found, wrong = read_object(annotation, size, known)
            for kind in wrong:
                problems.add(kind, name)
            if found:
                objects.append(found)
        if objects and all(o.is_crowd for o in objects):
            problems.add("only crowds, kept as an image without objects of their own", name)
        records.append(ImageRecord(image_id, path, size, tuple(objects)))
    listed = {image["id"] for image in content["images"] if _is_named(image)}
    for image_id in annotations.keys() - listed:
        problems.add("annotation of an image that is not listed, dropped", f"id {image_id}")
    _join_unknown(problems)
    return records, problems


def _join_unknown(problems: Problems) -> None:
    """Many unknown categories, such as those of another list of classes, become one kind of problem."""
    kinds = [kind for kind in problems.images if kind.startswith(UNKNOWN)]
    if len(kinds) > MOST_UNKNOWN:
        shown = ", ".join(kind.removeprefix(UNKNOWN).removesuffix(", dropped").strip() for kind in kinds[:3])
        joined = f"unknown categories {shown} and {len(kinds) - 3} more, dropped"
        problems.images[joined] = [image for kind in kinds for image in problems.images.pop(kind)]


def name_in(images: Path, path: Path) -> str:
    """What messages call an image: its path in the folder of images."""
    return path.relative_to(images).as_posix() if path.is_relative_to(images) else str(path)


def leads_out(images: Path, name: str) -> bool:
    """Whether a name that others wrote, such as ../../photo.jpg, leads out of the folder of images; links may."""
    if os.pardir not in name and not Path(name).anchor:
        return False
    return os.pardir in Path(os.path.relpath(images / name, images)).parts


def _by_image(content: dict[str, Any], problems: Problems) -> dict[Any, list[dict[str, Any]]]:
    """Annotations of each image id. Of those that share an id, exact repetitions are dropped."""
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    firsts: dict[int | str, dict[str, Any]] = {}
    contents: dict[int | str, set[bytes]] = {}  # of ids that are there twice
    for annotation in content["annotations"]:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("image_id"), int):
            problems.add("annotation without a whole number as image_id, dropped", "unknown image")
            continue
        image, number = f"image id {annotation['image_id']}", annotation.get("id")
        if isinstance(number, int | str) and number in firsts:
            known, own = contents.setdefault(number, {_digest(firsts[number])}), _digest(annotation)
            if own in known:
                problems.add("annotation repeated, dropped", image)
                continue
            known.add(own)
            problems.add("annotation id used twice for different objects, kept", image)
        elif isinstance(number, int | str):
            firsts[number] = annotation
        by_image[annotation["image_id"]].append(annotation)
    return by_image


def _digest(annotation: dict[str, Any]) -> bytes:
    return hashlib.blake2b(json.dumps(annotation, sort_keys=True).encode(), digest_size=16).digest()


def _images(content: dict[str, Any], source: Source, problems: Problems) -> Iterator[tuple[int, Path, tuple[int, int]]]:
    """Id, path and (height, width) of the images that can be opened."""
    seen = set()
    for image in content["images"]:
        if not _is_named(image):
            problems.add("image without a whole number as id or without file_name, dropped", str(image)[:40])
            continue
        path = source.images / image["file_name"]
        name = name_in(source.images, path)
        if leads_out(source.images, image["file_name"]):
            problems.add("file_name that leads out of the images' folder, dropped", name)
            continue
        if image["id"] in seen:
            problems.add("image id used twice, the later dropped", name)
            continue
        seen.add(image["id"])
        try:
            size = annotated_size(path, image.get("height"), image.get("width"))
        except FileNotFoundError:
            problems.add("missing image file, dropped", name)
        except UNREADABLE as error:
            problems.add(f"{str(error).split(' (', 1)[0].replace(str(path), 'image')}, dropped", name)
        else:
            yield image["id"], path, size


def _is_named(image: Any) -> bool:
    if not isinstance(image, dict) or not isinstance(image.get("id"), int):
        return False
    return isinstance(image.get("file_name"), str) and image["file_name"] != ""


def annotated_size(path: Path, height: Any, width: Any) -> tuple[int, int]:
    """The (height, width) that annotations of an image refer to. Reads the header only.

    Raises:
        ValueError: the file says neither (height, width) nor, if its EXIF data turn it, that after the turn.
        FileNotFoundError: there is no such file.
        Exception: one of `yolact.images.UNREADABLE`, if the file is no image.
    """
    with Image.open(path) as image:
        stored = (image.height, image.width)
        if (height, width) in (stored, (None, None)):
            return stored
        if (height, width) == stored[::-1] and image.getexif().get(ORIENTATION_TAG, 1) in (5, 6, 7, 8):
            return stored[1], stored[0]
    raise ValueError(f"file and annotation disagree on the image size ({stored} and {(height, width)})")


def read_image(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The pixels that annotations refer to, as RGB (height, width, 3) in 0..255.

    COCO annotations refer to the pixels as they are stored: the reference tools never look at EXIF. But an annotation
    tool in a browser has shown the photograph turned, and then notes the turned size. So the size decides: where only
    the turned image has it, the image is turned; in all other cases the stored pixels count.

    Args:
        size: (height, width) according to the annotation file.

    Raises:
        ValueError: the file cannot be decoded, or has another size.
    """
    try:
        with opened(path.read_bytes()) as image:
            if (image.height, image.width) == size:
                image.load()  # turns a TIFF, whose size is that of the turned pixels from the start
                image.getexif().pop(ORIENTATION_TAG, None)
            pixels = pil_to_rgb(image)
        if pixels.shape[:2] != size:
            raise ValueError(f"its size is {pixels.shape[:2]} and not {size}")
        return pixels
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be used: {error}") from None
