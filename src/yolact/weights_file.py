"""One file of weights, of ours (`.safetensors`) or of the original code (`.pth`): read it, or say what it is instead.

Neither way of reading runs code from the file, and ours allocates nothing before the header has been checked.
"""

import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from yolact.config import ModelConfig
from yolact.convert import describe_mismatch, expected_tensors

FORMAT = "1"
"""Of the metadata: `yolact_format`, and `config` as JSON. Changes when an older version could not read it."""

LARGEST_SIDE = 8192
"""Pixels. A file that asks for a larger input is refused: its anchors alone would fill the memory."""

MOST_VALUES = 2**31
"""Numbers at the end of the network, for one photograph, that a file may ask for: 8 GB in float32. COCO's 80 classes at
the largest side take 1.7 billion."""

MOST_REPEATED = 2**28
"""Bytes that one tensor of a `.pth` file may take beyond what the file has of it."""

LONGEST_CONFIG = 4_000_000
"""Characters. Twenty thousand classes with the longest names fit."""


def read_safetensors(path: Path, config: ModelConfig | None = None) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a file that `yolact.checkpoint.save` wrote.

    Args:
        path: the file.
        config: taken in place of the file's own.

    Returns:
        The config and the state dict, in the precision of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: damaged, without a config, or tensors that do not fit the config; they are named.
    """
    from safetensors import SafetensorError, safe_open

    _refuse_missing(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            config = config or _config_of(file.metadata() or {})
            header = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            _check_header(config, {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in header.items()})
            return config, {name: file.get_tensor(name) for name in header}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, incomplete, or no safetensors file ({error}); get it again") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_original(path: Path) -> dict[str, Any]:
    """Read a `.pth` file on the CPU, tensors only: no code in it is ever run. Old files (before zip) work too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file; the message says what it seems to be.
    """
    _refuse_other_files(path)
    _refuse_compressed(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # on the way to an error, torch also warns
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"{path} {_what_was_refused(str(error))}") from error
    except Exception as error:  # bytes that are no checkpoint can raise anything
        if "TorchScript" in str(error):
            raise ValueError(f"{path} is a TorchScript program; give the .pth it was made from") from error
        size = path.stat().st_size
        raise ValueError(f"{path} is damaged or incomplete ({size:,} bytes); download or copy it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors")
    if "pytorch-lightning_version" in content:
        raise ValueError(
            f"{path} is a Lightning training checkpoint; load the .safetensors that training wrote with it"
        )
    nested = [key for key, value in content.items() if isinstance(value, dict)]
    if nested:
        raise ValueError(f"{path} holds {nested[0]!r} among other things; save that dictionary of tensors alone")
    empty = next((key for key, value in content.items() if isinstance(value, Tensor) and not _is_there(value)), None)
    if empty is not None:
        raise ValueError(f"{path} has less data for {str(empty)[:60]} than its shape says; get the file again")
    return content


def _refuse_compressed(path: Path) -> None:
    """A few megabytes of zeros can become gigabytes; torch.save compresses nothing."""
    try:
        if not zipfile.is_zipfile(path):  # an old file; or a damaged one, which it may raise for, too
            return
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # torch says what is wrong with it
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
        sum(entry.file_size for entry in entries) > path.stat().st_size
    ):
        raise ValueError(f"{path} is a compressed archive, which torch.save does not write; get the file again")


def _is_there(value: Tensor) -> bool:
    """Whether all of a tensor is in memory, or it is small: with strides of 0, a terabyte takes no bytes."""
    if value.layout != torch.strided or value.device.type != "cpu":
        return False
    size = value.numel() * value.element_size()
    return size <= max(value.untyped_storage().nbytes(), MOST_REPEATED)


def _config_of(metadata: Mapping[str, str]) -> ModelConfig:
    if "config" not in metadata:
        raise ValueError("no yolact config inside; only what yolact.checkpoint.save wrote can be loaded")
    if metadata.get("yolact_format") != FORMAT:
        raise ValueError(f"format {metadata.get('yolact_format')}, this version reads {FORMAT}; update yolact")
    if len(metadata["config"]) > LONGEST_CONFIG:
        raise ValueError(f"its config has {len(metadata['config']):,} characters; at most {LONGEST_CONFIG:,} are read")
    try:
        values = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its config is not JSON ({type(error).__name__})") from error
    if not isinstance(values, dict) or not {"name", "backbone", "class_names"} <= values.keys():
        raise ValueError("its config lacks name, backbone or class_names; get the file again")
    for name, kind in get_type_hints(ModelConfig).items():
        if name in values and not _fits(values[name], kind):
            raise ValueError(f"its config has {name} = {repr(values[name])[:60]}, which is of the wrong type")
    config = ModelConfig.from_dict(values)
    if max(config.image_size) > LARGEST_SIDE:
        raise ValueError(f"its config has image_size {config.image_size}; the largest side allowed is {LARGEST_SIDE}")
    values = _values_at_the_end(config)
    if values > MOST_VALUES:
        raise ValueError(
            f"its config asks for {values:,} numbers a photograph ({config.num_classes} classes,"
            f" {config.num_prototypes} prototypes, {config.anchors_per_location} anchors a location, {config.width}"
            f" channels at {config.image_size}); at most {MOST_VALUES:,} are allowed"
        )
    return config


def _values_at_the_end(config: ModelConfig) -> int:
    """Of the widest feature map, the prototypes and the predictions: a small file can ask for terabytes of them."""
    height, width = config.image_size
    cells = sum(-(-height // stride) * -(-width // stride) for stride in (8, 16, 32, 64, 128))
    predictions = config.num_classes + 5 + config.num_prototypes
    maps = (height // 4 + 1) * (width // 4 + 1) * (config.width + config.num_prototypes)
    return maps + cells * config.anchors_per_location * predictions


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value from JSON can stand for a field of this type, where tuples have become lists."""
    if isinstance(kind, UnionType):
        return any(_fits(value, option) for option in get_args(kind))
    if get_origin(kind) is Literal:
        return type(value) is str and value in get_args(kind)
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if not isinstance(value, list):
            return False
        if items[-1] is Ellipsis:
            return all(_fits(item, items[0]) for item in value)
        return len(value) == len(items) and all(map(_fits, value, items))
    if kind is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    return type(value) is kind


