"""Times on a GPU's own clock, of work that never waits for the processor."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Outputs = dict[str, Tensor]


class Replayed:
    """A module, compiled, as one CUDA graph: what is recorded once is started with one call.

    Recording fails if the module waits for the GPU anywhere.
    """

    def __init__(self, module: torch.nn.Module, photographs: Tensor, mode: str) -> None:
        self.photographs = photographs.clone()
        module(self.photographs)  # makes the anchors, which must not be made while compiling
        compiled = torch.compile(module, mode=None if mode == "default" else mode, dynamic=False, fullgraph=True)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                compiled(self.photographs)
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs: Outputs = compiled(self.photographs)

    def __call__(self, photographs: Tensor) -> Outputs:
        """The outputs are overwritten by the next call."""
        self.photographs.copy_(photographs, non_blocking=True)
        self.graph.replay()
        return self.outputs


def gpu_times(run: Callable[[int], Any], rounds: int, warm_up: int = 10) -> list[float]:
    """Milliseconds of each call on the GPU's clock; nobody waits until all are done."""
    for i in range(warm_up):
        run(i)
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(rounds)]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for i, (start, end) in enumerate(events):
            start.record()
            run(i)
            end.record()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in events]


def waited_times(run: Callable[[int], Any], rounds: int) -> list[float]:
    """Milliseconds of each call on the processor's clock, with waiting for the GPU."""
    times = []
    for i in range(rounds):
        start = time.perf_counter()
        run(i)
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return times


def seconds_of(run: Callable[[int], Any], rounds: int) -> float:
    """Of so many calls, one after the other, without waiting in between."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for i in range(rounds):
        run(i)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


def recorded(run: Callable[[], Any]) -> Callable[[], None]:
    """A CUDA graph of the calls, so that the time of starting them does not count."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay
