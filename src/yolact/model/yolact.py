"""The network: an image goes in; prototypes, and for each anchor a class, a box and coefficients, come out."""

from jaxtyping import Float
from torch import Tensor, nn

from yolact.config import ModelConfig
from yolact.model.anchors import AnchorGrid
from yolact.model.backbone import build_backbone
from yolact.model.fpn import FeaturePyramid
from yolact.model.head import PredictionHead
from yolact.model.mask_rescoring import MaskRescoring
from yolact.model.protonet import ProtoNet
from yolact.structures import RawOutput


class Yolact(nn.Module):
    """YOLACT and YOLACT++ (Bolya et al., ICCV 2019 and TPAMI 2020); figure 2 of the paper, from left to right."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        self.fpn = FeaturePyramid(self.backbone.channels, config.width)  # type: ignore[arg-type]
        self.protonet = ProtoNet(config.width, config.num_prototypes)
        self.head = PredictionHead(config)
        self.anchors = AnchorGrid(config)
        self.semantic = nn.Conv2d(config.width, config.num_classes, 1)
        self.mask_rescoring = MaskRescoring(config.num_classes) if config.mask_rescoring else None
        for part in (self.fpn, self.protonet, self.head, self.semantic, self.mask_rescoring):
            if part is not None:
                part.apply(_initialize)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> RawOutput:
        """Compute everything that detection and the losses need.

        Args:
            images: RGB, resized and normalized by `yolact.pixels`.

        Returns:
            The raw output; `semantic_logits` only in training mode, as nothing else uses them (paper section 3.4).
        """
        image_size = (int(images.shape[-2]), int(images.shape[-1]))
        levels = self.fpn(*self.backbone(images))
        prototypes = self.protonet(levels[0])
        class_logits, box_deltas, coefficients = self.head(levels)
        return RawOutput(
            class_logits=class_logits,
            box_deltas=box_deltas,
            coefficients=coefficients,
            prototypes=prototypes,
            anchors_cxcywh=self.anchors(levels, image_size),
            image_size=image_size,
            semantic_logits=self.semantic(levels[0]) if self.training else None,
        )


def build_model(config: ModelConfig) -> Yolact:
    """A network with random weights, in training mode."""
    return Yolact(config)


def _initialize(module: nn.Module) -> None:
    """Xavier-uniform weights and no bias, everywhere but in the backbone (original `yolact.py`, `init_weights`)."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
