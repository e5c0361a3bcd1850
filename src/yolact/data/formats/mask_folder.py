"""Folders of mask PNGs, in two conventions. The photographs are in images, or in images/train, images/val and others.

masks: a folder an image, with a PNG an object, which is black outside of it; masks may overlap.

    images/train/0001.jpg    masks/train/0001/person_001.png    masks/train/0001/person_002.png

instance-ids: a folder a class, with a PNG an image, whose pixels are 0 for background, and else the number of their
object: 1, 2, 3, ... in 8 or 16 bits, or a color each. Without a folder for the class, all objects are of one class.

    images/train/0001.jpg    masks/train/person/0001.png        masks/train/dog/0001.png

classes.txt has the classes in their order, if there is one. In names of folders and files, characters that these cannot
have are written as in web addresses: "a/b" is a%2Fb.
"""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

import numpy as np
from PIL import Image

from yolact.data.annotations import Problems, annotated_size
from yolact.data.formats.image_files import find_images, names_to_be_found, place
from yolact.data.formats.index_png import ids_of, read_png, stacked, write_png
from yolact.data.formats.request import Reading, Writing
from yolact.data.formats.splits import split_folders
from yolact.data.formats.text_lists import read_lines
from yolact.data.labeled import LabeledData, LabeledImage, LabeledObject, from_mask
from yolact.images import UNREADABLE

MOST = 65535
"""Objects of a class in an image: numbers of 16 bits."""

Files = dict[str, list[tuple[str, Path]]]
"""For the stem of each image, its PNGs of masks with their classes."""


def read_masks(source: Path, request: Reading) -> LabeledData:
    """Read a folder an image.

    Raises:
        ValueError: no such folders.
    """
    return _read(source, request, by_class=False)


def read_instance_ids(source: Path, request: Reading) -> LabeledData:
    """Read a folder a class.

    Raises:
        ValueError: no such folders, or objects without a class.
    """
    return _read(source, request, by_class=True)


def _read(source: Path, request: Reading, by_class: bool) -> LabeledData:
    masks = source / "masks" if (source / "masks").is_dir() else source
    photos = request.photos or source / "images"
    if not photos.is_dir():
        raise ValueError(f"{photos} is no folder; say where the images are with --photos FOLDER")
    listed = source / "classes.txt"
    data = LabeledData({}, dict.fromkeys(read_lines(listed) if listed.is_file() else []))
    folders = split_folders(photos)
    divided = any((masks / folder).is_dir() for folder in folders)
    everywhere = Problems(masks)
    shared = {} if divided else _files_by_image(masks, photos, by_class, request.class_name, everywhere)
    for folder, split in (folders or {"": "train"}).items():
        problems, files = everywhere, shared
        if divided:
            problems = Problems(masks / folder)
            files = _files_by_image(problems.file, photos, by_class, request.class_name, problems)
        data.splits.setdefault(split, []).extend(_read_split(photos / folder, files, by_class, problems))
        if divided:
            _note_unused(files, problems)
            data.problems.append(problems)
    _note_unused(shared, everywhere)
    for path in sorted(masks.iterdir()) if divided else []:
        if path.is_dir() and path.name not in folders:
            everywhere.add("folder of masks beside those of splits, dropped", path.name)
    for path in find_images(photos) if folders else []:
        if path.parent == photos:
            everywhere.add("image in no folder of a split, dropped", path.name)
    data.problems.append(everywhere)
    for image in data.images():
        data.categories.update({o.name: None for o in image.objects if o.name not in data.categories})
    return data


def _read_split(photos: Path, files: Files, by_class: bool, problems: Problems) -> list[LabeledImage]:
    """The images of a folder with their masks, which are taken out of the files."""
    names = {path.relative_to(photos).as_posix(): path for path in find_images(photos)}
    stems = {_stem(name) for name in names}
    images = []
    for name, path in names.items():
        stem = _stem(name)
        found = files.pop(stem, [])
        if by_class and not found and f"{stem}_mask" not in stems:
            found = files.pop(f"{stem}_mask", [])  # Penn-Fudan's own masks are called 0001_mask.png
        image = _read_image(path, name, found, by_class, problems)
        images += [image] if image else []
    return images


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _note_unused(files: Files, problems: Problems) -> None:
    for stem in files:
        problems.add("masks whose image is missing, dropped", stem)


