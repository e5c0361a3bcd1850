import copy

import pytest
import torch
from torch import Tensor, nn

from yolact import presets
from yolact.config import ModelConfig
from yolact.model import Yolact, build_model
from yolact.model.folding import fold_batch_norms


def trained(config: ModelConfig) -> Yolact:
    """Batch norms that have seen something, or to leave them out would change little."""
    network = build_model(config).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    "preset",
    [
        presets.yolact_resnet50,
        presets.yolact_plus_resnet50,
        presets.yolact_darknet53,
        presets.yolact_mobilenetv4,
        presets.yolact_efficientnet_lite0,
    ],
)
@torch.no_grad()
def test_every_batch_norm_is_folded_and_the_results_stay(preset):
    network = trained(preset(image_size=(256, 256), width=16, num_prototypes=4))
    folded = copy.deepcopy(network)
    fold_batch_norms(folded)
    assert norms(network) > 40
    assert norms(folded) == 0
    images = torch.randn(2, 3, 128, 160)
    for expected, found in zip(network.backbone(images), folded.backbone(images), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


class ReadTwice(nn.Module):
    """A stem whose convolution is read before its batch norm, too."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.convolution, self.norm = inner, nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        nn.init.normal_(self.norm.running_mean)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        first = self.convolution(images)
        return self.inner(first + self.norm(first))


def test_a_convolution_that_something_else_reads_is_left_alone():
    network = trained(presets.yolact_resnet50(width=16, num_prototypes=4))
    network.backbone = ReadTwice(network.backbone).eval()
    before, modules = norms(network), set(network.modules())
    fold_batch_norms(network)
    assert norms(network) == before
    assert set(network.modules()) == modules


def test_a_loaded_network_is_folded_in_a_copy():
    from yolact.runtimes import open_runtime

    network = trained(presets.yolact_mobilenetv4(image_size=(64, 64), width=16, num_prototypes=4))
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    runtime = open_runtime(network, device="cpu")
    assert torch.equal(torch.rand(1), expected)  # others' random numbers stay as they were
    assert norms(network) > 0
    assert norms(runtime._compute) == 0  # type: ignore[attr-defined]
