"""Weights survive the way to disk and back, and come from the hub once."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors import safe_open

from hub import Hub
from originals import checkpoint
from yolact.checkpoint import SHIPPED, convert_file, load, load_matching, save
from yolact.config import ModelConfig
from yolact.model import Yolact, build_model
from yolact.presets import PRESETS, yolact_mobilenetv4, yolact_resnet101, yolact_resnet101_700

CONFIG = yolact_mobilenetv4(image_size=(96, 128), class_names=("a", "b"), category_ids=(), width=32, num_prototypes=8)


@pytest.fixture(scope="module")
def network() -> Yolact:
    torch.manual_seed(3)
    return build_model(CONFIG)


@pytest.fixture(scope="module")
def saved(network: Yolact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("saved") / "small.safetensors", network)


@pytest.fixture(scope="module")
def resnet50(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "anything.pth"
    torch.save(checkpoint("yolact_resnet50", 3), path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the caches of whoever runs it, nor the network."""
    monkeypatch.setenv("YOLACT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


# ---- ours


def test_round_trip(network: Yolact, saved: Path) -> None:
    loaded = load(saved)
    assert loaded.config == CONFIG
    assert not loaded.training
    state = network.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    images = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        before, after = build_model(CONFIG).eval(), loaded
        before.load_state_dict(state)
        assert torch.equal(before(images).class_logits, after(images).class_logits)


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load(saved)
    assert torch.equal(torch.rand(3), expected)


def test_metadata(network: Yolact, tmp_path: Path) -> None:
    path = save(tmp_path / "new" / "folder" / "x.safetensors", network, {"mask_ap": "0.5"})
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["mask_ap"] == "0.5"
    assert metadata["yolact_format"] == "1"
    assert ModelConfig.from_dict(json.loads(metadata["config"])) == CONFIG
    assert json.loads(metadata["config"])["class_names"] == ["a", "b"]
    assert [file.name for file in path.parent.iterdir()] == ["x.safetensors"]


def test_half_precision(network: Yolact, saved: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "half.safetensors", network, dtype=torch.float16)
    assert path.stat().st_size < 0.6 * saved.stat().st_size
    loaded = load(str(path))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32, torch.int64}
    weight = network.head.box_deltas.weight
    assert torch.equal(loaded.head.box_deltas.weight, weight.half().float())
    norms = [name for name in network.state_dict() if name.endswith("running_var")]
    assert all(torch.equal(loaded.state_dict()[name], network.state_dict()[name]) for name in norms)


