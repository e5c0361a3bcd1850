"""What computes: PyTorch, ONNX Runtime, OpenVINO or TensorRT, behind one interface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8

from yolact.config import DetectConfig, ModelConfig
from yolact.model import Yolact

RuntimeKind = Literal["auto", "pytorch", "onnxruntime", "openvino", "tensorrt"]
Precision = Literal["float32", "bfloat16", "float16"]


GRAPHS: dict[str, RuntimeKind] = {
    ".onnx": "onnxruntime",
    ".xml": "openvino",
    ".engine": "tensorrt",
    ".pt2": "pytorch",
}
"""The files that `yolact export` writes, and what they are for."""


@runtime_checkable
class Runtime(Protocol):
    """A network that was made ready to run, with everything before and after it."""

    name: str
    """`pytorch`, `onnxruntime`, `openvino` or `tensorrt`."""

    @property
    def config(self) -> ModelConfig: ...

    @property
    def detect(self) -> DetectConfig:
        """What it does unless a call asks for something else."""
        ...

    def describe(self) -> str:
        """One line for people: which runtime, version, precision and processor."""
        ...

    def run(
        self,
        photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        detect: DetectConfig | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> list[dict[str, np.ndarray]]:
        """Find what is in photographs, which may differ in size.

        Args:
            photographs: RGB, 0..255.
            detect: instead of its own. An exported graph refuses what it was not made for.
            image_size: (height, width) of the network's input, instead of the configured one; likewise.

        Returns:
            For each photograph the outputs that `yolact.detect.postprocess.to_outputs` describes, with B = 1.
        """
        ...


class UnfitPhotographError(ValueError):
    """A photograph that the graph cannot take, though it can take others."""


def is_graph(source: Any) -> bool:
    """Whether this is the path of an exported graph, going by how it ends."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in GRAPHS


def open_runtime(
    source: Yolact | str | Path,
    kind: RuntimeKind | None = None,
    device: str | torch.device = "auto",
    precision: Precision = "float32",
    compile: bool = False,
) -> Runtime:
    """Make a network or an exported graph ready to run.

    Args:
        source: a network, or the path of a graph.
        kind: what computes. None: PyTorch for a network, and for a graph what its kind of file is for. `auto`: for a
            network, what is fastest on this machine. Other than PyTorch, it takes a network as a graph, which is
            written once, into the cache.
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto`: what the runtime likes best of what there is.
        precision: of the network, where the runtime has a choice.
        compile: PyTorch translates the network for this processor first, see `yolact.runtimes.pytorch`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a graph that is not ours, damaged, or of another kind; a device or precision that the runtime does
            not have here.
        ImportError: the runtime, or what writes its graphs, is not installed.
    """
    if isinstance(source, Yolact):
        from yolact.runtimes import automatic, pytorch

        if kind in (None, "pytorch"):
            return pytorch.PyTorchRuntime(source, device, precision, compile, folded=True)
        if kind == "auto":
            return automatic.fastest(source, device, precision, compile)
        if compile:
            raise ValueError(f"{kind} compiles graphs by itself; leave --compile out, or take --runtime pytorch")
        return automatic.open_exported(source, kind, device, precision)
    if compile:
        raise ValueError(f"{source} is a graph, which only its own runtime can compile; leave --compile out")
    return _open_graph(Path(source).expanduser(), kind, device, precision)


def _open_graph(path: Path, kind: RuntimeKind | None, device: str | torch.device, precision: Precision) -> Runtime:
    suffix = path.suffix.lower()
    if suffix not in GRAPHS:
        raise ValueError(f"{path} is no exported graph; those end in {', '.join(GRAPHS)}")
    own = GRAPHS[suffix]
    kind = own if kind in (None, "auto") else kind
    if suffix == ".onnx" and kind in ("onnxruntime", "openvino"):
        own = kind  # OpenVINO reads both
    if kind != own:
        raise ValueError(f"{path.name} is a graph for {own}, not for {kind}; export another, or leave --runtime out")
    if kind == "onnxruntime":
        from yolact.runtimes.onnxruntime import OnnxRuntime

        return OnnxRuntime(path, device, precision)
    if kind == "openvino":
        from yolact.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(path, device, precision)
    if kind == "tensorrt":
        from yolact.runtimes.tensorrt import TensorRtRuntime

        return TensorRtRuntime(path, device, precision)
    from yolact.runtimes.torch_export import TorchExportRuntime

    return TorchExportRuntime(path, device, precision)
