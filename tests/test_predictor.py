"""Photographs in, instances out: the same for every kind of source."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import yolact
from yolact import checkpoint
from yolact.config import DetectConfig
from yolact.detect.postprocess import detect
from yolact.device import choose_device
from yolact.model import build_model
from yolact.pixels import to_network_input
from yolact.predictor import Predictor
from yolact.presets import yolact_mobilenetv4
from yolact.request import check_size


def small_network(**changes):
    torch.manual_seed(0)
    settings = {"image_size": (96, 96), "class_names": ("cat", "dog"), "category_ids": (17, 18), "width": 32}
    return build_model(yolact_mobilenetv4(**{**settings, "num_prototypes": 8, **changes})).eval()


@pytest.fixture(scope="module")
def model() -> Predictor:
    return Predictor(small_network(), "cpu")


def photograph(seed: int = 0, size: tuple[int, int] = (120, 90)) -> np.ndarray:
    """Random blobs; (height, width)."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(noise).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and np.allclose(a.boxes, b.boxes, atol=1e-3) and np.allclose(a.scores, b.scores, atol=1e-5)


def test_predict_is_resize_network_detect(model: Predictor):
    image = photograph()
    result = model.predict(image, score_threshold=0)
    inputs = to_network_input(torch.tensor(image).permute(2, 0, 1), model.config)[None]
    with torch.inference_mode():
        expected = detect(model.network(inputs), DetectConfig())
    valid = expected.valid[0]
    assert len(result) == int(valid.sum()) == 100
    assert np.allclose(result.scores, expected.scores[0][valid].numpy())
    limit = np.array([90, 120, 90, 120])
    assert np.allclose(result.boxes, (expected.boxes[0][valid].numpy() * limit).clip(0, limit), atol=1e-3)
    assert result.image_size == (120, 90)
    assert result.masks.shape == (100, 120, 90)
    assert result.class_names == ("cat", "dog")
    assert result.category_ids == (17, 18)


def test_every_kind_of_source_gives_the_same(model: Predictor, tmp_path: Path):
    image = photograph()
    Image.fromarray(image).save(tmp_path / "a.png")
    tensor = torch.tensor(image).permute(2, 0, 1)
    expected = model.predict(image)
    assert len(expected) > 10
    sources = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image), tensor, tensor / 255]
    for source in sources:
        assert same(model.predict(source), expected)
    assert same(model.predict(image[..., ::-1], channel_order="bgr"), expected)
    assert not same(model.predict(image[..., ::-1]), expected)


def test_files_are_remembered_by_name_and_arrays_by_themselves(model: Predictor, tmp_path: Path):
    image = photograph()
    Image.fromarray(image).save(tmp_path / "a.png")
    assert model.predict(tmp_path / "a.png").image == tmp_path / "a.png"
    kept = model.predict(image).image
    assert isinstance(kept, np.ndarray)
    assert np.shares_memory(kept, image)
    assert model.predict(image).plot().size == (90, 120)


def test_orientation_decides_where_things_are(model: Predictor, tmp_path: Path):
    upright = photograph()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "turned.png", exif=exif)
    turned = model.predict(tmp_path / "turned.png")
    assert turned.image_size == (120, 90)
    assert same(turned, model.predict(upright))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_many_come_in_order(model: Predictor, tmp_path: Path, batch_size: int):
    images = [photograph(seed, (60 + 10 * seed, 90)) for seed in range(4)]
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    expected = [model.predict(image) for image in images]
    for source in (tmp_path, f"{tmp_path}/*.png", images, iter(images), [tmp_path / "0.png", *images[1:]], [tmp_path]):
        results = list(model.predict(source, batch_size=batch_size))
        assert len(results) == 4
        assert all(same(result, single) for result, single in zip(results, expected, strict=True))


def test_many_are_predicted_one_after_the_other(model: Predictor):
    drawn = []

    def camera():
        for seed in range(100):
            drawn.append(seed)
            yield photograph(seed)

    next(model.predict(camera()))
    assert len(drawn) <= 3


