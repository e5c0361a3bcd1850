"""From photographs to network input: the one place that resizes and normalizes."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from yolact.config import ModelConfig


def to_network_input(
    images: UInt8[Tensor, "*b 3 H W"], config: ModelConfig, size: tuple[int, int] | None = None
) -> Float[Tensor, "*b 3 h w"]:
    """Resize RGB photographs to the network's input, ignoring their aspect ratio, and normalize them.

    Args:
        images: one photograph or a batch of the same size, RGB, 0..255.
        size: (height, width) to resize to; None takes `config.image_size`.

    Returns:
        RGB, about -2..2; float32, on the photographs' device.
    """
    batch = images if images.ndim == 4 else images[None]
    resized = functional.interpolate(
        batch.float(), size or config.image_size, mode="bilinear", align_corners=False, antialias=config.antialias
    )
    return normalize(resized if images.ndim == 4 else resized[0], config)


def normalize(image: Float[Tensor, "*b 3 h w"], config: ModelConfig) -> Float[Tensor, "*b 3 h w"]:
    """Shift and scale RGB pixels in 0..255 by the mean and standard deviation that the backbone was trained with."""
    mean = torch.tensor(config.pixel_mean, dtype=image.dtype, device=image.device)[:, None, None]
    std = torch.tensor(config.pixel_std, dtype=image.dtype, device=image.device)[:, None, None]
    return (image - mean) / std
