"""data.yaml: which photographs, which annotations, which classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of images and the COCO file that annotates them."""

    images: Path
    annotations: Path


@dataclass(frozen=True, slots=True)
class DataConfig:
    """A data set: what to train on, and what to measure on."""

    train: tuple[Source, ...]
    """One or several; their classes are brought together by name."""

    val: Source | None = None
    """Where AP is measured. None: there is no validation, and the last weights are all there is."""

    classes: tuple[str, ...] | None = None
    """A choice of the annotated classes, in the order of their labels. None: all, in the order of the first file."""

    @classmethod
    def read(cls, path: Path) -> "DataConfig":
        """Read a data.yaml such as

            train: {images: photos/train, annotations: train.json}   # or a list of such sources
            val: {images: photos/val, annotations: val.json}         # optional
            classes: [person, dog]                                   # optional

        Paths are relative to the folder of the yaml file.

        Raises:
            ValueError: in one line, what is wrong and what to write instead.
        """
        content = _read_yaml(path)
        unknown = sorted(set(content) - {"train", "val", "classes"})
        if unknown:
            raise ValueError(f"{path}: unknown entry {unknown[0]!r}; the entries are train, val and classes")
        if not content.get("train"):
            raise ValueError(f"{path}: no entry train; write train: {{images: FOLDER, annotations: FILE}}")
        train = content["train"] if isinstance(content["train"], list) else [content["train"]]
        return cls(
            train=tuple(_source(path, "train", entry) for entry in train),
            val=_source(path, "val", content["val"]) if content.get("val") else None,
            classes=_classes(path, content.get("classes")),
        )


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{path} does not exist; write one with train: {{images: FOLDER, annotations: FILE}}"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no mapping; write train: {{images: FOLDER, annotations: FILE}}")
    return content


def _source(path: Path, split: str, entry: Any) -> Source:
    if not isinstance(entry, dict) or set(entry) != {"images", "annotations"}:
        raise ValueError(f"{path}: {split} is {entry!r}; write {split}: {{images: FOLDER, annotations: FILE}}")
    images, annotations = (path.parent / Path(str(entry[key])).expanduser() for key in ("images", "annotations"))
    if not images.is_dir():
        raise ValueError(f"{path}: {split} images {entry['images']!r} is no folder; paths are relative to {path.name}")
    if not annotations.is_file():
        raise ValueError(
            f"{path}: {split} annotations {entry['annotations']!r} is no file; paths are relative to {path.name}"
        )
    return Source(images, annotations)


def _classes(path: Path, names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: classes is {names!r}; write a list of names, such as [person, dog]")
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: classes {names} names one twice; name each once")
    return tuple(names)
