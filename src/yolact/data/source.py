"""data.yaml: which photographs, which annotations, which classes. Two come with the package: coco2017 and sbd."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact.data.places import expanded, is_file, is_folder
from yolact.data.plain_yaml import load_yaml

CATALOG = Path(__file__).parent / "catalog"
"""Descriptions of published data sets, each as a data.yaml that might lie in the folder that holds the data set."""

ENTRIES = ("train", "val", "classes", "origin")


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of images and the COCO file that annotates them."""

    images: Path
    annotations: Path


@dataclass(frozen=True, slots=True)
class DataConfig:
    """A data set: what to train on, and what to measure on."""

    train: tuple[Source, ...]
    """One or several; their classes are brought together by name. None where there is only something to measure on."""

    val: Source | None = None
    """Where AP is measured. None: there is no validation, and the last weights are all there is."""

    classes: tuple[str, ...] | None = None
    """A choice of the annotated classes, in the order of their labels. None: all, in the order of the first file."""

    category_ids: tuple[int, ...] | None = None
    """The id that the annotation files should give each of `classes`. None: any; classes are told apart by name."""

    @classmethod
    def read(cls, path: Path | str, root: Path | None = None, needs: str = "train") -> "DataConfig":
        """Read a data.yaml such as

            train: {images: photos/train, annotations: train.json}   # or a list of such sources
            val: {images: photos/val, annotations: val.json}         # optional
            classes: [person, dog]                                   # optional; {1: person, 18: dog} also says the ids

        Paths are relative to the folder of the yaml file. `images` and `annotations` may list places of which one
        exists, and `origin` say where the data set is published.

        Args:
            path: the file, or the name of a published data set (see `locate`).
            root: the folder that holds the published data set.
            needs: the entry that has to be there, `train` or `val`.

        Raises:
            ValueError: in one line, what is wrong and what to write instead.
        """
        path = locate(path, root)
        content = _read_yaml(path)
        unknown = sorted(str(key) for key in set(content) - set(ENTRIES))
        if unknown:
            raise ValueError(f"{path}: unknown entry {unknown[0]!r}; the entries are train, val and classes")
        if not content.get(needs):
            raise ValueError(f"{path}: no entry {needs}; write {needs}: {{images: FOLDER, annotations: FILE}}")
        train = content.get("train") or []
        train = train if isinstance(train, list) else [train]
        remedy = f"paths are relative to {path.name}"
        if content.get("origin"):
            remedy = f"{path.stem} is published at {content['origin']}; --root names the folder that holds it"
        return cls(
            train=tuple(_source(path, "train", entry, remedy) for entry in train),
            val=_source(path, "val", content["val"], remedy) if content.get("val") else None,
            classes=_classes(path, content.get("classes")),
            category_ids=tuple(content["classes"]) if isinstance(content.get("classes"), dict) else None,
        )


def published() -> tuple[str, ...]:
    """The names of the data sets whose description comes with the package."""
    return tuple(sorted(file.stem for file in CATALOG.glob("*.yaml")))


def locate(path: Path | str, root: Path | None = None) -> Path:
    """Where the data.yaml of a data set is, or would be.

    `coco2017` in the folder `root` (None: in a folder of its own name, or in the current one) becomes
    `root/coco2017.yaml`. No such file need be there: `DataConfig.read` then takes the package's own.

    Raises:
        ValueError: a root for something else than the name of a published data set.
    """
    path = Path(path).expanduser()
    if path.is_file() or path.name not in published():
        if root is not None:
            raise ValueError(f"--root {root} is for {', '.join(published())}; paths in {path} are relative to itself")
        return path
    if root is not None and path.parent != Path():
        raise ValueError(f"{path} names a folder, and --root {root} another; give {path.name} and one of them")
    if root is None:
        root = path if path.is_dir() else path.parent
    if not root.expanduser().is_dir():
        raise ValueError(f"--root {root} is no folder; name the one that holds {path.name}")
    return root.expanduser() / f"{path.name}.yaml"


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    file = CATALOG / path.name if path.stem in published() and not path.exists() else path
    try:
        content = load_yaml(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{path} does not exist; write one with train: {{images: FOLDER, annotations: FILE}}"
        ) from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no mapping; write train: {{images: FOLDER, annotations: FILE}}")
    return content


def _source(path: Path, split: str, entry: Any, remedy: str) -> Source:
    if not isinstance(entry, dict) or set(entry) != {"images", "annotations"}:
        raise ValueError(f"{path}: {split} is {entry!r}; write {split}: {{images: FOLDER, annotations: FILE}}")
    images = _the_one(path, f"{split} images", entry["images"], is_folder, f"is no folder; {remedy}")
    annotations = _the_one(path, f"{split} annotations", entry["annotations"], is_file, f"is no file; {remedy}")
    return Source(images, annotations)


def _the_one(path: Path, entry: str, names: Any, exists: Callable[[Path], bool], otherwise: str) -> Path:
    """The one place of those that an entry lists that exists."""
    names = names if isinstance(names, list) else [names]
    there = [place for place in (_relative(path, name) for name in names) if exists(place)]
    if not there:
        raise ValueError(f"{path}: {entry} {' or '.join(repr(name) for name in names)} {otherwise}")
    if len(there) > 1:
        raise ValueError(f"{path}: {entry} is {there[0]} as well as {there[1]}; list several sources, or remove one")
    return there[0]


def _relative(path: Path, name: Any) -> Path:
    return path.parent / expanded(str(name))


def _classes(path: Path, names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, dict) and all(type(number) is int for number in names):
        names = list(names.values())
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: classes is {names!r}; write a list of names, such as [person, dog]")
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: classes {names} names one twice; name each once")
    return tuple(names)
