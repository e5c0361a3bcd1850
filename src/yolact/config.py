"""What a network is and how its output is read: frozen dataclasses, checked on creation.

The string below each field is its documentation. `ModelConfig` is exactly what a weights file depends on, and travels
inside it (see `yolact.checkpoint`).
"""

import math
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

NmsKind = Literal["fast", "cross-class", "traditional"]
CropKind = Literal["box", "expand", "soft", "component"]
GraphCrop = Literal["box", "expand", "soft"]
"""What a graph of standard operators can do: none of them finds connected regions."""

Activation = Literal["tanh", "none"]

LONGEST_NAME = 200
"""Characters in the name of a class: it is written once an instance."""

ANCHOR_LEVELS = 5
"""P3 to P7, each with its own anchor scales (paper section 3.3)."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides the tensors of a YOLACT network and what they mean."""

    name: str
    """The preset this network started from, such as `yolact-resnet50`."""

    backbone: str
    """`resnet50`, `resnet101`, `darknet53`, or any timm model that has `features_only` with strides 8, 16 and 32."""

    class_names: tuple[str, ...]
    """Foreground classes in the order of their labels, from 0. Background is not among them."""

    category_ids: tuple[int, ...] = ()
    """The id of each class in COCO-format files; empty means 1, 2, 3, ... (COCO 2017 itself skips ten numbers)."""

    image_size: tuple[int, int] = (550, 550)
    """(height, width) in pixels that every photograph is resized to, whatever its aspect ratio."""

    pixel_mean: tuple[float | int, float | int, float | int] = (123.68, 116.78, 103.94)
    """Subtracted from each RGB channel, in 0..255."""

    pixel_std: tuple[float | int, float | int, float | int] = (58.40, 57.12, 57.38)
    """Divides each RGB channel after the mean was subtracted, in 0..255."""

    antialias: bool = True
    """Low-pass before shrinking a photograph. The original does not, so its weights expect False."""

    deformable_blocks: tuple[int, int, int] = (0, 0, 0)
    """YOLACT++: the last this many blocks of the stages C3, C4, C5 may have a deformable 3x3 convolution."""

    deformable_interval: int = 1
    """YOLACT++: of those blocks, each this many-th one (counted from the stage's first) has it."""

    width: int = 256
    """Channels of the feature pyramid, the prototype network and the prediction head."""

    num_prototypes: int = 32
    """k of the paper: prototype masks for an image, and coefficients for an instance."""

    coefficient_activation: Activation = "tanh"
    """What bounds the mask coefficients: `tanh`, the paper's; `none` is there to measure what it is good for."""

    anchor_scales: tuple[tuple[int | float, ...], ...] = ((24,), (48,), (96,), (192,), (384,))
    """Anchor sides in pixels of the network input, one tuple for each of P3 to P7."""

    anchor_ratios: tuple[float | int, ...] = (1.0, 0.5, 2.0)
    """Width over height of the anchors of one scale."""

    square_anchors: bool = False
    """Make each anchor as high as it is wide: a slip in the original that its COCO weights depend on (quirk Q2)."""

    mask_rescoring: bool = False
    """YOLACT++: predict each mask's IoU and multiply it into the mask's score."""

    parity: bool = False
    """Follow the original code to the letter where following it helps nobody: boxes are clamped on one side only, a
    ground truth that overlaps no anchor is forced on one, and the mask loss of sub-pixel boxes has no floor."""

    def __post_init__(self) -> None:
        _check(
            re.fullmatch(r"\w[\w.+ -]{0,99}", self.name) is not None,
            f"name is {self.name!r}; it becomes part of file names: letters, digits and - . + _, at most 100",
        )
        _check(len(self.class_names) > 0, "class_names is empty; name at least one class")
        _check(
            not isinstance(self.class_names, str),
            f"class_names is the string {self.class_names!r}; write a tuple of names, such as ({self.class_names!r},)",
        )
        long = next((name for name in self.class_names if len(name) > LONGEST_NAME), "")
        _check(not long, f"the class {long[:20]!r}... has {len(long):,} letters; at most {LONGEST_NAME} are allowed")
        _check(
            self.coefficient_activation in get_args(Activation),
            f"coefficient_activation is {self.coefficient_activation!r}; choose tanh or none",
        )
        _check(
            len(self.category_ids) in (0, self.num_classes),
            f"{len(self.category_ids)} category_ids for {self.num_classes} class_names; give one id a class, or none",
        )
        _check(
            len(self.anchor_scales) == ANCHOR_LEVELS and all(self.anchor_scales),
            f"anchor_scales is {self.anchor_scales}; it needs a non-empty tuple for each of P3 to P7",
        )
        _check(
            len({len(scales) for scales in self.anchor_scales}) == 1,
            f"anchor_scales is {self.anchor_scales}; each level needs the same number of scales, as they share a head",
        )
        _check(
            all(0 < scale < math.inf for scales in self.anchor_scales for scale in scales),
            f"anchor_scales is {self.anchor_scales}; each side must be above 0",
        )
        _check(
            all(0 < std < math.inf for std in self.pixel_std) and all(map(math.isfinite, self.pixel_mean)),
            f"pixel_mean is {self.pixel_mean}, pixel_std {self.pixel_std}; give finite numbers, and a std above 0",
        )
        _check(
            len(self.anchor_ratios) > 0 and all(0 < ratio < math.inf for ratio in self.anchor_ratios),
            f"anchor_ratios is {self.anchor_ratios}; give at least one, each above 0",
        )
        _check(
            len(self.image_size) == 2 and min(self.image_size) >= 64,
            f"image_size is {self.image_size}; it is (height, width), each at least 64 pixels",
        )
        _check(
            not self.mask_rescoring or min(self.image_size) >= 256,
            f"image_size is {self.image_size}; mask_rescoring shrinks masks 64-fold and needs at least 256 pixels",
        )
        for field in ("width", "num_prototypes", "deformable_interval"):
            _check(getattr(self, field) >= 1, f"{field} is {getattr(self, field)}; it must be at least 1")

    @property
    def num_classes(self) -> int:
        """C: the number of foreground classes."""
        return len(self.class_names)

    @property
    def anchors_per_location(self) -> int:
        return len(self.anchor_scales[0]) * len(self.anchor_ratios)

    @property
    def coco_ids(self) -> tuple[int, ...]:
        """The category id that each label has in COCO-format results."""
        return self.category_ids or tuple(range(1, self.num_classes + 1))

    @property
    def default_crop(self) -> CropKind:
        """How masks are cut unless a call says otherwise: the paper's way where parity asks for it, else the best."""
        return "box" if self.parity else "component"

    def with_classes(self, names: tuple[str, ...], category_ids: tuple[int, ...] = ()) -> "ModelConfig":
        """The same network for other classes."""
        return replace(self, class_names=tuple(names), category_ids=tuple(category_ids))

    def at_size(self, image_size: tuple[int, int]) -> "ModelConfig":
        """A network of the same kind for another input size, to be trained: its anchors grow or shrink along.

        As in the original's configurations for 400 and 700 pixels. Trained weights expect the anchors they were trained
        with, whatever they are fed.
        """
        scale = math.sqrt(math.prod(image_size) / math.prod(self.image_size))
        scales = tuple(tuple(round(side * scale, 1) for side in level) for level in self.anchor_scales)
        return replace(self, image_size=image_size, anchor_scales=scales)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """The inverse of `to_dict`, also after a trip through JSON, where tuples have become lists.

        Raises:
            ValueError: a name that is no field of this version, or a value that `__post_init__` refuses.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        _check(not unknown, f"unknown config fields {unknown}; the file was written by another version of yolact")
        return cls(**{name: _tuples(value) for name, value in values.items()})


@dataclass(frozen=True, kw_only=True)
class DetectConfig:
    """How raw output becomes detections (paper section 3.3, original `layers/functions/detection.py`)."""

    nms: NmsKind = "fast"
    """`fast`: the paper's. `cross-class`: one class an anchor, classes suppress each other. `traditional`: greedy."""

    score_floor: float = 0.05
    """An anchor takes part only if one of its classes scores above this."""

    iou_threshold: float = 0.5
    """Two boxes that overlap more than this are taken for the same object."""

    candidates: int = 200
    """Fast NMS looks at this many best anchors of a class; cross-class NMS at this many in all."""

    top_k: int = 100
    """Detections kept for an image. The original's cross-class NMS ignores this number (quirk Q6); ours does not."""

    def __post_init__(self) -> None:
        _check(self.nms in get_args(NmsKind), f"nms is {self.nms!r}; choose one of {', '.join(get_args(NmsKind))}")
        for field in ("score_floor", "iou_threshold"):
            value = getattr(self, field)
            _check(0.0 <= value <= 1.0, f"{field} is {value}; it must lie between 0 and 1")
        for field in ("candidates", "top_k"):
            _check(getattr(self, field) >= 1, f"{field} is {getattr(self, field)}; it must be at least 1")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
