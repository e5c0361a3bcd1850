"""Model repositories for Triton: what the server reads, and that the graph in them is the exported one."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from graphs import PHOTOGRAPHS, crowded, photograph
from yolact.checkpoint import save
from yolact.runtimes.onnxruntime import OnnxRuntime
from yolact.triton import _quoted, add_to_repository
from yolact.verbs.export import Export

# Triton's model_config.proto, as far as it is written here: (name, number, type); "*" repeats.
MESSAGES = {
    "Reshape": [("shape", 1, "int64*")],
    "Input": [("name", 1, "string"), ("data_type", 2, "Type"), ("dims", 4, "int64*")],
    "Output": [("name", 1, "string"), ("data_type", 2, "Type"), ("dims", 3, "int64*"), ("reshape", 5, "Reshape")],
    "Batching": [("max_queue_delay_microseconds", 2, "uint64")],
    "WarmupInput": [("data_type", 1, "Type"), ("dims", 2, "int64*"), ("zero_data", 3, "bool")],
    "WarmupEntry": [("key", 1, "string"), ("value", 2, "WarmupInput")],
    "Warmup": [("name", 1, "string"), ("batch_size", 2, "uint32"), ("inputs", 3, "WarmupEntry*")],
    "Parameter": [("string_value", 1, "string")],
    "ParameterEntry": [("key", 1, "string"), ("value", 2, "Parameter")],
    "ModelConfig": [
        ("name", 1, "string"),
        ("max_batch_size", 4, "int32"),
        ("input", 5, "Input*"),
        ("output", 6, "Output*"),
        ("dynamic_batching", 11, "Batching"),
        ("parameters", 14, "ParameterEntry*"),
        ("model_warmup", 16, "Warmup*"),
        ("backend", 17, "string"),
    ],
}
TYPES = {"TYPE_UINT8": 2, "TYPE_INT32": 8, "TYPE_INT64": 9, "TYPE_FP16": 10, "TYPE_FP32": 11}
NUMPY = {2: np.uint8, 8: np.int32, 9: np.int64, 11: np.float32}


def model_config() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    types = file.enum_type.add(name="Type")
    for name, number in {"TYPE_INVALID": 0, **TYPES}.items():
        types.value.add(name=name, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for key, number, kind in fields:
            label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            kind = kind.removesuffix("*")
            if kind in MESSAGES or kind == "Type":
                named = field.TYPE_ENUM if kind == "Type" else field.TYPE_MESSAGE
                message.field.add(name=key, number=number, label=label, type=named, type_name=f".inference.{kind}")
            else:
                message.field.add(name=key, number=number, label=label, type=getattr(field, f"TYPE_{kind.upper()}"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, list[str]]:
    """The repository that the command line wrote, and what it said."""
    folder = tmp_path_factory.mktemp("exported")
    save(folder / "cattle.safetensors", crowded())
    masks: Any = ("bits", "regions")
    shown: Any = {"to": "triton", "top_k": 20, "masks": masks, "photographs": (str(PHOTOGRAPHS[0]),)}
    with redirect_stdout(io.StringIO()) as said:
        verb = Export(weights=str(folder / "cattle.safetensors"), out=folder / "models", **shown)
        assert verb.run() == 0
    return folder / "models", said.getvalue().splitlines()


@pytest.fixture(scope="module")
def graph(exported: tuple[Path, list[str]]) -> Path:
    (path,) = exported[0].glob("*/1/model.onnx")
    return path


def test_the_command_line_checks_the_graph_and_says_how_to_serve_it(exported: tuple[Path, list[str]]):
    repository, said = exported
    (model,) = repository.iterdir()
    assert said[0].split()[0] == "photographs"  # the table of the check
    assert said[-1] == f"written: {model / '1'}; serve it with: tritonserver --model-repository {repository}"
    assert "dims: [20, 4]" in (model / "config.pbtxt").read_text()


def test_the_server_can_read_what_it_must_know(graph: Path, tmp_path: Path):
    version = add_to_repository(graph, tmp_path / "new" / "models", name="cattle", max_batch_size=3)
    assert version == tmp_path / "new" / "models" / "cattle" / "1"
    assert sorted(path.name for path in version.parent.iterdir()) == ["1", "config.pbtxt"]
    assert (version / "model.onnx").read_bytes() == graph.read_bytes()
    config = text_format.Parse((version.parent / "config.pbtxt").read_text(), model_config())
    assert (config.name, config.backend, config.max_batch_size) == ("cattle", "onnxruntime", 3)
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    (names,) = config.parameters
    assert (names.key, json.loads(names.value.string_value)) == ("class_names", ["cat", "dog", "cow"])


def test_all_tensors_are_declared_as_the_graph_has_them(graph: Path, tmp_path: Path):
    version = add_to_repository(graph, tmp_path)
    config = text_format.Parse((version.parent / "config.pbtxt").read_text(), model_config())
    photographs = np.stack([photograph(0, 90, 120), photograph(1, 90, 120)])
    (taken,) = config.input
    assert (taken.name, taken.data_type, list(taken.dims)) == ("photographs", 2, [-1, -1, 3])
    outputs = OnnxRuntime(version / "model.onnx", "cpu").run_graph(photographs)
    assert [output.name for output in config.output] == list(outputs)
    for output, value in zip(config.output, outputs.values(), strict=True):
        assert value.dtype == NUMPY[output.data_type]
        # Triton knows no tensor without a dimension besides the batch's: it reshapes.
        sides = list(output.reshape.shape) if output.HasField("reshape") else list(output.dims)
        assert len(sides) == value.ndim - 1
        assert all(side in (-1, is_side) for side, is_side in zip(sides, value.shape[1:], strict=True))
    (warmup,) = config.model_warmup
    (entry,) = warmup.inputs
    assert (entry.key, list(entry.value.dims)) == ("photographs", [160, 160, 3])


def test_versions_follow_each_other(graph: Path, tmp_path: Path):
    assert add_to_repository(graph, tmp_path).name == "1"
    model = add_to_repository(graph, tmp_path).parent
    (model / "9").mkdir()
    assert add_to_repository(graph, tmp_path, max_batch_size=2).name == "10"
    assert "max_batch_size: 2" in (model / "config.pbtxt").read_text()


def test_clients_of_an_earlier_version_are_not_given_another_kind_of_answer(graph: Path, tmp_path: Path):
    model = add_to_repository(graph, tmp_path).parent
    other = tmp_path / "other.onnx"
    model_of_others = onnx.load(graph)
    del model_of_others.graph.output[-1]
    onnx.save(model_of_others, other)
    before = (model / "config.pbtxt").read_text()
    with pytest.raises(ValueError, match="is a model with other outputs or classes"):
        add_to_repository(other, tmp_path)
    assert (model / "config.pbtxt").read_text() == before
    assert sorted(path.name for path in model.iterdir()) == ["1", "config.pbtxt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../up"}, "'../up' cannot be a folder"),
        ({"name": ".hidden"}, "cannot be a folder"),
        ({"max_batch_size": 0}, "max_batch_size is 0"),
    ],
)
def test_what_cannot_be_served_is_refused(options: dict, message: str, graph: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        add_to_repository(graph, tmp_path / "models", **options)
    assert not (tmp_path / "models").exists()


def test_nothing_is_left_where_a_graph_cannot_be_copied(graph: Path, tmp_path: Path, monkeypatch):
    def fill_the_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        add_to_repository(graph, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not [path for path in tmp_path.rglob("*") if path.name[0] in "123456789"]


@pytest.mark.parametrize("text", ['a "quoted" \\ class', "naïve\n\x1b[31m\u202e", "", "日本"])
def test_any_text_is_quoted(text: str):
    assert text_format.Parse(f"name: {_quoted(text)}", model_config()).name == text
