"""INT8: the network becomes integers, nothing else does, and results stay close."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from graphs import PHOTOGRAPHS
from yolact.images import read_image
from yolact.instances import Instances
from yolact.runtimes import open_runtime, openvino
from yolact.runtimes.int8 import quantize_onnx, quantize_openvino


def found(runtime, photograph: np.ndarray) -> Instances:
    size = (photograph.shape[0], photograph.shape[1])
    return Instances.from_outputs(runtime.run([photograph])[0], 0, size, runtime.config, score_threshold=0.3)


def share_found_again(expected: Instances, others: Instances) -> float:
    """Of the expected masks, those that one of the others overlaps by 0.8."""
    masks, theirs = expected.masks.reshape(len(expected), -1), others.masks.reshape(len(others), -1)
    shared = masks.astype(np.float32) @ theirs.T.astype(np.float32)
    overlaps = shared / np.maximum(masks.sum(1)[:, None] + theirs.sum(1) - shared, 1)
    return float((overlaps.max(axis=1) > 0.8).mean())


def test_openvino_computes_its_convolutions_in_integers(people_xml: Path, tmp_path: Path):
    exact = openvino.OpenVinoRuntime(people_xml)
    photographs = [read_image(path) for path in PHOTOGRAPHS]
    model = quantize_openvino(openvino.read(people_xml), [exact.prepare([photograph]) for photograph in photographs])
    kinds = Counter(node.get_type_name() for node in model.get_ordered_ops())
    assert kinds["FakeQuantize"] > 60
    reads = {
        value.get_source_output().get_node().get_type_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in ("Softmax", "TopK", "GatherElements")
        for value in node.inputs()
    }
    assert not reads & {"FakeQuantize"}
    quantized = open_runtime(openvino.write(model, tmp_path / "int8.xml"))
    assert quantized.config == exact.config
    for photograph in photographs[:3]:
        assert share_found_again(found(exact, photograph), found(quantized, photograph)) >= 0.6


def test_onnx_runtime_computes_its_convolutions_in_integers(crowded_onnx: Path, tmp_path: Path):
    photographs = [read_image(path) for path in PHOTOGRAPHS]
    target = tmp_path / "int8.onnx"
    quantize_onnx(crowded_onnx, target, photographs)
    graph = onnx.load(target).graph
    integers = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 30
    assert all({node.input[0], node.input[1]} <= integers for node in convolutions)
    behind = [node for node in graph.node if node.op_type in ("Softmax", "TopK", "Exp", "MatMul")]
    assert behind
    assert not [node for node in behind if set(node.input) & integers]
    runtime = open_runtime(target)
    assert "int8" in runtime.describe()
    exact = open_runtime(crowded_onnx)
    ours, theirs = (r.run([photographs[0]])[0]["prototypes"] for r in (runtime, exact))
    assert np.abs(ours - theirs).max() > 0
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9


def test_a_missing_extra_gives_one_line(monkeypatch: pytest.MonkeyPatch, people_xml: Path):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(ImportError, match=r"pip install 'yolact\[openvino\]'"):
        quantize_openvino(openvino.read(people_xml), [])
