"""The smallest network that can be trained, a recipe that takes a second, and what is compared afterwards."""

from pathlib import Path

import torch

from yolact import checkpoint
from yolact.presets import yolact_mobilenetv4
from yolact.training import TrainConfig

TINY = yolact_mobilenetv4(image_size=(64, 64), width=16, num_prototypes=4)
RECIPE = TrainConfig(
    epochs=2, batch_size=2, workers=0, device="cpu", backbone_weights="none", learning_rate=0.01, warmup_steps=0
)


def same(a: Path, b: Path) -> bool:
    """Whether two files hold equal weights, bit for bit."""
    left, right = checkpoint.load(a).state_dict(), checkpoint.load(b).state_dict()
    return all(torch.equal(left[name], right[name]) for name in left)
