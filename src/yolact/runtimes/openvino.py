"""Exported graphs in OpenVINO."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from yolact.deployable import COMPACT
from yolact.runtimes import Precision
from yolact.runtimes.exported import FRACTIONS, IMAGES, CutGraphRuntime, Outputs
from yolact.runtimes.openvino_graph import PLAIN as PLAIN
from yolact.runtimes.openvino_graph import convert as convert
from yolact.runtimes.openvino_graph import cut, description_of, need_openvino, shared_core
from yolact.runtimes.openvino_graph import describe as describe
from yolact.runtimes.openvino_graph import read as read
from yolact.runtimes.openvino_graph import write as write

if TYPE_CHECKING:
    import openvino

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVinoRuntime(CutGraphRuntime):
    """Runs an exported `.xml` file, or an `.onnx` file.

    Args:
        path: what `write` wrote.
        device: `cpu` or `auto`, which is the same; or a name that OpenVINO has for another device here, such as `gpu`.
        precision: of the convolutions. What comes after them is computed in float32 all the same.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: something else wrote it, it is damaged, or OpenVINO has no such device here or no such precision on
            it.
        ImportError: openvino is missing.
    """

    name = "openvino"

    def __init__(self, path: str | Path, device: str | torch.device = "auto", precision: Precision = "float32") -> None:
        need_openvino()
        self.path = Path(path).expanduser()
        self._device = _device(device)
        self._options = _options(self._device, precision)
        model = read(self.path)
        super().__init__(description_of(model, self.path))
        self.precision = precision if self.description.precision == "float32" else self.description.precision
        self._model = cut(model)
        self._lock = threading.Lock()
        self._requests: dict[str, openvino.InferRequest] = {}

    def describe(self) -> str:
        import openvino

        version = openvino.__version__.partition("-")[0]
        return f"OpenVINO {version}, {self.precision}, on the {self._device}"

    def compute(self, images: Float32[np.ndarray, "B 3 h w"]) -> Outputs:
        # One photograph at a time is the rule, and worth a network of fixed shape: a tenth less time.
        kind = "single" if len(images) == 1 else "batch"
        with self._lock:
            if kind not in self._requests:
                model = self._model.clone()
                model.reshape({IMAGES: [1 if kind == "single" else -1, *images.shape[1:]]})
                self._requests[kind] = self._compile(model)
            return _infer(self._requests[kind], images)

    def run_graph(self, photographs: UInt8[np.ndarray, "B H W 3"]) -> Outputs:
        """All that the graph computes, as it stands in the file, by the names of its outputs.

        Raises:
            ValueError: an `.onnx` file with a low-pass, which OpenVINO would leave out without a word.
        """
        if self.path.suffix.lower() == ".onnx" and self.config.antialias:
            raise ValueError(f"OpenVINO leaves out the low-pass of {self.path.name}; export it with --to openvino")
        with self._lock:
            if "whole" not in self._requests:
                self._requests["whole"] = self._compile(read(self.path))
            return _infer(self._requests["whole"], photographs)

    def _compile(self, model: "openvino.Model") -> "openvino.InferRequest":
        return shared_core().compile_model(model, self._device, self._options).create_infer_request()


def _infer(request: "openvino.InferRequest", values: np.ndarray) -> Outputs:
    found = request.infer([values], share_inputs=True)
    # The request writes into the same memory the next time.
    return {_name(output): np.array(array) for output, array in found.items()}


def _name(output: Any) -> str:
    """One tensor may have several names: of those, ours."""
    names = output.get_names()
    return next((name for name in (*COMPACT, FRACTIONS) if name in names), min(names))


def _device(device: str | torch.device) -> str:
    available = shared_core().available_devices
    name = "CPU" if str(device) in ("auto", "cpu") else str(device).upper().replace(":", ".")
    if name not in available:
        has = ", ".join(name.lower() for name in available)
        raise ValueError(f"OpenVINO cannot compute on {device} here; choose one of {has}")
    return name


def _options(device: str, precision: Precision) -> dict[str, Any]:
    able = shared_core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    names = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}
    if names[precision] not in able:
        raise ValueError(f"OpenVINO does not compute in {precision} on this {device}; choose float32")
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    if device != "CPU":
        return options
    # Several processes would pin their threads to the same cores.
    return {**options, "INFERENCE_NUM_THREADS": torch.get_num_threads(), "ENABLE_CPU_PINNING": False}
