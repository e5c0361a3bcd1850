"""Published checkpoints of the original code (`.pth`) become ours: a table of names, applied strictly.

A checkpoint is a bare dictionary of tensors, and what network it holds is inferred from them, not from the file's name.
Three things the tensors cannot tell, so that the caller has to say them:

- YOLACT on ResNet-101 has the same tensors for 400, 550 and 700 pixels: `preset="yolact-resnet101-700"`. Unsaid: 550,
  unless the file is called `...im400...` or `...im700...`.
- Class names. 80 classes are taken for COCO's and 20 on ResNet-50 for Pascal's; others are called "class 1", "class 2".
- 20 classes on ResNet-50 are taken for the Pascal model, which has other anchors: `preset="yolact-resnet50"` if not so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolact.config import ModelConfig
from yolact.model import build_model
from yolact.presets import PRESETS

# Our name (a full match) -> the original's. Weights and biases, statistics and counters all follow their module.
_LEAF = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
NAMES: tuple[tuple[str, str], ...] = (
    # ResNet: torchvision's layer1 is layers.0
    (rf"backbone\.(conv1|bn1)\.{_LEAF}", r"backbone.\1.\2"),
    *((rf"backbone\.layer{i + 1}\.(\d+\.(?:conv\d|bn\d|downsample\.\d))\.{_LEAF}", rf"backbone.layers.{i}.\1.\2")
      for i in range(4)),
    *((rf"backbone\.layer{i + 1}\.(\d+)\.conv2\.offset_mask\.{_LEAF}",
       rf"backbone.layers.{i}.\1.conv2.conv_offset_mask.\2") for i in range(4)),
    # Darknet: 0 is the convolution of a unit, 1 its batch norm
    (r"backbone\.stem\.conv\.weight", r"backbone._preconv.0.weight"),
    (rf"backbone\.stem\.bn\.{_LEAF}", r"backbone._preconv.1.\1"),
    (r"backbone\.stages\.(\d+\.\d+(?:\.conv\d)?)\.conv\.weight", r"backbone.layers.\1.0.weight"),
    (rf"backbone\.stages\.(\d+\.\d+(?:\.conv\d)?)\.bn\.{_LEAF}", r"backbone.layers.\1.1.\2"),
    # The original's pyramid counts from the coarsest level, ours from the finest
    *((rf"fpn\.lateral\.{2 - i}\.{_LEAF}", rf"fpn.lat_layers.{i}.\1") for i in range(3)),
    *((rf"fpn\.output\.{2 - i}\.{_LEAF}", rf"fpn.pred_layers.{i}.\1") for i in range(3)),
    (rf"fpn\.downsample\.([01])\.{_LEAF}", r"fpn.downsample_layers.\1.\2"),
    # Heads
    *((rf"protonet\.conv{n}\.{_LEAF}", rf"proto_net.{i}.\1") for n, i in ((1, 0), (2, 2), (3, 4), (4, 8))),
    (rf"protonet\.prototypes\.{_LEAF}", r"proto_net.10.\1"),
    (rf"head\.shared\.{_LEAF}", r"prediction_layers.0.upfeature.0.\1"),
    (rf"head\.class_logits\.{_LEAF}", r"prediction_layers.0.conf_layer.\1"),
    (rf"head\.box_deltas\.{_LEAF}", r"prediction_layers.0.bbox_layer.\1"),
    (rf"head\.coefficients\.{_LEAF}", r"prediction_layers.0.mask_layer.\1"),
    (rf"semantic\.{_LEAF}", r"semantic_seg_conv.\1"),
    (rf"mask_rescoring\.layers\.(\d+)\.{_LEAF}", r"maskiou_net.maskiou_net.\1.\2"),
)  # fmt: skip

# Files of 2019 hold copies that the original deletes when it loads them (original `yolact.py`, `load_weights`).
STALE = re.compile(r"backbone\.layer(?!s).*|fpn\.downsample_layers\.(?:[2-9]|\d\d+)\..*")

_BOXES = "prediction_layers.0.bbox_layer.weight"
_CLASSES = "prediction_layers.0.conf_layer.weight"
_PROTOTYPES = "proto_net.10.weight"


def original_name(name: str) -> str:
    """What the original calls the tensor that a network of ours calls `name`.

    Raises:
        ValueError: the original has no such tensor; light presets on timm backbones have many.
    """
    matches = [re.sub(ours, theirs, name) for ours, theirs in NAMES if re.fullmatch(ours, name)]
    if len(matches) != 1:
        raise ValueError(f"{name} has {len(matches)} names in the original code; only its own networks convert")
    return matches[0]


def expected_tensors(config: ModelConfig) -> dict[str, Tensor]:
    """Name, shape and dtype of each tensor of the network, on the meta device: they take no memory."""
    try:
        with torch.device("meta"):
            return build_model(config).state_dict()
    except (RuntimeError, TypeError, OverflowError) as error:
        raise ValueError(f"no network can be built from its config: {_first_line(error)}") from error


def convert(
    state: Mapping[str, Any], preset: str | None = None, class_names: Sequence[str] | None = None
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Turn an original state dict into a config and the state dict of our network.

    Every key is used exactly once. Tolerated are the stale copies of old files, missing `num_batches_tracked`, and the
    `module.` that DataParallel puts before every key.

    Args:
        state: names and tensors as the original saves them.
        preset: the model it is, where the tensors cannot tell (see the top of this file).
        class_names: foreground classes in the order of their labels.

    Returns:
        The config, and float32 tensors by our names.

    Raises:
        ValueError: not a checkpoint of the original code; missing, unexpected and misshapen keys are named.
    """
    state = _without_stale(state)
    config = infer_config(state, preset, class_names)
    expected = {original_name(name): (name, like) for name, like in expected_tensors(config).items()}
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in expected]
    shapes = {key: tuple(value.shape) if isinstance(value, Tensor) else () for key, value in state.items()}
    wrong = [
        f"{key} is {shapes[key]} and should be {tuple(like.shape)}"
        for key, (_, like) in expected.items()
        if key in state and shapes[key] != tuple(like.shape)
    ]
    complaint = describe_mismatch(missing, unexpected, wrong)
    if complaint:
        raise ValueError(f"these are not the tensors of {config.name} with {config.num_classes} classes: {complaint}")
    converted = {
        name: state[key].to(like.dtype) if key in state else torch.zeros(like.shape, dtype=like.dtype)
        for key, (name, like) in expected.items()
    }
    return config, converted