def _files_by_image(folder: Path, photos: Path, by_class: bool, class_name: str | None, problems: Problems) -> Files:
    found: Files = defaultdict(list)
    for path in _mask_files(folder, photos):
        inside = path.relative_to(folder)
        if path.suffix.lower() != ".png":
            problems.add("mask that is no PNG, dropped", inside.as_posix())
            continue
        if by_class and class_name is not None:
            name, stem = class_name, inside.with_suffix("")
        elif by_class and len(inside.parts) > 1:
            name, stem = unquote(inside.parts[0]), Path(*inside.parts[1:]).with_suffix("")
        elif by_class:
            raise ValueError(f"{path} is in no folder that names a class; give --class-name NAME")
        elif class_name is None and path.stem.isdecimal():
            raise ValueError(f"{path} has a number for a name, and no class; give --class-name NAME")
        else:
            name, stem = class_name or unquote(re.sub(r"_\d+$", "", path.stem)), inside.parent
        found[stem.as_posix()].append((name, path))
    return found


def _mask_files(folder: Path, photos: Path) -> list[Path]:
    """The image files of a folder that are no photographs, if these lie inside of it."""
    found, apart = find_images(folder), photos.resolve()
    if apart == folder.resolve():
        return [path for path in found if path.suffix.lower() == ".png"]
    if folder.resolve() not in apart.parents:
        return found
    return [path for path in found if apart not in path.resolve().parents]


def _read_image(
    path: Path, name: str, files: list[tuple[str, Path]], by_class: bool, problems: Problems
) -> LabeledImage | None:
    try:
        size = annotated_size(path, None, None)
    except UNREADABLE:
        problems.add("image that cannot be opened, dropped", name)
        return None
    objects: list[LabeledObject] = []
    for class_name, file in files:
        try:
            numbers, _ = read_png(file, by_color=not by_class)
            own_size = annotated_size(path, *numbers.shape)
        except ValueError as error:
            problems.add(f"{str(error).split(' (')[0]}, dropped", f"{name}: {file.name}")
            continue
        if own_size != size and objects:
            problems.add("PNG of another size than the ones before, dropped", f"{name}: {file.name}")
            continue
        size = own_size
        masks = [numbers == number for number in ids_of(numbers, (0,))] if by_class else [numbers > 0]
        found = [from_mask(class_name, mask) for mask in masks]
        objects += [o for o in found if o]
        if not any(found) and not by_class:
            problems.add("mask that covers no pixel, dropped", f"{name}: {file.name}")
    return LabeledImage(name, path, size, tuple(objects))


def write_masks(data: LabeledData, folder: Path, request: Writing) -> None:
    """A folder an image, with a PNG an object."""
    for target, image in _placed(data, folder, request):
        target = folder / "masks" / target.with_suffix("")
        target.mkdir(parents=True, exist_ok=True)  # there, if a.jpg follows a/b.jpg
        counts: dict[str, int] = defaultdict(int)
        for o in image.objects:
            if o.is_crowd:
                request.losses.add("crowd, dropped", image.name)
                continue
            counts[o.name] += 1
            pixels = Image.fromarray(o.mask().astype(np.uint8) * 255)
            pixels.save(target / f"{_file_name(o.name)}_{counts[o.name]:03d}.png")


def write_instance_ids(data: LabeledData, folder: Path, request: Writing) -> None:
    """A folder a class, with a PNG for each image that has objects of it."""
    (folder / "masks").mkdir()
    for target, image in _placed(data, folder, request):
        by_class: dict[str, list[LabeledObject]] = defaultdict(list)
        for o in image.objects:
            if o.is_crowd:
                request.losses.add("crowd, dropped", image.name)
            else:
                by_class[o.name].append(o)
        for name, objects in by_class.items():
            kept = stacked(objects, MOST, image.name, request.losses)
            numbers = np.zeros(image.size, dtype=np.uint8 if len(kept) < 256 else np.uint16)
            for number, _, mask in kept:
                numbers[mask] = number
            inside = Path(*target.parts[1:]).with_suffix(".png")
            write_png(folder / "masks" / target.parts[0] / _file_name(name) / inside, numbers)


def _placed(data: LabeledData, folder: Path, request: Writing):
    """Each image with its SPLIT/NAME, after its file was put into images and the classes were listed."""
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in data.categories), encoding="utf-8")
    for split, images in data.splits.items():
        (folder / "images" / split).mkdir(parents=True)
        for image, name in zip(images, names_to_be_found(images, request.losses), strict=True):
            place(image, folder / "images" / split / name, request.images)
            yield Path(split) / name, image


def _file_name(name: str) -> str:
    """A class as the name of a file or folder."""
    name = quote(name, safe=" ()+,'!&=@")
    return "%2E" + name[1:] if name.startswith(".") else name