def test_half_precision_that_overflows(tmp_path: Path) -> None:
    network = build_model(CONFIG)
    torch.nn.init.constant_(network.semantic.weight, 1e6)
    with pytest.raises(ValueError, match=r"semantic\.weight reaches 1e\+06"):
        save(tmp_path / "x.safetensors", network, dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_save_keeps_the_old_file(network: Yolact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"old")

    def dies(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", dies)
    with pytest.raises(OSError, match="disk full"):
        save(path, network)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_save_wants_the_suffix(network: Yolact, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should end in \.safetensors"):
        save(tmp_path / "x.pth", network)


# ---- published files


@pytest.mark.parametrize("zipped", [True, False])
def test_published_file(zipped: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "misleading_name_darknet53.pth"
    state = checkpoint("yolact_resnet50", 3)
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    loaded = load(path)
    assert loaded.config == PRESETS["yolact-resnet50"].build().with_classes(("class 1", "class 2", "class 3"))
    assert not loaded.training
    assert torch.equal(loaded.state_dict()["fpn.lateral.2.weight"], state["fpn.lat_layers.0.weight"])
    assert "called class 1 to class 3" in caplog.text
    assert load(path, class_names=("x", "y", "z")).config.class_names == ("x", "y", "z")


def test_image_size_only_the_name_knows(tmp_path: Path) -> None:
    path = tmp_path / "yolact_im700_54_800000.pth"
    torch.save(checkpoint("yolact_im700"), path)
    assert load(path).config == yolact_resnet101_700()
    assert load(path, preset="yolact-resnet101").config == yolact_resnet101()


def test_convert_file(resnet50: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = convert_file(resnet50, tmp_path / "ours.safetensors", class_names=("x", "y", "z"))
    printed = capsys.readouterr().out
    assert "anything.pth: yolact-resnet50, 3 classes (x, y, z), " in printed
    assert f"written: {out}" in printed
    loaded, direct = load(out), load(resnet50, class_names=("x", "y", "z"))
    assert loaded.config == direct.config
    for ours, theirs in zip(loaded.state_dict().values(), direct.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    out.unlink()  # 120 MB


def test_wrong_key_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({**checkpoint("yolact_resnet50"), "fc.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"x\.pth: .*unexpected: fc\.weight"):
        load(path)


# ---- names


def test_names_that_are_nothing() -> None:
    with pytest.raises(ValueError, match=r"'yolact-resnet-50' is neither.*did you mean yolact-resnet50"):
        load("yolact-resnet-50")
    for name in ("nothing.pth", "./nothing", "no/such/folder/x.safetensors", Path("nothing")):
        with pytest.raises(FileNotFoundError, match=r"nothing|x\.safetensors"):
            load(name)
    with pytest.raises(ValueError, match="yolact-resnet18 has no published weights"):
        load("yolact-resnet18")
    with pytest.raises(ValueError, match=r"preset and class_names are for \.pth files"):
        load("yolact-resnet50", class_names=("a",))


def test_shipped_weights(network: Yolact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolact.checkpoint.__file__", str(tmp_path / "checkpoint.py"))
    for source in (None, SHIPPED):
        with pytest.raises(FileNotFoundError, match=rf"{SHIPPED}\.safetensors"):
            load(source)
    save(tmp_path / "weights" / f"{SHIPPED}.safetensors", network, dtype=torch.float16)
    assert load().config == load(SHIPPED).config == CONFIG


# ---- fine-tuning


def test_load_matching(network: Yolact) -> None:
    target = build_model(replace(CONFIG, class_names=("a", "b", "c")))
    before = target.head.class_logits.weight.clone()
    left = load_matching(target, network.state_dict())
    assert left == ("head.class_logits.weight", "head.class_logits.bias", "semantic.weight", "semantic.bias")
    assert torch.equal(target.head.class_logits.weight, before)
    assert torch.equal(target.head.box_deltas.weight, network.head.box_deltas.weight)
    with pytest.raises(ValueError, match="no tensor of the weights fits"):
        load_matching(target, {"a": torch.zeros(1)})


# ---- the hub


@pytest.fixture
def hub(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    torch.save(checkpoint("yolact_resnet50"), tmp_path / "published.pth")
    files = {
        "/dbolya/yolact-resnet50/resolve/main/yolact_resnet50_54_800000.pth": (tmp_path / "published.pth").read_bytes(),
        "/someone/small/resolve/main/model.safetensors": saved.read_bytes(),
    }
    with Hub(files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_preset_is_downloaded_and_converted_once(
    hub: Hub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load("yolact-resnet50")
    assert first.config == PRESETS["yolact-resnet50"].build()
    assert {request.split()[0] for request in hub.requests} == {"HEAD", "GET"}
    converted = cache / "yolact-resnet50.safetensors"
    written = converted.stat().st_mtime_ns
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr("yolact.convert.convert", lambda *_: pytest.fail("converted again"))
    asked = len(hub.requests)
    for name in ("yolact-resnet50", "dbolya/yolact-resnet50"):
        second = load(name)
        assert torch.equal(second.semantic.weight, first.semantic.weight)
    assert second.config == first.config
    assert (len(hub.requests), converted.stat().st_mtime_ns) == (asked, written)
    converted.unlink()  # 120 MB


def test_hub_repository(hub: Hub, network: Yolact, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load("someone/small")
    assert loaded.config == CONFIG
    assert torch.equal(loaded.semantic.weight, network.semantic.weight)
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors in someone/else"):
        load("someone/else")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert load("someone/small").config == CONFIG  # what the hub's own cache holds needs no network


def test_no_network(cache: Path) -> None:
    started = time.monotonic()
    with pytest.raises(FileNotFoundError) as caught:
        load("yolact-resnet101")
    message = str(caught.value)
    assert "\n" not in message
    assert "http://127.0.0.1:9/dbolya/yolact-base/resolve/main/yolact_base_54_800000.pth" in message
    assert str(cache / "yolact_base_54_800000.pth") in message
    with pytest.raises(
        FileNotFoundError, match=r"someone/small/resolve/main/model\.safetensors and load it by its path"
    ):
        load("someone/small")
    assert time.monotonic() - started < 10  # left to itself the client tries for 23 s, each time


def test_file_put_by_hand(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.mkdir()
    torch.save(checkpoint("yolact_resnet50"), cache / "yolact_resnet50_54_800000.pth")
    (cache / "yolact-resnet50.safetensors").write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        assert load("yolact-resnet50").config == PRESETS["yolact-resnet50"].build()
    assert "converting it again" in caplog.text
    converted = cache / "yolact-resnet50.safetensors"
    assert converted.stat().st_size > 100e6
    converted.unlink()


def test_cache_that_cannot_be_written(cache: Path, hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    cache.write_text("a file where the folder should be")
    assert load("yolact-resnet50").config.num_classes == 80
    assert "cannot keep the converted weights" in caplog.text


def test_weights_are_as_readable_as_any_file(network: Yolact, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    assert save(tmp_path / "small.safetensors", network).stat().st_mode == plain.stat().st_mode
