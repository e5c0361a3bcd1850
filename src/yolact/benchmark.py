"""How long each stage takes on this machine, how much memory, and with how much variation: `yolact benchmark`."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from yolact.host import PeakMemory, host_facts
from yolact.instances import Instances
from yolact.predictor import Predictor
from yolact.runtimes.exported import CutGraphRuntime
from yolact.runtimes.pytorch import PyTorchRuntime
from yolact.sources import find_images, load

Photographs = Sequence[UInt8[np.ndarray, "_ _ 3"]]
Clock = Callable[[], float]

PHOTOGRAPHS = Path(__file__).parents[2] / "photos"
"""Those of the repository, where the package runs from it."""

STAGES = {
    "preparation": "resize and normalize",
    "network": "from the network's input to its raw output",
    "graph": "network and detection, or all but the masks where there is no preparation",
    "detection": "decode and suppress",
    "masks": "boolean, of all detections, at the photograph's size",
    "total": "photograph in memory to masks, measured in one go",
}
"""In this order. Which of them there are depends on the runtime."""


@dataclass(frozen=True)
class Distribution:
    """Milliseconds that a stage took, over all photographs and rounds."""

    median: float
    p90: float
    p99: float
    best: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Distribution":
        median, p90, p99 = np.percentile(seconds, [50, 90, 99])
        return cls(*(float(1000 * value) for value in (median, p90, p99, min(seconds))))


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `measure` found."""

    model: str
    runtime: str
    photographs: list[tuple[int, int]]
    """(height, width) of each, in pixels."""

    batch_size: int
    rounds: int
    detections: float
    """How many a photograph has on average."""

    stages: dict[str, Distribution]
    """By the names of `STAGES`; of a batch."""

    images_per_second: float
    """By the median of the total."""

    memory: float | None
    """MB that the process took at most above what it had before the first photograph. None: cannot be known here."""

    gpu_memory: float | None
    """MB that PyTorch had in use on the GPU at most, weights included."""

    host: dict[str, Any]
    accuracy: dict[str, float] | None = None
    """`box AP` and `mask AP` of the same runtime, in 0..1, where annotated data were given."""

    notes: tuple[str, ...] = ()

    def table(self) -> str:
        """Markdown: a row a stage, then everything else, a line each."""
        sizes = ", ".join(sorted({f"{width}x{height}" for height, width in self.photographs}))
        lines = [
            f"{self.model}, {self.runtime}; batches of {self.batch_size}, {self.rounds} rounds",
            f"{len(self.photographs)} photographs ({sizes}), {self.detections:.1f} detections each",
            "",
            "| milliseconds | median | p90 | p99 | best | |",
            "|---|---:|---:|---:|---:|---|",
        ]
        for name, time_of in self.stages.items():
            figures = " | ".join(f"{value:.1f}" for value in (time_of.median, time_of.p90, time_of.p99, time_of.best))
            lines.append(f"| {name} | {figures} | {STAGES[name]} |")
        lines += ["", f"{self.images_per_second:.1f} images a second"]
        for size, where in ((self.memory, "above what was in use before"), (self.gpu_memory, "on the GPU")):
            lines += [] if size is None else [f"{size:.0f} MB at most {where}"]
        if self.accuracy is not None:
            lines.append(", ".join(f"{name} {100 * value:.1f}" for name, value in self.accuracy.items()))
        lines += [f"{name}: {_show(value)}" for name, value in self.host.items()]
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def measure(
    predictor: Predictor,
    photographs: Photographs,
    *,
    rounds: int = 20,
    warm_up: int = 3,
    batch_size: int = 1,
    score_threshold: float = 0.0,
    top_k: int = 100,
    clock: Clock = time.perf_counter,
) -> Report:
    """Time every stage, and the whole way from photographs in memory to finished masks.

    Args:
        photographs: RGB, 0..255. Each goes through once a round.
        rounds: that count.
        warm_up: rounds before, that do not.
        score_threshold: with 0, masks are made of all `top_k` detections: the worst case, and what papers time.
        clock: seconds that pass.

    Raises:
        ValueError: no photographs, or fewer than one round or photograph in a batch.
    """
    _refuse(photographs=len(photographs), rounds=rounds, batch_size=batch_size, warm_up=warm_up + 1)
    times: dict[str, list[float]] = {}
    found: list[int] = []
    used = PeakMemory()
    for number in range(warm_up + rounds):
        for batch in _batches(photographs, batch_size):
            start = clock()
            results = _predict(predictor, batch, score_threshold, top_k)
            whole = {"total": clock() - start}
            if number >= warm_up:
                found += [len(masks) for masks in results]
            del results
            for name, seconds in {**stages(predictor, batch, score_threshold, top_k, clock), **whole}.items():
                if number >= warm_up:
                    times.setdefault(name, []).append(seconds)
    memory, gpu_memory = used.stop()
    distributions = {name: Distribution.of(times[name]) for name in STAGES if name in times}
    height, width = predictor.config.image_size
    notes = ["A graph's stages cannot be seen from outside."] if "graph" in times else []
    if score_threshold > 0:
        notes.append(f"Only what scores above {score_threshold} got masks.")
    return Report(
        model=f"{predictor.config.name} at {width}x{height}",
        runtime=predictor.runtime.describe(),
        photographs=_sizes(photographs),
        batch_size=batch_size,
        rounds=rounds,
        detections=float(np.mean(found)),
        stages=distributions,
        images_per_second=1000 * batch_size / distributions["total"].median,
        memory=memory,
        gpu_memory=gpu_memory,
        host=host_facts(),
        notes=tuple(notes),
    )


