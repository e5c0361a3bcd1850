"""Pascal VOC 2012: for each image a PNG that says which object a pixel belongs to, and one that says which class.

JPEGImages/0001.jpg, SegmentationObject/0001.png, SegmentationClass/0001.png, ImageSets/Segmentation/train.txt and
labelmap.txt, which CVAT and Datumaro write for classes other than Pascal's twenty. In both PNGs 0 is background, and
255 is a border that belongs to nothing. An object's class is the one that most of its pixels have.
"""

import re
from pathlib import Path

import numpy as np

from yolact.data.annotations import Problems, annotated_size
from yolact.data.formats.image_files import names_to_be_listed, place
from yolact.data.formats.index_png import UNLABELED, ids_of, palette, read_png, stacked, write_png
from yolact.data.formats.request import Reading, Writing
from yolact.data.formats.splits import split_name
from yolact.data.formats.text_lists import read_lines
from yolact.data.labeled import LabeledData, LabeledImage, LabeledObject, from_mask
from yolact.data.places import is_file
from yolact.images import SUFFIXES, UNREADABLE

PASCAL_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""In the order of their labels in the PNGs, from 1."""

HEADER = "# label:color_rgb:parts:actions"
"""The first line of a labelmap.txt."""

BACKGROUND = "background"
"""What a labelmap.txt calls what is no class."""

VOID = 255
MOST = 254
"""Objects in an image, and classes in a data set: 0 and 255 are taken."""


def read(source: Path, request: Reading) -> LabeledData:
    """
    Raises:
        ValueError: a folder without these folders, or with those of several years.
    """
    roots = roots_of(source)
    if not roots:
        raise ValueError(f"{source} has no folder SegmentationObject; name the folder that has, such as VOC2012")
    if len(roots) > 1:  # joined, they would put the same photographs into train and val
        raise ValueError(f"{source} has {' and '.join(root.name for root in roots)}; name one of these folders")
    (root,) = roots
    names, colors = _classes(root)
    lists = {path.stem: path for path in sorted((root / "ImageSets" / "Segmentation").glob("*.txt"))}
    lists.pop("trainval" if {"train", "val"} <= set(lists) else "", None)
    data = LabeledData({}, dict.fromkeys(names.values()))
    if not lists:
        every = sorted(path.stem for path in (root / "SegmentationObject").glob("*.png"))
        _add_split(data, root, "train", every, names, colors)
    for split, path in lists.items():
        _add_split(
            data, root, split_name(split), [_stem(root, line.strip()) for line in read_lines(path)], names, colors
        )
    return data


def roots_of(source: Path) -> list[Path]:
    """The folders that have SegmentationObject: this one, or those in an unpacked VOCdevkit, such as VOC2012."""
    for candidates in ([source], [*sorted(source.glob("VOC*")), *sorted(source.glob("VOCdevkit/VOC*"))]):
        found = [folder for folder in candidates if (folder / "SegmentationObject").is_dir()]
        if found:
            return found
    return []


def _classes(root: Path) -> tuple[dict[int, str], dict[int, int]]:
    """The class of each index in the PNGs, and the index of each color, for PNGs without indices."""
    file = root / "labelmap.txt"
    default = {packed(color): index for index, color in enumerate(palette())}
    if not file.is_file():
        return dict(enumerate(PASCAL_CLASSES, start=1)), default
    names, colors = {}, {}
    lines = [line for line in read_lines(file) if not line.startswith(HEADER[:8])]
    # Background is 0 wherever it is listed, and the others are numbered in their order.
    for index, line in enumerate(sorted(lines, key=lambda line: line.split(":")[0] != BACKGROUND)):
        # From the right, since a name may hold a colon: name:r,g,b:parts:actions
        name, color, *_ = [*line.rsplit(":", 3), ""]
        rgb = re.fullmatch(r"\s*(\d+),\s*(\d+),\s*(\d+)\s*", color)
        if color and not rgb:
            raise ValueError(f"{file} has the line {line!r}; write name:red,green,blue::")
        colors[packed(np.array(rgb.groups(), dtype=np.int64) if rgb else palette()[index % 256])] = index
        names[index] = name
    if names.pop(0, None) != BACKGROUND:
        raise ValueError(f"{file} does not list the background; add the line {BACKGROUND}:0,0,0::")
    return names, colors


def packed(color: np.ndarray) -> int:
    """Red, green and blue as one number, as `read_png` has them."""
    return int(color[0]) << 16 | int(color[1]) << 8 | int(color[2])


def _add_split(
    data: LabeledData, root: Path, split: str, stems: list[str], names: dict[int, str], colors: dict[int, int]
) -> None:
    problems = Problems(root / split)
    images = []
    for stem in stems:
        path = _image_file(root / "JPEGImages", stem)
        if path is None:
            problems.add("missing image file, dropped", stem)
            continue
        try:
            objects, size = _read_objects(root, stem, path, names, colors, problems)
        except UNREADABLE as error:
            reason = str(error) if isinstance(error, ValueError) else "image or PNG that cannot be opened"
            problems.add(f"{reason.split(': ')[-1].split(' (')[0]}, dropped", path.name)
            continue
        images.append(LabeledImage(path.relative_to(root / "JPEGImages").as_posix(), path, size, objects))
    data.splits.setdefault(split, []).extend(images)
    data.problems.append(problems)


def _stem(root: Path, line: str) -> str:
    """The image of a line: all of it, as a name may hold spaces, or its first word, if only that is an image."""
    first = line.split()[0]
    photos = root / "JPEGImages"
    return first if not _image_file(photos, line) and _image_file(photos, first) else line


def _image_file(folder: Path, stem: str) -> Path | None:
    if ".." in Path(stem).parts or Path(stem).is_absolute():
        return None
    for suffix in (".jpg", *sorted(SUFFIXES)):
        for spelled in (suffix, suffix.upper()):
            if is_file(folder / (stem + spelled)):
                return folder / (stem + spelled)
    return None


def _read_objects(
    root: Path, stem: str, path: Path, names: dict[int, str], colors: dict[int, int], problems: Problems
) -> tuple[tuple[LabeledObject, ...], tuple[int, int]]:
    instances, in_colors = read_png(root / "SegmentationObject" / f"{stem}.png")
    classes, are_colors = read_png(root / "SegmentationClass" / f"{stem}.png")
    if instances.shape != classes.shape:
        raise ValueError("PNGs of objects and classes of different sizes")
    size = annotated_size(path, *instances.shape)
    objects = []
    for number in ids_of(instances, (0, UNLABELED if in_colors else VOID)):  # as a color, 255 is blue
        mask = instances == number
        values, counts = np.unique(classes[mask], return_counts=True)
        index = int(values[counts.argmax()])
        name = names.get(colors.get(index, -1) if are_colors else index)
        found = from_mask(name, mask) if name is not None else None
        if found:
            objects.append(found)
        else:
            problems.add("object of an unknown class, dropped", path.name)
    return tuple(objects), size


def write(data: LabeledData, folder: Path, request: Writing) -> None:
    """The folders above, with Pascal's colors."""
    if len(data.categories) > MOST:
        raise ValueError(f"{len(data.categories)} classes; Pascal VOC holds {MOST}, so choose another format")
    labels = {name: index for index, name in enumerate(data.categories, start=1)}
    lists = folder / "ImageSets" / "Segmentation"
    for needed in (folder / "SegmentationObject", folder / "SegmentationClass", lists):
        needed.mkdir(parents=True)
    images = list(data.images())
    names = names_to_be_listed(images, request.losses)
    stems = {id(image): Path(name).stem for image, name in zip(images, names, strict=True)}
    for image, name in zip(images, names, strict=True):
        place(image, folder / "JPEGImages" / name, request.images)
        instances, classes = _paint(image, labels, request.losses)
        write_png(folder / "SegmentationObject" / f"{Path(name).stem}.png", instances)
        write_png(folder / "SegmentationClass" / f"{Path(name).stem}.png", classes)
    for split, members in data.splits.items():
        (lists / f"{split}.txt").write_text("".join(f"{stems[id(image)]}\n" for image in members), encoding="utf-8")
    if tuple(data.categories) != PASCAL_CLASSES:
        colors = palette().tolist()
        lines = [f"{name}:{','.join(map(str, colors[i]))}::\n" for i, name in enumerate((BACKGROUND, *labels))]
        (folder / "labelmap.txt").write_text(f"{HEADER}\n" + "".join(lines), encoding="utf-8")


def _paint(image: LabeledImage, labels: dict[str, int], losses: Problems) -> tuple[np.ndarray, np.ndarray]:
    """An image's objects and their classes as indices, with crowds as void."""
    kept = stacked([o for o in image.objects if not o.is_crowd], MOST, image.name, losses)
    instances, classes = np.zeros(image.size, dtype=np.uint8), np.zeros(image.size, dtype=np.uint8)
    for o in image.objects:
        if o.is_crowd:
            losses.add("crowd, written as void without a class", image.name)
            instances[o.mask()] = classes[o.mask()] = VOID
    for number, o, mask in kept:
        instances[mask], classes[mask] = number, labels[o.name]
    return instances, classes