def _check_header(config: ModelConfig, header: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Before anything is allocated: a header may promise terabytes, and so may a config."""
    expected = expected_tensors(config)
    wrong = []
    for name in expected.keys() & header.keys():
        (shape, kind), like = header[name], expected[name]
        kinds = ("F16", "BF16", "F32", "F64") if like.is_floating_point() else ("I64",)
        if shape != tuple(like.shape) or kind not in kinds:
            wrong.append(f"{name} is {kind} {shape} and should be {kinds[0]} {tuple(like.shape)}")
    complaint = describe_mismatch(
        [name for name in expected if name not in header],
        [name for name in header if name not in expected],
        sorted(wrong),
    )
    if complaint:
        raise ValueError(f"its tensors do not fit its config {config.name}: {complaint}")


def _refuse_missing(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the file of weights in it")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")


def _refuse_other_files(path: Path) -> None:
    _refuse_missing(path)
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise ValueError(f"{path} is empty; download or copy it again")
    if head.lstrip().startswith(b"<"):
        raise ValueError(f"{path} is a web page, not a checkpoint: open the link in a browser and save the file itself")
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a Git LFS pointer, not the file itself; run git lfs pull")
    if head[8:10] == b'{"' and path.suffix == ".safetensors":
        raise ValueError(f"{path} is a safetensors file, and needs no conversion; load it as it is")
    if head[8:10] == b'{"':
        raise ValueError(f"{path} is a safetensors file; rename it to {path.with_suffix('.safetensors').name}")
    if not head.startswith((b"PK", b"\x80")):  # a zip, or a pickle as torch.save wrote it before 2020
        raise ValueError(f"{path} is not a file of torch.save; give the .pth file as it was published")


def _what_was_refused(error: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", error)
    if found is None:
        return "is a pickle that torch.save did not write, or damaged; give the .pth file as it was published"
    package = found[1].split(".")[0]
    if package in ("lightning", "lightning_fabric", "pytorch_lightning", "yolact"):
        return "is a training checkpoint; load the .safetensors that training wrote with it"
    if package in ("ultralytics", "models"):
        return f"is a YOLO model of another project ({found[1]}); only YOLACT checkpoints convert"
    return f"holds a Python object ({found[1]}), which could run code, so it is not read; save a state_dict() instead"
