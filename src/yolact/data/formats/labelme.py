"""LabelMe (version 5 and later): a JSON file an image, beside it, with a list of shapes.

Polygons, rectangles, circles and masks are read; points and lines have no area. Shapes of one label that share a
group_id are one object. A mask is written as polygons if it came as polygons, and else as a shape of type mask: a PNG
of its box. A crowd is a shape with the flag "crowd". labels.txt has the classes in their order.
"""

import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from yolact.data.annotations import Problems
from yolact.data.formats.image_files import (
    embedded_bytes,
    find_images,
    inner_path,
    names_in_one_place,
    place,
)
from yolact.data.formats.labelme_shapes import group_shapes, read_group, shapes_of
from yolact.data.formats.request import Reading, Writing
from yolact.data.formats.splits import split_folders
from yolact.data.formats.text_lists import read_lines
from yolact.data.formats.upright import as_upright, from_upright, upright_size
from yolact.data.labeled import LabeledData, LabeledImage
from yolact.data.places import is_file
from yolact.images import UNREADABLE

VERSION = "5.0.0"
NO_CLASSES = ("__ignore__", "_background_")
"""What LabelMe's own examples of labels.txt have besides classes."""


def read(source: Path, request: Reading) -> LabeledData:
    """Read a folder of LabelMe files, also in subfolders; these are splits if one is called train, val or test.

    Raises:
        ValueError: a folder without LabelMe files.
    """
    files = sorted(source.rglob("*.json")) if source.is_dir() else [source]
    if not files:
        raise ValueError(f"{source} has no LabelMe files; name the folder of the .json files")
    root = source if source.is_dir() else source.parent
    folders = split_folders(root) if source.is_dir() else {}
    splits: dict[str, list[LabeledImage]] = {}
    problems = Problems(root)
    seen: set[Path] = set()
    for file in files:
        first = file.relative_to(root).parts[0]
        split = folders.get(first, "train")
        try:
            image = _read_file(file, root / first if first in folders else root, request.photos, problems)
        except ValueError as error:
            problems.add(f"{error}, dropped", file.name)
            continue
        if image.path in seen:
            problems.add("second file for the same image, dropped", file.name)
            continue
        seen.add(image.path)
        splits.setdefault(split, []).append(image)
    categories = dict.fromkeys(_listed(root))
    categories.update(dict.fromkeys(o.name for images in splits.values() for i in images for o in i.objects))
    without = len({path.absolute() for path in find_images(root)} - {path.absolute() for path in seen})
    notes = [f"{root.name}: {without} images without a LabelMe file, not read"] if without and source.is_dir() else []
    return LabeledData(splits, categories, [problems], notes)


def _listed(root: Path) -> list[str]:
    names = read_lines(root / "labels.txt") if (root / "labels.txt").is_file() else []
    return [name for name in names if name not in NO_CLASSES]


def _read_file(file: Path, root: Path, photos: Path | None, problems: Problems) -> LabeledImage:
    """
    Raises:
        ValueError: the file or its image cannot be used; the message says why.
    """
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        raise ValueError("file that is no JSON") from None
    except RecursionError:
        raise ValueError("file that is nested too deeply") from None
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise ValueError("file without a list shapes, which LabelMe's have")
    path, name, size, orientation = _image(file, content, root, photos)
    noted = (content.get("imageHeight"), content.get("imageWidth"))
    if noted not in (size, (None, None)):
        raise ValueError("file and image disagree on the image's size")
    objects = []
    for group in group_shapes(content["shapes"], problems, file.name):
        found, flaw = read_group(group, size)
        objects += [found] if found else []
        if flaw:
            problems.add(flaw, file.name)
    return from_upright(LabeledImage(name, path, size, tuple(objects)), orientation)


def _image(
    file: Path, content: dict[str, Any], root: Path, photos: Path | None
) -> tuple[Path, str, tuple[int, int], int]:
    """The image's file, its name in the data set, its upright (height, width), and its orientation (EXIF)."""
    named = content.get("imagePath")
    spelled = named.replace("\\", "/") if isinstance(named, str) else ""
    path = _find_image(file, spelled, root, photos)
    opened: Any = path
    if path is None:
        if not content.get("imageData"):
            raise ValueError("image that is neither inside nor at an imagePath beside SOURCE (--photos says where)")
        opened = BytesIO(embedded_bytes(content))
    try:
        with Image.open(opened) as image:
            size, orientation = upright_size(image)
            suffix = ".jpg" if image.format == "JPEG" else ".png"
    except UNREADABLE:
        raise ValueError("image that cannot be opened") from None
    inner = inner_path(os.path.relpath(path, root)) if path is not None else None
    inner = inner or inner_path(spelled) or Path(spelled).name
    if path is None:
        inner = str(Path(inner or file.name).with_suffix(suffix))
    return path or file, inner, size, orientation


def _find_image(file: Path, named: str, root: Path, photos: Path | None) -> Path | None:
    """The image that imagePath names, or None.

    It has to be in the data set, beside its folder, or where the caller says: what it names lands in what is written,
    and whoever wrote it is not to choose among all files of this machine.
    """
    if not named:
        return None
    candidates = [(file.parent / named, root.absolute().parent)]
    if photos is not None:
        candidates += [(photos / named, photos.absolute()), (photos / Path(named).name, photos.absolute())]
    for path, folder in candidates:
        # Not resolved: a link that the user has put there is the user's own choice.
        plain = Path(os.path.normpath(path.absolute()))
        if plain.is_relative_to(os.path.normpath(folder)) and is_file(plain):
            return plain
    return None


def write(data: LabeledData, folder: Path, request: Writing) -> None:
    """SPLIT/NAME.json, with the image beside it if images are wanted there, and labels.txt."""
    for split, images in data.splits.items():
        names = names_in_one_place(images, request.losses)
        for image, name in zip(images, names, strict=True):
            upright = as_upright(image)
            file = (folder / split / name).with_suffix(".json")
            file.parent.mkdir(parents=True, exist_ok=True)
            place(image, folder / split / name, request.images)
            shapes = [shape for i, o in enumerate(upright.objects) for shape in shapes_of(o, i)]
            content = {
                "version": VERSION,
                "flags": {},
                "shapes": shapes,
                "imagePath": _image_path(image, name, request, (request.destination / split / name).parent),
                "imageData": _image_data(image, request),
                "imageHeight": upright.size[0],
                "imageWidth": upright.size[1],
            }
            file.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    lines = [*NO_CLASSES, *data.categories]
    (folder / "labels.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _image_path(image: LabeledImage, name: str, request: Writing, folder: Path) -> str:
    if request.images != "none" or image.is_embedded:
        return Path(name).name
    try:
        return Path(os.path.relpath(image.path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return image.path.resolve().as_posix()


def _image_data(image: LabeledImage, request: Writing) -> str | None:
    if not image.is_embedded or request.images != "none":
        return None
    return json.loads(image.path.read_bytes())["imageData"]
