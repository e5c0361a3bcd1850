"""A wrong file is refused in one line that says what it is, before anything is allocated or run."""

import json
import pickle
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from originals import checkpoint
from yolact.checkpoint import convert_file, load, save
from yolact.model import build_model
from yolact.presets import yolact_mobilenetv4
from yolact.weights_file import read_original

CONFIG = yolact_mobilenetv4(image_size=(96, 128), class_names=("a", "b"), category_ids=(), width=32, num_prototypes=8)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("saved") / "small.safetensors", build_model(CONFIG))


def rewritten(source: Path, out: Path, drop: str = "", shape: Any = None, **config: Any) -> Path:
    """A copy of a file with some tensors and config fields changed."""
    with safe_open(source, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors.pop(drop, None)
    metadata["config"] = json.dumps({**json.loads(metadata["config"]), **config})
    save_file(tensors | (shape or {}), out, metadata)
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": "semantic.bias"}, r"missing: semantic\.bias$"),
        ({"shape": {"extra": torch.zeros(1)}}, r"unexpected: extra$"),
        ({"shape": {"semantic.bias": torch.zeros(3)}}, r"semantic\.bias is F32 \(3,\) and should be F16 \(2,\)"),
        ({"shape": {"semantic.bias": torch.zeros(2, dtype=torch.int64)}}, r"semantic\.bias is I64"),
        ({"width": 3000}, "wrong shape"),
        ({"width": 10**7}, "asks for 8,250,018,165 numbers a photograph"),
        ({"num_prototypes": 10**15}, "asks for [0-9,]+ numbers a photograph"),
        ({"image_size": [10**6, 10**6]}, "largest side allowed is 8192"),
        ({"image_size": [96.5, 96]}, "image_size .* wrong type"),
        ({"coefficient_activation": "relu"}, "coefficient_activation = 'relu', which is of the wrong type"),
        ({"width": "32"}, "width = '32', which is of the wrong type"),
        ({"parity": 1}, "parity"),
        ({"class_names": "ab"}, "class_names = 'ab', which is of the wrong type"),
        ({"class_names": ["a", "b", "c"]}, r"head\.class_logits\.bias"),
        ({"backbone": "hf-hub:someone/something"}, "backbone"),
        ({"backbone": "resnet101"}, "missing"),
        ({"colour": "red"}, r"unknown config fields \['colour'\]"),
    ],
)
def test_header_is_checked_first(
    saved: Path, tmp_path: Path, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rewritten(saved, tmp_path / "changed.safetensors", **changes)
    monkeypatch.setattr("yolact.checkpoint.build_model", lambda config: pytest.fail("allocated"))
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_header_that_promises_terabytes(tmp_path: Path) -> None:
    wide = replace(CONFIG, width=10**6)
    entry = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
    header = {"__metadata__": {"yolact_format": "1", "config": json.dumps(wide.to_dict())}, "semantic.weight": entry}
    content = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    with pytest.raises(ValueError, match="damaged"):
        load(path)


def test_truncated_and_foreign_safetensors(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"damaged, incomplete, or no safetensors file"):
        load(path)
    path.write_bytes(b"not a safetensors file at all")
    with pytest.raises(ValueError, match=r"damaged, incomplete, or no safetensors file"):
        load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no yolact config inside"):
        load(path)
    save_file({"a": torch.zeros(1)}, path, {"yolact_format": "2", "config": "{}"})
    with pytest.raises(ValueError, match="format 2, this version reads 1"):
        load(path)
    save_file({"a": torch.zeros(1)}, path, {"yolact_format": "1", "config": "[" * 100_000})
    with pytest.raises(ValueError, match="not JSON"):
        load(path)


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def write_wrong_file(kind: str, path: Path) -> None:
    if kind == "web page":
        path.write_text("\n<!DOCTYPE html><html>Sign in</html>")
    elif kind == "Git LFS pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "damaged or incomplete":
        torch.save(checkpoint("yolact_resnet50"), path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "damaged or incomplete.":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("word/document.xml", "no tensors")
    elif kind == "safetensors file":
        save_file({"a": torch.zeros(1)}, path)
    elif kind == "not a file of torch.save":
        path.write_text("epoch,loss\n1,2\n")
    elif kind == "pickle that torch.save did not write":
        path.write_bytes(pickle.dumps(Malicious()))
    elif kind == "holds a Python object":
        torch.save({"model": Malicious()}, path)
    else:
        torch.save(WRONG_CONTENT[kind], path)


WRONG_CONTENT: dict[str, Any] = {
    "holds a list": [torch.zeros(1)],
    "Lightning training checkpoint": {"pytorch-lightning_version": "2.6", "state_dict": {"a": torch.zeros(1)}},
    "holds 'state_dict' among other things": {"epoch": 3, "state_dict": {"a": torch.zeros(1)}},
    "ImageNet backbone": {"layer1.0.conv1.weight": torch.zeros(1), "conv1.weight": torch.zeros(1)},
}
WRONG_FILES = [
    *("web page", "Git LFS pointer", "folder", "empty", "damaged or incomplete", "damaged or incomplete."),
    *("safetensors file", "not a file of torch.save", "pickle that torch.save did not write", "holds a Python object"),
    *WRONG_CONTENT,
]


@pytest.mark.parametrize("kind", WRONG_FILES)
def test_wrong_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "resnet101_reducedfc.pth"
    write_wrong_file(kind, path)
    with pytest.raises(ValueError, match=kind.rstrip(".")) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("executed").exists()


def test_truncated_old_format(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(checkpoint("yolact_resnet50"), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for kept in (30, 2000, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:kept])
        with pytest.raises(ValueError, match=r"x\.pth (is|holds)"):
            load(path)


def test_ultralytics_file(tmp_path: Path) -> None:
    path = tmp_path / "yolo11n-seg.pt"
    path.write_bytes(
        pickle.dumps({"model": 1}, protocol=2).replace(b"K\x01s", b"cultralytics.nn.tasks\nSegmentationModel\ns")
    )
    with pytest.raises(
        ValueError, match=r"YOLO model of another project \(ultralytics\.nn\.tasks\.SegmentationModel\)"
    ):
        load(path)


def test_a_safetensors_file_needs_no_conversion(tmp_path: Path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="needs no conversion"):
        convert_file(tmp_path / "a.safetensors")


def test_an_archive_of_several_disks(tmp_path: Path):
    path = tmp_path / "x.pth"
    locator = b"PK\6\7" + bytes(12) + (3).to_bytes(4, "little")
    path.write_bytes(b"PK\3\4" + bytes(60) + locator + b"PK\5\6" + bytes(18))
    with pytest.raises(ValueError, match=r"x\.pth is damaged or incomplete"):
        read_original(path)
