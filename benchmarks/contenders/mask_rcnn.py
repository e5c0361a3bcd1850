"""torchvision's Mask R-CNN on ResNet-50 with a feature pyramid, with random weights that behave as trained ones.

Random class scores are all alike, so that of the 90,000 pairs of a proposal and a class all pass the threshold, or
none. So the layer that gives them is scaled, and before a photograph's time counts its background is shifted until
about 300 pairs score above 0.05, torchvision's own threshold; predicted box sizes are shifted until the detections are
as large as COCO's objects. The rest is as torchvision has it: 1,000 proposals, 100 detections, masks pasted at the
photograph's size.
"""

import math
import time
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor

from contenders import TOP_K, Found, Times

PASSING = 300
MEAN_AREA = 0.057
"""As in `contenders.weights`, which imports what this process does without."""


class MaskRcnn:
    """
    Args:
        size: (height, width) that photographs are resized to. None: torchvision's own, 800 to 1,333 pixels.
        precision: `float32`, or `bfloat16` by autocast.
    """

    def __init__(
        self, photographs: list[np.ndarray], size: tuple[int, int] | None = None, precision: str = "float32"
    ) -> None:
        torch.manual_seed(11)
        self.size, self.precision = size, precision
        self.model: Any = torchvision.models.detection.maskrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            box_detections_per_img=TOP_K,
            **({} if size is None else {"fixed_size": size}),
        ).eval()
        self.scores: Any = self.model.roi_heads.box_predictor.cls_score
        self.sizes: Any = self.model.roi_heads.box_predictor.bbox_pred
        self._settle_statistics(photographs)
        self.shifts = self._spread_scores(photographs)
        self.mean_area = self._fit_sizes(photographs)

    def describe(self) -> str:
        size = "its default size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        return (
            f"torchvision {torchvision.__version__}, {self.precision}, {size}; boxes have {100 * self.mean_area:.1f} %"
            " of the picture on average"
        )

    def measure(self, photograph: np.ndarray) -> Times:
        self._expect(photograph)
        start = time.perf_counter()
        self._masks(photograph)
        return {"total": time.perf_counter() - start}

    def find(self, photograph: np.ndarray) -> Found:
        self._expect(photograph)
        found, masks = self._masks(photograph)
        scores, boxes = found["scores"].float().numpy(), found["boxes"].float().numpy()
        return Found(found["labels"].numpy() - 1, scores, boxes, masks.numpy())

    @torch.inference_mode()
    def _masks(self, photograph: np.ndarray) -> tuple[dict[str, Tensor], Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16"):
            found = self.model([to_tensor(photograph)])[0]
        return found, found["masks"][:, 0] > 0.5

    @torch.no_grad()
    def _expect(self, photograph: np.ndarray) -> None:
        """Let about `PASSING` pairs of this photograph pass."""
        self.scores.bias[0] = self.shifts[photograph.tobytes()]

    @torch.no_grad()
    def _settle_statistics(self, photographs: list[np.ndarray]) -> None:
        """Give batch norm the statistics of these photographs, or activations of random weights grow without bound."""
        norms = [module for module in self.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.train()
            norm.momentum = None
        images, _ = self.model.transform([to_tensor(photograph) for photograph in photographs])
        self.model.backbone(images.tensors)
        for norm in norms:
            norm.eval()

    @torch.no_grad()
    def _spread_scores(self, photographs: list[np.ndarray], spread: float = 1.5) -> dict[bytes, float]:
        """Scale class scores, and find each photograph's shift of the background."""
        seen: list[Tensor] = []
        hook = self.scores.register_forward_hook(lambda module, inputs, output: seen.append(output))
        for photograph in photographs:
            self.model([to_tensor(photograph)])
        hook.remove()
        center, factor = torch.cat(seen).mean(0), spread / float(torch.cat(seen).std(0).mean())
        self.scores.weight.mul_(factor)
        self.scores.bias.sub_(center).mul_(factor)
        rest = float(self.scores.bias[0])
        return {
            photograph.tobytes(): rest + background_shift((logits - center) * factor)
            for photograph, logits in zip(photographs, seen, strict=True)
        }

    @torch.no_grad()
    def _fit_sizes(self, photographs: list[np.ndarray], rounds: int = 6) -> float:
        """Shift the predicted widths and heights until boxes have COCO's mean area."""
        mean = 0.0
        for _ in range(rounds):
            shares = []
            for photograph in photographs:
                self._expect(photograph)
                x1, y1, x2, y2 = self.model([to_tensor(photograph)])[0]["boxes"].unbind(-1)
                shares.append((x2 - x1) * (y2 - y1) / (photograph.shape[0] * photograph.shape[1]))
            mean = float(torch.cat(shares).mean())
            if abs(mean / MEAN_AREA - 1) < 0.1:
                break
            self.sizes.bias.view(-1, 4)[:, 2:] += 5.0 * math.log(MEAN_AREA / mean) / 2  # 5: torchvision's weight
        return mean


def build(photographs: list[np.ndarray], size: tuple[int, int] | None = None, precision: str = "float32") -> MaskRcnn:
    return MaskRcnn(photographs, size, precision)


def to_tensor(photograph: np.ndarray) -> Tensor:
    """As torchvision takes it: (3, H, W) float in 0..1."""
    return torch.from_numpy(photograph).permute(2, 0, 1).float() / 255


def background_shift(class_logits: Tensor, passing: int = PASSING, threshold: float = 0.05) -> float:
    """What to add to logit 0 of each row so that this many of the other probabilities are above the threshold."""
    low, high = -50.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        shifted = torch.cat([class_logits[:, :1] + middle, class_logits[:, 1:]], dim=1)
        is_more = int((shifted.softmax(-1)[:, 1:] > threshold).sum()) > passing
        low, high = (middle, high) if is_more else (low, middle)
    return high
