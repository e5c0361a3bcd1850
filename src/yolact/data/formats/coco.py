"""COCO: one JSON file a split, with polygons or RLE, crowds, and ids of its own for classes and images."""

import json
import os
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from yolact.data.annotations import Problems, category_names, read_json, read_records
from yolact.data.formats.coco_files import (
    annotation_files,
    images_folder,
    noted_folder,
    other_files,
    respelled,
    splits_of,
)
from yolact.data.formats.image_files import names_in_one_place, place
from yolact.data.formats.request import Reading, Writing
from yolact.data.formats.splits import KNOWN
from yolact.data.labeled import LabeledData, LabeledImage, LabeledObject, from_polygons, from_rle
from yolact.data.objects import ObjectRecord
from yolact.data.source import DataConfig, Source

HOLDS = {
    "images": {"id", "file_name", "width", "height"},
    "annotations": {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"},
    "categories": {"id", "name"},
}
"""The keys that are carried over; areas and boxes are measured anew from the masks."""


def read(source: Path, request: Reading) -> LabeledData:
    """Read a data.yaml, an annotation file, or a folder of annotation files such as COCO's own.

    A folder with a data.yaml is read as that says; splits that it has no entry for, such as test, follow.

    Raises:
        ValueError: a file that is not COCO's layout, or whose images are nowhere to be found.
    """
    data = LabeledData({}, {})
    only = None
    description = source / "data.yaml" if source.is_dir() else source
    if description.suffix in (".yaml", ".yml") and description.is_file():
        config = DataConfig.read(description)
        only = config.classes
        files = _add_described(data, config, description.parent)
        if files and source.is_file():
            named = ", ".join(file.name for file in files)
            data.notes.append(f"{source.name}: has no entry for {named}, not read; name the folder to read all")
            files = []
        if request.photos and not files:
            raise ValueError(f"--photos {request.photos}, but {description} says where the images are; leave it out")
    else:
        files = annotation_files(source)
        if not files:
            raise ValueError(f"{source} has no annotation file such as annotations/instances_train.json; name the file")
    for split, file in zip(splits_of(files, data.splits), files, strict=True):
        content = read_json(file)
        _add_file(data, split, Source(images_folder(file, content, request.photos), file), content, only)
    return _with_distinct_ids(data)


def _add_described(data: LabeledData, config: DataConfig, folder: Path) -> list[Path]:
    """Read what a data.yaml names; what lies beside it unnamed is returned."""
    val = (config.val,) if config.val else ()
    for split, sources in (("train", config.train), ("val", val)):
        for place_of in sources:
            _add_file(data, split, place_of, read_json(place_of.annotations), config.classes)
    return other_files(folder, [place_of.annotations for place_of in (*config.train, *val)])


def _with_distinct_ids(data: LabeledData) -> LabeledData:
    """Image ids that several files of a split use are given up."""
    for split, images in data.splits.items():
        often = Counter(image.image_id for image in images)
        data.splits[split] = [i if often[i.image_id] == 1 else replace(i, image_id=None) for i in images]
    return data


def _add_file(
    data: LabeledData, split: str, source: Source, content: dict[str, Any], only: tuple[str, ...] | None
) -> None:
    names = category_names(content, source.annotations)
    for name in only or ():  # in the order of their labels, even those that are not there
        data.categories.setdefault(name, None)
    for number, name in names.items():
        if (only is None or name in only) and data.categories.get(name) is None:
            data.categories[name] = number
    left_out = [name for name in dict.fromkeys(names.values()) if name not in data.categories]
    if left_out:
        data.notes.append(f"{source.annotations.name}: left out, as classes does not list them: {', '.join(left_out)}")
    if len(set(names.values())) < len(names):
        data.notes.append(f"{source.annotations.name}: categories of the same name, joined to one")
    images, problems = _read_file(content, source, list(data.categories))
    data.splits.setdefault(split, []).extend(images)
    data.problems.append(problems)
    more = _keys_not_held(content)
    if more:
        data.notes.append(f"{source.annotations.name}: not carried over: {', '.join(more)}")


def _read_file(content: dict[str, Any], source: Source, names: list[str]) -> tuple[list[LabeledImage], Problems]:
    content = respelled(content, source.images)
    records, problems = read_records(content, source, {name: label for label, name in enumerate(names)})
    images = []
    for record in records:
        name = Path(os.path.relpath(record.path, source.images)).as_posix()
        objects = tuple(o for r in record.objects if (o := _read_object(r, record.size, names, name, problems)))
        images.append(LabeledImage(name, record.path, record.size, objects, record.image_id))
    return images, problems


def _read_object(
    o: ObjectRecord, size: tuple[int, int], names: list[str], image: str, problems: Problems
) -> LabeledObject | None:
    if isinstance(o.segmentation, dict):
        return from_rle(names[o.label], o.segmentation, size, o.is_crowd)
    found = from_polygons(names[o.label], o.segmentation, size, o.is_crowd)
    if found is None:
        problems.add("polygon that covers no pixel, dropped", image)
    return found


def _keys_not_held(content: dict[str, Any]) -> list[str]:
    more = [key for key in content if key not in HOLDS and not (key == "info" and noted_folder(content))]
    for kind, held in HOLDS.items():
        keys = {key for entry in content[kind] if isinstance(entry, dict) for key in entry} - held
        more += [f"{key} of {kind}" for key in sorted(keys)]
    return more


def write(data: LabeledData, folder: Path, request: Writing) -> None:
    """annotations/instances_SPLIT.json, images/SPLIT if images are wanted there, and a data.yaml for `yolact train`."""
    ids = category_ids(data.categories)
    if any(number not in (None, ids[name]) for name, number in data.categories.items()):
        request.notes.append("category ids that two classes share, numbered anew")
    (folder / "annotations").mkdir()
    entries = {}
    for split, images in data.splits.items():
        file, root = f"annotations/instances_{split}.json", f"images/{split}"
        if request.images == "none":
            root, names = _where_they_are(images)
        else:
            names = names_in_one_place(images, request.losses)
            for image, name in zip(images, names, strict=True):
                place(image, folder / root / name, request.images)
        content = _content(images, names, ids, request)
        if request.images == "none" and images:
            content = {"info": {"images": root}} | content  # a data.yaml has no place for it but for train and val
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
        if split in ("train", "val") and images:
            entries[split] = {"images": root, "annotations": file}
    others = [split for split in data.splits if split not in KNOWN]
    if "train" in entries:
        if others:
            request.notes.append(f"data.yaml names train and val, and has no entry for {', '.join(others)}")
        text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)
        (folder / "data.yaml").write_text(text, encoding="utf-8")
    else:
        request.notes.append("no images in a split called train: no data.yaml was written")


