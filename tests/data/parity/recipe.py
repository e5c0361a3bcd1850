"""The checkpoints that the references beside this file were computed with: not trained, but the same on any machine."""

import math
import zlib

import numpy as np

GAINS = {"conf_layer": 2.0, "downsample_layers": 2.2, "bbox_layer": 0.7, "conv_offset_mask": 0.5, "mask_layer": 1.0}
"""How strong the convolutions are whose name has this part; the others have the square root of two."""


def fill(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The tensor that the original calls `key`: normal numbers from a Philox stream of its own, scaled by its role.

    The stream's key is (CRC-32 of the name, seed), so that no tensor depends on another.
    """
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    stream = np.random.Philox(key=[zlib.crc32(key.encode("ascii")), seed])
    normal = np.random.Generator(stream).standard_normal(shape)
    if leaf == "running_mean":
        values = 0.1 * normal
    elif leaf == "running_var":
        values = 1.0 + 0.2 * np.tanh(normal)
    elif len(shape) == 4:
        gain = next((gain for part, gain in GAINS.items() if part in key), 2.0**0.5)
        values = normal * gain / math.prod(shape[1:]) ** 0.5
    elif leaf == "weight":  # of a batch norm; those that end a residual block are weaker
        values = (0.3 if ".bn3." in key or ".conv2.1." in key else 0.6) + 0.1 * np.tanh(normal)
    else:
        values = 0.05 * normal
    return values.astype(np.float32)
