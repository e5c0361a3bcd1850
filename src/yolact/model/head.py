"""The prediction head: for each anchor, class scores, a box and k mask coefficients (paper section 3.2, figure 4)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from yolact.config import ModelConfig


class PredictionHead(nn.Module):
    """One set of convolutions for all levels of the pyramid: C + 1 + 4 + K outputs an anchor."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        anchors, width = config.anchors_per_location, config.width
        self.num_logits, self.num_prototypes = config.num_classes + 1, config.num_prototypes
        self.is_bounded = config.coefficient_activation == "tanh"
        self.shared = nn.Conv2d(width, width, 3, padding=1)
        self.class_logits = nn.Conv2d(width, anchors * self.num_logits, 3, padding=1)
        self.box_deltas = nn.Conv2d(width, anchors * 4, 3, padding=1)
        self.coefficients = nn.Conv2d(width, anchors * self.num_prototypes, 3, padding=1)

    def forward(
        self, levels: list[Tensor]
    ) -> tuple[Float[Tensor, "B A C1"], Float[Tensor, "B A 4"], Float[Tensor, "B A K"]]:
        """Class logits, box deltas and coefficients, in the order of `yolact.model.anchors`."""
        shared = [functional.relu(self.shared(level)) for level in levels]
        class_logits = _by_anchor(self.class_logits, shared, self.num_logits)
        box_deltas = _by_anchor(self.box_deltas, shared, 4)
        coefficients = _by_anchor(self.coefficients, shared, self.num_prototypes)
        # tanh lets a prototype be subtracted: that is how neighbors are told apart (paper section 3.2).
        return class_logits, box_deltas, torch.tanh(coefficients) if self.is_bounded else coefficients


def _by_anchor(convolution: nn.Module, levels: list[Tensor], values: int) -> Tensor:
    """Apply to each level, and lay the results out as (B, anchors of all levels, values)."""
    maps = [convolution(level) for level in levels]
    return torch.cat([m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, values) for m in maps], dim=1)
