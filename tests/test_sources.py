"""What `predict` takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from yolact.sources import Loaded, Unreadable, find_images, is_single, load, tensor_to_rgb, try_load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "deeper/c.jpg", ".hidden.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), "red").save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photograph")
    return tmp_path


def test_folders_and_globs(folder: Path):
    assert [path.name for path in find_images(folder)] == ["a.png", "b.JPG"]
    assert [path.name for path in find_images(f"{folder}/**/*.jpg")] == ["c.jpg"]
    assert [path.name for path in find_images(f"{folder}/**/*")] == ["a.png", "b.JPG", "c.jpg"]
    assert find_images(folder / "notes.txt") == [folder / "notes.txt"]  # named directly: tried, and refused when read


def test_a_file_whose_name_looks_like_a_glob(folder: Path):
    odd = folder / "odd[1].png"
    Image.new("RGB", (8, 6)).save(odd)
    assert is_single(odd)
    assert find_images(odd) == [odd]


def test_nothing_to_find(folder: Path):
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no photographs in the folder .*empty"):
        find_images(folder / "empty")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_images(folder / "missing.jpg")
    with pytest.raises(FileNotFoundError, match="'' names no photograph"):
        find_images("")
    with pytest.raises(FileNotFoundError, match="no photograph matches"):
        find_images(f"{folder}/*.bmp")


def test_all_kinds_give_the_same_pixels(folder: Path):
    path = folder / "a.png"
    pixels = np.asarray(Image.open(path))
    tensor = torch.tensor(pixels).permute(2, 0, 1)
    for source in (path, str(path), Image.open(path), pixels, tensor, tensor / 255, tensor.double() / 255):
        loaded = load(source, "rgb")
        assert (loaded.pixels == pixels).all()
        assert loaded.path == (path if isinstance(source, str | Path) else None)
    assert (load(pixels[..., ::-1], "bgr").pixels == pixels).all()


def test_gray_tensor():
    assert tensor_to_rgb(torch.full((1, 2, 2), 7, dtype=torch.uint8)).tolist() == np.full((2, 2, 3), 7).tolist()


@pytest.mark.parametrize(
    ("tensor", "part"),
    [
        (torch.zeros(2, 3, 4, 4), r"\(2, 3, 4, 4\)"),
        (torch.zeros(4, 4, 3), r"\(4, 4, 3\)"),
        (torch.full((3, 4, 4), 255.0), "0..1"),
        (torch.full((3, 4, 4), -1.0), "not normalized"),
        (torch.full((3, 4, 4), torch.nan), "nan"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "int64"),
    ],
)
def test_other_tensors_are_refused(tensor, part):
    with pytest.raises(ValueError, match=part):
        tensor_to_rgb(tensor)


def test_a_tensor_that_requires_grad():
    assert (tensor_to_rgb(torch.ones(3, 4, 4, requires_grad=True)) == 255).all()  # torch would warn, a failure here


def test_links_that_lead_nowhere_are_reported(folder: Path):
    for link, target in (("gone.jpg", "missing.jpg"), ("loop.jpg", "loop.jpg")):
        (folder / link).symlink_to(folder / target)
        assert folder / link in find_images(folder)
        assert isinstance(try_load(folder / link, "rgb"), Unreadable)


def test_only_files_may_be_unreadable(folder: Path):
    assert isinstance(try_load(folder / "a.png", "rgb"), Loaded)
    failed = try_load(folder / "notes.txt", "rgb")
    assert isinstance(failed, Unreadable)
    assert failed.path == folder / "notes.txt"
    with pytest.raises(ValueError, match="float64"):
        try_load(np.zeros((4, 4)), "rgb")
