"""One file of weights, of ours (`.safetensors`) or of the original code (`.pth`): read it, or say what it is instead.

Neither way of reading runs code from the file, and ours allocates nothing before the header has been checked.
"""

import json
import re
import warnings
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
    return content


def _config_of(metadata: Mapping[str, str]) -> ModelConfig:
    if "config" not in metadata:
        raise ValueError("no yolact config inside; only what yolact.checkpoint.save wrote can be loaded")
    if metadata.get("yolact_format") != FORMAT:
        raise ValueError(f"format {metadata.get('yolact_format')}, this version reads {FORMAT}; update yolact")
    try:
        values = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its config is not JSON ({type(error).__name__})") from error
    if not isinstance(values, dict) or not {"name", "backbone", "class_names"} <= values.keys():
        raise ValueError("its config lacks name, backbone or class_names; get the file again")
    for name, kind in get_type_hints(ModelConfig).items():
        if name in values and not _fits(values[name], kind):
            raise ValueError(f"its config has {name} = {str(values[name])[:60]}, which is of the wrong type")
    config = ModelConfig.from_dict(values)
    if max(config.image_size) > LARGEST_SIDE:
        raise ValueError(f"its config has image_size {config.image_size}; the largest side allowed is {LARGEST_SIDE}")
    return config


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
