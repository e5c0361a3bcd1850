"""Files of weights, graphs and training states from strangers: no code in them is run, and no size is believed."""

import io
import json
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from graphs import crowded
from originals import checkpoint as original
from synthetic import write_dataset
from tiny import RECIPE, TINY
from yolact.config import DetectConfig
from yolact.deployable import Deployable
from yolact.model import build_model
from yolact.presets import yolact_mobilenetv4
from yolact.runtimes import torch_export
from yolact.runtimes.torch_export import TorchExportRuntime
from yolact.training import resume, train

SMALL = yolact_mobilenetv4(image_size=(64, 64), class_names=("a", "b"), category_ids=(), width=1, num_prototypes=1)
CLASSES = "prediction_layers.0.conf_layer.weight"
CODE = "__import__('pathlib').Path('executed').touch()"

MEASURED = """
import json, resource, sys, time
from yolact import checkpoint
start = time.perf_counter()
try:
    checkpoint.load(sys.argv[1])  # everything is imported with the first
except ValueError:
    pass
for path in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    try:
        said = "loaded: " + checkpoint.load(path).config.name
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([said, time.perf_counter() - start, grown]))
"""


class Touching:
    """Pickled, it makes a file when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def of_config(**changes: Any) -> bytes:
    """A file whose tensors are those that its config asks for, all of them small."""
    config = replace(SMALL, **changes)
    with torch.device("meta"):
        state = build_model(config).state_dict()
    tensors = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in state.items()}
    return save(tensors, {"yolact_format": "1", "config": json.dumps(config.to_dict())})


def of_header(**entries: Any) -> bytes:
    metadata = {"yolact_format": "1", "config": json.dumps(SMALL.to_dict())}
    header = json.dumps({"__metadata__": metadata, **entries}).encode()
    return struct.pack("<Q", len(header)) + header


def of_tensor(key: str, value: Any) -> bytes:
    content = io.BytesIO()
    torch.save({**original("yolact_resnet50"), key: value}, content)
    return content.getvalue()


def compressed() -> bytes:
    stored, small = io.BytesIO(), io.BytesIO()
    torch.save({"prediction_layers.0": torch.zeros(200_000_000, dtype=torch.uint8)}, stored)
    with (
        zipfile.ZipFile(stored) as whole,
        zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as to,
    ):
        for name in whole.namelist():
            to.writestr(name, whole.read(name))
    return small.getvalue()


def long_config() -> bytes:
    text = json.dumps(SMALL.to_dict()).replace("[1.0, ", "[" + "1.5, " * 2_000_000)
    return save({"a": torch.zeros(1)}, {"yolact_format": "1", "config": text})


EMPTY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
LYING: dict[str, tuple[Callable[[], bytes], str]] = {
    "prototypes.safetensors": (
        lambda: of_config(image_size=(4096, 4096), num_prototypes=100_000),
        "asks for 209,826,083,489 numbers a photograph",
    ),
    "anchors.safetensors": (
        lambda: of_config(image_size=(4096, 4096), anchor_scales=(tuple(range(1, 2001)),) * 5),
        "asks for 16,762,933,250 numbers",
    ),
    "classes.safetensors": (
        lambda: of_config(image_size=(4096, 4096), class_names=tuple(map(str, range(50_000)))),
        "asks for [0-9,]+ numbers",
    ),
    "longest-side.safetensors": (lambda: of_config(image_size=(64, 9000)), "largest side allowed is 8192"),
    "long-config.safetensors": (long_config, r"its config has [0-9,]+ characters; at most 4,000,000"),
    "many-tensors.safetensors": (
        lambda: of_header(**{f"t{i}": EMPTY for i in range(100_000)}),
        "do not fit its config",
    ),
    "lying-offsets.safetensors": (
        lambda: of_header(a={"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}),
        "damaged",
    ),
    "overflowing.safetensors": (
        lambda: of_header(a={"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}),
        "damaged",
    ),
    "long-header.safetensors": (lambda: struct.pack("<Q", 2**62) + b'{"', "damaged"),
    "strides.pth": (
        lambda: of_tensor(CLASSES, torch.zeros(1).expand(6 * 10**8, 256, 3, 3)),
        "less data for",
    ),
    "meta.pth": (lambda: of_tensor(CLASSES, torch.empty(6 * 10**8, 256, 3, 3, device="meta")), "less data for"),
    "array.pth": (lambda: of_tensor("a", Allocating()), "damaged or incomplete"),
    "compressed.pth": (compressed, "is a compressed archive"),
    "many-tensors.pth": (lambda: of_tensor("many", [torch.zeros(0)] * 100_000), "unexpected: many"),
}


class Allocating:
    """Asks for ten terabytes, of a kind that PyTorch takes for harmless."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (bytearray, (10**13,))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float, float]]:
    """What loading each file said, its seconds, and the megabytes by which the process grew."""
    folder = tmp_path_factory.mktemp("lying")
    for name, (content, _) in LYING.items():
        (folder / name).write_bytes(content())
    (folder / "first.safetensors").write_bytes(of_config())
    command = [sys.executable, "-c", MEASURED, "first.safetensors", *LYING]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return dict(zip(["first.safetensors", *LYING], map(json.loads, result.stdout.splitlines()), strict=True))


