"""How many images a batch can have on this machine."""

from dataclasses import replace
from pathlib import Path

import torch

from yolact.host import PeakMemory
from yolact.losses.objective import Objective
from yolact.model import Yolact
from yolact.structures import Target
from yolact.training.config import TrainConfig

LARGEST = 64

LARGEST_ON_CPU = 8
"""A CPU is no quicker with more, and the learning rate is the paper's for eight."""

OBJECTS = 40
"""In each image of the trial: more than nearly all photographs have."""

SHARE_OF_MEMORY = 0.7
"""How much of what is free may be taken: the optimizer's averages and the allocator's gaps come on top."""


def decide(network: Yolact, config: TrainConfig, device: torch.device) -> TrainConfig:
    """The recipe with a number for `batch_size`, a power of two, where it was `auto`.

    One image and two are trained on, from noise and without an optimizer; what the second adds to the peak of memory is
    what each image takes.
    """
    if config.batch_size != "auto":
        return config
    free = _free_memory(device)
    if free is None:
        return replace(config, batch_size=LARGEST_ON_CPU)
    first, second = (_peak(network, config, device, images) for images in (1, 2))
    largest = LARGEST_ON_CPU if device.type == "cpu" else LARGEST
    each = max(second - first, 1.0)
    fits = max((SHARE_OF_MEMORY * free - first) / each, 0.0) + 1
    size = 1
    while size * 2 <= min(fits, largest):
        size *= 2
    return replace(config, batch_size=size)


def _peak(network: Yolact, config: TrainConfig, device: torch.device, images: int) -> float:
    """Bytes that a forward and a backward pass take at most, above what there was."""
    height, width = (round(side * (1 + config.multi_scale)) for side in network.config.image_size)
    targets = [_target(height, width, device) for _ in range(images)]
    network = network.to(device).train()
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
    buffers = [buffer.clone() for buffer in network.buffers()]
    memory = PeakMemory()
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    with torch.random.fork_rng(devices=[]):
        batch = torch.randn(images, 3, height, width, device=device)
        with torch.autocast(device.type, kinds.get(config.precision), enabled=config.precision in kinds):
            raw = network(batch)
        losses = Objective(network.config)(raw.float(), targets, network.mask_rescoring)
        torch.stack(list(losses.values())).sum().backward()
    network.zero_grad(set_to_none=True)
    for buffer, untouched in zip(network.buffers(), buffers, strict=True):
        buffer.copy_(untouched)  # batch norm has seen noise
    main, gpu = memory.stop()
    return 1e6 * (gpu or 0.0) - before if device.type == "cuda" else 1e6 * (main or 0.0)


def _target(height: int, width: int, device: torch.device) -> Target:
    corners = torch.rand(OBJECTS, 2, device=device) * 0.5
    masks = torch.zeros(OBJECTS, height, width, dtype=torch.bool, device=device)
    masks[:, : height // 2, : width // 2] = True
    labels = torch.zeros(OBJECTS, dtype=torch.long, device=device)
    return Target(torch.cat([corners, corners + 0.4], dim=1), labels, masks, labels.bool())


def _free_memory(device: torch.device) -> float | None:
    """Bytes, or None where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return 1024.0 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None
