"""Choosing the fastest runtime, and keeping what was made on the way."""

import logging
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphs import crowded, photograph
from yolact.config import DetectConfig
from yolact.runtimes import automatic, open_runtime
from yolact.runtimes.exported import Description, GraphRuntime
from yolact.runtimes.pytorch import PyTorchRuntime


class Slow(GraphRuntime):
    """A runtime that takes its time."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(Description(config=crowded().config, detect=DetectConfig()))
        self.name, self.seconds, self.runs = name, seconds, 0

    def run(self, photographs: Any, detect: Any = None, image_size: Any = None) -> list[dict[str, np.ndarray]]:
        self.runs += len(photographs)
        time.sleep(self.seconds)
        return [{}]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLACT_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """ONNX Runtime is slow here, OpenVINO quick, TensorRT missing, and PyTorch slower than all."""
    log: list[str] = []

    def open_exported(network: Any, kind: str, device: Any, precision: Any) -> Slow:
        log.append(kind)
        if kind == "tensorrt":
            raise ImportError("TensorRT is not installed")
        return Slow(kind, {"onnxruntime": 0.03, "openvino": 0.0}[kind])

    def pytorch(*settings: Any, folded: bool) -> Slow:
        log.append("pytorch")
        return Slow("pytorch", 0.06)

    monkeypatch.setattr(automatic, "open_exported", open_exported)
    monkeypatch.setattr("yolact.runtimes.pytorch.PyTorchRuntime", pytorch)
    return log


def test_the_fastest_is_taken_and_remembered(opened: list[str], caplog):
    network = crowded()
    with caplog.at_level(logging.INFO, "yolact"):
        first: Any = open_runtime(network, "auto", "cpu")
    assert first.name == "openvino"
    assert first.runs == automatic.WARM_UP + automatic.ROUNDS
    assert re.search(r"openvino \d ms", caplog.text)  # 0, unless the machine is very busy
    assert opened == ["pytorch", "onnxruntime", "openvino", "tensorrt"]
    again: Any = open_runtime(network, "auto", "cpu")
    assert (again.name, again.runs) == ("openvino", 0)
    assert opened[4:] == ["openvino"]


def test_other_circumstances_are_measured_anew(opened: list[str], monkeypatch):
    network = crowded()
    open_runtime(network, "auto", "cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 17)
    open_runtime(network, "auto", "cpu")
    assert len(opened) == 8
    with torch.no_grad():
        network.semantic.weight += 1
    open_runtime(network, "auto", "cpu")
    assert len(opened) == 12


def test_a_cache_that_cannot_be_written_or_read(opened: list[str], cache: Path, caplog):
    (cache / "fastest.json").mkdir()
    assert open_runtime(crowded(), "auto", "cpu").name == "openvino"
    assert "cannot keep the choice" in caplog.text
    (cache / "fastest.json").rmdir()
    (cache / "fastest.json").write_text("[")
    assert open_runtime(crowded(), "auto", "cpu").name == "openvino"


def test_a_graph_is_written_once(cache: Path, monkeypatch, crowded_onnx: Path):
    written = []

    def write(deployable: Any, path: Path) -> Path:
        written.append(path)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(crowded_onnx.read_bytes())
        return path

    monkeypatch.setattr("yolact.runtimes.onnxruntime.write", write)
    network = crowded()
    for kind in ("onnxruntime", "openvino", "onnxruntime"):
        assert open_runtime(network, kind, "cpu").name == kind  # type: ignore[arg-type]
    assert len(written) == 1
    assert written[0].parent == cache / "exported"
    with torch.no_grad():
        network.semantic.weight += 1
    open_runtime(network, "openvino", "cpu")
    assert len(set(written)) == 2


def test_pytorch_takes_a_network_as_it_is():
    network = crowded()
    runtime = open_runtime(network, None, "cpu")
    assert isinstance(runtime, PyTorchRuntime)
    assert runtime.network is network
    assert len(runtime.run([photograph(0, 90, 120)])) == 1
    with pytest.raises(ImportError, match="TensorRT"):
        open_runtime(network, "tensorrt", "cpu")
