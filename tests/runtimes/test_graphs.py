"""Exported graphs give what PyTorch gives: whole, as they stand in the file, and as our runtimes use them."""

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import PHOTOGRAPHS, crowded, in_pytorch, parity, photograph, plus
from locations import ROOT
from yolact import checkpoint
from yolact.config import DetectConfig
from yolact.deployable import COMPACT, Deployable
from yolact.images import read_image
from yolact.model import Yolact
from yolact.runtimes.comparison import compare
from yolact.runtimes.exported import GraphRuntime
from yolact.runtimes.onnxruntime import OnnxRuntime
from yolact.runtimes.openvino import OpenVinoRuntime
from yolact.runtimes.pytorch import PyTorchRuntime
from yolact.runtimes.torch_export import TorchExportRuntime

SIZES = [(120, 90), (97, 203), (300, 301)]

STANDARD = {
    "Abs", "Add", "And", "ArgMax", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Conv", "DeformConv",
    "Div", "Equal", "Exp", "Expand", "Floor", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual",
    "Identity", "If", "Less", "LessOrEqual", "MatMul", "Max", "MaxPool", "Min", "Mod", "Mul", "Not", "Pad", "Range",
    "ReduceMax", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Slice",
    "Softmax", "Split", "Squeeze", "Sub", "Tanh", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where",
}  # fmt: skip
"""What a runtime has to have. None of them suppresses boxes."""


def batch(size: tuple[int, int], count: int) -> np.ndarray:
    return np.stack([photograph(seed, *size) for seed in range(count)])


def check(network: Yolact, runtime: GraphRuntime, sizes: list[tuple[int, int]]) -> None:
    """One photograph and three, whole; and all of them as our runtimes do it."""
    mine = runtime.description
    reference = Deployable(network, mine.detect, mine.masks, region_size=mine.region_size)
    for size in sizes:
        for photographs in (batch(size, 1), batch(size, 3)):
            expected, found = in_pytorch(reference, photographs), runtime.run_graph(photographs)
            assert list(found) == list(expected)
            assert compare(expected, found, size).problems("float32") == []
    check_mixed(network, runtime, [photograph(seed, *size) for seed, size in enumerate([*sizes, sizes[0]])])


def check_mixed(network: Yolact, runtime: GraphRuntime, photographs: list[np.ndarray]) -> None:
    expected = PyTorchRuntime(network, "cpu", detect=runtime.detect).run(photographs)
    for found in (runtime.run(photographs), [runtime.run([one])[0] for one in photographs]):
        for ours, theirs, one in zip(expected, found, photographs, strict=True):
            assert list(theirs) == list(COMPACT)
            assert compare(ours, theirs, one.shape[:2]).problems("float32") == []


def test_onnx_runtime_where_everything_has_to_be_looked_at(crowded_onnx: Path):
    runtime = OnnxRuntime(crowded_onnx, "cpu")
    check(crowded(), runtime, SIZES)
    names = list(runtime.run_graph(batch((64, 64), 1)))
    assert names[8:] == ["soft_masks", "mask_bits", "region_masks", "region_boxes"]
    assert runtime.describe().startswith("ONNX Runtime 1.")


def test_openvino_where_everything_has_to_be_looked_at(crowded_onnx: Path):
    photographs = [photograph(seed, *size) for seed, size in enumerate(SIZES)]
    runtime = OpenVinoRuntime(crowded_onnx, "cpu")
    check_mixed(crowded(), runtime, photographs)
    with pytest.raises(ValueError, match=r"leaves out the low-pass of crowded\.onnx"):
        runtime.run_graph(photographs[0][None])


def test_a_program_of_pytorch(crowded_pt2: Path):
    runtime = TorchExportRuntime(crowded_pt2, "cpu")
    check(crowded(), runtime, SIZES)
    with pytest.raises(ValueError, match=r"width is 8; .* at least 9"):
        runtime.run([photograph(0, 64, 8)])


def test_cross_class_nms_and_boxes_clipped_on_one_side(parity_onnx: Path):
    check(parity(), OnnxRuntime(parity_onnx, "cpu"), SIZES)
    openvino = OpenVinoRuntime(parity_onnx, "cpu")
    check(parity(), openvino, SIZES)
    outside = [outputs["boxes"].max() for outputs in openvino.run([photograph(0, 120, 90)])]
    assert max(outside) > 0


def test_deformable_convolutions_and_mask_rescoring(plus_onnx: Path):
    network = plus()
    check(network, OnnxRuntime(plus_onnx, "cpu"), SIZES[:1])
    check_mixed(network, OpenVinoRuntime(plus_onnx, "cpu"), [photograph(0, *SIZES[0])])
    outputs = OnnxRuntime(plus_onnx, "cpu").run([photograph(0, 90, 90)])[0]
    assert not np.allclose(outputs["scores"], outputs["mask_scores"])


def test_openvino_on_photographs(people_xml: Path):
    network, runtime = checkpoint.load(), OpenVinoRuntime(people_xml, "cpu")
    photographs = [read_image(path) for path in PHOTOGRAPHS[:2]]
    check_mixed(network, runtime, photographs)
    reference = Deployable(network, DetectConfig())
    expected = in_pytorch(reference, photographs[0][None].copy())
    difference = compare(expected, runtime.run_graph(photographs[0][None]), photographs[0].shape[:2])
    assert difference.detections > 20
    assert difference.problems("float32") == []


