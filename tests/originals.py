"""Checkpoints as the original code writes them, built from the description of its layout and not from our code.

Every tensor is one number, repeated without memory: files of the published sizes take kilobytes.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

CONFIGS = {
    # original name: (our preset, keys of a checkpoint, of them in the backbone)
    "yolact_base": ("yolact-resnet101", 660, 624),
    "yolact_resnet50": ("yolact-resnet50", 354, 318),
    "yolact_darknet53": ("yolact-darknet53", 348, 312),
    "yolact_im400": ("yolact-resnet101-400", 660, 624),
    "yolact_im700": ("yolact-resnet101-700", 660, 624),
    "yolact_resnet50_pascal": ("yolact-resnet50-pascal", 354, 318),
    "yolact_plus_base": ("yolact-plus-resnet101", 705, 657),
    "yolact_plus_resnet50": ("yolact-plus-resnet50", 405, 357),
}


def shapes_of(name: str, num_classes: int | None = None) -> Shapes:
    """Key and shape of each tensor of an original configuration, for its own number of classes or another."""
    plus, classes = "plus" in name, num_classes or (20 if "pascal" in name else 80)
    anchors = 9 if plus else 3
    if "darknet53" in name:
        shapes, channels = dict(_darknet()), (256, 512, 1024)
    else:
        blocks = (3, 4, 6, 3) if "resnet50" in name else (3, 4, 23, 3)
        interval = {"yolact_plus_base": 3, "yolact_plus_resnet50": 1}.get(name)
        shapes, channels = dict(_resnet(blocks, interval)), (512, 1024, 2048)
    for i in (0, 2, 4, 8):
        shapes |= _conv(f"proto_net.{i}", 256, 256, 3)
    shapes |= _conv("proto_net.10", 32, 256, 1)
    if plus:
        sizes = (1, 8, 16, 32, 64, 128)
        for i in range(5):
            shapes |= _conv(f"maskiou_net.maskiou_net.{2 * i}", sizes[i + 1], sizes[i], 3)
        shapes |= _conv("maskiou_net.maskiou_net.10", classes, 128, 1)
    for i in range(3):
        shapes |= _conv(f"fpn.lat_layers.{i}", 256, channels[2 - i], 1)
        shapes |= _conv(f"fpn.pred_layers.{i}", 256, 256, 3)
    for i in range(2):
        shapes |= _conv(f"fpn.downsample_layers.{i}", 256, 256, 3)
    shapes |= _conv("prediction_layers.0.upfeature.0", 256, 256, 3)
    for layer, values in (("bbox", 4), ("conf", classes + 1), ("mask", 32)):
        shapes |= _conv(f"prediction_layers.0.{layer}_layer", anchors * values, 256, 3)
    return shapes | _conv("semantic_seg_conv", classes, 256, 1)


def checkpoint(name: str, num_classes: int | None = None) -> dict[str, Tensor]:
    """The tensors: each filled with its own number, counters with 0."""
    state = {}
    for i, (key, shape) in enumerate(shapes_of(name, num_classes).items()):
        counter = key.endswith("num_batches_tracked")
        state[key] = torch.tensor(0) if counter else torch.tensor([(i + 1) / 1024]).expand(shape)
    return state


def _conv(name: str, out_channels: int, in_channels: int, kernel: int, bias: bool = True) -> Shapes:
    weight: Shapes = {f"{name}.weight": (out_channels, in_channels, kernel, kernel)}
    return weight | {f"{name}.bias": (out_channels,)} if bias else weight


def _norm(name: str, channels: int) -> Shapes:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (channels,) for leaf in leaves} | {f"{name}.num_batches_tracked": ()}


def _resnet(blocks: tuple[int, ...], interval: int | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    shapes = _conv("backbone.conv1", 64, 3, 7, bias=False) | _norm("backbone.bn1", 64)
    channels = 64
    for stage, count in enumerate(blocks):
        planes = 64 * 2**stage
        for block in range(count):
            name = f"backbone.layers.{stage}.{block}"
            deformable = interval is not None and stage > 0 and block % interval == 0
            shapes |= _conv(f"{name}.conv1", planes, channels, 1, bias=False) | _norm(f"{name}.bn1", planes)
            shapes |= _conv(f"{name}.conv2", planes, planes, 3, bias=deformable) | _norm(f"{name}.bn2", planes)
            if deformable:
                shapes |= _conv(f"{name}.conv2.conv_offset_mask", 27, planes, 3)
            shapes |= _conv(f"{name}.conv3", 4 * planes, planes, 1, bias=False) | _norm(f"{name}.bn3", 4 * planes)
            if block == 0:
                shapes |= _conv(f"{name}.downsample.0", 4 * planes, channels, 1, bias=False)
                shapes |= _norm(f"{name}.downsample.1", 4 * planes)
            channels = 4 * planes
    yield from shapes.items()


def _darknet() -> Iterator[tuple[str, tuple[int, ...]]]:
    def unit(name: str, out_channels: int, in_channels: int, kernel: int) -> Shapes:
        return _conv(f"{name}.0", out_channels, in_channels, kernel, bias=False) | _norm(f"{name}.1", out_channels)

    shapes = unit("backbone._preconv", 32, 3, 3)
    for stage, count in enumerate((1, 2, 8, 8, 4)):
        channels = 64 * 2**stage
        shapes |= unit(f"backbone.layers.{stage}.0", channels, channels // 2, 3)
        for block in range(1, count + 1):
            name = f"backbone.layers.{stage}.{block}"
            shapes |= unit(f"{name}.conv1", channels // 2, channels, 1)
            shapes |= unit(f"{name}.conv2", channels, channels // 2, 3)
    yield from shapes.items()
