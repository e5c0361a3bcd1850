"""Numbers that anyone can make again: a hash of a name and an index, as in the description of the original code."""

import zlib

import numpy as np
import torch
from torch import Tensor


def uniform(name: str, *shape: int) -> Tensor:
    """Float32 numbers in 0..1, each a hash of `name` and its place (C order)."""
    x = np.arange(np.prod(shape), dtype=np.uint32) + np.uint32(zlib.crc32(name.encode("ascii")))
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return torch.from_numpy((x / 2.0**32).astype(np.float32)).reshape(shape)


def golden_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor of the original called `name`, as the recorded outputs were made with it."""
    u = uniform(name, *shape) if shape else torch.zeros(())
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.long)
    if name.endswith("running_var"):
        return 0.5 + u
    if name.endswith(("running_mean", "bias")):
        return 0.2 * (u - 0.5)
    if len(shape) == 1:
        return 0.25 + 0.25 * u
    return (2 * u - 1) * (6 / (u[0].numel())) ** 0.5
