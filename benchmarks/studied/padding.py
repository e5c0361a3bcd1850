"""Give every convolution of a network another padding than zeros."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Padding = Literal["zeros", "replicate", "reflect"]
PADDINGS: tuple[Padding, ...] = ("zeros", "replicate", "reflect")


class PaddedConvolution(nn.Conv2d):
    """A convolution that pads by itself. Made of another by changing its class, so that copies of it pad alike."""

    kind: Padding = "replicate"
    is_same: bool = False
    """TensorFlow's rule, as timm's `Conv2dSame` has it: as much padding as the image's size asks for."""

    def forward(self, input: Tensor) -> Tensor:
        left, right, top, bottom = self._edges((input.shape[-2], input.shape[-1]))
        padded = functional.pad(input, (left, right, top, bottom), mode=self.kind)
        return functional.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _edges(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, right, top, bottom."""
        if not self.is_same:
            vertical, horizontal = (int(side) for side in self.padding)
            return horizontal, horizontal, vertical, vertical
        needed = [
            max((math.ceil(side / stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
            for side, stride, kernel, dilation in zip(size, self.stride, self.kernel_size, self.dilation, strict=True)
        ]
        (above, below), (before, after) = ((total // 2, total - total // 2) for total in needed)
        return before, after, above, below


def with_padding(network: nn.Module, kind: Padding) -> nn.Module:
    """Change a network in place, and return it. Pooling needs no change: it takes the largest of what is there.

    Raises:
        ValueError: a convolution that pads by other rules than PyTorch's and timm's.
    """
    if kind == "zeros":
        return network
    for name, part in network.named_modules():
        if isinstance(part, nn.Conv2d) and max(part.kernel_size) > 1:
            _change(name, part, kind)
    return network


def _change(name: str, part: Any, kind: Padding) -> None:
    is_same = type(part).__name__ == "Conv2dSame"
    if not (is_same or type(part) is nn.Conv2d) or isinstance(part.padding, str) or part.padding_mode != "zeros":
        raise ValueError(f"{name} is a {type(part).__name__}, whose padding cannot be replaced")
    part.__class__ = PaddedConvolution
    part.__dict__.update(kind=kind, is_same=is_same)


@torch.inference_mode()
def prototypes_of(network: nn.Module, images: Tensor) -> Tensor:
    """(B, K, Hp, Wp) of images (B, 3, H, W), normalized; without the heads, which need none of it."""
    parts: Any = network
    return parts.protonet(parts.fpn(*parts.backbone(images))[0])
