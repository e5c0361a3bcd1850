"""The deformable convolution of YOLACT++, in place of the 3x3 convolution of a ResNet block."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DeformableConv2d(nn.Conv2d):
    """A 3x3 convolution that looks beside its grid: modulated deformable convolution (DCNv2, Zhu et al. 2019).

    An ordinary convolution predicts, for each of the nine taps, how far to move it and how much to trust it.
    Unlike the convolution it replaces it has a bias (original `backbone.py`, `external/DCNv2`).
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, channels, 3, stride, padding=1, bias=True)
        self.step = (stride, stride)
        self.offset_mask = nn.Conv2d(channels, 27, 3, stride, padding=1)
        nn.init.zeros_(self.offset_mask.weight)
        nn.init.zeros_(self.offset_mask.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def forward(self, input: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h2 w2"]:
        from torchvision.ops import deform_conv2d  # importing torchvision takes longer than building the network

        offsets, modulation = torch.split(self.offset_mask(input), [18, 9], dim=1)
        return deform_conv2d(
            input, offsets, self.weight, self.bias, self.step, padding=(1, 1), mask=modulation.sigmoid()
        )
