"""INT8: an exported graph with its network in 8-bit integers, and what that costs in average precision."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from yolact.data.annotations import annotated_size, leads_out, read_image, read_json
from yolact.data.source import DataConfig, Source
from yolact.evaluate import evaluate
from yolact.predictor import Predictor
from yolact.runtimes import open_runtime
from yolact.runtimes import openvino as openvino_runtime
from yolact.runtimes.int8 import quantize_onnx, quantize_openvino
from yolact.whole_files import staging_beside

MOST, FEWEST = 64, 4
"""Photographs that ranges are measured on. With 268 nothing changed that could be measured: see docs/deployment.md."""


def quantize(source: Path, target: Path, data: DataConfig, allowed_ap_loss: float = 1.0) -> "Cost":
    """Write the INT8 form of an exported file, if it is accurate enough.

    Args:
        source: an `.onnx` or `.xml` file of `yolact export`.
        target: of the same kind.
        data: its training images set the ranges, its validation images show what the integers cost.
        allowed_ap_loss: points of mask AP; one point is 0.01.

    Raises:
        ImportError: a library is missing.
        ValueError: it costs more, there is too little data, or the file is of another kind. Then nothing is written.
    """
    if source.suffix not in (".onnx", ".xml"):
        raise ValueError(f"INT8 is for ONNX and OpenVINO, not for {source.suffix} files; take --to onnx or openvino")
    if data.val is None:
        raise ValueError("the data set has no val, so what INT8 costs cannot be measured; add it to the data.yaml")
    photographs = calibration_photographs(data)
    before = open_runtime(source, device="cpu")
    with staging_beside(target) as folder:
        written = folder / target.name
        if isinstance(before, openvino_runtime.OpenVinoRuntime):
            images = [before.prepare([photograph]) for photograph in photographs]
            model = quantize_openvino(openvino_runtime.read(source), images)
            openvino_runtime.describe(model, replace(before.description, precision="int8"))
            openvino_runtime.write(model, written)
        else:
            quantize_onnx(source, written, photographs)
        cost = check_ap(Predictor(before), Predictor(open_runtime(written, device="cpu")), data, allowed_ap_loss)
        for file in sorted(folder.iterdir(), key=lambda file: file == written):  # the one to open comes last
            file.replace(target.parent / file.name)
    return cost


def calibration_photographs(data: DataConfig, most: int = MOST) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Photographs of the training part, evenly spread, and never those that AP is measured on.

    Raises:
        ValueError: there are fewer than `FEWEST`, or one cannot be read.
    """
    measured_on = set() if data.val is None else _files(data.val)
    paths = []
    for source in data.train:
        for image in read_json(source.annotations)["images"]:
            name = str(image.get("file_name"))
            path = source.images / name
            if not leads_out(source.images, name) and path.is_file() and path.resolve() not in measured_on:
                paths.append((path, image.get("height"), image.get("width")))
    count = min(most, len(paths))
    if count < FEWEST:
        raise ValueError(f"{count} training images (besides those of val) to calibrate on; INT8 needs {FEWEST}")
    chosen = [paths[i * len(paths) // count] for i in range(count)]
    return [read_image(path, annotated_size(path, height, width)) for path, height, width in chosen]


def _files(source: Source) -> set[Path]:
    return {
        (source.images / str(image.get("file_name"))).resolve() for image in read_json(source.annotations)["images"]
    }


@dataclass(frozen=True)
class Cost:
    """What INT8 costs: points of average precision before and after."""

    before: dict[str, float]
    after: dict[str, float]

    @property
    def mask_ap_loss(self) -> float:
        """In points, above 0 where it got worse."""
        return self.before["mask AP"] - self.after["mask AP"]

    def table(self) -> str:
        lines = [f"{'points':10}{'before':>8}{'INT8':>8}{'':>2}{'change':>7}"]
        for name, before in self.before.items():
            lines.append(f"{name:10}{before:8.2f}{self.after[name]:8.2f}  {self.after[name] - before:+7.2f}")
        return "\n".join(lines)


def check_ap(before: Predictor, after: Predictor, data: DataConfig, allowed: float = 1.0) -> Cost:
    """Measure both on the validation part of a data set.

    Args:
        allowed: points of mask AP that may be lost; one point is 0.01.

    Raises:
        ValueError: more is lost.
    """
    cost = Cost(_points(before, data), _points(after, data))
    if cost.before["mask AP"] <= 0:
        raise ValueError("mask AP is 0 before quantizing, so what INT8 costs cannot be measured; check val's classes")
    if not cost.mask_ap_loss <= allowed:
        raise ValueError(
            f"INT8 costs {cost.mask_ap_loss:.2f} points of mask AP ({cost.before['mask AP']:.2f} to"
            f" {cost.after['mask AP']:.2f}), more than {allowed:g}, so nothing was written; calibrate on more"
            " photographs like those it will see, or allow it with --allow-ap-loss"
        )
    return cost


def _points(predictor: Predictor, data: DataConfig) -> dict[str, float]:
    found = evaluate(predictor, data, progress=False)
    if found.unreadable:
        raise ValueError(f"{len(found.unreadable)} images of val cannot be read: {', '.join(found.unreadable[:3])}")
    return {f"{kind} {name}": 100 * found[kind][name] for kind in ("mask", "box") for name in ("AP", "AP50")}
