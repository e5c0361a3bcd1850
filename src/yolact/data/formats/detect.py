"""Which format a file or folder of annotations has."""

import json
from pathlib import Path
from typing import Any

import yaml

from yolact.data.formats import sbd, voc
from yolact.data.formats.coco_files import annotation_files
from yolact.data.formats.image_files import find_images
from yolact.data.formats.splits import split_folders
from yolact.data.plain_yaml import load_yaml


def detect(source: Path) -> str:
    """The name of the format that a source has.

    Raises:
        ValueError: no such file, none of the formats, or more than one of them.
    """
    if not source.exists():
        raise ValueError(f"{source} does not exist; name a file or folder of annotations")
    found = _of_file(source) if source.is_file() else _of_folder(source)
    if len(found) == 1:
        return found[0]
    what = "could be " + " or ".join(found) if found else "has none of the known layouts"
    raise ValueError(f"{source} {what}; say which with --from")


def _of_file(source: Path) -> list[str]:
    if source.suffix in (".yaml", ".yml"):
        try:
            content: Any = load_yaml(source.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError):
            content = None
        if not isinstance(content, dict):
            raise ValueError(f"{source} is no mapping in YAML; name another file or folder")
        return ["yolo"] if "names" in content else ["coco"] if "train" in content else []
    if source.suffix == ".json":
        try:
            content = json.loads(source.read_bytes())
        except (OSError, ValueError, RecursionError):
            raise ValueError(f"{source} is no JSON; name another file or folder") from None
        if isinstance(content, dict):
            return ["labelme"] * ("shapes" in content) + ["coco"] * ("annotations" in content)
    return []


def _of_folder(source: Path) -> list[str]:
    found = ["voc"] if voc.roots_of(source) else []
    found += ["sbd"] if sbd.root_of(source) else []
    descriptions = [source / "data.yaml"] if (source / "data.yaml").is_file() else sorted(source.glob("*.y*ml"))
    if len(descriptions) == 1:
        found += _of_file(descriptions[0])
    elif (source / "masks").is_dir():
        found += _of_masks(source)
    else:
        found += _of_json_files(source)
    return found


def _of_masks(source: Path) -> list[str]:
    """A folder an image, if one is named after an image; else a folder a class. Without images, either."""
    photos = source / "images"
    stems = {path.relative_to(photos).with_suffix("").as_posix() for path in find_images(photos)}
    folders = {path.parent.relative_to(source / "masks").as_posix() for path in find_images(source / "masks")}
    if stems:  # masks may have no folders of splits, though the images do
        splits = split_folders(photos)
        stems |= {stem.split("/", 1)[1] for stem in stems if stem.split("/", 1)[0] in splits and "/" in stem}
    if not stems:
        return ["masks", "instance-ids"]
    return ["masks"] if stems & folders else ["instance-ids"]


def _of_json_files(source: Path) -> list[str]:
    for file in [*annotation_files(source), *sorted(source.rglob("*.json"))][:20]:
        try:
            found = _of_file(file)
        except ValueError:
            continue  # a damaged file among others; it will be named when it is read
        if found:
            return found
    return []
