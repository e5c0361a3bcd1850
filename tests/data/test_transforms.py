from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from synthetic import write_dataset
from yolact.config import ModelConfig
from yolact.data.augmentation import Augmentation, AugmentKind
from yolact.data.coco import CocoDataset, DataConfig, Sample, mask_bounds
from yolact.data.loader import EvaluationSamples
from yolact.data.transforms import Window, augment, choose_scale, choose_window, mirror
from yolact.pixels import normalize, to_network_input
from yolact.presets import yolact_mobilenetv4

CONFIG = yolact_mobilenetv4(image_size=(96, 128)).with_classes(("disk", "box"))
KINDS: tuple[AugmentKind, ...] = ("ssd", "jitter", "light", "none")


def sample_of(masks: torch.Tensor, crowd: tuple[int, ...] = (), image: torch.Tensor | None = None) -> Sample:
    count = len(masks)
    return Sample(
        image=torch.randint(0, 256, (3, *masks.shape[1:]), dtype=torch.uint8) if image is None else image,
        boxes=mask_bounds(masks),
        labels=torch.arange(count),
        masks=masks,
        is_crowd=torch.tensor([i in crowd for i in range(count)], dtype=torch.bool),
        image_id=1,
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("data")
    sizes = ((96, 128), (150, 90))
    datasets = [
        CocoDataset(DataConfig.read(write_dataset(folder / str(i), images=5, size=size)).train)
        for i, size in enumerate(sizes)
    ]
    return [dataset[i] for dataset in datasets for i in range(len(dataset))]


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_stay_the_bounds_of_their_masks(samples: list[Sample], kind: AugmentKind) -> None:
    torch.manual_seed(0)
    height, width = CONFIG.image_size
    seen = 0
    for _ in range(8):
        for sample in samples:
            image, target = augment(sample, CONFIG, Augmentation(kind))
            assert image.shape == (3, height, width)
            assert image.isfinite().all()
            assert target.masks.shape == (len(target.labels), height, width)
            assert len(target.is_crowd) == len(target.boxes) == len(target.labels)
            # A box is measured before its mask shrinks, which rounds off corners.
            error = (mask_bounds(target.masks) - target.boxes * torch.tensor([width, height] * 2)).abs()
            assert (error < 2.5).all()
            seen += len(target.labels)
    assert seen > 8 * len(samples)


def test_masks_lie_on_their_pixels(samples: list[Sample]) -> None:
    """Objects are bright on dark ground, so wherever a mask says object, the picture has to be bright."""
    torch.manual_seed(1)
    mean, std = torch.tensor(CONFIG.pixel_mean), torch.tensor(CONFIG.pixel_std)
    for sample in samples * 4:
        image, target = augment(sample, CONFIG, Augmentation(zoom_out=1.0))
        pixels = image * std[:, None, None] + mean[:, None, None]
        for mask in target.masks:
            ground = ~functional.max_pool2d(target.masks.any(0)[None].float(), 5, stride=1, padding=2)[0].bool()
            assert pixels[:, mask].mean(1).max() > pixels[:, ground].mean(1).max() + 30


def test_same_random_numbers_same_sample(samples: list[Sample]) -> None:
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(augment(samples[0], CONFIG, Augmentation()))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1].masks, results[1][1].masks)
    assert not torch.equal(results[0][0], results[2][0])


def test_the_evaluation_pipeline_is_prediction(samples: list[Sample], tmp_path: Path) -> None:
    image, _ = augment(samples[0], CONFIG, Augmentation("none"))
    assert torch.equal(image, to_network_input(samples[0].image, CONFIG))
    dataset = CocoDataset(DataConfig.read(write_dataset(tmp_path, images=1)).train)
    assert torch.equal(EvaluationSamples(dataset, CONFIG)[0].image, to_network_input(dataset[0].image, CONFIG))


def test_without_distortion_an_unmoved_window_is_prediction(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    from yolact.data import transforms

    monkeypatch.setattr(transforms, "PhotometricDistort", lambda: lambda image: image)
    sample = samples[0]
    height, width = sample.image.shape[1:]
    seen = transforms._view(sample.image, Window(0, 0, width, height), CONFIG, CONFIG.image_size)
    # The image is rounded to whole numbers after resizing.
    rounding = 1.01 / min(CONFIG.pixel_std)
    torch.testing.assert_close(seen, to_network_input(sample.image, CONFIG), atol=rounding, rtol=0)


def test_zooming_out_fills_with_the_mean_color() -> None:
    from yolact.data import transforms

    image = torch.full((3, 48, 64), 255, dtype=torch.uint8)
    seen = transforms._view(image, Window(-64, -48, 128, 96), CONFIG, CONFIG.image_size)
    assert (seen[:, :48] == 0).all()
    assert (seen[:, :, :64] == 0).all()
    assert seen[:, 48:, 64:].abs().min() > 0.1


def test_a_window_cuts_boxes_masks_and_image_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    from yolact.data import transforms

    masks = torch.zeros(2, 100, 100, dtype=torch.bool)
    masks[0, 20:60, 20:60] = True
    masks[1, 90:, 90:] = True
    sample = sample_of(masks, image=(masks[0] * 200).to(torch.uint8).expand(3, -1, -1).contiguous())
    window = (Window(40, 40, 40, 40), torch.tensor([True, False]))
    monkeypatch.setattr(transforms, "choose_window", lambda *_: window)
    monkeypatch.setattr(transforms, "PhotometricDistort", lambda: lambda image: image)
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.9))
    config = yolact_mobilenetv4(image_size=(80, 160)).with_classes(("a", "b"))
    image, target = augment(sample, config, Augmentation())
    assert target.labels.tolist() == [0]
    torch.testing.assert_close(target.boxes, torch.tensor([[0.0, 0.0, 0.5, 0.5]]))
    assert mask_bounds(target.masks).tolist() == [[0, 0, 80, 40]]
    bright = normalize(torch.full((3, 1, 1), 200.0), config)
    assert torch.allclose(image[:, 5:30, 5:60], bright, atol=1e-5)


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.floats(0.05, 1), st.floats(1, 4), st.integers(0, 99))
def test_jitter_scales_within_bounds(size: tuple[int, int], low: float, high: float, seed: int) -> None:
    torch.manual_seed(seed)
    window = choose_scale(size, (low, high))
    for start, seen, side in ((window.top, window.height, size[0]), (window.left, window.width, size[1])):
        assert side / high - 0.5 <= max(seen, 1) <= side / low + 0.5 or seen == 1
        # Around the photograph, or within it.
        assert min(side - seen, 0) <= start <= max(side - seen, 0)


