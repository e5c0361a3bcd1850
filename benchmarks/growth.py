"""How cost grows with detections, with the photograph, with the batch and with the classes, on this processor.

    uv run --with matplotlib benchmarks/growth.py detections
    uv run --with matplotlib benchmarks/growth.py photograph
    uv run --with matplotlib benchmarks/growth.py batch
    uv run --with matplotlib benchmarks/growth.py classes

Each writes OUT/growth-NAME.csv (medians), growth-NAME.json (those, and the machine) and, if matplotlib is there,
PICTURES/growth-NAME.svg. Where the number or size of detections matters, weights are those of `contenders/weights.py`,
which detect as much and as large as trained ones.
"""

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import yolact
from yolact import checkpoint
from yolact.config import DetectConfig
from yolact.host import host_facts
from yolact.images import read_image
from yolact.instances import Instances
from yolact.model import build_model
from yolact.presets import PRESETS
from yolact.runtimes.pytorch import PyTorchRuntime
from yolact.sources import find_images
from yolact.structures import RawOutput

ROOT = Path(__file__).parent.parent
DETECTIONS = (1, 3, 10, 30, 100, 200, 300)
SIZES = ((480, 640), (864, 1152), (1224, 1632), (1728, 2304), (2448, 3264), (3000, 4000))
BATCHES = (1, 2, 4, 8, 16, 32, 64)
CLASSES = (1, 3, 10, 30, 100, 300, 1000)
LIGHT = "yolact-mobilenetv4"
"""The network whose head grows with the classes."""


@dataclass(frozen=True)
class Curve:
    """One measurement: what grows, and how long each stage takes at each of its values."""

    name: str
    title: str
    axis: str
    rows: list[dict[str, float]]
    """The value on the axis first, by the name of the axis, then milliseconds by stage."""

    unit: str = "ms"


def main() -> int:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    with torch.inference_mode():
        curve = CURVES[arguments.curve](arguments.rounds)
    print("\n".join(table(curve)))
    write(curve, arguments.out)
    try:
        plot(curve, arguments.pictures)
    except ImportError:
        print("growth: no picture, matplotlib is missing: uv run --with matplotlib ...", file=sys.stderr)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curve", choices=CURVES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path("runs/growth"))
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs" / "pictures")
    return parser.parse_args()


def over_detections(rounds: int) -> Curve:
    """After the network, on the photographs of the repository."""
    runtime, photographs = calibrated()
    raws = [(runtime.compute(runtime.prepare([photograph])), photograph.shape[:2]) for photograph in photographs]
    rows = []
    for count in DETECTIONS:
        config = DetectConfig(top_k=count)
        found = [runtime.finish(raw, [size], config)[0] for raw, size in raws]
        instances = [
            Instances.from_outputs(f, 0, size, runtime.config) for f, (_, size) in zip(found, raws, strict=True)
        ]
        times = {
            "detection": lambda config=config: [runtime.finish(raw, [size], config) for raw, size in raws],
            "full-size masks": lambda instances=instances: [each.masks for each in instances],
            "run lengths": lambda instances=instances: [each.rles() for each in instances],
        }
        rows.append({"detections": count, **medians(times, rounds, len(raws))})
    return Curve("detections", "After the network, 640x480 photographs", "detections", rows)


def over_photograph(rounds: int) -> Curve:
    """Of 100 detections, whose boxes grow with the photograph."""
    runtime, photographs = calibrated()
    raw = runtime.compute(runtime.prepare(photographs[:1]))
    rows = []
    for height, width in SIZES:
        pixels = np.asarray(Image.fromarray(photographs[0]).resize((width, height), Image.Resampling.BILINEAR))
        outputs = runtime.finish(raw, [(height, width)])
        instances = Instances.from_outputs(outputs[0], 0, (height, width), runtime.config)
        times = {
            "preparation": lambda pixels=pixels: runtime.prepare([pixels]),
            "full-size masks": lambda instances=instances: instances.masks,
            "run lengths": lambda instances=instances: instances.rles(),
        }
        rows.append({"megapixels": height * width / 1e6, **medians(times, rounds)})
    return Curve("photograph", "Beside the network, 100 detections", "megapixels", rows)


