"""Where the files of a COCO data set lie: annotations, the split of each, and the folder of its images."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from yolact.data.formats.splits import split_name
from yolact.data.places import is_file, is_folder

ROBOFLOW = "_annotations.coco.json"
"""What Roboflow calls the file of a split, in the folder of its images."""


def annotation_files(source: Path) -> list[Path]:
    """The COCO files of a folder: those for instances, if some are named so, as COCO names them; or Roboflow's."""
    if source.is_file():
        return [source]
    exported = sorted(source.glob(f"*/{ROBOFLOW}"))
    if exported:
        return exported
    for folder in (source / "annotations", source):
        files = sorted(folder.glob("*.json"))
        files = [file for file in files if file.stem.startswith("instances")] or files
        if files:
            return files
    return []


def other_files(folder: Path, named: Collection[Path]) -> list[Path]:
    """The COCO files of a folder that its data.yaml does not name, as it has no entry for a test split."""
    known = {path.resolve() for path in named}
    files = [file for file in annotation_files(folder) if file.stem.startswith("instances") or file.name == ROBOFLOW]
    return [file for file in files if file.resolve() not in known]


def splits_of(files: list[Path], taken: Collection[str]) -> list[str]:
    """A split for each file, other than those taken: train, val or test where that tells them apart.

    Otherwise, such as for train2014 and train2017, or train and minival, each file's own name.
    """
    names = [_split_of(file) for file in files]
    if len({*names, *taken}) < len(names) + len(taken):
        names = [split_name(_short(file)) for file in files]
    if len({*names, *taken}) < len(names) + len(taken):
        names = [f"{file.parent.name}-{file.stem}" for file in files]
    return names


def _short(file: Path) -> str:
    return file.parent.name if file.name == ROBOFLOW else file.stem.removeprefix("instances_")


def _split_of(file: Path) -> str:
    """train, val or test, as a file's name begins, or that of its folder; train if nothing says."""
    match = re.match(r"train|val|test", _short(file))
    return match[0] if match else "train"


def images_folder(file: Path, content: dict[str, Any], photos: Path | None) -> Path:
    """The folder in which some of the images lie, of those that data sets have beside their annotations.

    Raises:
        ValueError: there are images, but none in any of them.
    """
    listed = [image.get("file_name") for image in content["images"] if isinstance(image, dict)]
    names = [name for name in listed if isinstance(name, str) and name]
    parent = file.parent.parent if file.parent.name == "annotations" else file.parent
    short = file.stem.removeprefix("instances_")
    candidates = [parent / "images" / short, parent / short, parent / "images", parent, file.parent]
    if photos is not None:
        candidates = [photos / short, photos]
    elif noted_folder(content):
        candidates.append(Path(noted_folder(content)))
    for folder in candidates:
        if is_folder(folder) and (not names or any(is_there(folder, name) for name in names)):
            return folder
    tried = ", ".join(str(folder) for folder in dict.fromkeys(candidates))
    raise ValueError(f"the images of {file} are not in {tried}; say where with --photos FOLDER")


def noted_folder(content: dict[str, Any]) -> str:
    """The images' folder that a file says by itself, as those do that are written without images; else nothing."""
    info = content.get("info")
    folder = info.get("images") if isinstance(info, dict) else None
    return folder if isinstance(folder, str) else ""


def is_there(folder: Path, name: str) -> bool:
    """Whether a folder has this file, or has it as a name from Windows with \\ for /."""
    return any(is_file(folder / spelled) for spelled in (name, _with_slashes(name)))


def respelled(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same content, in which images have the names that their files have here: with / for the \\ of Windows."""
    images = []
    for image in content["images"]:
        name = image.get("file_name") if isinstance(image, dict) else None
        if isinstance(name, str) and "\\" in name and not is_file(folder / name):
            image = {**image, "file_name": _with_slashes(name)}
        images.append(image)
    return {**content, "images": images}


def _with_slashes(name: str) -> str:
    return name.replace("\\", "/")