def test_a_corrupt_file_among_many(model: Predictor, tmp_path: Path):
    Image.fromarray(photograph(0)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nonsense")
    Image.fromarray(photograph(1)).save(tmp_path / "c.png")
    failed = []
    results = list(model.predict(tmp_path, on_error=lambda path, error: failed.append((path.name, str(error)))))
    assert len(results) == 2
    assert [name for name, _ in failed] == ["b.png"]
    assert "b.png" in failed[0][1]
    with pytest.raises(ValueError, match=r"b\.png"):
        list(model.predict(tmp_path))


def test_missing_sources_are_refused_at_once(model: Predictor, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        model.predict(tmp_path / "nowhere.jpg")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        model.predict([photograph(), tmp_path / "nowhere.jpg"])
    with pytest.raises(ValueError, match="no photographs"):
        model.predict(tmp_path)


def test_threshold_and_top_k(model: Predictor):
    everything = model.predict(photograph(), score_threshold=0)
    limit = float(everything.scores[30])
    assert len(model.predict(photograph(), score_threshold=limit)) == int((everything.scores > limit).sum()) < 100
    assert (model.predict(photograph(), top_k=7).scores == everything.scores[:7]).all()
    assert len(model.predict(photograph(), score_threshold=1)) == 0


def test_chosen_classes_use_the_whole_top_k(model: Predictor):
    both = model.predict(photograph(), score_threshold=0)
    dogs = model.predict(photograph(), score_threshold=0, classes=["dog"])
    assert set(dogs.names) == {"dog"}
    assert len(dogs) >= both.names.count("dog")
    assert len(model.predict(photograph(), top_k=3, classes="dog")) == 3
    with pytest.raises(ValueError, match=r"\['cow'\] .* cat, dog"):
        model.predict(photograph(), classes=["cow"])


def test_other_kinds_of_nms_give_other_results(model: Predictor):
    fast, cross = (model.predict(photograph(), 0, nms=kind) for kind in ("fast", "cross-class"))
    assert not same(fast, cross)
    traditional = model.predict(photograph(), 0, nms="traditional")
    assert len(traditional) > 0


def test_another_image_size(model: Predictor):
    result = model.predict(photograph(), image_size=(64, 128))
    assert result.soft_masks.shape[1:] == (16, 32)
    assert (result.boxes <= [90, 120, 90, 120]).all()
    with pytest.raises(ValueError, match="image_size"):
        model.predict(photograph(), image_size=(8, 8))
    with pytest.raises(ValueError, match=r"image_size is \(100000, 64\)"):
        model.predict(photograph(), image_size=(100_000, 64))


@pytest.mark.parametrize("size", [320, "320", (320.5, 480), (320,), (320, 480, 3), (64, 100_000)])
def test_sizes_of_another_kind(size: Any):
    check_size((320, 480))
    with pytest.raises(ValueError, match=r"image_size is .*\(height, width\)"):
        check_size(size)


def test_a_dictionary_is_no_list_of_photographs(model: Predictor):
    with pytest.raises(ValueError, match="cannot predict on a dict"):
        model.predict({"a.jpg": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"score_threshold": 1.5}, {"top_k": 0}, {"batch_size": 0}, {"channel_order": "gbr"}]
)
def test_options_out_of_range(model: Predictor, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        model.predict(photograph(), **options)


def test_threads_share_a_predictor(model: Predictor):
    images = [photograph(seed) for seed in range(6)]
    expected = [model.predict(image) for image in images]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(model.predict, images))
    assert all(same(a, b) for a, b in zip(results, expected, strict=True))


def test_a_network_trains_on_after_prediction():
    network = small_network()
    Predictor(network, "cpu").predict(photograph())
    raw = network.train()(torch.rand(2, 3, 96, 96))
    (raw.box_deltas * raw.anchors_cxcywh).sum().backward()
    assert network.head.box_deltas.weight.grad is not None


def test_mask_rescoring_fills_mask_scores():
    result = Predictor(small_network(mask_rescoring=True, image_size=(256, 256)), "cpu").predict(photograph(), 0)
    assert (result.mask_scores != result.scores).any()
    assert (np.diff(result.scores) <= 0).all()


def test_load(tmp_path: Path):
    network = small_network()
    path = checkpoint.save(tmp_path / "small.safetensors", network)
    loaded = yolact.load(path, device="cpu")
    runs = f"PyTorch {torch.__version__}, eager, float32, on cpu"
    assert repr(loaded) == f"Predictor(yolact-mobilenetv4, 2 classes, {runs})"
    assert same(loaded.predict(photograph()), Predictor(network, "cpu").predict(photograph()))


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "mps:7", "meta", "xpu:99"])
def test_devices_that_are_not_here(name: str):
    if name.startswith("mps") and torch.backends.mps.is_available():
        pytest.skip("this machine has mps")
    with pytest.raises(ValueError, match=name):
        choose_device(name)


def test_device_auto_is_there():
    assert torch.zeros(1, device=choose_device("auto")).sum() == 0
    assert choose_device("cpu") == torch.device("cpu")


def test_the_crop_is_chosen_by_call(model: Predictor):
    assert model.predict(photograph()).crop == "component"
    assert model.predict(photograph(), crop="box").crop == "box"
    unknown: Any = "round"
    with pytest.raises(ValueError, match="crop is 'round'; choose one of box, expand, soft, component"):
        model.predict(photograph(), crop=unknown)