def test_an_honest_file_is_loaded(measured: dict[str, tuple[str, float, float]]):
    assert measured["first.safetensors"][0] == "loaded: yolact-mobilenetv4"


@pytest.mark.parametrize("name", LYING)
def test_a_lie_costs_a_line(name: str, measured: dict[str, tuple[str, float, float]]):
    said, seconds, megabytes = measured[name]
    assert said.startswith(f"ValueError: {name}")
    assert re.search(LYING[name][1], said)
    assert "\n" not in said
    assert len(said) < 1000
    assert seconds < 10
    assert megabytes < 250


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "small.pt2"
    return torch_export.write(Deployable(crowded(), DetectConfig(top_k=5), ("soft",)), path)


def rewritten(program: Path, out: Path, change: Callable[[str, bytes], bytes], more: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(program) as whole, zipfile.ZipFile(out, "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, change(name.partition("/")[2], whole.read(name)))
        prefix = whole.namelist()[0].partition("/")[0]
        for name, content in more.items():
            archive.writestr(f"{prefix}/{name}", content)
    return out


def in_program(before: str, after: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name != "models/model.json":
            return content
        assert before.encode() in content
        return content.replace(before.encode(), after.encode())

    return change


def in_part(part: str, content: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, before: content if name == part else before


SAME: Callable[[str, bytes], bytes] = lambda _, content: content  # noqa: E731
SYMBOL = "Symbol('s6', positive=True, integer=True)"
PROGRAMS: dict[str, tuple[Callable[[str, bytes], bytes], dict[str, bytes]]] = {
    "an expression that is a call": (in_program(SYMBOL, CODE), {}),
    "an expression with an attribute": (in_program(SYMBOL, "().__class__"), {}),
    "a name that is source code": (in_program('"photographs"', f'"photographs={CODE}"'), {}),
    "another function of torch": (in_program("torch.ops.aten.tanh.default", "torch.hub.load"), {}),
    "an operation on files": (in_program("torch.ops.aten.tanh.default", "torch.ops.aten.from_file.default"), {}),
    "the name of a file": (in_program('"as_string": "constant"', '"as_string": "/etc/passwd"'), {}),
    "guards": (in_program('"guards_code": []', f'"guards_code": ["{CODE}"]'), {}),
    "a tree of another type": (in_program("builtins.tuple", "collections.defaultdict"), {}),
    "pickled inputs": (in_part("data/sample_inputs/model.pt", pickle.dumps(Touching())), {}),
    "a compiled library": (SAME, {"data/aotinductor/model/model.so": b"\x7fELF"}),
    "a pickled object": (SAME, {"data/constants/custom_obj_0": pickle.dumps(Touching())}),
    "two readings": (SAME, {"byteorder": b"little"}),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_of_pytorch_holds_tensor_operations_alone(
    kind: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    path = rewritten(program, tmp_path / "hostile.pt2", *PROGRAMS[kind])
    monkeypatch.setattr("torch.export.load", lambda *_: pytest.fail("PyTorch was asked to load it"))
    with pytest.raises(ValueError, match=r"hostile\.pt2 is damaged, or no program .*: it (says|holds|is)") as said:
        TorchExportRuntime(path, "cpu")
    assert "\n" not in str(said.value)
    assert not Path("executed").exists()


def test_what_is_refused_is_not_what_we_write(program: Path, tmp_path: Path):
    path = rewritten(program, tmp_path / "copy.pt2", SAME, {})
    assert TorchExportRuntime(path, "cpu").detect.top_k == 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")
def test_a_training_state_of_somebody_else_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    data = write_dataset(tmp_path / "data", images=2, size=(48, 64))
    out = train(data, TINY, replace(RECIPE, steps=1, pictures=0, validate_every=9), tmp_path / "run")
    state = torch.load(out / "last.ckpt", weights_only=True)
    torch.save({**state, "callbacks": {"x": Touching()}}, out / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be read") as said:
        resume(out)
    assert "\n" not in str(said.value)
    assert not Path("executed").exists()
    torch.save({"state_dict": Touching()}, tmp_path / "backbone.pth")
    with pytest.raises(ValueError, match=r"backbone\.pth cannot be read"):
        train(data, TINY, replace(RECIPE, backbone_weights=str(tmp_path / "backbone.pth")), tmp_path / "other")
    assert not Path("executed").exists()
