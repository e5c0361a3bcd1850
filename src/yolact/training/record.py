"""What a run was asked for, where it ran, and on which data: so that it can be resumed, repeated and trusted."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact.config import ModelConfig
from yolact.data.coco import CocoDataset, Source
from yolact.host import host_facts
from yolact.training.config import TrainConfig
from yolact.whole_files import written_whole

RECORD = "run.json"

PACKAGES = ("yolact", "torchvision", "timm", "lightning", "faster-coco-eval", "opencv-python-headless", "pillow")


@dataclass(frozen=True)
class Record:
    """The content of `run.json`."""

    data: str
    """The data.yaml, as an absolute path."""

    model: ModelConfig
    train: TrainConfig
    processes: int
    """How many train together: batches are shared out among them."""

    environment: dict[str, Any]
    """Processor, memory, and the versions of everything that computes."""

    fingerprints: dict[str, str]
    """Of each split: the same as long as annotations and image files are."""

    def write(self, folder: Path) -> None:
        content = {
            "data": self.data,
            "model": self.model.to_dict(),
            "train": self.train.to_dict(),
            "processes": self.processes,
            "environment": self.environment,
            "fingerprints": self.fingerprints,
        }
        with written_whole(folder / RECORD) as unfinished:
            unfinished.write_text(json.dumps(content, indent=2))

    def facts(self) -> dict[str, dict[str, Any]]:
        """What must be the same for all processes that train together; where each caches and reads is its own."""
        recipe = {name: value for name, value in self.train.to_dict().items() if name not in ("cache", "init")}
        versions = {name: self.environment.get(name) for name in ("torch", *PACKAGES)}
        return {"data": self.fingerprints, "recipe": recipe, "network": self.model.to_dict(), "versions": versions}

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """
        Raises:
            ValueError: the file is missing, damaged, or of another version.
        """
        try:
            content = json.loads((folder / RECORD).read_text())
            model, train = ModelConfig.from_dict(content["model"]), TrainConfig.from_dict(content["train"])
            rest = (content[name] for name in ("processes", "environment", "fingerprints"))
            return cls(content["data"], model, train, *rest)
        except (OSError, KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError) as error:
            raise ValueError(f"{folder / RECORD} cannot be used ({type(error).__name__}: {str(error)[:200]})") from None


def environment() -> dict[str, Any]:
    """Where a run takes place."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return host_facts() | versions


def fingerprint(sources: Iterable[Source], dataset: CocoDataset) -> str:
    """A hash of the annotation files, and of the names and sizes of the images that are used.

    Not of the pixels: reading a terabyte at each start would cost more than it tells.
    """
    digest = hashlib.sha256()
    for source in sources:
        with source.annotations.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for record in dataset.records:
        digest.update(f"{record.path.name} {record.path.stat().st_size} {record.size}\n".encode())
    digest.update(json.dumps(dataset.classes).encode())
    return digest.hexdigest()
