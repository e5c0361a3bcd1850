"""What a GPU takes from pixels on it to full-size masks as bits, and how many images a second it can do.

    uv run benchmarks/gpu.py
    uv run benchmarks/gpu.py --presets yolact-resnet50 --batches 1 32 --precisions bfloat16 --json gpu.json

The whole way, resize to packed masks of 100 detections, is compiled in one piece and replayed as one CUDA graph: the
processor is not waited for in between, and PyTorch is told to raise an error if it were. Weights are those of
`contenders/weights.py`, which detect as much and as large as trained ones. Beside the times stands how much of what
eager float32 finds was found. Prints Markdown; without a GPU says so and exits with 2.
"""

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cuda_timing import Outputs, Replayed, gpu_times, recorded, seconds_of, waited_times
from torch import Tensor

ROOT = Path(__file__).parent.parent
ORIGINALS = {"yolact-resnet50": "yolact_resnet50", "yolact-resnet101": "yolact_base"}
"""The presets with targets, and what the original calls them."""


@dataclass(frozen=True)
class Row:
    """One measurement of the whole way."""

    preset: str
    precision: str
    batch: int
    latency: float
    """Milliseconds from a batch's pixels to its masks on the GPU's clock, median."""

    latency_p99: float
    waited: float
    """The same on the processor's clock, if it waits for each batch."""

    images_per_second: float
    """Batch after batch, without waiting."""

    memory: float
    """MB on the GPU at most."""

    in_place: float
    """The share of detections with the label that eager float32 has in their place."""

    same_pixels: float
    """The share of pixels in which the masks of these are the same."""


@dataclass(frozen=True)
class Target:
    """A figure that is to be reached."""

    name: str
    measured: float
    wanted: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


