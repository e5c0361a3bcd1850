"""`yolact export`."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from yolact.config import DetectConfig, GraphCrop

if TYPE_CHECKING:
    from yolact.data.source import DataConfig
    from yolact.export import Exported
    from yolact.model import Yolact

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".engine", "torch": ".pt2"}


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write one graph of standard operators, from the pixels of photographs to finished masks, and check it."""

    to: Literal["onnx", "openvino", "tensorrt", "torch", "triton"]
    """What it is for. triton: an ONNX graph in a model repository of the Triton Inference Server."""

    weights: Annotated[Positional[str | None], tyro.conf.arg(metavar="WEIGHTS")] = None
    """A preset, a .safetensors or .pth file, or a hub repository. None: the weights that come with the package."""

    out: Path | None = None
    """The file to write, or Triton's model repository. None: the name of the model, or `models`, in the current
    folder."""

    masks: Annotated[tuple[Literal["bits", "soft", "regions"], ...], tyro.conf.arg(metavar="FORM [FORM ...]")] = (
        "bits",
    )
    """bits: at the photograph's size, eight pixels a byte. soft: probabilities at prototype scale. regions: each mask
    on a grid of fixed size, with its box."""

    region_size: int = 112
    """Samples along each side of `regions`."""

    top_k: int = 100
    """Detections for a photograph."""

    nms: Literal["fast", "cross-class"] = "fast"
    """How overlapping detections are suppressed; `fast` is the paper's."""

    crop: GraphCrop = "box"
    """How the masks in the graph are cut; `box` is the paper's way. `component` is for Python only: no standard
    operator finds connected regions."""

    image_size: tuple[int, int] | None = None
    """Height and width that the graph resizes photographs to. None: what the network was trained at."""

    precision: Literal["float32", "float16"] = "float32"
    """float16: for TensorRT."""

    int8: bool = False
    """Compute the network in 8-bit integers, as far as it stays accurate; needs --calibrate."""

    calibrate: Path | None = None
    """A data.yaml: its training images set the ranges of the integers, its validation images show what they cost."""

    allow_ap_loss: float = 1.0
    """Points of mask AP that INT8 may cost before nothing is written."""

    photographs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOURCE [SOURCE ...]")] = ()
    """Images, folders and globs to check the file on. None: those of the repository, or made ones."""

    check: bool = True
    """Run the written file and compare it with PyTorch."""

    def run(self) -> int:
        from yolact import checkpoint
        from yolact.benchmark import read_photographs
        from yolact.data.source import DataConfig
        from yolact.evaluate import annotated_source
        from yolact.runtimes import is_graph

        if self.int8 != (self.calibrate is not None):
            raise ValueError("--int8 needs --calibrate DATA.YAML to measure ranges on, and --calibrate needs --int8")
        if is_graph(self.weights):
            raise ValueError(f"{self.weights} is a graph already; give the weights that it was made from")
        if self.int8 and self.to not in ("onnx", "openvino", "triton"):
            raise ValueError(f"INT8 is for ONNX and OpenVINO, not for {self.to}; take --to onnx or --to openvino")
        if self.out is not None and self.to != "triton" and self.out.suffix != SUFFIXES[self.to]:
            raise ValueError(f"{self.out} should end in {SUFFIXES[self.to]}, as graphs for {self.to} do")
        data = None if self.calibrate is None else DataConfig.read(self.calibrate)  # refused before minutes of work
        if data is not None:
            annotated_source(data, "val")
        photographs = read_photographs(self.photographs)[0] if self.check else None
        network = checkpoint.load(self.weights)
        if self.to == "triton":
            return self._add_to_repository(network, photographs, data)
        precision = "" if data is None else "-int8"
        target = (self.out or Path(f"{network.config.name}{precision}{SUFFIXES[self.to]}")).expanduser()
        if data is None:
            print(self._write(network, target, photographs).report())
            return 0
        target.parent.mkdir(parents=True, exist_ok=True)
        self._write_int8(network, target, photographs, data)
        files = [target, target.with_suffix(".bin")] if self.to == "openvino" else [target]
        print("written:", ", ".join(f"{file} ({file.stat().st_size / 1e6:.1f} MB)" for file in files))
        return 0

    def _add_to_repository(self, network: "Yolact", photographs: Any, data: "DataConfig | None") -> int:
        from yolact.runtimes.comparison import Difference
        from yolact.triton import add_to_repository

        with TemporaryDirectory() as folder:
            graph = Path(folder) / "model.onnx"
            if data is not None:
                self._write_int8(network, graph, photographs, data)
            elif differences := self._write(network, graph, photographs).differences:
                print(Difference.table(differences))
            version = add_to_repository(graph, self.out or "models")
        print(f"written: {version}; serve it with: tritonserver --model-repository {version.parent.parent}")
        return 0

    def _write_int8(self, network: "Yolact", target: Path, photographs: Any, data: "DataConfig") -> None:
        from yolact.quantize import quantize
        from yolact.runtimes.comparison import Difference

        with TemporaryDirectory() as folder:
            exact = Path(folder) / f"float32{target.suffix}"
            print(Difference.table(self._write(network, exact, photographs).differences))
            print(quantize(exact, target, data, self.allow_ap_loss).table())

    def _write(self, network: "Yolact", path: Path, photographs: Any) -> "Exported":
        from yolact.export import export

        return export(
            network,
            "onnx" if self.to == "triton" else self.to,
            path,
            detect=DetectConfig(nms=self.nms, top_k=self.top_k),
            masks=self.masks,
            region_size=self.region_size,
            image_size=self.image_size,
            crop=self.crop,
            precision=self.precision,
            photographs=photographs,
        )
