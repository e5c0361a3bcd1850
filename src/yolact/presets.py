"""Every model that has a name: what it is made of, where its weights come from, and what it was measured at.

A preset is a function that returns a `ModelConfig`, with every number visible. Change one with keyword arguments:
`yolact_resnet50(image_size=(448, 640), num_prototypes=16)`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from yolact.config import ModelConfig

COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
COCO_CATEGORY_IDS = tuple(i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
"""COCO 2017 numbers its 80 classes up to 90, with gaps."""

PASCAL_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named model: how to build it, and what is known of its weights."""

    build: Callable[..., ModelConfig]
    hub_repository: str | None = None
    """Where the published weights are, on the Hugging Face hub."""

    hub_file: str | None = None
    licence: str = "Apache-2.0"
    """Of the weights."""

    mask_ap: str = ""
    """Mask AP as published or measured, with the data it was measured on."""


def _original(**settings: Any) -> ModelConfig:
    """The choices that all models of the original code share (original `data/config.py`)."""
    coco = {"class_names": COCO_CLASSES, "category_ids": COCO_CATEGORY_IDS, "square_anchors": True}
    return ModelConfig(**{**coco, "antialias": False, "parity": True, **settings})


def _change(config: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    """Other classes have other ids: those of the preset go with its names."""
    return replace(config, **({"category_ids": ()} if "class_names" in changes else {}) | changes)


def yolact_resnet50(**changes: Any) -> ModelConfig:
    """YOLACT-550 on ResNet-50 (paper table 1)."""
    return _change(_original(name="yolact-resnet50", backbone="resnet50"), changes)


def yolact_resnet101(**changes: Any) -> ModelConfig:
    """YOLACT-550 on ResNet-101: the base model of the paper (`yolact_base`)."""
    return _change(_original(name="yolact-resnet101", backbone="resnet101"), changes)


def yolact_darknet53(**changes: Any) -> ModelConfig:
    """YOLACT-550 on Darknet-53, whose pixels are only scaled to 0..1."""
    config = _original(
        name="yolact-darknet53", backbone="darknet53", pixel_mean=(0.0, 0.0, 0.0), pixel_std=(255.0, 255.0, 255.0)
    )
    return _change(config, changes)


def yolact_resnet101_400(**changes: Any) -> ModelConfig:
    """YOLACT-400: the base model at 400 pixels. Anchors shrink with the image, truncated to whole pixels."""
    scales = ((17,), (34,), (69,), (139,), (279,))
    config = _original(name="yolact-resnet101-400", backbone="resnet101", image_size=(400, 400), anchor_scales=scales)
    return _change(config, changes)


def yolact_resnet101_700(**changes: Any) -> ModelConfig:
    """YOLACT-700: the base model at 700 pixels. Anchors grow with the image, truncated to whole pixels."""
    scales = ((30,), (61,), (122,), (244,), (488,))
    config = _original(name="yolact-resnet101-700", backbone="resnet101", image_size=(700, 700), anchor_scales=scales)
    return _change(config, changes)


def yolact_resnet50_pascal(**changes: Any) -> ModelConfig:
    """YOLACT-550 on ResNet-50 for the 20 classes of Pascal SBD, with anchors a third larger and not square."""
    config = _original(
        name="yolact-resnet50-pascal",
        backbone="resnet50",
        class_names=PASCAL_CLASSES,
        category_ids=(),
        anchor_scales=((32,), (64,), (128,), (256,), (512,)),
        square_anchors=False,
    )
    return _change(config, changes)


def _plus(name: str, backbone: str, blocks: tuple[int, int, int], interval: int) -> ModelConfig:
    """YOLACT++: deformable convolutions, three anchor scales a level, mask rescoring (YOLACT++ paper section 6)."""
    return _original(
        name=name,
        backbone=backbone,
        deformable_blocks=blocks,
        deformable_interval=interval,
        anchor_scales=tuple(tuple(side * 2 ** (i / 3) for i in range(3)) for side in (24, 48, 96, 192, 384)),
        square_anchors=False,
        mask_rescoring=True,
    )


def yolact_plus_resnet50(**changes: Any) -> ModelConfig:
    """YOLACT++ on ResNet-50, deformable in every block of C3 to C5."""
    return _change(_plus("yolact-plus-resnet50", "resnet50", blocks=(4, 6, 3), interval=1), changes)


def yolact_plus_resnet101(**changes: Any) -> ModelConfig:
    """YOLACT++ on ResNet-101 (`yolact_plus_base`), deformable in every third block of C3 to C5."""
    return _change(_plus("yolact-plus-resnet101", "resnet101", blocks=(4, 23, 3), interval=3), changes)


def yolact_resnet18(**changes: Any) -> ModelConfig:
    """A light YOLACT for CPUs: ResNet-18 and half the width, at 416 pixels."""
    return _change(_light("yolact-resnet18", "resnet18"), changes)


def yolact_mobilenetv4(**changes: Any) -> ModelConfig:
    """A light YOLACT for phones: MobileNetV4-small and half the width, at 416 pixels."""
    return _change(_light("yolact-mobilenetv4", "mobilenetv4_conv_small"), changes)


def yolact_efficientnet_lite0(**changes: Any) -> ModelConfig:
    """A light YOLACT for CPUs and phones: EfficientNet-Lite0, which has no activation that is hard to quantize."""
    half = (127.5, 127.5, 127.5)
    config = _light("yolact-efficientnet-lite0", "tf_efficientnet_lite0", pixel_mean=half, pixel_std=half)
    return _change(config, changes)


def _light(name: str, backbone: str, **settings: Any) -> ModelConfig:
    """What our light presets share: timm backbones, half the width, and none of the original's slips."""
    coco = {"class_names": COCO_CLASSES, "category_ids": COCO_CATEGORY_IDS}
    scales = ((24,), (48,), (96,), (192,), (384,))
    light = {"image_size": (416, 416), "width": 128, "anchor_scales": scales}
    imagenet = {"pixel_mean": (123.675, 116.28, 103.53), "pixel_std": (58.395, 57.12, 57.375)}
    return ModelConfig(**{**coco, **light, **imagenet, "name": name, "backbone": backbone, **settings})


PRESETS: dict[str, Preset] = {
    "yolact-resnet50": Preset(
        build=yolact_resnet50,
        hub_repository="dbolya/yolact-resnet50",
        hub_file="yolact_resnet50_54_800000.pth",
        licence="MIT",
        mask_ap="28.2 on COCO test-dev, published",
    ),
    "yolact-resnet101": Preset(
        build=yolact_resnet101,
        hub_repository="dbolya/yolact-base",
        hub_file="yolact_base_54_800000.pth",
        licence="MIT",
        mask_ap="29.8 on COCO test-dev, published",
    ),
    "yolact-darknet53": Preset(
        build=yolact_darknet53,
        hub_repository="dbolya/yolact-darknet53",
        hub_file="yolact_darknet53_54_800000.pth",
        licence="MIT",
        mask_ap="28.7 on COCO test-dev, published",
    ),
    "yolact-resnet101-400": Preset(build=yolact_resnet101_400),
    "yolact-resnet101-700": Preset(
        build=yolact_resnet101_700,
        hub_repository="dbolya/yolact-im700",
        hub_file="yolact_im700_54_800000.pth",
        licence="MIT",
        mask_ap="31.2 on COCO test-dev, published",
    ),
    "yolact-resnet50-pascal": Preset(
        build=yolact_resnet50_pascal, mask_ap="56.2 (AP70) and 72.3 (AP50) on Pascal SBD val, published"
    ),
    "yolact-plus-resnet50": Preset(
        build=yolact_plus_resnet50,
        hub_repository="dbolya/yolact-plus-resnet50",
        hub_file="yolact_plus_resnet50_54_800000.pth",
        licence="MIT",
        mask_ap="34.1 on COCO test-dev, published",
    ),
    "yolact-plus-resnet101": Preset(
        build=yolact_plus_resnet101,
        hub_repository="dbolya/yolact-plus-base",
        hub_file="yolact_plus_base_54_800000.pth",
        licence="MIT",
        mask_ap="34.6 on COCO test-dev, published",
    ),
    "yolact-resnet18": Preset(build=yolact_resnet18),
    "yolact-mobilenetv4": Preset(build=yolact_mobilenetv4),
    "yolact-efficientnet-lite0": Preset(build=yolact_efficientnet_lite0),
}
