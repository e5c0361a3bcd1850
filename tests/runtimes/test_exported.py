"""Exported files: what they say of themselves, and how anything else is refused."""

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphs import crowded
from yolact import runtimes
from yolact.config import DetectConfig
from yolact.deployable import Deployable
from yolact.predictor import Predictor
from yolact.runtimes import openvino
from yolact.runtimes.exported import Description
from yolact.runtimes.onnxruntime import OnnxRuntime
from yolact.runtimes.openvino import OpenVinoRuntime
from yolact.runtimes.torch_export import TorchExportRuntime

OPENERS: dict[str, Any] = {".onnx": OnnxRuntime, ".xml": OpenVinoRuntime, ".pt2": TorchExportRuntime}


@pytest.fixture
def description() -> Description:
    detect = DetectConfig(nms="cross-class", top_k=3)
    return Description.of(Deployable(crowded(), detect, ("soft", "regions"), region_size=5, image_size=(64, 96)))


def test_a_description_survives_the_trip(description: Description):
    back = Description.from_metadata(description.to_metadata(), Path("a.onnx"))
    assert back.config == description.config
    assert back.config.image_size == (64, 96)
    assert (back.detect, set(back.masks), back.region_size) == (description.detect, {"soft", "regions"}, 5)
    assert back.precision == "float32"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("yolact_graph", None, "not written by yolact export"),
        ("yolact_graph", "99", "format 99, this version runs 1; update yolact"),
        ("config", "{", "damaged"),
        ("config", "[]", "damaged"),
        ("config", '{"name": "a", "backbone": "resnet50", "class_names": ["a"], "width": "wide"}', "width = 'wide'"),
        ("detect", '{"score_floor": 7.0}', "score_floor is 7.0"),
        ("detect", '{"speed": 9}', "damaged"),
        ("region_size", "large", "damaged"),
        ("masks", None, "damaged"),
    ],
)
def test_tampered_metadata_are_refused(description: Description, name: str, text: str | None, message: str):
    metadata = description.to_metadata()
    if text is None:
        del metadata[name]
    else:
        metadata[name] = text
    with pytest.raises(ValueError, match=message) as refused:
        Description.from_metadata(metadata, Path("photos/a.onnx"))
    assert "\n" not in str(refused.value)
    assert "a.onnx" in str(refused.value)


@pytest.mark.parametrize("suffix", OPENERS)
def test_files_that_are_none(tmp_path: Path, suffix: str):
    path = tmp_path / f"graph{suffix}"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        OPENERS[suffix](path, "cpu")
    path.write_bytes(b"nonsense" * 100)
    path.with_suffix(".bin").touch()
    with pytest.raises(ValueError, match="is damaged, incomplete, or no"):
        OPENERS[suffix](path, "cpu")


