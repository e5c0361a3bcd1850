import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from golden import golden_weight, uniform
from yolact import presets
from yolact.config import ModelConfig
from yolact.convert import convert, original_name
from yolact.model import Yolact, build_model

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "golden_network.json").read_text())
SMALL = {"image_size": (96, 128), "class_names": ("a", "b"), "category_ids": (), "width": 32, "num_prototypes": 8}


def golden_network(config: ModelConfig) -> Yolact:
    with torch.device("meta"):
        shapes = {original_name(name): tuple(t.shape) for name, t in build_model(config).state_dict().items()}
    found, converted = convert({name: golden_weight(name, shape) for name, shape in shapes.items()}, config.name)
    assert found == config
    network = build_model(config).eval()
    network.load_state_dict(converted)
    return network


def assert_golden(value: torch.Tensor, golden: dict) -> None:
    assert list(value.shape) == golden["shape"]
    flat = value.flatten().double()
    scale = golden["mean_abs"]
    places = [0, len(flat) // 7, len(flat) // 3, len(flat) // 2, 5 * len(flat) // 7, len(flat) - 1]
    assert float(flat.mean()) == pytest.approx(golden["mean"], abs=1e-4 * scale)
    assert float(flat.abs().mean()) == pytest.approx(golden["mean_abs"], rel=1e-4)
    assert flat[places].tolist() == pytest.approx(golden["samples"], abs=3e-4 * scale, rel=1e-4)


@pytest.mark.parametrize(
    ("original", "preset"),
    [
        ("yolact_resnet50_pascal", presets.yolact_resnet50_pascal),
        ("yolact_darknet53", presets.yolact_darknet53),
        ("yolact_im700", presets.yolact_resnet101_700),
        ("yolact_plus_base", presets.yolact_plus_resnet101),
    ],
)
@torch.no_grad()
def test_outputs_of_the_original(original, preset):
    config = preset()
    network, golden = golden_network(config), GOLDEN[original]
    raw = network(4 * uniform("input", 1, 3, *config.image_size) - 2)
    assert_golden(raw.box_deltas, golden["loc"])
    assert_golden(raw.class_logits, golden["conf"])
    assert_golden(raw.coefficients, golden["mask"])
    assert_golden(raw.prototypes.permute(0, 2, 3, 1), golden["proto"])
    if network.mask_rescoring is not None:
        assert_golden(network.mask_rescoring(uniform("maskiou_input", 3, 138, 138)), golden["maskiou_net"])


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        (presets.yolact_resnet50, 31_164_943),
        (presets.yolact_resnet101, 50_157_071),
        (presets.yolact_darknet53, 47_783_087),
        (presets.yolact_resnet50_pascal, 30_734_623),
        (presets.yolact_plus_resnet50, 33_766_460),
        (presets.yolact_plus_resnet101, 52_571_142),
    ],
)
def test_parameters_of_the_original(preset, parameters):
    with torch.device("meta"):
        network = build_model(preset())
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(
    "backbone", ["mobilenetv4_conv_small", "resnet18", "tf_efficientnet_lite0", "swin_tiny_patch4_window7_224"]
)
def test_any_backbone_of_timm(backbone):
    config = presets.yolact_resnet18(**{**SMALL, "backbone": backbone, "image_size": (96, 96)})
    raw = build_model(config).eval()(torch.randn(1, 3, 96, 96))
    assert raw.prototypes.shape == (1, 8, 24, 24)
    assert raw.box_deltas.shape[1] == len(raw.anchors_cxcywh) == 3 * (12**2 + 6**2 + 3**2 + 2**2 + 1)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("resnet1000", "neither ours"),
        ("vit_tiny_patch16_224", "strides"),
        ("darknet53", "deformable"),
    ],
)
def test_a_backbone_that_does_not_fit_is_named(backbone, message):
    deformable = {"deformable_blocks": (1, 1, 1)} if backbone == "darknet53" else {}
    with pytest.raises(ValueError, match=message):
        build_model(presets.yolact_resnet18(backbone=backbone, **deformable))


def test_shapes_of_a_wide_network_with_other_numbers():
    config = presets.yolact_mobilenetv4(**SMALL)
    network = build_model(config)
    raw = network(torch.randn(2, 3, 96, 128))
    assert raw.prototypes.shape == (2, 8, 24, 32)
    assert raw.class_logits.shape[2] == 3
    assert raw.coefficients.abs().max() <= 1
    assert raw.prototypes.min() >= 0
    assert raw.semantic_logits is not None
    assert raw.semantic_logits.shape == (2, 2, 12, 16)
    assert network.eval()(torch.randn(1, 3, 96, 128)).semantic_logits is None


def test_a_batch_is_its_images_one_by_one():
    network = build_model(presets.yolact_mobilenetv4(**SMALL)).eval()
    images = torch.randn(2, 3, 96, 128)
    together, alone = network(images), network(images[1:])
    torch.testing.assert_close(together.class_logits[1:], alone.class_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.prototypes[1:], alone.prototypes, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["", "../elsewhere", "/tmp/a", ".hidden", "a\nb", "a" * 200])
def test_a_name_that_would_leave_its_folder_is_refused(name):
    with pytest.raises(ValueError, match=r"name is .* file names"):
        presets.yolact_resnet18(name=name)


def test_coefficients_may_be_unbounded() -> None:
    config = presets.yolact_mobilenetv4(image_size=(64, 64), width=16, num_prototypes=4)
    bounded, free = (build_model(replace(config, coefficient_activation=a)).eval() for a in ("tanh", "none"))
    free.load_state_dict(bounded.state_dict())
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 100
    assert torch.allclose(free(images).coefficients.tanh(), bounded(images).coefficients)
    assert free(images).coefficients.abs().max() > 1
