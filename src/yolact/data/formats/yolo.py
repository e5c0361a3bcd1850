"""YOLO as Ultralytics reads it: a text file an image, with one polygon in fractions of the image on each line.

A line holds one ring, so parts and holes are joined by bridges of no width. Where a polygon cannot be written so that
it comes back with the same pixels, the outline of its mask along the pixels' edges is written instead: that always can.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from yolact.data.annotations import Problems
from yolact.data.formats.image_files import find_images, inner_path, names_to_be_found, place
from yolact.data.formats.request import Reading, Writing
from yolact.data.formats.splits import KNOWN, split_name
from yolact.data.formats.text_lists import read_lines
from yolact.data.formats.upright import as_upright, from_upright, upright_size
from yolact.data.labeled import LabeledData, LabeledImage, LabeledObject, from_polygons, polygon_flaw
from yolact.data.outlines import join
from yolact.data.places import is_file, is_folder
from yolact.data.plain_yaml import load_yaml
from yolact.images import SUFFIXES, UNREADABLE

SETTINGS = ("path", "names", "nc", "download")
"""Keys of a data.yaml that name no images."""

DECIMALS = 9
"""Of fractions in the text. They say where a corner is to 0.0001 pixel in images of up to 50000 pixels."""

PIXEL_DECIMALS = 4
"""Corners are rounded to so many when read, which brings back those that were written, such as 116.5, exactly."""


def read(source: Path, request: Reading) -> LabeledData:
    """Read a data.yaml with names, train, val and test, or the folder that has one.

    Raises:
        ValueError: a data.yaml that is not of this layout.
    """
    file = data_yaml(source)
    content = _content(file)
    names = _names(content, file)
    root = file.parent / str(content.get("path") or ".")
    root = root if is_folder(root) else file.parent  # `path` is often that of the machine on which the file was written
    data = LabeledData({}, dict.fromkeys(names.values()))
    if len(data.categories) < len(names):
        data.notes.append(f"{file.name}: classes of the same name, joined to one")
    for key, entries in _splits(content, (root, file.parent), data.notes).items():
        problems = Problems(file)
        images = data.splits.setdefault(split_name(key), [])
        for entry in entries:
            for path, name in _images(root, file.parent, str(entry), problems):
                image = _read_image(path, name, names, problems)
                images += [image] if image else []
        data.problems.append(problems)
    if not data.splits:
        raise ValueError(f"{file} has no entry train, val or test; write train: images/train")
    return data


def _splits(content: dict[str, Any], roots: tuple[Path, Path], notes: list[str]) -> dict[str, list[Any]]:
    """The keys that name images, with their entries: train, val and test, and others where there are images."""
    found = {}
    for key, entry in content.items():
        entries = entry if isinstance(entry, list) else [entry]
        if key in SETTINGS or not entry:
            continue
        if split_name(str(key)) in KNOWN:
            found[str(key)] = entries
        elif all(isinstance(one, str) for one in entries):
            if all(_has_images(_located(roots, one)) for one in entries):
                found[str(key)] = entries
            else:
                notes.append(f"data.yaml: not read: {key}")
    return found


def _located(roots: tuple[Path, Path], entry: str) -> Path:
    """What an entry names, below the data set's root or beside its data.yaml; if it is in neither, below the root.

    Roboflow writes ../train/images for the folder train/images beside the data.yaml.
    """
    candidates = [root / spelled for spelled in (entry, entry.removeprefix("../")) for root in roots]
    return next((path for path in candidates if is_file(path) or is_folder(path)), candidates[0])


def _has_images(place_of: Path) -> bool:
    if is_folder(place_of):
        return place_of.resolve().parent != place_of.resolve() and bool(find_images(place_of))
    lines = read_lines(place_of) if place_of.suffix == ".txt" and is_file(place_of) else []
    return bool(lines) and Path(lines[0].strip()).suffix.lower() in SUFFIXES


def data_yaml(source: Path) -> Path:
    """The description of a data set: the file itself, or the only one in a folder."""
    if not source.is_dir():
        return source
    files = [source / "data.yaml"] if (source / "data.yaml").is_file() else sorted(source.glob("*.y*ml"))
    if len(files) != 1:
        raise ValueError(f"{source} has {len(files)} files .yaml; name the one with names: and train:")
    return files[0]


def _content(file: Path) -> dict[str, Any]:
    try:
        content = load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no mapping; write names: [person, dog] and train: images/train")
    return content


def _names(content: dict[str, Any], file: Path) -> dict[int, str]:
    names = content.get("names")
    names = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(names, dict) or not names or not all(isinstance(key, int) and key >= 0 for key in names):
        raise ValueError(f"{file}: names is {names!r}; write names: [person, dog], or {{0: person, 1: dog}}")
    for key, name in names.items():
        if isinstance(name, bool) or not isinstance(name, str | int):  # YAML reads no as false, and 1.10 as 1.1
            raise ValueError(f"{file}: the name of class {key} is read as {name!r}; put it between quotes")
    return {key: str(names[key]) for key in sorted(names)}


def _images(root: Path, beside: Path, entry: str, problems: Problems) -> list[tuple[Path, str]]:
    """The images of a folder, or of a text file that lists them, with their names in the data set."""
    place_of = _located((root, beside), entry)
    if is_folder(place_of):
        _refuse_all(place_of, problems.file)
        found = [(path, path.relative_to(place_of).as_posix()) for path in find_images(place_of)]
        labels = label_file(place_of / "x").parent
        orphans = {p.with_suffix("") for p in labels.rglob("*.txt")} - {label_file(p).with_suffix("") for p, _ in found}
        for orphan in sorted(orphans - {labels / "classes"}):  # LabelImg lists the classes in classes.txt
            problems.add("label file whose image is missing, dropped", f"{orphan.relative_to(labels).as_posix()}.txt")
        return found
    if not is_file(place_of):
        what = f"{entry!r} is neither a folder of images nor a list of them in {root}"
        raise ValueError(f"{problems.file}: {what}; correct it, or take it out")
    listed = []
    for line in map(str.strip, read_lines(place_of)):
        path = (place_of.parent / line) if line.startswith("./") else (root / line)
        listed.append((path, inner_path(line.removeprefix("./").removeprefix("images/")) or path.name))
    return listed


def _refuse_all(folder: Path, file: Path) -> None:
    """Reading it would take hours, and nobody means it."""
    if folder.resolve().parent == folder.resolve():
        raise ValueError(f"{file} names {folder}, which is all of this machine's files; name the folder of the images")


def label_file(image: Path) -> Path:
    """.../labels/....txt for .../images/....jpg: the last folder of that name counts."""
    parts = list(image.parts)
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def _read_image(path: Path, name: str, names: dict[int, str], problems: Problems) -> LabeledImage | None:
    try:
        with Image.open(path) as opened:
            size, orientation = upright_size(opened)
    except FileNotFoundError:
        problems.add("missing image file, dropped", name)
        return None
    except UNREADABLE:
        problems.add("image that cannot be opened, dropped", name)
        return None
    try:
        text = label_file(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = ""  # an image without objects
    except (OSError, UnicodeDecodeError):
        problems.add("label file that cannot be read, dropped with its image", name)
        return None
    objects = []
    for line in filter(str.strip, text.splitlines()):
        found, flaw = _read_line(line, size, names)
        objects += [found] if found else []
        if flaw:
            problems.add(flaw, name)
    return from_upright(LabeledImage(name, path, size, tuple(objects)), orientation)


def _read_line(line: str, size: tuple[int, int], names: dict[int, str]) -> tuple[LabeledObject | None, str | None]:
    """The object of a line, or None; and what is wrong with it, if anything."""
    try:
        label, *fractions = (float(word) for word in line.split())
    except ValueError:
        return None, "line that is not all numbers, dropped"
    if label not in names:
        return None, f"label {label:g}, which has no name, dropped"
    if len(fractions) == 4:
        return None, "box without a mask, dropped"
    flaw = polygon_flaw(fractions, (1, 1))
    if flaw:
        return None, flaw
    corners = np.array(fractions).reshape(-1, 2)
    flaw = "polygon that reaches out of its image, clipped" if corners.min() < 0 or corners.max() > 1 else None
    corners = (corners.clip(0, 1) * np.array(size[::-1])).round(PIXEL_DECIMALS)
    found = from_polygons(names[int(label)], [corners.ravel().tolist()], size)
    return found, flaw if found else "polygon that covers no pixel, dropped"


def write(data: LabeledData, folder: Path, request: Writing) -> None:
    """images/SPLIT, labels/SPLIT and data.yaml."""
    labels = {name: label for label, name in enumerate(data.categories)}
    content: dict[str, Any] = {}
    for split, images in data.splits.items():
        names = names_to_be_found(images, request.losses)
        for image, name in zip(images, names, strict=True):
            place(image, folder / "images" / split / name, request.images)
            lines = _lines(as_upright(image), labels, request.losses)
            text = label_file(folder / "images" / split / name)
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        content[split] = f"images/{split}"
    content["names"] = {label: name for name, label in labels.items()}
    # Without `path`, Ultralytics takes the folder of this file.
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    if "val" not in content:
        request.notes.append("no split called val, which Ultralytics asks for; --val-share 0.2 makes one")


def _lines(image: LabeledImage, labels: dict[str, int], losses: Problems) -> list[str]:
    lines = []
    for o in image.objects:
        if o.is_crowd:
            losses.add("crowd, dropped", image.name)
            continue
        lines.append(f"{labels[o.name]} {_ring_text(o)}")
    return lines


def _ring_text(o: LabeledObject) -> str:
    """The corners of one ring that comes back with the object's pixels: from its polygons, or else from its mask."""
    if o.polygons is not None:
        text = _text(join([np.array(polygon).reshape(-1, 2) for polygon in o.polygons]), o.size)
        found, _ = _read_line(f"0 {text}", o.size, {0: o.name})
        if found is not None and found.counts == o.counts:
            return text
    return _text(np.array(o.ring()).reshape(-1, 2), o.size)


def _text(corners: np.ndarray, size: tuple[int, int]) -> str:
    fractions = (corners / np.array(size[::-1])).clip(0, 1)
    return " ".join(f"{fraction:.{DECIMALS}f}".rstrip("0").rstrip(".") for fraction in fractions.ravel().tolist())
