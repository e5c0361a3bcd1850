"""`yolact export`: one graph from pixels to outputs, checked against PyTorch before it appears."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from yolact.config import DetectConfig, GraphCrop
from yolact.deployable import Deployable, MaskForm, Operation
from yolact.model import Yolact
from yolact.runtimes import onnxruntime, openvino, tensorrt, torch_export
from yolact.runtimes.comparison import Difference, compare
from yolact.runtimes.exported import GraphRuntime
from yolact.weights_file import LARGEST_SIDE
from yolact.whole_files import staging_beside

Target = Literal["onnx", "openvino", "tensorrt", "torch"]
ExportPrecision = Literal["float32", "float16"]

Photographs = Sequence[UInt8[np.ndarray, "_ _ 3"]]


@dataclass(frozen=True)
class _Kind:
    suffix: str
    write: Callable[[Deployable, Path], Path]
    open: Callable[[Path], GraphRuntime]
    plain: tuple[Operation, ...] = ()


KINDS: dict[str, _Kind] = {
    "onnx": _Kind(".onnx", onnxruntime.write, onnxruntime.OnnxRuntime),
    "openvino": _Kind(".xml", openvino.write, openvino.OpenVinoRuntime, openvino.PLAIN),
    "tensorrt": _Kind(".engine", tensorrt.write, tensorrt.TensorRtRuntime, tensorrt.PLAIN),
    "torch": _Kind(".pt2", torch_export.write, torch_export.TorchExportRuntime, torch_export.PLAIN),
}


@dataclass(frozen=True)
class Exported:
    """What `export` wrote."""

    path: Path
    files: tuple[Path, ...]
    """All of them; `path` is the one to open."""

    differences: tuple[Difference, ...]
    """From PyTorch, a batch each. Empty where it was not checked."""

    def report(self) -> str:
        """A table of the differences, and what was written."""
        lines = [Difference.table(self.differences)] if self.differences else ["not checked against PyTorch"]
        written = ", ".join(f"{file} ({file.stat().st_size / 1e6:.1f} MB)" for file in self.files)
        return "\n".join([*lines, f"written: {written}"])


def export(
    network: Yolact,
    to: Target,
    path: str | Path,
    *,
    detect: DetectConfig = DetectConfig(),  # noqa: B008
    masks: Sequence[MaskForm] = ("bits",),
    region_size: int = 112,
    image_size: tuple[int, int] | None = None,
    crop: str = "box",
    precision: ExportPrecision = "float32",
    photographs: Photographs | None = (),
) -> Exported:
    """Write a network as one graph of standard operators, from pixels to finished masks, and check it.

    Args:
        network: on the CPU, in float32.
        to: what the graph is for.
        path: the file, ending as its kind does (`KINDS`); missing folders are made.
        detect: how the network's output is read; `traditional` NMS cannot be exported.
        masks: the forms of masks among the outputs, see `yolact.deployable.MaskForm`.
        region_size: samples along each side of `regions`.
        image_size: (height, width) that the graph resizes photographs to, instead of the configured one.
        crop: how the masks among the outputs are cut, `box`, `expand` or `soft`, see `yolact.detect.crop`.
        precision: of the network; `float16` for TensorRT only.
        photographs: RGB, 0..255, to check the file on; without any, on made ones. None: do not check it.

    Raises:
        ImportError: a library is missing; the message says how to install it.
        ValueError: an option that does not fit, or the file differs from PyTorch by more than
            `yolact.runtimes.comparison.LIMITS` allows. Then nothing is written.
        OSError: the file cannot be written.
    """
    kind, path = KINDS[to], Path(path).expanduser()
    _refuse(kind, to, path, detect, region_size, crop, precision)
    if image_size is not None and not 64 <= min(image_size) <= max(image_size) <= LARGEST_SIDE:
        raise ValueError(f"image_size is {image_size}; it is (height, width), each from 64 to {LARGEST_SIDE} pixels")
    prepared = network
    if precision == "float16":
        prepared = copy.deepcopy(network).half()
    options: Any = {"region_size": region_size, "image_size": image_size, "crop": crop}
    deployable = Deployable(prepared, detect, masks, plain=kind.plain, **options)
    differences: tuple[Difference, ...] = ()
    with staging_beside(path) as staging:
        kind.write(deployable, staging / path.name)
        if photographs is not None:
            reference = Deployable(network, detect, masks, **options)
            differences = check(kind.open(staging / path.name), reference, photographs)
        names = sorted((file.name for file in staging.iterdir()), key=lambda name: name == path.name)
        for name in names:  # the one to open comes last
            (staging / name).replace(path.parent / name)
    return Exported(path, tuple(path.parent / name for name in reversed(names)), differences)


def check(runtime: GraphRuntime, reference: Deployable, photographs: Photographs = ()) -> tuple[Difference, ...]:
    """Run a file as it stands, and the network in PyTorch, on photographs: each alone, and two of another size at once.

    Raises:
        ValueError: they differ by more than `yolact.runtimes.comparison.LIMITS` allows. The message has the table.
    """
    photographs = list(photographs) or [synthesize(360, 480), synthesize(427, 321, seed=1)]
    batches = [np.require(photograph[None], requirements=["C", "W"]) for photograph in photographs]
    pair = [photographs[0], photographs[-1]]
    height, width = pair[0].shape[:2]
    batches.append(np.stack([_resize(photograph, height * 3 // 4, width * 2 // 3 + 1) for photograph in pair]))
    differences = []
    for batch in batches:
        with torch.inference_mode():
            expected = {name: value.numpy() for name, value in reference(torch.from_numpy(batch)).items()}
        differences.append(compare(expected, runtime.run_graph(batch), batch.shape[1:3]))
    wrong = [f"{d.name}: {problem}" for d in differences for problem in d.problems(runtime.description.precision)]
    if wrong:
        table = Difference.table(differences)
        raise ValueError(f"the exported graph differs from PyTorch, so nothing was written ({wrong[0]})\n{table}")
    return tuple(differences)


def synthesize(height: int, width: int, seed: int = 0) -> UInt8[np.ndarray, "H W 3"]:
    """A picture of soft patches, always the same: to check on where there are no photographs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 24, width // 24, 3), dtype=np.uint8)
    return _resize(coarse, height, width)


def _resize(photograph: UInt8[np.ndarray, "H W 3"], height: int, width: int) -> UInt8[np.ndarray, "H2 W2 3"]:
    return np.asarray(Image.fromarray(photograph).resize((width, height), Image.Resampling.BICUBIC))


def _refuse(
    kind: _Kind, to: str, path: Path, detect: DetectConfig, region_size: int, crop: str, precision: str
) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file")
    if path.suffix != kind.suffix:
        raise ValueError(f"{path} should end in {kind.suffix}, as graphs for {to} do")
    if detect.nms == "traditional":
        raise ValueError("traditional NMS goes on until it is done, which a graph cannot; choose fast or cross-class")
    if precision == "float16" and to != "tensorrt":
        raise ValueError(f"only TensorRT engines are built in float16; {to} files are float32 until they are run")
    if crop not in get_args(GraphCrop):
        raise ValueError(f"crop is {crop!r}; a graph of standard operators has {', '.join(get_args(GraphCrop))}")
    if not 1 <= region_size <= 1024:
        raise ValueError(f"region_size is {region_size}; it must lie between 1 and 1024")
