"""Mask rescoring of YOLACT++: how good is this mask, for each class it might be of (YOLACT++ paper section 6.1)."""

from jaxtyping import Float
from torch import Tensor, nn


class MaskRescoring(nn.Module):
    """Predict the IoU of a mask with the truth from the mask alone; Mask Scoring R-CNN also reads features."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for in_channels, out_channels in ((1, 8), (8, 16), (16, 32), (32, 64), (64, 128)):
            self.layers.append(nn.Conv2d(in_channels, out_channels, 3, stride=2))
            self.layers.append(nn.ReLU(inplace=True))
        self.layers.append(nn.Conv2d(128, num_classes, 1))
        self.layers.append(nn.ReLU(inplace=True))

    def forward(self, masks: Float[Tensor, "n Hp Wp"]) -> Float[Tensor, "n C"]:
        """The IoU for each foreground class, at least 0 and not bounded by 1.

        Args:
            masks: probabilities at prototype scale, cropped with their boxes, at least 63 pixels high and wide.
        """
        return self.layers(masks[:, None]).amax(dim=(2, 3))
