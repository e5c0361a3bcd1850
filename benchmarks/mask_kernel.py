"""How long binary masks take on a GPU: from coefficients and prototypes to the photograph's size, eight pixels a byte.

    uv run benchmarks/mask_kernel.py
    uv run benchmarks/mask_kernel.py --size 3000 4000 --batches 1 --instances 100

Beside the kernel, as it is called and from a CUDA graph, the same in PyTorch, as it stands and compiled. Checks first
that all four agree. Two kinds of windows: boxes of the sizes that objects have, and everything everywhere, the worst
that can come. Prints a Markdown table; exits with 1 if masks differ and with 2 where there is no GPU.
"""

import argparse
import statistics
import sys
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from yolact.detect.mask_outputs import cropped_masks, mask_bits_reference
from yolact.detect.masks_cuda import HAS_TRITON, mask_bits

NEAR = 3e-5
"""Pixels with a probability this close to one half may fall on either side. CUDA's own enlargement, which tells which
they are, is itself off by half of that."""

CELLS = 138
NUM_PROTOTYPES = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--size", type=int, nargs=2, default=[550, 550], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--warps", type=int, help="of a program of the kernel, to try others than its own")
    parser.add_argument("--repeat", type=int, default=50)
    options = parser.parse_args()
    if not torch.cuda.is_available() or not HAS_TRITON:
        missing = "Triton is not installed" if torch.cuda.is_available() else "PyTorch finds none here"
        print(f"mask_kernel.py measures a Triton kernel on a CUDA GPU, and {missing}", file=sys.stderr)
        return 2
    from yolact.detect import mask_kernel

    mask_kernel.WARPS = options.warps or mask_kernel.WARPS
    height, width = image_size = tuple(options.size)
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, float32: {options.instances} instances an image,"
    )
    print(f"{height}x{width} pixels from {NUM_PROTOTYPES} prototypes of {CELLS}x{CELLS} cells.")
    print(f"Medians of {options.repeat}, in milliseconds a batch.\n")
    print("| batch | windows | kernel | kernel, CUDA graph | an image | PyTorch | PyTorch, compiled |")
    print("|---|---|---|---|---|---|---|")
    compiled = torch.compile(mask_bits_reference)
    for batch in options.batches:
        for everywhere in (False, True):
            inputs = some_inputs(batch, options.instances, everywhere)
            forms: list[Callable[[], Tensor]] = [
                lambda inputs=inputs: mask_bits(*inputs, image_size),
                captured(lambda inputs=inputs: mask_bits(*inputs, image_size)),
                lambda inputs=inputs: mask_bits_reference(*inputs, image_size),
                lambda inputs=inputs: compiled(*inputs, image_size),
            ]
            expected = mask_bits_reference(*inputs, image_size)
            if wrong := sum(count_wrong(form(), expected, inputs, image_size) for form in forms):
                print(f"masks differ in {wrong} pixels that are not close to one half", file=sys.stderr)
                return 1
            kernel, graph, reference, fused = (median_ms(form, options.repeat) for form in forms)
            windows = "everything" if everywhere else "as objects"
            times = f"{kernel:.3f} | {graph:.3f} | {graph / batch:.4f} | {reference:.2f} | {fused:.2f}"
            print(f"| {batch} | {windows} | {times} |", flush=True)
    return 0


def some_inputs(batch: int, instances: int, everywhere: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Prototypes as smooth as a network's, coefficients, and windows of an eighth to a half of the image's sides."""
    random = torch.Generator("cuda").manual_seed(0)
    coarse = torch.randn(batch, NUM_PROTOTYPES, 18, 18, generator=random, device="cuda")
    prototypes = functional.interpolate(coarse, (CELLS, CELLS), mode="bicubic").relu()
    coefficients = torch.randn(batch, instances, NUM_PROTOTYPES, generator=random, device="cuda").tanh()
    center = torch.rand(batch, instances, 2, generator=random, device="cuda")
    half = torch.rand(batch, instances, 2, generator=random, device="cuda") * 3 / 16 + 1 / 16
    start = ((center - half) * CELLS).floor().clamp(0, CELLS - 1)
    stop = ((center + half) * CELLS).ceil().clamp(1, CELLS)
    if everywhere:
        start, stop = torch.zeros_like(start), torch.full_like(stop, CELLS)
    return prototypes, coefficients, torch.cat([start, stop], dim=-1).int()


def count_wrong(
    bits: Tensor, expected: Tensor, inputs: tuple[Tensor, Tensor, Tensor], image_size: tuple[int, int]
) -> int:
    """Pixels that differ from what is expected, apart from those near one half."""
    shifts = torch.arange(7, -1, -1, device=bits.device, dtype=torch.uint8)
    wrong = 0
    for index, differing in enumerate(bits ^ expected):
        masks = cropped_masks(*(part[index : index + 1] for part in inputs))[0]
        for some, packed in zip(masks.split(10), differing.split(10), strict=True):
            values = functional.interpolate(some[None], image_size, mode="bilinear")[0]
            differs = ((packed[..., None] >> shifts) & 1).flatten(2).bool()
            near = functional.pad((values - 0.5).abs() <= NEAR, (0, differs.shape[2] - image_size[1]))
            wrong += int((differs & ~near).sum())
    return wrong


def captured(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The function's kernels without what launching them costs the CPU. Each call gives the same tensor again."""
    function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def median_ms(function: Callable[[], Tensor], repeat: int) -> float:
    for _ in range(3):
        function()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeat)]
    for start, end in events:
        start.record()
        function()
        end.record()
    torch.cuda.synchronize()
    return statistics.median(start.elapsed_time(end) for start, end in events)


if __name__ == "__main__":
    sys.exit(main())
