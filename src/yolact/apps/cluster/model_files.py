"""A network on its way to other machines, which need not have its file."""

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.apps.cluster.storage import Folder

if TYPE_CHECKING:
    from yolact.predictor import Predictor
    from yolact.runtimes import Precision, RuntimeKind


FOLDER = "model"


@dataclass(frozen=True)
class ModelFiles:
    """The files, by name; the first is the one to load."""

    files: dict[str, bytes]
    fingerprint: str
    """Of the contents."""

    runtime: "RuntimeKind | None"
    precision: "Precision"
    compile: bool

    def write(self, out: Folder) -> None:
        """Put them into OUT/model, for all machines to read."""
        for name, content in self.files.items():
            out.write(f"{FOLDER}/{name}", content)

    def read(self, out: Folder) -> "ModelFiles":
        """Of one that is known but for the bytes, what `write` has written."""
        return replace(self, files={name: out.read(f"{FOLDER}/{name}") for name in self.files})

    def without_bytes(self) -> "ModelFiles":
        return replace(self, files=dict.fromkeys(self.files, b""))

    def load(self, device: str) -> "Predictor":
        from yolact.predictor import load

        with tempfile.TemporaryDirectory(prefix="yolact-") as folder:
            for name, content in self.files.items():
                (Path(folder) / name).write_bytes(content)
            first = Path(folder) / next(iter(self.files))
            return load(first, device, runtime=self.runtime, precision=self.precision, compile=self.compile)


def pack_model(
    weights: str | None, runtime: "RuntimeKind | None", precision: "Precision" = "float32", compile: bool = False
) -> ModelFiles:
    """Read a network, or a graph that `yolact export` wrote.

    Raises:
        FileNotFoundError, ValueError: as of `yolact.checkpoint.load`.
        ValueError: the runtime is left to each machine, which might choose another than its neighbor.
    """
    from yolact import checkpoint, runtimes

    if runtime == "auto":
        raise ValueError("runtime is auto, which each machine may decide otherwise; name one of them")
    if weights is not None and runtimes.is_graph(weights):
        path = Path(weights).expanduser()
        beside = [path.with_suffix(".bin")] if path.suffix.lower() == ".xml" else []
        files = {file.name: file.read_bytes() for file in [path, *beside]}
        return ModelFiles(files, _fingerprint(files), runtime, precision, compile)
    import safetensors.torch

    network = checkpoint.load(weights)
    header = {"yolact_format": checkpoint.FORMAT, "config": json.dumps(network.config.to_dict())}
    tensors = dict(network.state_dict())
    files = {"model.safetensors": _in_order(safetensors.torch.save(tensors, header))}
    return ModelFiles(files, _fingerprint(files), runtime, precision, compile)


def _in_order(content: bytes) -> bytes:
    """The same file each time: safetensors writes its metadata in an order of chance."""
    end = 8 + int.from_bytes(content[:8], "little")
    text = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def _fingerprint(contents: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(hashlib.sha256(contents[name]).digest())
    return digest.hexdigest()
