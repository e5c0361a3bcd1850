"""A model repository for the Triton Inference Server: an exported `.onnx` graph, and what the server must know of it.

Since the graph goes from pixels to finished masks, the server needs no code of anybody's: no pre- and postprocessing
model, no ensemble, no Python backend.
"""

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtimes.exported import Description
from yolact.runtimes.onnxruntime import read
from yolact.whole_files import staging_beside, written_whole

if TYPE_CHECKING:
    import onnx_ir

MAX_BATCH_SIZE = 8
"""Requests that the server puts into one batch; only those of photographs of one size can be."""

QUEUE_DELAY = 2000
"""Microseconds that a request waits at most for others to share its batch."""

TYPES = {
    "FLOAT": "TYPE_FP32",
    "FLOAT16": "TYPE_FP16",
    "UINT8": "TYPE_UINT8",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
}


def add_to_repository(
    graph: str | Path,
    repository: str | Path,
    *,
    name: str | None = None,
    max_batch_size: int = MAX_BATCH_SIZE,
) -> Path:
    """Add an exported graph to a model repository, as the next version of its model, and return the version's folder.

    Args:
        graph: an `.onnx` file of `yolact.export.export`.
        repository: the folder that `tritonserver --model-repository` names; made if it is missing.
        name: of the model in requests. None: the network's.
        max_batch_size: photographs in one request or batch.

    Raises:
        ValueError: no such name can be served, the file is no graph of ours, or the repository has a model of this name
            with other inputs, outputs or classes, which clients of the earlier version rely on.
        OSError: the repository cannot be written. The earlier versions are left as they were.
    """
    graph = Path(graph).expanduser()
    model = read(graph)
    description = Description.from_metadata(model.metadata_props, graph)
    name = description.config.name if name is None else name
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(f"{name!r} cannot be a folder and a part of an address; name the model in letters and digits")
    if max_batch_size < 1:
        raise ValueError(f"max_batch_size is {max_batch_size}; a batch has one photograph or more")
    folder = Path(repository).expanduser() / name
    text = configuration(model, description, name, max_batch_size)
    _refuse_another_interface(folder / "config.pbtxt", text)
    version = folder / str(1 + max(_versions(folder), default=0))
    with staging_beside(version) as staging:  # a hidden folder, which the server takes for no version
        shutil.copyfile(graph, staging / "model.onnx")
        with written_whole(folder / "config.pbtxt") as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        staging.replace(version)
    return version


def configuration(model: "onnx_ir.Model", description: Description, name: str, max_batch_size: int) -> str:
    """The text of `config.pbtxt`."""
    height, width = description.config.image_size
    blocks = [
        f"name: {_quoted(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch_size}",
        *(_tensor("input", value) for value in model.graph.inputs),
        *(_tensor("output", value) for value in model.graph.outputs),
        f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY} }}",
        # The first request would otherwise wait for what a runtime does once.
        "model_warmup {\n"
        '  name: "one photograph"\n'
        "  batch_size: 1\n"
        f"  inputs {{ key: {_quoted(model.graph.inputs[0].name or '')}\n"
        f"    value {{ data_type: TYPE_UINT8 dims: [{height}, {width}, 3] zero_data: true }} }}\n"
        "}",
        f'parameters {{ key: "class_names" value {{ string_value: {_quoted(_names(description))} }} }}',
    ]
    return "\n".join(blocks) + "\n"


def _tensor(role: str, value: "onnx_ir.Value") -> str:
    """An input or output; the server adds the batch's dimension itself, and takes no tensor without another."""
    assert value.shape is not None
    assert value.dtype is not None
    sides = [dimension if isinstance(dimension, int) else -1 for dimension in value.shape.dims[1:]]
    shape = f"dims: {sides}" if sides else "dims: [1] reshape { shape: [] }"
    return f"{role} {{ name: {_quoted(value.name or '')} data_type: {TYPES[value.dtype.name]} {shape} }}"


def _names(description: Description) -> str:
    return json.dumps(list(description.config.class_names))


def _quoted(text: str) -> str:
    """As a text of the protocol buffers' text format, all but plain ASCII by its bytes."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}" for byte in text.encode()
    )
    return f'"{escaped}"'


def _versions(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.glob("[1-9]*") if path.name.isdecimal()]


def _refuse_another_interface(file: Path, text: str) -> None:
    def interface(configuration: str) -> list[str]:
        lines = configuration.splitlines()
        return [line for line in lines if line.startswith(("input", "output", "parameters"))]

    if file.is_file() and interface(file.read_text(encoding="utf-8", errors="replace")) != interface(text):
        raise ValueError(
            f"{file.parent} is a model with other outputs or classes, which its clients rely on; name another --out,"
            " or remove that folder"
        )
