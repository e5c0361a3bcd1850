"""The prototype network: k masks for the whole image, of no class and of no instance (paper section 3.1, figure 3)."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class ProtoNet(nn.Module):
    """A fully convolutional network on P3, the finest level of the pyramid, at twice its resolution."""

    def __init__(self, width: int, num_prototypes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)
        self.conv4 = nn.Conv2d(width, width, 3, padding=1)
        self.prototypes = nn.Conv2d(width, num_prototypes, 1)

    def forward(self, p3: Float[Tensor, "B width Hs Ws"]) -> Float[Tensor, "B K 2*Hs 2*Ws"]:
        x = functional.relu(self.conv1(p3))
        x = functional.relu(self.conv2(x))
        x = functional.relu(self.conv3(x))
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = functional.relu(self.conv4(x))
        # Unbounded above: the network can be very sure of a region. Subtraction is left to the coefficients' sign.
        return functional.relu(self.prototypes(x))