def main() -> int:
    arguments = parse()
    if not torch.cuda.is_available():
        print("gpu: PyTorch finds no CUDA GPU on this machine; nothing was measured", file=sys.stderr)
        return 2
    from yolact.host import host_facts

    branch = measure_mask_branch(arguments.rounds)
    rows = []
    for preset in arguments.presets:
        network, photographs = calibrated(preset, arguments.photograph)
        for precision in arguments.precisions:
            for batch in arguments.batches:
                print(f"{preset}, {precision}, batch {batch} ...", file=sys.stderr, flush=True)
                rows.append(measure(network, photographs, preset, precision, batch, arguments))
    facts = host_facts()
    goals = targets(rows, branch)
    print(
        f"{facts.get('GPU')}, torch {facts['torch']}, photographs of {'x'.join(map(str, arguments.photograph[::-1]))}"
    )
    print("\n".join(["", *table(rows), "", *branch_table(branch), "", *target_table(goals)]))
    if arguments.json is not None:
        content = {"host": facts, "rows": [asdict(row) for row in rows], "mask branch": branch}
        arguments.json.write_text(json.dumps(content, indent=1))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", choices=ORIGINALS, default=list(ORIGINALS))
    parser.add_argument("--precisions", nargs="*", default=["float16"], choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 16, 64])
    parser.add_argument("--photograph", nargs=2, type=int, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--mode", default="max-autotune-no-cudagraphs", help="of torch.compile; 'default' is quicker")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def calibrated(preset: str, size: tuple[int, int]) -> tuple[Any, Tensor]:
    """A network on the GPU, and the repository's photographs, brought to one size: (P, H, W, 3) uint8."""
    from contenders import weights
    from PIL import Image

    from yolact.images import read_image
    from yolact.sources import find_images

    images = [Image.fromarray(read_image(path)) for path in find_images(ROOT / "photos")]
    photographs = [np.asarray(image.resize((size[1], size[0]))) for image in images]
    network, photographs, _ = weights.calibrated(ORIGINALS[preset], photographs, ROOT / "tests/data/parity")
    return network.cuda(), torch.from_numpy(np.stack(photographs)).cuda()


@torch.no_grad()
def measure(
    network: Any, photographs: Tensor, preset: str, precision: str, batch: int, arguments: argparse.Namespace
) -> Row:
    """One row: compile, check, and time."""
    import copy

    from yolact.config import DetectConfig
    from yolact.deployable import Deployable

    chosen = photographs[torch.arange(batch, device=photographs.device) % len(photographs)]
    expected = Deployable(network, DetectConfig(), ("bits",))(chosen[: len(photographs)])
    torch.cuda.reset_peak_memory_stats()
    ready = copy.deepcopy(network).to(getattr(torch, precision), memory_format=torch.channels_last)
    run = Replayed(Deployable(ready, DetectConfig(), ("bits",)), chosen, arguments.mode)
    found = {name: output[: len(photographs)].clone() for name, output in run(chosen).items()}
    in_place, same_pixels = compare(found, expected)
    batches = [chosen, chosen.roll(1, dims=0)]
    rounds = max(10, arguments.rounds // batch)
    latencies = gpu_times(lambda i: run(batches[i % 2]), rounds)
    return Row(
        preset=preset,
        precision=precision,
        batch=batch,
        latency=statistics.median(latencies),
        latency_p99=float(np.percentile(latencies, 99)),
        waited=statistics.median(waited_times(lambda i: run(batches[i % 2]), rounds)),
        images_per_second=batch * rounds / seconds_of(lambda i: run(batches[i % 2]), rounds),
        memory=torch.cuda.max_memory_allocated() / 1e6,
        in_place=in_place,
        same_pixels=same_pixels,
    )


def compare(found: Outputs, expected: Outputs) -> tuple[float, float]:
    """The share of labels in place, and the share of pixels in which the masks of these are the same."""
    is_same = found["labels"] == expected["labels"]
    if not bool(is_same.any()):
        return 0.0, 0.0
    differing = found["mask_bits"][is_same] ^ expected["mask_bits"][is_same]
    bits = sum(int(((differing >> bit) & 1).sum()) for bit in range(8))
    return float(is_same.float().mean()), 1 - bits / (8 * differing.numel())


@torch.no_grad()
def measure_mask_branch(rounds: int, side: int = 550, cells: int = 138) -> dict[str, float]:
    """Milliseconds from prototypes and coefficients to the bits of 100 masks, for windows as large as COCO's objects
    and for windows of the whole picture, on the GPU's clock; and with the reference in PyTorch."""
    from yolact.detect.mask_outputs import mask_bits_reference
    from yolact.detect.masks_cuda import mask_bits

    prototypes = torch.rand(1, 32, cells, cells, device="cuda")
    coefficients = torch.empty(1, 100, 32, device="cuda").uniform_(-1, 1)
    whole = torch.tensor([0, 0, cells, cells], dtype=torch.int32, device="cuda").expand(1, 100, 4).contiguous()
    windows = {"objects as in COCO": object_windows(100, cells).cuda()[None], "whole picture": whole}
    found = {}
    for name, chosen in windows.items():
        for form, function in (("kernel", mask_bits), ("PyTorch", mask_bits_reference)):
            run = recorded(
                lambda function=function, chosen=chosen: function(prototypes, coefficients, chosen, (side, side))
            )
            found[f"{form}, {name}"] = statistics.median(gpu_times(lambda i, run=run: run(), rounds))
    return found


def object_windows(count: int, cells: int, seed: int = 0) -> Tensor:
    """(N, 4) int32 windows whose areas are spread as those of COCO's objects: 5.7 % on average, half below 0.9 %."""
    random = np.random.default_rng(seed)
    shares = np.minimum(0.009 * np.exp(2.1 * random.standard_normal(count)), 1.0)
    side = np.maximum(np.sqrt(shares) * cells, 1)
    corner = random.random((count, 2)) * (cells - side)[:, None]
    windows = np.concatenate([np.floor(corner), np.ceil(corner + side[:, None])], axis=1)
    return torch.from_numpy(windows.clip(0, cells).astype(np.int32))


def targets(rows: list[Row], branch: dict[str, float]) -> list[Target]:
    """What was to be reached on an H200, as far as it was measured."""
    goals = []
    for preset, speed in (("yolact-resnet50", 2000), ("yolact-resnet101", 1300)):
        chosen = [row for row in rows if row.preset == preset]
        single = [row.latency for row in chosen if row.batch == 1]
        if single and preset == "yolact-resnet50":
            goals.append(Target(f"{preset}, batch 1, ms", min(single), 2.0, at_most=True))
        if chosen:
            goals.append(Target(f"{preset}, images/s", max(row.images_per_second for row in chosen), speed))
    goals.append(
        Target("mask branch, 100 instances at 550, ms", branch["kernel, objects as in COCO"], 0.2, at_most=True)
    )
    return goals


def table(rows: list[Row]) -> list[str]:
    titles = ["preset", "precision", "batch", "ms (GPU)", "p99", "ms (waited)", "images/s", "MB", "labels", "pixels"]
    lines = [f"| {' | '.join(titles)} |", "|---|---|" + "---:|" * (len(titles) - 2)]
    for row in rows:
        times = f"{row.latency:.2f} | {row.latency_p99:.2f} | {row.waited:.2f} | {row.images_per_second:.0f}"
        shares = f"{100 * row.in_place:.1f} % | {100 * row.same_pixels:.2f} %"
        lines.append(f"| {row.preset} | {row.precision} | {row.batch} | {times} | {row.memory:.0f} | {shares} |")
    return lines


def branch_table(branch: dict[str, float]) -> list[str]:
    lines = ["| masks of 100 instances at 550x550, from prototypes to bits | ms |", "|---|---:|"]
    return lines + [f"| {name} | {value:.3f} |" for name, value in branch.items()]


def target_table(goals: list[Target]) -> list[str]:
    lines = ["| on an H200 | measured | target | |", "|---|---:|---:|---|"]
    for goal in goals:
        sign, verdict = "≤" if goal.at_most else "≥", "reached" if goal.reached else "missed"
        lines.append(f"| {goal.name} | {goal.measured:.2f} | {sign} {goal.wanted:g} | {verdict} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