def test_only_standard_operators(crowded_onnx: Path, plus_onnx: Path, parity_onnx: Path):
    import onnx

    used: Counter[tuple[str, str]] = Counter()
    for path in (crowded_onnx, plus_onnx, parity_onnx):
        model = onnx.load(path)
        onnx.checker.check_model(model)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
        assert len(model.functions) == 0
        _count(model.graph, used)
    assert {domain for domain, _ in used} == {""}
    assert {operator for _, operator in used} <= STANDARD
    assert used["", "If"] == 3
    assert used["", "DeformConv"] == 3


def _count(graph: Any, used: Counter[tuple[str, str]]) -> None:
    for node in graph.node:
        used[node.domain, node.op_type] += 1
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _count(attribute.g, used)


def test_names_types_and_open_sides(crowded_onnx: Path):
    import onnx

    graph = onnx.load(crowded_onnx).graph
    described = {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim],
        )
        for value in (*graph.input, *graph.output)
    }
    assert described == {
        "photographs": ("UINT8", ["batch", "height", "width", 3]),
        "boxes": ("FLOAT", ["batch", 25, 4]),
        "scores": ("FLOAT", ["batch", 25]),
        "mask_scores": ("FLOAT", ["batch", 25]),
        "labels": ("INT64", ["batch", 25]),
        "count": ("INT64", ["batch"]),
        "coefficients": ("FLOAT", ["batch", 25, 8]),
        "windows": ("INT32", ["batch", 25, 4]),
        "prototypes": ("FLOAT", ["batch", 8, 40, 40]),
        "soft_masks": ("FLOAT", ["batch", 25, 40, 40]),
        "mask_bits": ("UINT8", ["batch", 25, "height", "row_bytes"]),
        "region_masks": ("UINT8", ["batch", 25, 28, 28]),
        "region_boxes": ("FLOAT", ["batch", 25, 4]),
    }


def test_files_tell_nothing_of_where_they_were_made(crowded_onnx: Path, crowded_pt2: Path, people_xml: Path):
    here = str(ROOT).encode()
    for path in (crowded_onnx, crowded_pt2, people_xml):
        assert here not in path.read_bytes()


def test_fewer_detections_are_the_best_of_them(crowded_onnx: Path):
    runtime = OnnxRuntime(crowded_onnx, "cpu")
    whole, some = runtime.run([photograph(0, 90, 120)])[0], runtime.run([photograph(0, 90, 120)], DetectConfig(top_k=7))
    assert some[0]["count"] == 7
    assert np.array_equal(some[0]["coefficients"], whole["coefficients"][:, :7])
    assert np.array_equal(some[0]["prototypes"], whole["prototypes"])
    assert runtime.run([]) == []


@pytest.mark.parametrize(
    ("detect", "image_size", "message"),
    [
        (DetectConfig(top_k=26), None, r"keeps 25 detections, not 26 \(choosing classes needs 200\); .* --top-k 26"),
        (DetectConfig(top_k=25, nms="cross-class"), None, "nms fast, not cross-class; .* --nms cross-class"),
        (DetectConfig(top_k=25, nms="traditional"), None, "nms fast, not traditional; take the weights"),
        (DetectConfig(top_k=25, iou_threshold=0.4), None, "iou_threshold 0.5, not 0.4"),
        (None, (64, 96), "160 by 160, not 64 by 96; .* --image-size 64 96"),
    ],
)
def test_what_a_graph_was_not_made_for_is_refused(crowded_onnx: Path, detect: Any, image_size: Any, message: str):
    with pytest.raises(ValueError, match=message):
        OnnxRuntime(crowded_onnx, "cpu").run([photograph(0, 90, 120)], detect, image_size)


@pytest.mark.parametrize("kind", [OnnxRuntime, OpenVinoRuntime])
def test_threads_share_a_runtime(crowded_onnx: Path, kind: Any):
    runtime = kind(crowded_onnx, "cpu")
    photographs = [photograph(seed, 90, 120) for seed in range(4)]
    expected = [runtime.run([one])[0]["scores"] for one in photographs]
    found: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: runtime.run([photographs[i]])[0]["scores"]}))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(found[i], expected[i], atol=1e-6) for i in range(4))


AFTER_TWO = """
import os, signal, sys
from yolact.runtimes.openvino import OpenVinoRuntime
import numpy as np

heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
first, second = (OpenVinoRuntime(sys.argv[1], "cpu") for _ in range(2))
for runtime in (first, second):
    runtime.run([np.zeros((64, 64, 3), np.uint8)])
del runtime, first
del second
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(len(heard) != 1)
"""


def test_signals_arrive_after_two_openvino_runtimes_went(crowded_onnx: Path):
    subprocess.run([sys.executable, "-c", AFTER_TWO, crowded_onnx], check=True)


def test_half_precision_in_openvino_is_close(people_xml: Path):
    try:
        half = OpenVinoRuntime(people_xml, "cpu", "bfloat16")
    except ValueError as error:
        pytest.skip(str(error))
    exact, pixels = OpenVinoRuntime(people_xml, "cpu"), read_image(PHOTOGRAPHS[0])
    ours, theirs = exact.run([pixels])[0], half.run([pixels])[0]
    sure = int((ours["scores"] > 0.3).sum())
    assert sure > 3
    for n in range(sure):
        assert np.abs(theirs["boxes"] - ours["boxes"][:, n : n + 1]).max(axis=-1).min() < 3  # pixels
    assert "bfloat16" in half.describe()
