"""How quick this processor can be at best: what the network would take if every instruction were useful.

    uv run benchmarks/limits.py
    uv run benchmarks/limits.py --preset yolact-resnet18

Measures the largest matrix products and copies that PyTorch gets out of the processor here, counts the network's
multiply-adds, and divides. Prints a Markdown table.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from yolact.model import build_model
from yolact.presets import PRESETS

SIDE = 4096
"""Of the square matrices: large enough that the time of starting does not count."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="yolact-resnet50", choices=PRESETS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    config = PRESETS[arguments.preset].build()
    multiply_adds = count_multiply_adds(arguments.preset)
    print(f"{config.name} at {config.image_size[0]}x{config.image_size[1]}: {multiply_adds / 1e9:.1f} GMAC an image")
    print(f"\nMatrices of {SIDE}x{SIDE}, {arguments.threads} threads:")
    print("\n| product | GMAC/s, best | the network at that rate |")
    print("|---|---|---|")
    for name, product in products().items():
        rate = SIDE**3 / best(product, arguments.rounds)
        print(f"| {name} | {rate / 1e9:.0f} | {1e3 * multiply_adds / rate:.0f} ms |")
    source = torch.ones(64 << 20, dtype=torch.uint8)
    target = torch.empty_like(source)
    seconds = best(lambda: target.copy_(source), arguments.rounds)
    print(f"\nCopying memory: {2 * source.numel() / seconds / 1e9:.1f} GB/s (read and written)")


def count_multiply_adds(preset: str) -> int:
    """Of the network alone, for one image."""
    network = build_model(PRESETS[preset].build()).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, *network.config.image_size))
    return counter.get_total_flops() // 2


def products() -> dict[str, Callable[[], torch.Tensor]]:
    single = torch.rand(SIDE, SIDE)
    half, whole = single.bfloat16(), (single * 100).to(torch.int8)
    return {
        "float32": lambda: single @ single,
        "bfloat16": lambda: half @ half,
        "INT8": lambda: torch._int_mm(whole, whole),  # pyright: ignore[reportPrivateImportUsage],
    }


def best(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the quickest round: a limit is what was possible once."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
