"""TensorRT: the graph that it is given, which another runtime can judge; nothing here can build an engine."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import crowded, in_pytorch, photograph
from yolact.config import DetectConfig
from yolact.deployable import Deployable
from yolact.runtimes import tensorrt
from yolact.runtimes.comparison import compare
from yolact.runtimes.exported import Description

SIZE = (97, 203)


def test_its_graph_has_no_branch_and_makes_bytes_last(tmp_path: Path):
    import onnx
    import onnx_ir
    import onnxruntime

    detect = DetectConfig(top_k=30)
    model = tensorrt.to_tensorrt_onnx(Deployable(crowded(), detect, ("bits",), plain=tensorrt.PLAIN))
    onnx_ir.save(model, tmp_path / "graph.onnx")
    graph = onnx.load(tmp_path / "graph.onnx").graph
    operators = [node.op_type for node in graph.node]
    assert "If" not in operators
    assert operators.count("TopK") == 2
    assert not any(a.name == "antialias" and a.i for node in graph.node for a in node.attribute)
    of_bytes = [value.name for value in graph.output if value.type.tensor_type.elem_type == onnx.TensorProto.UINT8]
    assert of_bytes == ["mask_bits"]
    to_bytes = [node for node in graph.node if node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.UINT8]
    assert [list(node.output) for node in to_bytes] == [["mask_bits"]]
    assert {node.op_type for node in graph.node if "photographs" in node.input} == {"Cast", "Shape"}

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tmp_path / "graph.onnx", options)
    photographs = np.stack([photograph(seed, *SIZE) for seed in range(2)])
    names = [output.name for output in session.get_outputs()]
    arrays: Any = session.run(names, {"photographs": photographs})
    found = dict(zip(names, arrays, strict=True))
    expected = in_pytorch(Deployable(crowded(), detect, ("bits",)), photographs)
    assert compare(expected, found, SIZE).problems("float32") == []


def test_without_the_library_or_a_file(tmp_path: Path):
    path = tmp_path / "a.engine"
    with pytest.raises(FileNotFoundError, match=r"a\.engine does not exist; an engine is two files"):
        tensorrt.TensorRtRuntime(path)
    path.touch()
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        tensorrt.TensorRtRuntime(path)
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(ValueError, match="not written by yolact export"):
        tensorrt.TensorRtRuntime(path)
    description = Description.of(Deployable(crowded(), DetectConfig()))
    path.with_suffix(".json").write_text(json.dumps(description.to_metadata()))
    with pytest.raises(ValueError, match="computes in float32; build another for float16"):
        tensorrt.TensorRtRuntime(path, precision="float16")
    try:
        import tensorrt as library  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        for refused in (
            lambda: tensorrt.TensorRtRuntime(path),
            lambda: tensorrt.write(Deployable(crowded(), DetectConfig()), path),
        ):
            with pytest.raises(ImportError, match="pip install tensorrt"):
                refused()
