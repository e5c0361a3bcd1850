"""How to train. The string below each field is its documentation and its --help."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["steps", "cosine"]
Precision = Literal["fp32", "bf16", "fp16"]
Augment = Literal["ssd", "light", "none"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The recipe of a training run; the defaults are the paper's, for a data set of your own."""

    epochs: int = 100
    """How often each image is seen."""

    steps: int | None = None
    """Stop after this many optimizer steps, whatever `epochs` says. The paper: 800000 of batch 8."""

    batch_size: int = 8
    """Images a step, on each device."""

    init: Path | None = None
    """Trained weights to start from, .safetensors or an original .pth. With other classes, all that fits is taken."""

    backbone_weights: str = "auto"
    """What the backbone starts from, without `init`: a file of ImageNet weights; `imagenet`, which downloads them
    through timm; `none`; or `auto`, which tries to download and goes on without."""

    optimizer: Optimizer = "sgd"
    """`sgd`: momentum 0.9, the paper's. `adamw`: less sensitive to the learning rate on small data sets."""

    learning_rate: float | None = None
    """For a batch of 8; scaled with the batch. None: 1e-3 for SGD, 2e-4 for AdamW."""

    weight_decay: float | None = None
    """None: 5e-4 for SGD, 0.05 for AdamW."""

    schedule: Schedule = "steps"
    """`steps`: divided by ten after 35, 75, 87.5 and 93.75 % of the run, as in the paper. `cosine`: down to 1 %."""

    warmup_steps: int = 500
    """The learning rate rises over this many steps, at most over a tenth of the run."""

    gradient_clip: float | None = None
    """The largest norm of all gradients together; larger ones are scaled down. None: as they are."""

    semantic_weight: float = 1.0
    """Of the semantic loss, which helps to train the features and is not needed afterwards; 0 leaves it out."""

    crop_masks: bool = True
    """The mask loss looks inside the true boxes, as in the paper; otherwise at the whole image."""

    freeze_batchnorm: bool | None = None
    """Keep the backbone's batch norm as it was loaded. None: only if `batch_size` is below 6, as in the original."""

    ema_decay: float = 0.999
    """Validation and the saved weights use an average of the weights over about 1 / (1 - decay) steps; 0: the last."""

    augment: Augment = "ssd"
    """`ssd`: colors, zoom out, crop, mirror. `light`: colors and mirror. `none`: resize only."""

    zoom_out: float = 4.0
    """SSD's zooming out shrinks a photograph up to this many times; 1 turns it off."""

    precision: Precision = "fp32"
    """`bf16` computes the network in bfloat16 where the processor has it, the loss in float32; `fp16` is for GPUs."""

    channels_last: bool = False
    """Memory layout of images and weights; often faster."""

    validate_every: int = 1
    """Epochs between two measurements of AP."""

    workers: int = 4
    """Processes that read and augment images; 0: the training process does."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `mps`."""

    devices: int = 1
    """How many of them."""

    seed: int = 0
    """Of the first weights, the order of the images and their augmentation."""

    def __post_init__(self) -> None:
        choices = {"optimizer": Optimizer, "schedule": Schedule, "precision": Precision, "augment": Augment}
        for field, kind in choices.items():
            value = getattr(self, field)
            if value not in get_args(kind):
                raise ValueError(f"{field} is {value!r}; choose one of {', '.join(get_args(kind))}")
        for field in ("epochs", "batch_size", "validate_every", "devices", "steps"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"{field} is {value}; it must be at least 1")
        for field in ("learning_rate", "gradient_clip"):
            value = getattr(self, field)
            if value is not None and value <= 0:
                raise ValueError(f"{field} is {value}; it must be above 0")
        for field in ("warmup_steps", "workers", "weight_decay", "semantic_weight", "seed"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ValueError(f"{field} is {value}; it must not be negative")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay}; it must be at least 0 and below 1")
        if self.zoom_out < 1:
            raise ValueError(f"zoom_out is {self.zoom_out}; it must be at least 1, which turns it off")

    @property
    def freezes_batchnorm(self) -> bool:
        """Statistics of fewer than six images do more harm than good (original `train.py`)."""
        return self.batch_size < 6 if self.freeze_batchnorm is None else self.freeze_batchnorm

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`."""
        init = values.get("init")
        return cls(**{**values, "init": None if init is None else Path(init)})
