"""From pixels to masks as one module, in PyTorch itself."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from graphs import crowded, in_pytorch, parity, photograph, plus
from yolact.config import DetectConfig
from yolact.deployable import Deployable, PlainDeformableConv2d, resize_plainly
from yolact.model.deformable import DeformableConv2d
from yolact.runtimes.pytorch import PyTorchRuntime


@pytest.mark.parametrize("network", [crowded(), parity()], ids=["ours", "parity"])
def test_it_gives_what_the_runtime_gives(network):
    deployable = Deployable(network, DetectConfig(top_k=10))
    photographs = np.stack([photograph(seed, 90, 130) for seed in range(2)])
    found = in_pytorch(deployable, photographs)
    assert tuple(found) == deployable.output_names
    for i, expected in enumerate(PyTorchRuntime(network, "cpu").run(list(photographs), DetectConfig(top_k=10))):
        assert list(expected) == list(found)
        for name, array in expected.items():
            assert array.dtype == found[name].dtype
            np.testing.assert_allclose(found[name][i : i + 1], array, atol=1e-3, rtol=1e-5)


def test_every_form_of_masks_is_of_the_same_masks():
    deployable = Deployable(crowded(), DetectConfig(top_k=10), ("regions", "bits", "soft"), region_size=20)
    outputs = in_pytorch(deployable, photograph(0, 90, 130)[None])
    assert tuple(outputs) == deployable.output_names
    soft = torch.from_numpy(outputs["soft_masks"])
    expected = functional.interpolate(soft, (90, 130), mode="bilinear")[0].numpy() > 0.5
    full = np.unpackbits(outputs["mask_bits"][0], axis=-1, count=130).astype(bool)
    assert outputs["mask_bits"].shape == (1, 10, 90, 17)
    assert (full != expected).mean() < 1e-5
    assert full.any(axis=(1, 2)).sum() > 5
    for mask, region, samples in zip(full, outputs["region_boxes"][0], outputs["region_masks"][0], strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert (region[:2] < [columns.min() + 1, rows.min() + 1]).all()
            assert (region[2:] > [columns.max(), rows.max()]).all()
        area = (region[2] - region[0]) * (region[3] - region[1])
        assert abs((samples > 127).mean() * area - mask.sum()) < 0.1 * area


def test_another_image_size():
    deployable = Deployable(crowded(), DetectConfig(), image_size=(96, 64))
    assert deployable.config.image_size == (96, 64)
    assert in_pytorch(deployable, photograph(0, 50, 60)[None])["prototypes"].shape[2:] == (24, 16)


def test_half_a_network_gives_whole_results():
    deployable = Deployable(crowded().bfloat16(), DetectConfig(top_k=5), ("soft",))
    outputs = in_pytorch(deployable, photograph(0, 90, 130)[None])
    assert all(outputs[name].dtype == np.float32 for name in ("boxes", "scores", "prototypes", "soft_masks"))


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(480, 640), (100, 90), (64, 48), (17, 23), (9, 500)])
def test_resizing_plainly(size: tuple[int, int], antialias: bool):
    pixels = torch.from_numpy(photograph(0, *size))[None]
    expected = functional.interpolate(
        pixels.permute(0, 3, 1, 2).float(), (64, 48), mode="bilinear", align_corners=False, antialias=antialias
    )
    torch.testing.assert_close(resize_plainly(pixels, (64, 48), antialias), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_deformable_convolution_plainly(stride: int):
    torch.manual_seed(0)
    original = DeformableConv2d(8, stride)
    torch.nn.init.normal_(original.offset_mask.weight, std=0.5)  # some taps leave the image
    images = torch.randn(2, 8, 13, 18)
    with torch.inference_mode():
        offsets = original.offset_mask(images)[:, :18]
        assert offsets.abs().max() > 4
        torch.testing.assert_close(PlainDeformableConv2d(original)(images), original(images), atol=1e-4, rtol=1e-4)


def test_plain_operations_leave_the_given_network_alone():
    network = plus()
    plain = Deployable(network, DetectConfig(), plain=("resize", "deformable"))
    assert not any(isinstance(module, DeformableConv2d) and name.endswith("conv2")
                   for name, module in plain.network.named_modules())  # fmt: skip
    assert any(isinstance(module, DeformableConv2d) for module in network.modules())
    photographs = photograph(0, 300, 320)[None]
    found, expected = in_pytorch(plain, photographs), in_pytorch(Deployable(network, DetectConfig()), photographs)
    np.testing.assert_allclose(found["prototypes"], expected["prototypes"], atol=1e-3)
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-3)
