"""ONNX: written as one file, and run by ONNX Runtime."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from yolact.deployable import Deployable
from yolact.runtimes import Precision
from yolact.runtimes.exported import IMAGES, CutGraphRuntime, Description, Outputs
from yolact.runtimes.onnx_graph import PIXELS, cut, need_onnx, to_onnx
from yolact.whole_files import written_whole

if TYPE_CHECKING:
    import onnx_ir
    import onnxruntime


def write(deployable: Deployable, path: str | Path) -> Path:
    """Write a network as `.onnx`, from pixels to outputs, and return the path.

    Raises:
        ImportError: onnx or onnxscript is missing.
        OSError: the file cannot be written.
    """
    import onnx_ir

    path, model = Path(path).expanduser(), to_onnx(deployable)
    with written_whole(path) as unfinished:
        onnx_ir.save(model, unfinished)
    return path


class OnnxRuntime(CutGraphRuntime):
    """Runs an exported `.onnx` file.

    Args:
        path: what `write` wrote.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`: a GPU if this ONNX Runtime can use one.
        precision: `float32`; a graph computes in what it was written in.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: something else wrote it, it is damaged, or this ONNX Runtime lacks the device or an operator.
        ImportError: a library is missing.
    """

    name = "onnxruntime"

    def __init__(self, path: str | Path, device: str | torch.device = "auto", precision: Precision = "float32") -> None:
        need_onnxruntime()
        import onnx_ir

        self.path = Path(path).expanduser()
        model = read(self.path)
        super().__init__(Description.from_metadata(model.metadata_props, self.path))
        if precision != "float32":
            raise ValueError(f"ONNX Runtime computes in what a graph was written in; {precision} is not a choice here")
        self._provider = _provider(device)
        self._session = self._open(onnx_ir.to_proto(cut(model)).SerializeToString())
        self._whole: onnxruntime.InferenceSession | None = None

    def describe(self) -> str:
        import onnxruntime

        where = "the CPU" if self._provider[0] == "CPUExecutionProvider" else f"cuda:{self._provider[1]['device_id']}"
        return f"ONNX Runtime {onnxruntime.__version__}, {self.description.precision}, on {where}"

    def compute(self, images: Float32[np.ndarray, "B 3 h w"]) -> Outputs:
        return _run(self._session, {IMAGES: images})

    def run_graph(self, photographs: UInt8[np.ndarray, "B H W 3"]) -> Outputs:
        """All that the graph computes, as it stands in the file, by the names of its outputs."""
        if self._whole is None:
            self._whole = self._open(str(self.path))
        return _run(self._whole, {PIXELS: photographs})

    def _open(self, model: bytes | str) -> "onnxruntime.InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about what it does to the graph
        options.intra_op_num_threads = torch.get_num_threads()
        # Its threads would otherwise turn in circles while the masks are made.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            return onnxruntime.InferenceSession(model, options, providers=[self._provider])
        except Exception as error:  # it has a type for each kind of failure, and documents none
            version = onnxruntime.__version__
            raise ValueError(f"ONNX Runtime {version} cannot run {self.path}: {_reason(error)}; update it") from error


def read(path: Path) -> "onnx_ir.Model":
    """An `.onnx` file.

    Raises:
        FileNotFoundError, ValueError: there is no such file; it is damaged or something else.
        ImportError: onnx or onnxscript is missing.
    """
    need_onnx("opening an ONNX file")
    import onnx_ir

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        return onnx_ir.load(path)
    except Exception as error:  # bytes that are no protocol buffer can raise anything
        raise ValueError(f"{path} is damaged, incomplete, or no ONNX file; export it again") from error


def need_onnxruntime() -> None:
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ImportError("running ONNX files needs onnxruntime: pip install 'yolact[onnx]'") from error


def _provider(device: str | torch.device) -> tuple[str, dict[str, Any]]:
    import onnxruntime

    kind, _, index = str(device).partition(":")
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if kind == "cuda" and not has_cuda:
        raise ValueError("this ONNX Runtime was built without CUDA: pip install onnxruntime-gpu, or take --device cpu")
    if kind not in ("auto", "cpu", "cuda"):
        raise ValueError(f"ONNX Runtime cannot compute on {device}; choose auto, cpu or cuda")
    if kind == "cpu" or not has_cuda:
        return "CPUExecutionProvider", {}
    return "CUDAExecutionProvider", {"device_id": int(index or 0)}


def _run(session: "onnxruntime.InferenceSession", inputs: Outputs) -> Outputs:
    names = [output.name for output in session.get_outputs()]
    arrays: Any = session.run(names, inputs)
    # Its 64-bit integers are C's `long long`: of the same kind as NumPy's int64, which is `long` on Linux, but not it.
    return {n: a.view(np.int64) if a.dtype == np.int64 else a for n, a in zip(names, arrays, strict=True)}


def _reason(error: Exception) -> str:
    """The line of an error of ONNX Runtime that says something, without its codes."""
    return str(error).strip().splitlines()[-1].rpartition(" : ")[2][:200]
