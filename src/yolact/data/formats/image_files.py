"""The image files of a data set: finding them, naming them, and putting them where a format wants them."""

import base64
import binascii
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from PIL import Image

from yolact.data.labeled import LabeledImage
from yolact.images import SUFFIXES

Placing = Literal["link", "copy", "none"]
"""Hard links, which need no space and outlive the original, with copies where the file system has none; copies; or
nothing, and the annotations refer to the images where they are."""

UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for files that are no images, or damaged ones."""


def find_images(folder: Path) -> list[Path]:
    """All image files in a folder and its subfolders, in order; hidden ones do not count."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            found.append(path)
    return found


def inner_path(name: str) -> str | None:
    """A relative path with /, or None if it leads out of its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[:1] or not path.name:
        return None
    return str(path)


def distinct_names(names: Iterable[str], flat: bool = False) -> list[str]:
    """The same names, changed where two would share a stem, as a label file is named after its image's stem.

    Args:
        flat: names without folders; a/b.jpg becomes a_b.jpg.
    """
    taken: set[str] = set()
    distinct = []
    for name in names:
        path = PurePosixPath(name.replace("/", "_") if flat else name)
        stem, number = path.stem, 2
        # Some file systems do not tell A.jpg from a.jpg.
        while str(path.with_name(stem)).casefold() in taken:
            stem, number = f"{path.stem}-{number}", number + 1
        taken.add(str(path.with_name(stem)).casefold())
        distinct.append(str(path.with_name(stem + path.suffix)))
    return distinct


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


def embedded_bytes(content: dict[str, Any]) -> bytes:
    """The image file inside a LabelMe file.

    Raises:
        ValueError: what is inside is not base64.
    """
    try:
        return base64.b64decode(content["imageData"], validate=False)
    except (TypeError, KeyError, binascii.Error):
        raise ValueError("imageData is not base64") from None
