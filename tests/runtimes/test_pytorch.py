"""The PyTorch runtime: what its options may change, and what they may not."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from locations import ROOT
from test_predictor import photograph, small_network
from yolact.config import DetectConfig
from yolact.runtimes.pytorch import PyTorchRuntime

NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs a C++ compiler")
NAMES = ["boxes", "scores", "mask_scores", "labels", "count", "coefficients", "windows", "prototypes"]


@pytest.fixture(scope="module")
def runtime() -> PyTorchRuntime:
    return PyTorchRuntime(small_network(), "cpu")


def test_photographs_of_different_sizes_share_a_batch(runtime: PyTorchRuntime):
    photographs = [photograph(0), photograph(1, (40, 200)), photograph(2)]
    together = runtime.run(photographs)
    assert [list(outputs) for outputs in together] == [NAMES] * 3
    for outputs, one in zip(together, photographs, strict=True):
        alone = runtime.run([one])[0]
        assert all(array.shape[0] == 1 for array in outputs.values())
        for name in NAMES:
            np.testing.assert_allclose(outputs[name], alone[name], atol=1e-3)
        height, width = one.shape[:2]
        assert (outputs["boxes"] <= [width, height, width, height]).all()


def test_another_size_and_another_detection_for_one_call(runtime: PyTorchRuntime):
    outputs = runtime.run([photograph()], DetectConfig(top_k=7, nms="cross-class"), (64, 128))[0]
    assert outputs["scores"].shape == (1, 7)
    assert outputs["prototypes"].shape[2:] == (16, 32)
    assert runtime.run([photograph()])[0]["prototypes"].shape[2:] == (24, 24)


def test_half_precision_leaves_the_given_network_alone_and_the_results_close():
    network = small_network()
    half = PyTorchRuntime(network, "cpu", "bfloat16")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    exact, close = PyTorchRuntime(network, "cpu").run([photograph()])[0], half.run([photograph()])[0]
    assert close["prototypes"].dtype == np.float32
    assert not np.array_equal(exact["prototypes"], close["prototypes"])
    np.testing.assert_allclose(exact["prototypes"], close["prototypes"], atol=0.05 * exact["prototypes"].max())
    assert "bfloat16" in half.describe()


COMPILED_TWICE = """
from torch._dynamo.utils import counters
from test_predictor import photograph, small_network
from yolact.runtimes.pytorch import PyTorchRuntime

runtime = PyTorchRuntime(small_network(), "cpu", compile=True)
runtime.run([photograph(0)])
runtime.run([photograph(1)])
assert counters["stats"]["unique_graphs"] == 1, counters["stats"]
assert counters["inductor"]["mkldnn_conv_weight_pack_matcher_count"] > 0, "weights were no constants"
assert counters["inductor"]["binary_folding_conv"] > 0, "batch norms were not folded"
"""


@NEEDS_COMPILER
def test_it_is_compiled_once_with_its_weights():
    # Elsewhere, as the checks of shapes and types that run in tests are in the compiler's way.
    subprocess.run([sys.executable, "-c", COMPILED_TWICE], check=True, cwd=ROOT / "tests")


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.filterwarnings("default")
def test_compiled_is_eager():
    network = small_network()
    eager, compiled = PyTorchRuntime(network, "cpu"), PyTorchRuntime(network, "cpu", compile=True)
    for size in ((120, 90), (64, 200)):
        expected, found = eager.run([photograph(0, size)])[0], compiled.run([photograph(0, size)])[0]
        assert np.array_equal(expected["labels"], found["labels"])
        for name in ("boxes", "scores", "coefficients", "prototypes"):
            np.testing.assert_allclose(found[name], expected[name], atol=1e-3)
