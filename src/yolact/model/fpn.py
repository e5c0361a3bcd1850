"""The feature pyramid: C3, C4, C5 become P3 to P7, all of one width (paper section 4; Lin et al. 2017)."""

from torch import Tensor, nn
from torch.nn import functional


class FeaturePyramid(nn.Module):
    """Coarse features are enlarged and added to finer ones; two more levels are made by strided convolutions.

    As in the original code and unlike the FPN paper: bilinear enlargement, a ReLU after P3 to P5, none at P6 and P7.
    """

    def __init__(self, in_channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in in_channels)
        self.output = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in in_channels)
        self.downsample = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(2))

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> list[Tensor]:
        """P3 to P7, each (B, width, h, w) with half the height and width of the one before, rounded up."""
        m5 = self.lateral[2](c5)
        m4 = self.lateral[1](c4) + _enlarge(m5, c4)
        m3 = self.lateral[0](c3) + _enlarge(m4, c3)
        p3, p4, p5 = (functional.relu(output(m)) for output, m in zip(self.output, (m3, m4, m5), strict=True))
        p6 = self.downsample[0](p5)
        p7 = self.downsample[1](p6)
        return [p3, p4, p5, p6, p7]


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    """To the exact size of the finer map: odd sizes (18, 35, 69) are no multiples of each other."""
    return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
