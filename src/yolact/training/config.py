"""How to train. The string below each field is its documentation and its --help."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from yolact.data.augmentation import Augmentation, AugmentKind

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["steps", "cosine"]
Precision = Literal["fp32", "bf16", "fp16"]
Batchnorm = Literal["auto", "trained", "frozen", "synchronized"]

PAPER_DECAY = (0.35, 0.75, 0.875, 0.9375)
"""280, 600, 700 and 750 of the paper's 800 thousand steps, as shares of the run."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The recipe of a training run; the defaults are the paper's, for a data set of your own."""

    epochs: int = 100
    """How often each image is seen."""

    steps: int | None = None
    """Stop after this many optimizer steps, whatever `epochs` says. The paper: 800000 of batch 8."""

    batch_size: int | Literal["auto"] = 8
    """Images a batch, on each device. `auto`: as many as its memory holds, measured before the first step."""

    accumulate: int = 1
    """Batches a step: gradients of so many are added up, where memory does not hold the batch that is wanted."""

    init: Path | None = None
    """Trained weights to start from, .safetensors or an original .pth. With other classes, all that fits is taken."""

    backbone_weights: str = "auto"
    """What the backbone starts from, without `init`: a file of ImageNet weights; `imagenet`, which downloads them
    through timm; `none`; or `auto`, which tries to download and goes on without."""

    optimizer: Optimizer = "sgd"
    """`sgd`: momentum 0.9, the paper's. `adamw`: less sensitive to the learning rate on small data sets."""

    learning_rate: float | None = None
    """For 8 images a step; scaled with their number. None: 1e-3 for SGD, 2e-4 for AdamW."""

    weight_decay: float | None = None
    """None: 5e-4 for SGD, 0.05 for AdamW."""

    schedule: Schedule = "steps"
    """`steps`: divided by ten at each of `decay_at`. `cosine`: down to 1 %."""

    decay_at: tuple[float, ...] = PAPER_DECAY
    """Shares of the run after which `steps` divides the learning rate by ten."""

    warmup_steps: int = 500
    """The learning rate rises over this many steps, at most over a tenth of the run."""

    gradient_clip: float | None = None
    """The largest norm of all gradients together; larger ones are scaled down. None: as they are."""

    semantic_weight: float = 1.0
    """Of the semantic loss, which helps to train the features and is not needed afterwards; 0 leaves it out."""

    crop_masks: bool = True
    """The mask loss looks inside the true boxes, as in the paper; otherwise at the whole image."""

    freeze: tuple[str, ...] = ()
    """Parts of the network that stay as they were loaded: backbone, backbone.layer1, fpn, protonet, head."""

    batchnorm: Batchnorm = "auto"
    """`frozen`: the backbone's batch norm stays as it was loaded. `synchronized`: its statistics are of the images on
    all GPUs together. `auto`: frozen if `batch_size` is below 6, as in the original, else trained."""

    ema_decay: float = 0.999
    """Validation and the saved weights use an average of the weights over about 1 / (1 - decay) steps; 0: the last."""

    augment: AugmentKind = "ssd"
    """`ssd`: colors, zoom out, crop, mirror, as in the paper. `jitter`: colors, any scale, mirror. `light`: colors and
    mirror. `none`: resize only."""

    zoom_out: float = 4.0
    """`ssd` shrinks a photograph up to this many times; 1 turns it off."""

    jitter_scales: tuple[float, float] = (0.1, 2.0)
    """How small and how large `jitter` makes a photograph (large-scale jitter)."""

    multi_scale: float = 0.0
    """Sides of the network's input vary from batch to batch by up to this share, in multiples of 32 pixels."""

    mosaic: float = 0.0
    """Share of the samples that are put together from four photographs."""

    copy_paste: float = 0.0
    """Share of the samples onto which objects of another photograph are pasted."""

    precision: Precision = "fp32"
    """`bf16` computes the network in bfloat16 where the processor has it, the loss in float32; `fp16` is for GPUs."""

    channels_last: bool = False
    """Memory layout of images and weights; often faster."""

    compile: bool = False
    """Compile the network for this machine: some minutes at the start, then shorter steps."""

    validate_every: int = 1
    """Epochs between two measurements of AP."""

    patience: int | None = None
    """Stop after so many measurements in a row without a better mask AP. None: train to the end."""

    pictures: int = 8
    """Validation images that are drawn with what is found in them, after each measurement."""

    save_every: int = 1000
    """Steps between two states to resume from, besides those at the end of each epoch."""

    loggers: tuple[str, ...] = ("csv", "tensorboard")
    """Where figures go: csv, tensorboard, or any logger of Lightning by the name of its class, such as WandbLogger."""

    workers: int = 4
    """Processes that read and augment images; 0: the training process does."""

    cache: Path | None = None
    """A folder for decoded photographs, three bytes a pixel. None: they are decoded each time."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `mps`."""

    devices: int = 1
    """How many of them, on this machine. Under torchrun and Ray, their own number counts."""

    timeout: float = 600.0
    """Seconds that processes which train together wait for each other; then the run ends, as one of them is gone."""

    seed: int = 0
    """Of the first weights, the order of the images and their augmentation."""

    def __post_init__(self) -> None:
        choices = {
            "optimizer": Optimizer,
            "schedule": Schedule,
            "precision": Precision,
            "augment": AugmentKind,
            "batchnorm": Batchnorm,
        }
        for field, kind in choices.items():
            value = getattr(self, field)
            _check(value in get_args(kind), f"{field} is {value!r}; choose one of {', '.join(get_args(kind))}")
        for field in ("epochs", "accumulate", "validate_every", "save_every", "devices", "steps", "patience"):
            value = getattr(self, field)
            _check(value is None or value >= 1, f"{field} is {value}; it must be at least 1")
        batch = self.batch_size
        _check(batch == "auto" or batch >= 1, f"batch_size is {batch}; it must be at least 1, or auto")  # type: ignore[operator]
        for field in ("learning_rate", "gradient_clip", "timeout"):
            value = getattr(self, field)
            _check(value is None or value > 0, f"{field} is {value}; it must be above 0")
        for field in ("warmup_steps", "workers", "weight_decay", "semantic_weight", "pictures", "seed"):
            value = getattr(self, field)
            _check(value is None or value >= 0, f"{field} is {value}; it must not be negative")
        for field in ("ema_decay", "multi_scale"):
            value = getattr(self, field)
            _check(0 <= value < 1, f"{field} is {value}; it must be at least 0 and below 1")
        for field in ("mosaic", "copy_paste"):
            value = getattr(self, field)
            _check(0 <= value <= 1, f"{field} is {value}; it is a share, from 0 to 1")
        devices = ("auto", "cpu", "cuda", "mps")
        _check(self.device in devices, f"device is {self.device!r}; choose one of {', '.join(devices)}")
        _check(self.seed < 2**32, f"seed is {self.seed}; it must be below 2^32")
        _check(self.zoom_out >= 1, f"zoom_out is {self.zoom_out}; it must be at least 1, which turns it off")
        low, high = self.jitter_scales
        _check(0 < low <= high, f"jitter_scales is {self.jitter_scales}; give a smallest and a largest, above 0")
        is_rising = list(self.decay_at) == sorted(self.decay_at) and all(0 < share < 1 for share in self.decay_at)
        _check(is_rising, f"decay_at is {self.decay_at}; give rising shares of the run, between 0 and 1")

    @property
    def images(self) -> int:
        """Images a batch, once `auto` has been decided."""
        if self.batch_size == "auto":
            raise ValueError("batch_size is auto; `yolact.training.batch_size.decide` makes it a number")
        return self.batch_size

    @property
    def freezes_batchnorm(self) -> bool:
        """Statistics of fewer than six images do more harm than good (original `train.py`)."""
        return self.images < 6 if self.batchnorm == "auto" else self.batchnorm == "frozen"

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.augment, self.zoom_out, self.jitter_scales, self.mosaic, self.copy_paste)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`, also after a trip through JSON.

        Raises:
            ValueError: a name that is no field of this version, or a value that cannot be.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        _check(not unknown, f"unknown settings {unknown}; the run was started with another version of yolact")
        restored: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        paths = {name: Path(restored[name]) for name in ("init", "cache") if restored.get(name) is not None}
        return cls(**{**restored, **paths})


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
