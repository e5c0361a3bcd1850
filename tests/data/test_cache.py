import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from synthetic import write_dataset
from tiny import TINY
from yolact.data import cache as cache_module
from yolact.data.cache import PixelCache
from yolact.data.coco import CocoDataset, DataConfig
from yolact.data.loader import EvaluationSamples


def decoding(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on."""
    decoded: list[Path] = []
    before = cache_module.read_image
    monkeypatch.setattr(cache_module, "read_image", lambda path, size: decoded.append(path) or before(path, size))
    return decoded


def test_a_photograph_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DataConfig.read(write_dataset(tmp_path / "data", images=3)).train
    decoded = decoding(monkeypatch)
    plain = CocoDataset(source)
    for _ in range(2):
        cached = CocoDataset(source, cache=PixelCache(tmp_path / "cache"))
        for i in range(3):
            assert np.array_equal(plain[i].image, cached[i].image)
    assert len(decoded) == 3


def test_validation_reads_the_cache_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DataConfig.read(write_dataset(tmp_path / "data", images=2)).train
    decoded, config = decoding(monkeypatch), TINY.with_classes(("disk", "box"))
    plain = EvaluationSamples(CocoDataset(source), config)
    for _ in range(2):
        cached = EvaluationSamples(CocoDataset(source, cache=PixelCache(tmp_path / "cache")), config)
        assert all(torch.equal(plain[i].image, cached[i].image) for i in range(2))
    assert len(decoded) == 2


def test_a_changed_file_and_a_damaged_array_are_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = tmp_path / "a.png", PixelCache(tmp_path / "cache")
    decoded = decoding(monkeypatch)
    for value in (10, 20):
        Image.fromarray(np.full((4, 5, 3), value, np.uint8)).save(path)
        os.utime(path, ns=(value, value))
        assert (cache.read(path, (4, 5)) == value).all()
    for array in (tmp_path / "cache").iterdir():
        array.write_bytes(array.read_bytes()[:30])
    assert (cache.read(path, (4, 5)) == 20).all()
    assert len(decoded) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_full_disk_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = tmp_path / "a.png", PixelCache(tmp_path / "cache")
    Image.fromarray(np.full((4, 5, 3), 7, np.uint8)).save(path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert (cache.read(path, (4, 5)) == 7).all()
    assert not list((tmp_path / "cache").iterdir())


def test_mistakes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cache .*file cannot be made"):
        PixelCache(tmp_path / "file")
    with pytest.raises(ValueError, match="cannot be used"):
        PixelCache(tmp_path / "cache").read(tmp_path / "nowhere.png", (4, 5))
