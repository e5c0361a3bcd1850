"""The image files of a data set: finding them, naming them, and putting them where a format wants them."""

import base64
import binascii
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from PIL import Image

from yolact.data.annotations import Problems
from yolact.data.labeled import LabeledImage
from yolact.images import SUFFIXES

Placing = Literal["link", "copy", "none"]
"""Hard links, which need no space and outlive the original, with copies where the file system has none; copies; or
nothing, and the annotations refer to the images where they are."""

SUFFIX_OF = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "TIFF": ".tif",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "BMP": ".bmp",
    "GIF": ".gif",
}
"""For Pillow's names of formats. Others become .png: programs that read images look at the content."""


def find_images(folder: Path) -> list[Path]:
    """All image files in a folder and its subfolders, in order; hidden ones do not count."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            found.append(path)
    return found


def inner_path(name: str) -> str | None:
    """A relative path with /, or None if it leads out of its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or Path(name).drive or not path.name:
        return None
    return str(path)


def names_in_one_place(images: Sequence[LabeledImage], losses: Problems) -> list[str]:
    """The images' names, changed where two would share a stem, as a label file is named after its image's stem."""
    names = distinct_names([image.name for image in images])
    _note_renamed(images, [image.name for image in images], names, "another one has its name", losses)
    return names


def names_to_be_found(images: Sequence[LabeledImage], losses: Problems) -> list[str]:
    """The same for formats that look for image files: none is hidden, and all have the suffix of an image."""
    plain = [_findable(image) for image in images]
    _note_renamed(images, [image.name for image in images], plain, "only files such as photo.jpg are found", losses)
    names = distinct_names(plain)
    _note_renamed(images, plain, names, "another one has its name", losses)
    return names


def names_to_be_listed(images: Sequence[LabeledImage], losses: Problems) -> list[str]:
    """The same for a format that has all images in one folder, and a text file with their stems: a/b.jpg is a_b.jpg."""
    plain = [_on_one_line(_findable(image).replace("/", "_")) for image in images]
    names = distinct_names(plain)
    _note_renamed(images, [image.name for image in images], names, "all are in one folder and in a list", losses)
    return names


def distinct_names(names: Iterable[str]) -> list[str]:
    """The same names, changed where two would share a stem."""
    taken: set[str] = set()
    distinct = []
    for path in map(PurePosixPath, names):
        stem, number = path.stem, 2
        # Some file systems do not tell A.jpg from a.jpg.
        while f"{path.parent}/{stem}".casefold() in taken:
            stem, number = f"{path.stem}-{number}", number + 1
        taken.add(f"{path.parent}/{stem}".casefold())
        distinct.append(str(path.parent / (stem + path.suffix)))
    return distinct


def _note_renamed(
    images: Sequence[LabeledImage], before: list[str], after: list[str], why: str, losses: Problems
) -> None:
    for image, old, new in zip(images, before, after, strict=True):
        if old != new:
            losses.add(f"image renamed, as {why}", f"{image.name} → {new}")


def _findable(image: LabeledImage) -> str:
    path = PurePosixPath(image.name)
    plain = path.name.lstrip(".") or "image"
    if PurePosixPath(plain).suffix.lower() not in SUFFIXES:
        with Image.open(image_file(image)) as opened:
            plain += SUFFIX_OF.get(opened.format or "", ".png")
    return str(path.with_name(plain))


def _on_one_line(name: str) -> str:
    path = PurePosixPath(name)
    return ("_".join(path.stem.splitlines()).strip() or "image") + path.suffix


def place(image: LabeledImage, target: Path, how: Placing) -> None:
    """Put an image file somewhere, with its folder."""
    if how == "none":
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if image.is_embedded:
        target.write_bytes(embedded_bytes(json.loads(image.path.read_bytes())))
        return
    if how == "link":
        try:
            os.link(image.path.resolve(), target)
            return
        except OSError:
            pass  # another file system, one without hard links, or a file of somebody else
    shutil.copyfile(image.path, target)


def image_file(image: LabeledImage) -> Path | BytesIO:
    """What Pillow can open."""
    return BytesIO(embedded_bytes(json.loads(image.path.read_bytes()))) if image.is_embedded else image.path


def embedded_bytes(content: dict[str, Any]) -> bytes:
    """The image file inside a LabelMe file.

    Raises:
        ValueError: what is inside is not base64.
    """
    try:
        return base64.b64decode(content["imageData"], validate=False)
    except (TypeError, KeyError, binascii.Error):
        raise ValueError("imageData is not base64") from None