def test_truncated_files(tmp_path: Path, crowded_onnx: Path, crowded_pt2: Path, people_xml: Path):
    for whole in (crowded_onnx, crowded_pt2, people_xml):
        content = whole.read_bytes()
        path = tmp_path / whole.name
        path.write_bytes(content[: len(content) // 2])
        path.with_suffix(".bin").touch()
        with pytest.raises(ValueError, match="export it again"):
            OPENERS[path.suffix](path, "cpu")


def test_weights_that_went_missing(tmp_path: Path, people_xml: Path):
    path = tmp_path / "people.xml"
    path.write_bytes(people_xml.read_bytes())
    with pytest.raises(FileNotFoundError, match=r"people\.bin does not exist; it belongs to people\.xml"):
        OpenVinoRuntime(path, "cpu")


def test_graphs_of_others(tmp_path: Path):
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", [value], [other])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "other.onnx")
    for opener in (OnnxRuntime, OpenVinoRuntime):
        with pytest.raises(ValueError, match=r"other\.onnx was not written by yolact export"):
            opener(tmp_path / "other.onnx", "cpu")


def test_a_graph_whose_inner_tensors_are_gone(tmp_path: Path, crowded_onnx: Path):
    import onnx_ir

    model = onnx_ir.load(crowded_onnx)
    next(value for node in model.graph for value in node.outputs if value.name == "images").name = "renamed"
    onnx_ir.save(model, tmp_path / "renamed.onnx")
    for opener in (OnnxRuntime, OpenVinoRuntime):
        with pytest.raises(ValueError, match="no tensor images any more"):
            opener(tmp_path / "renamed.onnx", "cpu")


def test_devices_and_precisions_that_are_not_there(crowded_onnx: Path, crowded_pt2: Path):
    with pytest.raises(ValueError, match="without CUDA"):
        OnnxRuntime(crowded_onnx, "cuda")
    with pytest.raises(ValueError, match="cannot compute on mps; choose auto, cpu or cuda"):
        OnnxRuntime(crowded_onnx, "mps")
    with pytest.raises(ValueError, match=r"OpenVINO cannot compute on cuda:1 here; choose one of .*cpu"):
        OpenVinoRuntime(crowded_onnx, "cuda:1")
    for opener, path in ((OnnxRuntime, crowded_onnx), (TorchExportRuntime, crowded_pt2)):
        with pytest.raises(ValueError, match="float16 is not a choice here"):
            opener(path, "cpu", "float16")


@pytest.mark.parametrize(
    ("module", "path", "remedy"),
    [
        ("onnxruntime", "crowded_onnx", r"pip install 'yolact\[onnx\]'"),
        ("onnx", "crowded_onnx", r"pip install 'yolact\[onnx\]'"),
        ("openvino", "people_xml", r"pip install 'yolact\[openvino\]'"),
    ],
)
def test_a_missing_library_is_named(module: str, path: str, remedy: str, monkeypatch, request):
    file = request.getfixturevalue(path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=remedy) as missing:
        runtimes.open_runtime(file, device="cpu")
    assert "\n" not in str(missing.value)


def test_opening_by_name(crowded_onnx: Path, crowded_pt2: Path, people_xml: Path):
    assert runtimes.is_graph("a/b.ONNX")
    assert not any(map(runtimes.is_graph, ("a.safetensors", "yolact-resnet50", None, crowded())))
    for path, kind, name in (
        (crowded_onnx, None, "onnxruntime"),
        (crowded_onnx, "auto", "onnxruntime"),
        (str(crowded_onnx), "openvino", "openvino"),
        (people_xml, "openvino", "openvino"),
        (crowded_pt2, None, "pytorch"),
    ):
        runtime = runtimes.open_runtime(path, kind, "cpu")  # type: ignore[arg-type]
        assert isinstance(runtime, runtimes.Runtime)
        assert runtime.name == name
    with pytest.raises(ValueError, match=r"people\.xml is a graph for openvino, not for onnxruntime"):
        runtimes.open_runtime(people_xml, "onnxruntime", "cpu")
    with pytest.raises(ValueError, match="leave --compile out"):
        runtimes.open_runtime(people_xml, None, "cpu", compile=True)
    with pytest.raises(ValueError, match=r"a\.txt is no exported graph; those end in \.onnx"):
        runtimes.open_runtime("a.txt")


def test_openvino_is_not_given_a_resize_that_it_gets_wrong():
    with pytest.raises(ValueError, match="leave out the low-pass"):
        openvino.convert(Deployable(crowded(), DetectConfig()))


class Trap:
    def __reduce__(self):
        return print, ("code of a stranger",)


def test_a_program_that_brings_pickled_objects_is_not_opened(
    tmp_path: Path, crowded_pt2: Path, capsys: pytest.CaptureFixture[str]
):
    hostile = tmp_path / "hostile.pt2"
    with zipfile.ZipFile(crowded_pt2) as whole, zipfile.ZipFile(hostile, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith("weights_config.json"):
                content = content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
            if name.endswith("weights/weight_0"):
                content = pickle.dumps(Trap())
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"hostile\.pt2 .* pickled objects, which could run code"):
        TorchExportRuntime(hostile, "cpu")
    assert "stranger" not in capsys.readouterr().out


def test_a_photograph_that_a_program_cannot_take_is_left_out(tmp_path: Path, crowded_pt2: Path):
    for name, size in (("a", (90, 60)), ("b", (5, 1)), ("c", (60, 90))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    skipped: list[str] = []
    predictor = Predictor(TorchExportRuntime(crowded_pt2, "cpu"))
    options: Any = {"on_error": lambda path, error: skipped.append(f"{path.name}: {error}"), "top_k": 25}
    assert len(list(predictor.predict(tmp_path, batch_size=3, **options))) == 2
    assert len(skipped) == 1
    assert "b.png" in skipped[0]
    with pytest.raises(ValueError, match=r"b\.png: the height is 1"):
        list(predictor.predict(tmp_path, top_k=25))
