"""TensorRT: an engine for the GPU that it is built on, with its description as JSON beside it; and run there.

Written from TensorRT's documentation (10 and 11): none of the machines that this package was tested on could run it.
"""

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import UInt8

from yolact.deployable import Deployable, Operation
from yolact.runtimes import Precision, UnfitPhotographError
from yolact.runtimes.exported import Description, GraphRuntime, Outputs
from yolact.runtimes.onnx_graph import PIXELS, to_onnx
from yolact.whole_files import written_whole

if TYPE_CHECKING:
    import onnx_ir

PLAIN: tuple[Operation, ...] = ("resize", "deformable")
"""What `Deployable` should write with simpler operators: TensorRT has no low-pass, and deformable convolution only as a
plug-in."""

SMALLEST, USUAL, LARGEST = (1, 64, 64, 3), (1, 1080, 1920, 3), (16, 4096, 4096, 3)
"""Number, height, width and channels of photographs that an engine takes, and what it is tuned for."""


def write(deployable: Deployable, path: str | Path) -> Path:
    """Build an engine for the GPU of this machine, write it as `.engine` and a `.json`, and return the former's path.

    The engine computes in the types of the graph: a network in float16 (`network.half()`) gives an engine in float16.

    Raises:
        ImportError: tensorrt, onnx or onnxscript is missing.
        ValueError: there is no GPU, or TensorRT refuses the graph.
        OSError: the files cannot be written.
    """
    need_tensorrt()
    path = Path(path).expanduser()
    engine = _build(to_tensorrt_onnx(deployable))
    facts = json.dumps(Description.of(deployable).to_metadata() | {"gpu": torch.cuda.get_device_name()}, indent=1)
    with written_whole(path.with_suffix(".json")) as unfinished:
        unfinished.write_text(facts)
    with written_whole(path) as unfinished:
        unfinished.write_bytes(engine)
    return path


def to_tensorrt_onnx(deployable: Deployable) -> "onnx_ir.Model":
    """The ONNX graph in the form that TensorRT takes.

    - Everything is looked at, without the branch: its outputs may not be 64-bit integers in TensorRT, and on a GPU to
      look at everything takes less time than to wait for the decision.
    - Bytes are only made at the very end, which is the only place where TensorRT has them.
    """
    model = to_onnx(deployable)
    _take_branch(model)
    _cast_last(model)
    return model


class TensorRtRuntime(GraphRuntime):
    """Runs an `.engine` file on the GPU that it was built on.

    Args:
        path: what `write` wrote; the `.json` of the same name lies beside it.
        device: `cuda`, `cuda:1`, or `auto`, which is `cuda`.
        precision: `float32` if nothing is asked for; an engine computes in what it was built for.

    Raises:
        FileNotFoundError: one of the two files is missing.
        ValueError: something else wrote them, there is no GPU, or another version or GPU built the engine.
        ImportError: tensorrt is missing.
    """

    name = "tensorrt"

    def __init__(self, path: str | Path, device: str | torch.device = "auto", precision: Precision = "float32") -> None:
        self.path = Path(path).expanduser()
        super().__init__(_description(self.path))
        if precision not in ("float32", self.description.precision):
            raise ValueError(f"{path} computes in {self.description.precision}; build another for {precision}")
        need_tensorrt()
        import tensorrt  # type: ignore[import-not-found]

        self.device = torch.device("cuda" if str(device) == "auto" else device)
        if self.device.type != "cuda" or not torch.cuda.is_available():
            raise ValueError(f"TensorRT needs a GPU of NVIDIA's, not {self.device}; take --runtime pytorch")
        logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        with torch.cuda.device(self.device):
            self._engine = tensorrt.Runtime(logger).deserialize_cuda_engine(self.path.read_bytes())
        if self._engine is None:
            raise ValueError(
                f"{path} was built for another GPU or version than TensorRT {tensorrt.__version__}; build it again here"
            )
        self._context = self._engine.create_execution_context()
        self._lock = threading.Lock()

    def describe(self) -> str:
        import tensorrt  # type: ignore[import-not-found]

        gpu = torch.cuda.get_device_name(self.device)
        return f"TensorRT {tensorrt.__version__}, {self.description.precision}, on {gpu}"

    def run_graph(self, photographs: UInt8[np.ndarray, "B H W 3"]) -> Outputs:
        """All that the engine computes, by the names of its outputs."""
        for axis, (least, most) in enumerate(zip(SMALLEST, LARGEST, strict=True)):
            if not least <= photographs.shape[axis] <= most:
                raise UnfitPhotographError(
                    f"photographs are {photographs.shape}; an engine takes from {SMALLEST} to {LARGEST}"
                )
        pixels = torch.from_numpy(np.ascontiguousarray(photographs)).to(self.device)
        return {name: tensor.cpu().numpy() for name, tensor in self.run_on_device(pixels).items()}

    def run_on_device(self, photographs: torch.Tensor) -> dict[str, torch.Tensor]:
        """As `run_graph`, from a tensor on the GPU to tensors on the GPU, without waiting for it."""
        import tensorrt  # type: ignore[import-not-found]

        with self._lock, torch.cuda.device(self.device):
            self._context.set_input_shape(PIXELS, tuple(photographs.shape))
            self._context.set_tensor_address(PIXELS, photographs.data_ptr())
            outputs = {}
            for name in (self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)):
                if self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.OUTPUT:
                    shape = tuple(self._context.get_tensor_shape(name))
                    dtype = getattr(torch, _TYPES[self._engine.get_tensor_dtype(name).name])
                    outputs[name] = torch.empty(shape, dtype=dtype, device=self.device)
                    self._context.set_tensor_address(name, outputs[name].data_ptr())
            if not self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
                raise RuntimeError(f"TensorRT failed to run {self.path} on photographs of {tuple(photographs.shape)}")
        return outputs


