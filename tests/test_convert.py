"""Every published configuration converts key by key, and everything else is refused by name."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from originals import CONFIGS, checkpoint, shapes_of
from yolact.convert import (
    assumptions,
    convert,
    expected_tensors,
    infer_config,
    original_name,
    size_by_name,
)
from yolact.presets import COCO_CLASSES, PASCAL_CLASSES, PRESETS

# Where the tensors cannot tell, the preset has to be said.
TOLD = {"yolact_im400": "yolact-resnet101-400", "yolact_im700": "yolact-resnet101-700"}

# One tensor of each family, written out by hand, to hold the table of names itself.
RENAMED = {
    "yolact_plus_resnet50": {
        "backbone.conv1.weight": "backbone.conv1.weight",
        "backbone.layer1.0.downsample.1.running_var": "backbone.layers.0.0.downsample.1.running_var",
        "backbone.layer3.5.bn3.running_mean": "backbone.layers.2.5.bn3.running_mean",
        "backbone.layer4.2.conv2.bias": "backbone.layers.3.2.conv2.bias",
        "backbone.layer4.2.conv2.offset_mask.weight": "backbone.layers.3.2.conv2.conv_offset_mask.weight",
        "fpn.lateral.0.weight": "fpn.lat_layers.2.weight",
        "fpn.lateral.2.weight": "fpn.lat_layers.0.weight",
        "fpn.output.0.bias": "fpn.pred_layers.2.bias",
        "fpn.output.1.bias": "fpn.pred_layers.1.bias",
        "fpn.downsample.1.weight": "fpn.downsample_layers.1.weight",
        "protonet.conv4.weight": "proto_net.8.weight",
        "protonet.prototypes.bias": "proto_net.10.bias",
        "head.shared.weight": "prediction_layers.0.upfeature.0.weight",
        "head.class_logits.weight": "prediction_layers.0.conf_layer.weight",
        "head.box_deltas.weight": "prediction_layers.0.bbox_layer.weight",
        "head.coefficients.bias": "prediction_layers.0.mask_layer.bias",
        "semantic.weight": "semantic_seg_conv.weight",
        "mask_rescoring.layers.10.weight": "maskiou_net.maskiou_net.10.weight",
    },
    "yolact_darknet53": {
        "backbone.stem.conv.weight": "backbone._preconv.0.weight",
        "backbone.stem.bn.running_mean": "backbone._preconv.1.running_mean",
        "backbone.stages.4.0.conv.weight": "backbone.layers.4.0.0.weight",
        "backbone.stages.4.0.bn.bias": "backbone.layers.4.0.1.bias",
        "backbone.stages.2.8.conv1.conv.weight": "backbone.layers.2.8.conv1.0.weight",
        "backbone.stages.2.8.conv2.bn.weight": "backbone.layers.2.8.conv2.1.weight",
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_published_configuration(name: str) -> None:
    preset, keys, backbone_keys = CONFIGS[name]
    state = checkpoint(name)
    assert len(state) == keys
    assert sum(key.startswith("backbone.") for key in state) == backbone_keys
    config, converted = convert(state, TOLD.get(name))
    assert config == PRESETS[preset].build()
    assert to_original(converted).keys() == state.keys()
    for key, value in to_original(converted).items():
        assert value.shape == state[key].shape
        assert value.sum() == state[key].sum(), key


@pytest.mark.parametrize("name", RENAMED)
def test_names(name: str) -> None:
    state = checkpoint(name)
    _, converted = convert(state)
    for ours, theirs in RENAMED[name].items():
        assert converted[ours].flatten()[0] == state[theirs].flatten()[0]


@pytest.mark.parametrize("name", ["yolact_base", "yolact_resnet50", "yolact_plus_resnet50"])
def test_reference_keys(shared: Path, name: str) -> None:
    listed = json.loads((shared / "parity" / f"{name}.keys.json").read_text())
    assert {key: tuple(shape) for key, shape in listed.items()} == shapes_of(name)


def test_reference_weights(shared: Path) -> None:
    spec = importlib.util.spec_from_file_location("recipe", shared / "parity" / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    keys = ("semantic_seg_conv.weight", "fpn.lat_layers.0.bias", "backbone.layers.3.2.bn2.running_var")
    state = checkpoint("yolact_resnet50")
    state |= {key: torch.from_numpy(recipe.fill(key, tuple(state[key].shape), 7)) for key in keys}
    _, converted = convert(state)
    for key, ours in zip(
        keys, ("semantic.weight", "fpn.lateral.2.bias", "backbone.layer4.2.bn2.running_var"), strict=True
    ):
        assert torch.equal(converted[ours], state[key])


@pytest.mark.parametrize("num_classes", [1, 3, 79, 90])
@pytest.mark.parametrize("name", ["yolact_resnet50", "yolact_plus_base", "yolact_darknet53"])
def test_class_count(name: str, num_classes: int) -> None:
    config, _ = convert(checkpoint(name, num_classes))
    assert config.name == CONFIGS[name][0]
    assert config.class_names == tuple(f"class {i + 1}" for i in range(num_classes))
    assert config.category_ids == ()
    assert any("class names" in note for note in assumptions(Path("x.pth"), config, None, None))


def test_known_class_counts() -> None:
    assert infer_config(checkpoint("yolact_base")).class_names == COCO_CLASSES
    assert infer_config(checkpoint("yolact_resnet50_pascal")).class_names == PASCAL_CLASSES
    twenty_of_resnet101 = infer_config(checkpoint("yolact_base", 20))
    assert twenty_of_resnet101.name == "yolact-resnet101"
    assert twenty_of_resnet101.class_names[0] == "class 1"
    told = infer_config(checkpoint("yolact_resnet50", 20), "yolact-resnet50")
    assert told.name == "yolact-resnet50"
    assert told.square_anchors


def test_class_names_are_given() -> None:
    config = infer_config(checkpoint("yolact_resnet50", 2), class_names=["cat", "dog"])
    assert config.class_names == ("cat", "dog")
    coco = infer_config(checkpoint("yolact_resnet50"), class_names=COCO_CLASSES)
    assert coco.category_ids[-1] == 90
    with pytest.raises(ValueError, match="1 class names for a checkpoint of 2 classes"):
        infer_config(checkpoint("yolact_resnet50", 2), class_names=["cat"])


def test_number_of_prototypes() -> None:
    state = checkpoint("yolact_resnet50")
    state["proto_net.10.weight"] = torch.zeros(1).expand(16, 256, 1, 1)
    state["proto_net.10.bias"] = torch.zeros(16)
    state["prediction_layers.0.mask_layer.weight"] = torch.zeros(1).expand(48, 256, 3, 3)
    state["prediction_layers.0.mask_layer.bias"] = torch.zeros(48)
    assert convert(state)[0].num_prototypes == 16


def test_stale_keys_of_old_files() -> None:
    state = checkpoint("yolact_resnet50")
    old = {"backbone.layer1.0.conv1.weight": torch.zeros(1), "fpn.downsample_layers.2.weight": torch.zeros(1)}
    old["fpn.downsample_layers.13.bias"] = torch.zeros(1)
    assert convert({**old, **state})[1].keys() == convert(state)[1].keys()


def test_missing_counters_are_zero() -> None:
    state = {key: value for key, value in checkpoint("yolact_darknet53").items() if "num_batches" not in key}
    assert len(state) == 348 - 52
    _, converted = convert(state)
    counter = converted["backbone.stem.bn.num_batches_tracked"]
    assert counter == 0
    assert counter.dtype == torch.int64


def test_data_parallel_prefix_and_half_precision() -> None:
    state = checkpoint("yolact_resnet50")
    _, plain = convert(state)
    _, wrapped = convert({f"module.{key}": value.half() for key, value in state.items()})
    assert plain.keys() == wrapped.keys()
    assert all(value.dtype in (torch.float32, torch.int64) for value in wrapped.values())
    assert torch.equal(wrapped["semantic.bias"], state["semantic_seg_conv.bias"].half().float())


@pytest.mark.parametrize(
    "key",
    [
        "proto_net.10.weight",
        "proto_net.10.bias",
        "semantic_seg_conv.weight",
        "prediction_layers.0.bbox_layer.weight",
        "prediction_layers.0.upfeature.0.bias",
        "backbone.layers.2.5.conv3.weight",
        "backbone.layers.1.3.conv2.conv_offset_mask.bias",
        "maskiou_net.maskiou_net.0.weight",
        "fpn.downsample_layers.1.weight",
    ],
)
def test_missing_key(key: str) -> None:
    state = checkpoint("yolact_plus_resnet50")
    del state[key]
    with pytest.raises(ValueError, match=rf"missing: {key}$") as caught:
        convert(state)
    assert "\n" not in str(caught.value)


def test_missing_last_block() -> None:
    state = checkpoint("yolact_base")
    state = {key: value for key, value in state.items() if not key.startswith("backbone.layers.2.22.")}
    with pytest.raises(ValueError, match=r"missing: backbone\.layers\.2\.22\.conv1\.weight.* and 9 more$"):
        convert(state)


@pytest.mark.parametrize("key", ["epoch", "fpn.lat_layers.3.weight", "backbone.layers.3.3.conv1.weight", "fc.weight"])
def test_unexpected_key(key: str) -> None:
    with pytest.raises(ValueError, match=rf"unexpected: {key}$"):
        convert({**checkpoint("yolact_resnet50"), key: torch.zeros(1)})


@pytest.mark.parametrize("value", [torch.zeros(255), torch.zeros(256, 1), torch.zeros(()), 3, None])
def test_wrong_shape(value: object) -> None:
    state = {**checkpoint("yolact_resnet50"), "fpn.lat_layers.0.bias": value}
    with pytest.raises(ValueError, match=r"wrong shape: fpn\.lat_layers\.0\.bias is \(.*\) and should be \(256,\)$"):
        convert(state)


def test_heads_that_disagree() -> None:
    state = checkpoint("yolact_resnet50", 5)
    state["semantic_seg_conv.bias"] = torch.zeros(6)
    with pytest.raises(ValueError, match=r"semantic_seg_conv\.bias is \(6,\) and should be \(5,\)"):
        convert(state)


def test_other_anchors() -> None:
    state = checkpoint("yolact_resnet50")
    for layer, values in (("bbox", 4), ("conf", 81), ("mask", 32)):
        state[f"prediction_layers.0.{layer}_layer.weight"] = torch.zeros(1).expand(5 * values, 256, 3, 3)
    with pytest.raises(ValueError, match="5 anchors for each location, yolact-resnet50 3"):
        convert(state)


def test_preset_that_does_not_fit() -> None:
    state = checkpoint("yolact_resnet50")
    for preset in ("yolact-resnet101-700", "yolact-plus-resnet50", "yolact-darknet53"):
        with pytest.raises(ValueError, match=f"tensors of yolact-resnet50, not of {preset}"):
            convert(state, preset)
    with pytest.raises(ValueError, match=r"no model of the original code; choose one of .*yolact-darknet53"):
        convert(state, "yolact-mobilenetv4")


def test_the_file_name_settles_only_what_the_tensors_cannot() -> None:
    config = infer_config(checkpoint("yolact_im700"))
    assert config.image_size == (550, 550)
    for size in (400, 700):
        path = Path(f"yolact_im{size}_54_800000.pth")
        sized = size_by_name(path, config, None)
        assert sized == PRESETS[f"yolact-resnet101-{size}"].build()
        assert any(f"taken for {size} pixels" in note for note in assumptions(path, sized, None, None))
        assert size_by_name(path, config, "yolact-resnet101") == config
    other = infer_config(checkpoint("yolact_resnet50"))
    assert size_by_name(Path("yolact_im700_54_800000.pth"), other, None) == other
    assert assumptions(Path("weights.pth"), config, None, None)
    assert not assumptions(Path("yolact_base_54_800000.pth"), config, None, None)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["conv1.weight", "layer1.0.conv1.weight", "fc.bias"], "ImageNet backbone"),
        (["layers.0.0.0.weight", "_preconv.0.weight"], "ImageNet backbone"),
        (["head.class_logits.weight", "semantic.bias"], "ours already"),
        (["model.0.conv.weight", "model.0.bn.bias"], "no YOLACT checkpoint.*model.0.conv.weight"),
        ([], "no YOLACT checkpoint"),
    ],
)
def test_other_networks(keys: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert({key: torch.zeros(1) for key in keys})


def test_light_networks_have_no_original_name() -> None:
    name = next(iter(expected_tensors(PRESETS["yolact-mobilenetv4"].build())))
    with pytest.raises(ValueError, match="only its own networks convert"):
        original_name(name)


def to_original(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Back to the names of the original: each of its names once."""
    renamed = {original_name(name): value for name, value in state.items()}
    assert len(renamed) == len(state)
    return renamed