def infer_config(
    state: Mapping[str, Any], preset: str | None = None, class_names: Sequence[str] | None = None
) -> ModelConfig:
    """The config of the network that an original state dict belongs to, from its tensors.

    Raises:
        ValueError: not a YOLACT checkpoint, or not one of `preset`.
    """
    state = _without_stale(state)
    _refuse_other_networks(state)
    missing = [key for key in (_BOXES, _CLASSES, _PROTOTYPES) if key not in state]
    if missing:
        raise ValueError(f"this YOLACT checkpoint is incomplete: {describe_mismatch(missing, [], [])}")
    for key in (_BOXES, _CLASSES, _PROTOTYPES):
        if not isinstance(state[key], Tensor) or state[key].ndim != 4:
            raise ValueError(f"{key} should be the weight of a convolution, with four dimensions")
    anchors = max(1, state[_BOXES].shape[0] // 4)
    num_classes = state[_CLASSES].shape[0] // anchors - 1
    if num_classes < 1:
        raise ValueError(f"{_CLASSES} has {state[_CLASSES].shape[0]} channels for {anchors} anchors: no class fits")
    config = _config_of(preset or _preset_of(state, num_classes), state, preset is not None)
    if anchors != config.anchors_per_location:
        raise ValueError(
            f"{_BOXES} has {anchors} anchors for each location, {config.name} {config.anchors_per_location}; "
            "a network of another configuration cannot be converted"
        )
    config = replace(config, num_prototypes=state[_PROTOTYPES].shape[0])
    return _with_classes(config, num_classes, class_names)


def size_by_name(path: Path, config: ModelConfig, preset: str | None) -> ModelConfig:
    """Let the file's name (`im400`, `im700`) settle the one thing that tensors cannot: the input size on ResNet-101.

    At 550 pixels such a network would run, and find less. `assumptions` says what was taken.
    """
    named = re.search(r"im(400|700)(?!\d)", path.name)
    if preset is not None or named is None or config.name != "yolact-resnet101":
        return config
    sized = PRESETS[f"yolact-resnet101-{named[1]}"].build()
    return replace(config, name=sized.name, image_size=sized.image_size, anchor_scales=sized.anchor_scales)


def assumptions(path: Path, config: ModelConfig, preset: str | None, class_names: Sequence[str] | None) -> list[str]:
    """What `infer_config` had to guess, in words for the person who converts."""
    notes = []
    if preset is None and config.name == "yolact-resnet101" and "base" not in path.name:
        notes.append("taken for 550 pixels; if it is for 400 or 700, pass preset yolact-resnet101-400 or -700")
    if preset is None and config.name in ("yolact-resnet101-400", "yolact-resnet101-700"):
        notes.append(
            f"taken for {config.image_size[0]} pixels, as its name says; if not so, pass preset yolact-resnet101"
        )
    if preset is None and config.name == "yolact-resnet50-pascal":
        notes.append("taken for the Pascal model with its larger anchors; if it is not, pass preset yolact-resnet50")
    if class_names is None and config.class_names == _numbered(config.num_classes):
        notes.append(f"class names are not in the file; called class 1 to class {config.num_classes}")
    return notes


def describe_mismatch(missing: Sequence[str], unexpected: Sequence[str], wrong_shape: Sequence[str]) -> str:
    """One line that names the keys, the first few of each kind; empty if there are none."""
    kinds = {"missing": missing, "unexpected": unexpected, "wrong shape": wrong_shape}
    return "; ".join(f"{kind}: {_some(keys)}" for kind, keys in kinds.items() if keys)


def _some(keys: Sequence[str], at_most: int = 6) -> str:
    more = f" and {len(keys) - at_most} more" if len(keys) > at_most else ""
    return ", ".join(str(key) for key in keys[:at_most]) + more


def _without_stale(state: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "module." if state and all(str(key).startswith("module.") for key in state) else ""
    names = {str(key).removeprefix(prefix): value for key, value in state.items()}
    return {key: value for key, value in names.items() if not STALE.fullmatch(key)}


def _preset_of(state: Mapping[str, Any], num_classes: int) -> str:
    """The published model with this backbone and, for YOLACT++, its extra parts."""
    plus = any("conv_offset_mask" in key or key.startswith("maskiou_net.") for key in state)
    if any(key.startswith("backbone._preconv.") for key in state):
        return "yolact-darknet53"
    found = (re.match(r"backbone\.layers\.2\.(\d+)\.", key) for key in state)
    blocks = 1 + max((int(match[1]) for match in found if match), default=-1)
    if not 1 <= blocks <= 23:
        raise ValueError(f"the backbone has {blocks} blocks in backbone.layers.2; ResNet-50 has 6, ResNet-101 has 23")
    backbone = "resnet50" if blocks <= 6 else "resnet101"
    if plus:
        return f"yolact-plus-{backbone}"
    pascal = backbone == "resnet50" and num_classes == 20
    return "yolact-resnet50-pascal" if pascal else f"yolact-{backbone}"


def _config_of(preset: str, state: Mapping[str, Any], check: bool) -> ModelConfig:
    originals = {name: made for name, entry in PRESETS.items() if (made := entry.build()).parity}
    if preset not in originals:
        raise ValueError(f"{preset!r} is no model of the original code; choose one of {', '.join(originals)}")
    config = originals[preset]
    seen = originals[_preset_of(state, 0)] if check else config
    if (seen.backbone, seen.mask_rescoring) != (config.backbone, config.mask_rescoring):
        raise ValueError(f"these are tensors of {seen.name}, not of {preset}")
    return config


def _with_classes(config: ModelConfig, num_classes: int, class_names: Sequence[str] | None) -> ModelConfig:
    if class_names is None:
        known = num_classes == config.num_classes
        return config if known else config.with_classes(_numbered(num_classes))
    if len(class_names) != num_classes:
        raise ValueError(f"{len(class_names)} class names for a checkpoint of {num_classes} classes; give one a class")
    same = tuple(class_names) == config.class_names
    return config if same else config.with_classes(tuple(class_names))


def _numbered(num_classes: int) -> tuple[str, ...]:
    return tuple(f"class {i + 1}" for i in range(num_classes))


def _refuse_other_networks(state: Mapping[str, Any]) -> None:
    if any(key.startswith("prediction_layers.") for key in state):
        return
    if any(re.match(r"layers?\d?\.\d+\.|_preconv\.", key) for key in state):
        raise ValueError("this is an ImageNet backbone without the rest of the network; give a YOLACT checkpoint")
    if "head.class_logits.weight" in state:
        raise ValueError("its names are ours already; write such a network with yolact.checkpoint.save")
    raise ValueError(f"this is no YOLACT checkpoint: no key begins with prediction_layers; it has {_some(list(state))}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