class TestChooseWindow:
    def test_a_crop_keeps_at_least_one_object_with_its_center(self) -> None:
        torch.manual_seed(0)
        masks = torch.zeros(2, 120, 160, dtype=torch.bool)
        masks[0, 10:30, 10:30] = True
        masks[1, 80:110, 120:150] = True
        sample = sample_of(masks)
        centers = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
        windows = [choose_window(sample, 4.0) for _ in range(60)]
        for window, kept in windows:
            assert kept.any()
            corner = torch.tensor([window.left, window.top])
            inside = ((centers > corner) & (centers < corner + torch.tensor([window.width, window.height]))).all(1)
            assert torch.equal(kept, inside)
        assert any(window.width > 160 for window, _ in windows)
        assert any(window.width < 160 for window, _ in windows)
        assert max(window.width for window, _ in windows) <= 4 * 160

    def test_zoom_out_of_one_is_off(self) -> None:
        sample = sample_of(torch.ones(1, 40, 40, dtype=torch.bool))
        windows = [choose_window(sample, 1.0)[0] for _ in range(50)]
        assert all(w.left >= 0 and w.left + w.width <= 40 for w in windows)

    def test_crowds_are_no_aim_but_stay_while_visible(self) -> None:
        masks = torch.zeros(2, 100, 100, dtype=torch.bool)
        masks[0, :, :] = True
        masks[1, 5:15, 5:15] = True
        sample = sample_of(masks, crowd=(0,))
        torch.manual_seed(0)
        for _ in range(50):
            window, kept = choose_window(sample, 2.0)
            assert kept.all()
            assert window.left < 10
            assert window.top < 10


@pytest.mark.parametrize("kind", KINDS)
class TestUnusualTargets:
    def test_no_objects(self, kind: AugmentKind) -> None:
        for seed in range(10):
            torch.manual_seed(seed)
            _, target = augment(sample_of(torch.zeros(0, 50, 60, dtype=torch.bool)), CONFIG, Augmentation(kind))
            assert target.boxes.shape == (0, 4)
            assert target.masks.shape == (0, *CONFIG.image_size)

    def test_crowd_only(self, kind: AugmentKind) -> None:
        for seed in range(10):
            torch.manual_seed(seed)
            _, target = augment(
                sample_of(torch.ones(1, 50, 60, dtype=torch.bool), crowd=(0,)), CONFIG, Augmentation(kind)
            )
            assert target.is_crowd.tolist() == [True]

    def test_objects_below_a_pixel_are_left_out(self, kind: AugmentKind) -> None:
        masks = torch.zeros(2, 960, 1280, dtype=torch.bool)
        masks[0, 100:105, 100:105] = True
        masks[1, 200:900, 200:900] = True
        torch.manual_seed(0)
        _, target = augment(sample_of(masks), CONFIG, Augmentation(kind, zoom_out=1.0))
        assert (mask_bounds(target.masks) > 0).any(dim=1).all()
        if kind in ("light", "none"):
            assert target.labels.tolist() == [1]

    def test_an_image_of_one_pixel(self, kind: AugmentKind) -> None:
        torch.manual_seed(0)
        image, _ = augment(sample_of(torch.ones(1, 1, 1, dtype=torch.bool)), CONFIG, Augmentation(kind))
        assert image.isfinite().all()


def test_mirror() -> None:
    masks = torch.zeros(1, 4, 10, dtype=torch.bool)
    masks[0, 1:3, 2:5] = True
    config = ModelConfig(name="x", backbone="x", class_names=("a",), image_size=(64, 64))
    _, target = augment(sample_of(masks), config, Augmentation("none"))
    image = torch.from_numpy(np.arange(3 * 64 * 64, dtype=np.float32).reshape(3, 64, 64))
    flipped, turned = mirror(image, target)
    assert torch.equal(flipped, image.flip(-1))
    assert torch.equal(turned.masks, target.masks.flip(-1))
    torch.testing.assert_close(turned.boxes, torch.tensor([[0.5, 0.25, 0.8, 0.75]]))
    again, back = mirror(flipped, turned)
    assert torch.equal(again, image)
    torch.testing.assert_close(back.boxes, target.boxes)
