"""OpenVINO: written as `.xml` with its weights in a `.bin` beside it, and run."""

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from yolact.deployable import COMPACT, Deployable, Operation
from yolact.runtimes import Precision
from yolact.runtimes.exported import (
    FRACTIONS,
    IMAGES,
    METADATA,
    CutGraphRuntime,
    Description,
    Outputs,
    written_whole,
)
from yolact.runtimes.onnx_graph import to_onnx

if TYPE_CHECKING:
    import openvino

PLAIN: tuple[Operation, ...] = ("resize",)
"""What `Deployable` should write with simpler operators. Of OpenVINO's ways to resize, those that ONNX files lead to leave
out the low-pass, and the other takes several times longer than gathers and products."""

SECTION = "yolact"
"""Of the file's `rt_info`, where its description is."""

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


def convert(deployable: Deployable) -> "openvino.Model":
    """The graph of a network from pixels to outputs, with its description inside; not yet written.

    Args:
        deployable: made with `plain=PLAIN`.

    Raises:
        ImportError: openvino, onnx or onnxscript is missing.
        ValueError: it has a low-pass, and was not made with `plain=PLAIN`.
    """
    need_openvino()
    import onnx_ir

    if deployable.config.antialias and not deployable.plain_resize:
        raise ValueError(f"OpenVINO would leave out the low-pass; make the Deployable with plain={PLAIN}")

    model = to_onnx(deployable)
    converted = _core().read_model(io.BytesIO(onnx_ir.to_proto(model).SerializeToString()))
    describe(converted, Description.of(deployable))
    return converted


def describe(model: "openvino.Model", description: Description) -> None:
    """Put a description into a model, in place of the one it has."""
    for name, text in description.to_metadata().items():
        model.set_rt_info(text, [SECTION, name])


def write(model: "Deployable | openvino.Model", path: str | Path) -> Path:
    """Write a network, or what `convert` made of it, as `.xml` and `.bin`, and return the path of the first.

    Raises:
        ImportError: openvino, onnx or onnxscript is missing.
        OSError: the files cannot be written.
    """
    need_openvino()
    import openvino

    path = Path(path).expanduser()
    converted = convert(model) if isinstance(model, Deployable) else model
    with written_whole(path) as unfinished, written_whole(path.with_suffix(".bin")) as weights:
        openvino.save_model(converted, unfinished, compress_to_fp16=False)
        unfinished.with_suffix(".bin").replace(weights)
    return path


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
        self._core = _core()
        self._device = _device(self._core, device)
        self._options = _options(self._core, self._device, precision)
        model = read(self.path, self._core)
        super().__init__(_description(model, self.path))
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
        """All that the graph computes, as it stands in the file, by the names of its outputs."""
        with self._lock:
            if "whole" not in self._requests:
                self._requests["whole"] = self._compile(read(self.path, self._core))
            return _infer(self._requests["whole"], photographs)

    def _compile(self, model: "openvino.Model") -> "openvino.InferRequest":
        return self._core.compile_model(model, self._device, self._options).create_infer_request()


def read(path: Path, core: "openvino.Core | None" = None) -> "openvino.Model":
    """An `.xml` or `.onnx` file.

    Raises:
        FileNotFoundError, ValueError: there is no such file; it is damaged or something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if path.suffix == ".xml" and not path.with_suffix(".bin").is_file():
        raise FileNotFoundError(f"{path.with_suffix('.bin')} does not exist; it belongs to {path.name}")
    try:
        return (core or _core()).read_model(path)
    except RuntimeError as error:
        raise ValueError(f"{path} is damaged, incomplete, or no graph of OpenVINO; export it again") from error


def cut(model: "openvino.Model", outputs: Sequence[str] = (FRACTIONS, *COMPACT[1:])) -> "openvino.Model":
    """The part of a graph from `IMAGES`, resized and normalized, to these of its tensors. It shares the original's nodes.

    Raises:
        ValueError: it has no tensors of these names any more.
    """
    import openvino
    from openvino import opset8

    named = {name: output for node in model.get_ops() for output in node.outputs() for name in output.get_names()}
    missing = [name for name in (IMAGES, *outputs) if name not in named]
    if missing:
        raise ValueError(f"the graph has no tensor {missing[0]} any more; export it again")
    inner, photographs = named[IMAGES], model.input(0)
    entry = opset8.parameter(inner.get_partial_shape(), inner.get_element_type())
    # What is left of the photographs is how many there are, and there are as many images.
    for old in (inner, photographs):
        for user in old.get_target_inputs():
            if old is inner or user.get_node().get_type_name() == "ShapeOf":
                user.replace_source_output(entry.output(0))
    entry.output(0).set_names({IMAGES})
    ready = {name: result for result in model.get_results() for name in result.input_value(0).get_names()}
    results = [ready.get(name) or opset8.result(named[name]) for name in outputs]
    part = openvino.Model(results, [entry], SECTION)
    part.validate_nodes_and_infer_types()
    return part


def _infer(request: "openvino.InferRequest", values: np.ndarray) -> Outputs:
    found = request.infer([values], share_inputs=True)
    # The request writes into the same memory the next time.
    return {_name(output): np.array(array) for output, array in found.items()}


def _name(output: Any) -> str:
    """One tensor may have several names: of those, ours."""
    names = output.get_names()
    return next((name for name in (*COMPACT, FRACTIONS) if name in names), min(names))


def _core() -> "openvino.Core":
    """OpenVINO, which has deformable convolution, but does not find it in ONNX files by itself."""
    import openvino
    from openvino.frontend.onnx import ConversionExtension

    core = openvino.Core()
    core.add_extension(ConversionExtension("DeformConv", "", _deformable_convolution))
    return core


def _deformable_convolution(node: Any) -> list[Any]:
    from openvino import opset8

    images, weights, offsets, bias, modulation = (node.get_input(i) for i in range(5))
    pads = node.get_attribute("pads")
    mixed = opset8.deformable_convolution(
        images,
        offsets,
        weights,
        list(node.get_attribute("strides")),
        list(pads[:2]),
        list(pads[2:]),
        list(node.get_attribute("dilations")),
        mask=modulation,
        group=node.get_attribute("group"),
        deformable_group=node.get_attribute("offset_group"),
        bilinear_interpolation_pad=True,
    )
    column = opset8.reshape(bias, np.array([1, -1, 1, 1]), False)
    return [opset8.add(mixed, column).output(0)]


def need_openvino() -> None:
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise ImportError("OpenVINO is not installed: pip install 'yolact[openvino]'") from error


def _device(core: "openvino.Core", device: str | torch.device) -> str:
    name = "CPU" if str(device) in ("auto", "cpu") else str(device).upper().replace(":", ".")
    if name not in core.available_devices:
        has = ", ".join(name.lower() for name in core.available_devices)
        raise ValueError(f"OpenVINO cannot compute on {device} here; choose one of {has}")
    return name


def _options(core: "openvino.Core", device: str, precision: Precision) -> dict[str, Any]:
    able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    names = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}
    if names[precision] not in able:
        raise ValueError(f"OpenVINO does not compute in {precision} on this {device}; choose float32")
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    return {**options, "INFERENCE_NUM_THREADS": torch.get_num_threads()} if device == "CPU" else options


def _description(model: "openvino.Model", path: Path) -> Description:
    # What was an .onnx file has its metadata under another name.
    for section in (SECTION, "framework"):
        keys = [key for key in METADATA if model.has_rt_info([section, key])]
        if keys:
            return Description.from_metadata({key: model.get_rt_info([section, key]).astype(str) for key in keys}, path)
    return Description.from_metadata({}, path)
