"""SBD's published layout, and what of broken files is left."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from yolact.data.formats import sbd
from yolact.data.formats.detect import detect
from yolact.data.formats.request import Reading

scipy_io = pytest.importorskip("scipy.io")
NUMBERS = np.array([[0, 1, 1], [2, 2, 1]], dtype=np.uint8)


def write(folder: Path, stem: str, classes: list[int], numbers: np.ndarray = NUMBERS) -> None:
    for part in ("img", "inst"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2)).save(folder / "img" / f"{stem}.jpg")
    truth = {"Segmentation": numbers, "Categories": np.array(classes, dtype=np.uint8)[:, None]}
    scipy_io.savemat(folder / "inst" / f"{stem}.mat", {"GTinst": truth})


def test_the_published_layout(tmp_path: Path):
    folder = tmp_path / "benchmark_RELEASE" / "dataset"
    write(folder, "2008_000002", [20, 15])
    write(folder, "2008_000003", [1, 1])
    (folder / "train.txt").write_text("2008_000002\n")
    (folder / "val.txt").write_text("2008_000003\n")
    assert detect(tmp_path) == "sbd"
    data = sbd.read(tmp_path, Reading())
    assert {split: len(images) for split, images in data.splits.items()} == {"train": 1, "val": 1}
    (image,) = data.splits["train"]
    assert [(o.name, o.area) for o in image.objects] == [("tvmonitor", 3), ("person", 2)]
    assert (image.objects[1].mask() == (NUMBERS == 2)).all()


def test_broken_files_are_named_and_left_out(tmp_path: Path):
    write(tmp_path, "a", [15, 15])
    write(tmp_path, "b", [15, 15], np.zeros((5, 5), np.uint8))
    write(tmp_path, "c", [15, 15])
    (tmp_path / "inst" / "c.mat").write_bytes((tmp_path / "inst" / "c.mat").read_bytes()[:150])
    write(tmp_path, "d", [15])
    (tmp_path / "img" / "d.jpg").unlink()
    write(tmp_path, "e", [99, 15, 15])
    (tmp_path / "val.txt").write_text("a\nb\nc\nd\ne\nf\n../a\n")
    data = sbd.read(tmp_path, Reading())
    assert [(image.name, len(image.objects)) for image in data.images()] == [("a.jpg", 2), ("e.jpg", 1)]
    lines = "\n".join(data.problems[0].lines())
    for part in ("disagree on the image size", "cannot be read", "missing image file", "label 99", "without pixels"):
        assert part in lines
    assert "missing file of masks, dropped: 1 in 1 image: f" in lines
    assert "line that names no image, dropped: 1 in 1 image: ../a" in lines


def test_without_scipy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ImportError, match=r"pip install 'yolact\[data\]'"):
        sbd.read(tmp_path, Reading())