def category_ids(categories: dict[str, int | None]) -> dict[str, int]:
    """An id for each class: its own, or the smallest one that is free."""
    ids: dict[str, int] = {}
    for name, number in categories.items():
        if number is not None and number not in ids.values():
            ids[name] = number
    free = (number for number in count(1) if number not in set(ids.values()))
    return {name: ids[name] if name in ids else ids.setdefault(name, next(free)) for name in categories}


def _where_they_are(images: list[LabeledImage]) -> tuple[str, list[str]]:
    """The folder that all images are in, and their paths from there."""
    paths = [image.path.absolute() for image in images]
    names = {path.as_posix().removesuffix(image.name) for path, image in zip(paths, images, strict=True)}
    # The images' own folder, if it is one for all; names then stay as they were.
    root = names.pop() if len(names) == 1 else os.path.commonpath([path.parent for path in paths]) if paths else "."
    return Path(root).as_posix(), [path.relative_to(root).as_posix() for path in paths]


def _content(images: list[LabeledImage], names: list[str], ids: dict[str, int], request: Writing) -> dict[str, Any]:
    numbers = _image_ids(images)
    listed, annotations = [], []
    for image, name, number in zip(images, names, numbers, strict=True):
        height, width = image.size
        listed.append({"id": number, "file_name": name, "width": width, "height": height})
        for o in image.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": ids[o.name],
                    "iscrowd": int(o.is_crowd),
                    "area": o.area,
                    "bbox": o.box,
                    "segmentation": _segmentation(o, request),
                }
            )
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": listed, "annotations": annotations, "categories": categories}


def _image_ids(images: list[LabeledImage]) -> list[int]:
    """Their own ids where they have some, and others for the rest."""
    taken = {image.image_id for image in images}
    free = (number for number in count(1) if number not in taken)
    return [next(free) if image.image_id is None else image.image_id for image in images]


def _segmentation(o: LabeledObject, request: Writing) -> Any:
    if o.is_crowd or request.masks == "rle":
        return o.rle
    if o.polygons is not None:
        return o.polygons
    return o.outline_polygons() if request.masks == "polygons" else o.rle
