"""This package, in one of its runtimes. Weights come in the original's own file, as a user would give them."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import yolact
from contenders import TOP_K, Found, Times, weights
from yolact import checkpoint
from yolact.benchmark import stages
from yolact.config import DetectConfig
from yolact.deployable import Deployable
from yolact.instances import Instances
from yolact.model import Yolact
from yolact.predictor import Predictor
from yolact.runtimes import Precision, RuntimeKind, onnxruntime, openvino


class Ours:
    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def describe(self) -> str:
        return self.predictor.runtime.describe()

    def measure(self, photograph: np.ndarray) -> Times:
        """The total is of a call as a user makes it; the stages are of another run, one by one."""
        start = time.perf_counter()
        self._predict(photograph)
        total = time.perf_counter() - start
        found = stages(self.predictor, [photograph], top_k=TOP_K)
        if "detection" in found:
            found["after"] = found["detection"] + found["masks"]
        return found | {"total": total}

    def find(self, photograph: np.ndarray) -> Found:
        found, masks = self._predict(photograph)
        return Found(found.labels, found.scores, found.boxes, masks)

    def _predict(self, photograph: np.ndarray) -> tuple[Instances, np.ndarray]:
        found = self.predictor.predict(photograph, score_threshold=0, top_k=TOP_K, crop="box")
        return found, found.masks


def build(
    photographs: list[np.ndarray],
    file: Path,
    folder: Path,
    configuration: str,
    runtime: RuntimeKind = "pytorch",
    precision: Precision = "float32",
    compile: bool = False,
    int8: bool = False,
) -> Ours:
    """
    Args:
        file: the original's `.pth`.
        folder: for the graph that is quantized, which is calibrated on the photographs.
        configuration: as the original calls it.
    """
    preset = weights.preset_of(configuration)
    if int8:
        graph = quantized(checkpoint.load(file, preset=preset), runtime, folder / f"{configuration}-int8", photographs)
        return Ours(yolact.load(graph, "cpu"))
    options: Any = {"runtime": runtime, "precision": precision, "compile": compile}
    return Ours(yolact.load(file, "cpu", preset=preset, **options))


def quantized(network: Yolact, runtime: RuntimeKind, path: Path, photographs: list[np.ndarray]) -> Path:
    """The network as an INT8 graph, calibrated on these photographs; what random weights lose is not measured."""
    from yolact.runtimes import int8

    target = path.with_suffix(".xml" if runtime == "openvino" else ".onnx")
    exact = target.with_stem("float32")
    code = max(file.stat().st_mtime for file in Path(yolact.__file__).parent.rglob("*.py"))
    if target.exists() and target.stat().st_mtime > code:
        return target
    if runtime == "openvino":
        openvino.write(Deployable(network, DetectConfig(), plain=openvino.PLAIN), exact)
        before = openvino.OpenVinoRuntime(exact)
        model = int8.quantize_openvino(openvino.read(exact), [before.prepare([p]) for p in photographs])
        openvino.describe(model, replace(before.description, precision="int8"))
        openvino.write(model, target)
    else:
        onnxruntime.write(Deployable(network, DetectConfig()), exact)
        int8.quantize_onnx(exact, target, photographs)
    return target