def over_batch(rounds: int) -> Curve:
    """Photographs in memory to masks, with the light network that comes with the package; of one photograph."""
    predictor = yolact.load(device="cpu")
    photographs = read(ROOT / "photos")
    rows = []
    for batch in BATCHES:
        chosen = [photographs[i % len(photographs)] for i in range(batch)]
        runtime = predictor.runtime
        assert isinstance(runtime, PyTorchRuntime)
        images = runtime.prepare(chosen)
        times = {
            "network": lambda images=images, runtime=runtime: runtime.compute(images),
            "total": lambda chosen=chosen, batch=batch: [
                found.masks for found in predictor.predict(chosen, 0.0, 100, batch_size=batch)
            ],
        }
        rows.append({"batch": batch, **medians(times, max(3, rounds // batch), batch, warm_up=1)})
    return Curve("batch", f"{checkpoint.SHIPPED}, photograph in memory to masks", "batch", rows, "ms an image")


def over_classes(rounds: int) -> Curve:
    """After the network, if 300 anchors show something; and a light network itself, whose head grows."""
    runtime, photographs = calibrated()
    raw = runtime.compute(runtime.prepare(photographs[:1]))
    size, rows = photographs[0].shape[:2], []
    for count in CLASSES:
        names = tuple(f"class {i}" for i in range(count))
        network = build_model(PRESETS[LIGHT].build(class_names=names)).eval()
        images, logits = torch.zeros(1, 3, *network.config.image_size), spread_over(raw, count)
        times = {
            f"network ({LIGHT})": lambda network=network, images=images: network(images),
            "detection": lambda logits=logits: runtime.finish(logits, [size]),
        }
        rows.append({"classes": count, **medians(times, rounds)})
    return Curve("classes", "With the number of classes, one photograph", "classes", rows)


CURVES: dict[str, Callable[[int], Curve]] = {
    "detections": over_detections,
    "photograph": over_photograph,
    "batch": over_batch,
    "classes": over_classes,
}


def calibrated() -> tuple[PyTorchRuntime, list[np.ndarray]]:
    """YOLACT-550 on ResNet-50 that detects as a trained one does, and photographs to do so on."""
    from contenders import weights

    photographs = read(ROOT / "photos")
    network, photographs, _ = weights.calibrated("yolact_resnet50", photographs, ROOT / "tests/data/parity")
    return PyTorchRuntime(network, "cpu"), photographs


def read(folder: Path) -> list[np.ndarray]:
    return [read_image(path) for path in find_images(folder)]


def spread_over(raw: RawOutput, classes: int, passing: int = 300) -> RawOutput:
    """The same boxes with other classes: the anchors most unlike background show one each, and all others nothing."""
    random = torch.Generator().manual_seed(0)
    anchors = raw.class_logits.shape[1]
    lead = raw.class_logits[0, :, 1:].amax(-1) - raw.class_logits[0, :, 0]
    best = lead.topk(passing).indices
    logits = torch.randn(1, anchors, classes + 1, generator=random)
    logits[..., 0] = 12.0 + np.log(classes)
    shown = 11.0 + np.log(classes) + torch.randn(passing, generator=random)
    logits[0, best, 1 + torch.randint(classes, (passing,), generator=random)] = shown
    return replace(raw, class_logits=logits)


def medians(times: dict[str, Callable[[], object]], rounds: int, share: int = 1, warm_up: int = 2) -> dict[str, float]:
    """Milliseconds of each of these, divided by `share`; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in times}
    for number in range(warm_up + rounds):
        for name, run in times.items():
            start = time.perf_counter()
            run()
            elapsed = time.perf_counter() - start
            if number >= warm_up:
                seconds[name].append(elapsed)
    return {name: 1000 * statistics.median(values) / share for name, values in seconds.items()}


def table(curve: Curve) -> list[str]:
    """Markdown."""
    names = list(curve.rows[0])
    lines = [f"{curve.title} ({curve.unit})", "", f"| {' | '.join(names)} |", "|---:" * len(names) + "|"]
    return lines + [f"| {' | '.join(f'{row[name]:.4g}' for name in names)} |" for row in curve.rows]


def write(curve: Curve, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"growth-{curve.name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(curve.rows[0]))
        writer.writeheader()
        writer.writerows(curve.rows)
    content = {"title": curve.title, "unit": curve.unit, "rows": curve.rows, "host": host_facts()}
    (folder / f"growth-{curve.name}.json").write_text(json.dumps(content, indent=1))


def plot(curve: Curve, folder: Path) -> None:
    """A small SVG. Axes are logarithmic: equal steps are equal factors; but not for values that differ little."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    mpl.rcParams.update({"svg.hashsalt": curve.name, "svg.fonttype": "none"})  # the same file from the same figures
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    values = [row[curve.axis] for row in curve.rows]
    for name in list(curve.rows[0])[1:]:
        axes.plot(values, [row[name] for row in curve.rows], marker="o", markersize=4, label=name)
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:.0f}" if value >= 10 else f"{value:.2g}" for value in values])
    axes.minorticks_off()
    drawn = [row[name] for row in curve.rows for name in list(row)[1:]]
    if max(drawn) < 5 * min(drawn):
        axes.set_ylim(0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(curve.axis)
    axes.set_ylabel(curve.unit)
    axes.set_title(curve.title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"growth-{curve.name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
