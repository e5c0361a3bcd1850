"""The trainings: what each of them is, and in which order they come.

All have one budget: the same photographs, steps, optimizer and start. What differs is named in `VARIANTS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact.config import ModelConfig
from yolact.presets import yolact_efficientnet_lite0
from yolact.training.config import TrainConfig

IMAGE_SIZE = (224, 224)
EPOCHS = 20
SEEDS = (0, 1, 2)
FROZEN = tuple(f"backbone.features.{part}" for part in ("conv_stem", "bn1", "blocks.0", "blocks.1"))
"""Half and quarter scale stay as ImageNet left them, as torchvision does for Mask R-CNN; a fifth less work."""

BASELINE = "prototypes-32"
"""The paper's network; what each ablation is compared with."""

PEER = "mask-rcnn"

PROPOSED_ANCHORS = {
    "anchor_scales": ((34.9,), (71.8,), (110.0,), (110.0,), (168.0,)),
    "anchor_ratios": (0.199, 0.309, 0.443),
}
"""What `yolact data anchors` says of Penn-Fudan's training photographs at `IMAGE_SIZE`."""

FITTED = "proposed-anchors"
"""The paper's network with anchors like the people to find."""

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "prototypes-32": {},
    "no-semantic": {"train": {"semantic_weight": 0.0}},
    "no-tanh": {"model": {"coefficient_activation": "none"}},
    "prototypes-8": {"model": {"num_prototypes": 8}},
    "prototypes-128": {"model": {"num_prototypes": 128}},
    "prototypes-16": {"model": {"num_prototypes": 16}},
    "prototypes-64": {"model": {"num_prototypes": 64}},
    FITTED: {"model": PROPOSED_ANCHORS},
    PEER: {},
    "no-crop": {"train": {"crop_masks": False}},
}
"""What a network has otherwise than the baseline, in its configs; those that need several seeds first."""


@dataclass(frozen=True)
class Run:
    """One training."""

    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.variant}-seed{self.seed}"

    def model_config(self, classes: tuple[str, ...]) -> ModelConfig:
        changes = VARIANTS[self.variant].get("model", {})
        return yolact_efficientnet_lite0(image_size=IMAGE_SIZE, class_names=classes, **changes)

    def train_config(self, backbone_weights: str, cache: Path | None = None) -> TrainConfig:
        recipe: dict[str, Any] = {
            "epochs": EPOCHS,
            "batch_size": 8,
            "backbone_weights": backbone_weights,
            "optimizer": "adamw",
            "learning_rate": 5e-4,
            "weight_decay": 0.02,
            "schedule": "cosine",
            "gradient_clip": 10.0,
            "ema_decay": 0.98,
            "zoom_out": 2.0,
            "precision": "bf16",
            "channels_last": True,
            "freeze": FROZEN,
            "batchnorm": "frozen",
            "pictures": 0,
            "loggers": ("csv",),
            "workers": 0,
            "cache": cache,
            "device": "cpu",
            "seed": self.seed,
        }
        return TrainConfig(**{**recipe, **VARIANTS[self.variant].get("train", {})})


def all_runs(variants: tuple[str, ...] = tuple(VARIANTS)) -> Iterator[Run]:
    """Every variant with one seed, before any with the next: what is interrupted has something of everything."""
    for seed in SEEDS:
        for variant in variants:
            yield Run(variant, seed)