_TYPES = {"FLOAT": "float32", "HALF": "float16", "INT32": "int32", "INT64": "int64", "UINT8": "uint8"}


def need_tensorrt() -> None:
    try:
        import tensorrt  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        raise ImportError("TensorRT is not installed: pip install tensorrt (it needs a GPU of NVIDIA's)") from error


def _build(model: "onnx_ir.Model") -> bytes:
    import onnx_ir
    import tensorrt  # type: ignore[import-not-found]

    if not torch.cuda.is_available():
        raise ValueError("an engine is built on the GPU that it will run on, and this machine has none")
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(onnx_ir.to_proto(model).SerializeToString()):
        raise ValueError(f"TensorRT {tensorrt.__version__} refuses the graph: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # a float32 of ten bits moves boxes by pixels
    profile = builder.create_optimization_profile()
    profile.set_shape(PIXELS, SMALLEST, USUAL, LARGEST)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ValueError(f"TensorRT {tensorrt.__version__} could not build the engine; its own message is above")
    return bytes(engine)


def _take_branch(model: "onnx_ir.Model") -> None:
    """Replace the one If by what it does where the quick way was not enough."""
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    for choice in [node for node in model.graph if node.op_type == "If"]:
        branch, other = (choice.attributes[name].as_graph() for name in ("else_branch", "then_branch"))
        results, nodes = list(branch.outputs), list(branch)
        branch.outputs.clear()
        branch.remove(nodes)
        model.graph.insert_before(choice, nodes)
        for old, new in zip(choice.outputs, results, strict=True):
            name = old.name
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            old.name, new.name = None, name
        model.graph.remove(choice, safe=True)
        other.outputs.clear()
        other.remove(list(other), safe=True)  # or what it read would still count as used
    # What is left of the quick way is asked how many photographs there are.
    photographs = next(value for value in model.graph.inputs if value.name == PIXELS)
    for node in model.graph:
        if node.op_type == "Shape" and node.attributes.get_int("end", 0) == 1:
            node.replace_input_with(0, photographs)
    RemoveUnusedNodesPass()(model)


def _cast_last(model: "onnx_ir.Model") -> None:
    """Join the pieces of the bit masks as floats, and make bytes of the whole."""
    import onnx_ir
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    for join in [node for node in model.graph if node.op_type == "Concat"]:
        casts: list[Any] = [value.producer() for value in join.inputs if value is not None]
        bytes_only = all(node is not None and node.op_type == "Cast" for node in casts) and all(
            node.attributes["to"].as_int() == onnx_ir.DataType.UINT8 for node in casts
        )
        if not bytes_only:
            continue
        for i, node in enumerate(casts):
            join.replace_input_with(i, node.inputs[0])
        packed = join.outputs[0]
        whole = onnx_ir.Node("", "Cast", [packed], [onnx_ir.AttrInt64("to", onnx_ir.DataType.UINT8)])
        model.graph.insert_after(join, whole)
        result = whole.outputs[0]
        packed.replace_all_uses_with(result, replace_graph_outputs=True)
        whole.replace_input_with(0, packed)
        result.name, result.shape, result.type = packed.name, packed.shape, packed.type
        packed.name, packed.type = f"{packed.name}_as_floats", onnx_ir.TensorType(onnx_ir.DataType.FLOAT)
    RemoveUnusedNodesPass()(model)


def _description(path: Path) -> Description:
    facts = path.with_suffix(".json")
    for needed in (path, facts):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} does not exist; an engine is two files, .engine and .json")
    try:
        metadata = json.loads(facts.read_text())
    except ValueError as error:
        raise ValueError(f"{facts} is damaged; export it again") from error
    return Description.from_metadata(metadata if isinstance(metadata, dict) else {}, facts)