def _refuse(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            least = 0 if name == "warm_up" else 1
            raise ValueError(f"{name}: {value - 1 + least}; measuring needs at least {least}")


def stages(
    predictor: Predictor,
    batch: Photographs,
    score_threshold: float = 0.0,
    top_k: int = 100,
    clock: Clock = time.perf_counter,
) -> dict[str, float]:
    """Seconds of each stage of one batch, in the order of `STAGES`, without the total."""
    runtime: Any = predictor.runtime
    config, moments = replace(runtime.detect, top_k=top_k), [clock()]

    def passed(result: Any) -> Any:
        _wait(runtime)
        moments.append(clock())
        return result

    names: tuple[str, ...] = ("graph", "masks")
    if isinstance(runtime, PyTorchRuntime | CutGraphRuntime):
        names = ("preparation", "network", "detection", "masks")
        raw = passed(runtime.compute(passed(runtime.prepare(batch))))
        outputs = passed(runtime.finish(raw, _sizes(batch), config))
    else:
        outputs = passed(runtime.run(batch, config))
    for found, size in zip(outputs, _sizes(batch), strict=True):
        _ = Instances.from_outputs(found, 0, size, predictor.config, score_threshold=score_threshold).masks
    passed(None)
    times: dict[str, float] = dict(zip(names, np.diff(moments).tolist(), strict=True))
    if isinstance(runtime, CutGraphRuntime):
        preparation, network, detection, masks = times.values()
        times = {"preparation": preparation, "graph": network + detection, "masks": masks}
    return times


def read_photographs(sources: Sequence[str]) -> tuple[list[UInt8[np.ndarray, "_ _ 3"]], str]:
    """Photographs to measure on, decoded, and where they come from: these, or else the repository's, or a made one."""
    if not sources and PHOTOGRAPHS.is_dir():
        sources = [str(PHOTOGRAPHS)]
    if not sources:
        return [synthesize()], "one photograph of 640x480 made of noise"
    paths = [path for source in sources for path in find_images(source)]
    return [load(path, "rgb").pixels for path in paths], ", ".join(sources)


def synthesize(width: int = 640, height: int = 480, seed: int = 0) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of soft patches, always the same."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (height // 32, width // 32, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _batches(photographs: Photographs, size: int) -> Iterator[Photographs]:
    """Batches of this size, all of them full: photographs come again to fill the last."""
    for start in range(0, len(photographs), size):
        yield [photographs[(start + i) % len(photographs)] for i in range(size)]


def _predict(
    predictor: Predictor, batch: Photographs, score_threshold: float, top_k: int
) -> list[Bool[np.ndarray, "_ _ _"]]:
    nms = predictor.runtime.detect.nms
    if len(batch) == 1:
        return [predictor.predict(batch[0], score_threshold, top_k, nms=nms).masks]
    return [found.masks for found in predictor.predict(batch, score_threshold, top_k, nms=nms, batch_size=len(batch))]


def _sizes(photographs: Photographs) -> list[tuple[int, int]]:
    return [(photograph.shape[0], photograph.shape[1]) for photograph in photographs]


def _wait(runtime: Any) -> None:
    """A GPU works on after a call returns."""
    kind = getattr(getattr(runtime, "device", None), "type", "cpu")
    if kind in ("cuda", "mps"):
        getattr(torch, kind).synchronize()


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return " ".join(value) if isinstance(value, list) else str(value)
