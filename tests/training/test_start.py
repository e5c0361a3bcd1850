from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from tiny import TINY
from yolact.model import build_model
from yolact.presets import yolact_mobilenetv4
from yolact.training import TrainConfig, start
from yolact.training.start import initialize, load_backbone

BACKBONE = TINY.backbone


@pytest.fixture(scope="module")
def classifier() -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return timm.create_model(BACKBONE).state_dict()


def same_stem(network: torch.nn.Module, state: dict[str, Tensor]) -> bool:
    own = network.state_dict()
    last = "blocks.3.1.pw_exp.conv.weight"
    assert last in state
    return all(
        torch.equal(own[f"backbone.features.{n}"], state[n]) for n in ("conv_stem.weight", "bn1.running_mean", last)
    )


@pytest.mark.parametrize("prefix", ["", "backbone.", "module."])
def test_by_name(classifier: dict[str, Tensor], prefix: str) -> None:
    network = build_model(TINY)
    load_backbone(network, {prefix + name: value for name, value in classifier.items()}, "a file")
    assert same_stem(network, classifier)


def test_by_order_where_no_name_fits(classifier: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({f"_x{i}": value for i, value in enumerate(classifier.values())}, tmp_path / "port.pth")
    network = build_model(TINY)
    said = initialize(network, TrainConfig(backbone_weights=str(tmp_path / "port.pth")))
    assert same_stem(network, classifier)
    assert said == f"backbone from {tmp_path / 'port.pth'}"


def test_feature_extractors_with_flat_names() -> None:
    """timm writes `stages_0` for `stages.0` in some of its feature extractors."""
    config = yolact_mobilenetv4(backbone="convnext_atto", image_size=(64, 64), width=16)
    state = timm.create_model("convnext_atto").state_dict()
    network = build_model(config)
    load_backbone(network, state, "a file")
    own = network.state_dict()
    flat = [name for name in own if name.startswith("backbone.features.stages_0")]
    assert flat
    for name in flat:
        assert torch.equal(own[name], state[name.removeprefix("backbone.features.").replace("stages_", "stages.")])


def test_another_backbone_is_refused() -> None:
    network = build_model(TINY)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"resnet10t\.pth does not fit the backbone mobilenetv4_conv_small: "):
        load_backbone(network, timm.create_model("resnet10t").state_dict(), "resnet10t.pth")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_missing_file() -> None:
    with pytest.raises(ValueError, match=r"backbone_weights nowhere\.pth does not exist"):
        initialize(build_model(TINY), TrainConfig(backbone_weights="nowhere.pth"))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_is_no_state_dict(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"text.{suffix}"
    path.write_text("hello")
    with pytest.raises(ValueError, match=rf"text\.{suffix} cannot be read") as caught:
        initialize(build_model(TINY), TrainConfig(backbone_weights=str(path)))
    assert "\n" not in str(caught.value)


class TestWithoutNetwork:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(start, "_answers", lambda address: False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    def test_auto_goes_on_and_says_so(self) -> None:
        said = initialize(build_model(TINY), TrainConfig())
        assert said.startswith("starting from random weights (no ImageNet weights of mobilenetv4_conv_small: ")
        assert "cannot be reached" in said

    def test_imagenet_stops(self) -> None:
        with pytest.raises(ValueError, match="give a file of them as backbone_weights"):
            initialize(build_model(TINY), TrainConfig(backbone_weights="imagenet"))


def test_a_closed_port_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    assert not start._answers("http://127.0.0.1:9", seconds=1.0)
