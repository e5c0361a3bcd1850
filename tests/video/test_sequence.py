"""Photographs as videos."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolact.video.sequence import ImageSequence, in_natural_order, is_numbered, numbered
from yolact.video.sources import open_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 3, 9, 10, 11):
        Image.new("RGB", (8, 6), (10 * number, 0, 0)).save(tmp_path / f"frame{number}.png")
    return tmp_path


def test_numbered_files_keep_their_times(folder: Path):
    source = open_source(f"{folder}/frame%d.png", rate=10)
    frames = list(source)
    assert [frame.pixels[0, 0, 0] for frame in frames] == [10, 20, 30, 90, 100, 110]
    assert [round(frame.time, 9) for frame in frames] == [0, 0.1, 0.2, 0.8, 0.9, 1.0]
    assert (source.count, source.rate, source.is_live) == (6, 10, False)
    assert source.notes == source.losses == []


@pytest.mark.parametrize("text", ["", "/*.png"])
def test_a_folder_and_a_glob_in_natural_order(folder: Path, text: str):
    frames = list(open_source(f"{folder}{text}", rate=Fraction(5)))
    assert [frame.pixels[0, 0, 0] for frame in frames] == [10, 20, 30, 90, 100, 110]
    assert [frame.number for frame in frames] == list(range(6))
    assert frames[-1].time == 1


def test_padded_numbers(tmp_path: Path):
    for name in ("007.png", "012.png", "1234.png", "5.png"):
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    assert [number for number, _ in numbered(f"{tmp_path}/%03d.png")] == [7, 12, 1234]
    assert [number for number, _ in numbered(f"{tmp_path}/%d.png")] == [5, 7, 12, 1234]
    assert not is_numbered(f"{tmp_path}/100%.png")
    with pytest.raises(FileNotFoundError, match="no file is named like"):
        open_source(f"{tmp_path}/missing/%03d.png")


def test_unreadable_and_of_other_sizes(folder: Path):
    (folder / "frame2.png").write_text("not a photograph")
    Image.new("RGB", (20, 6)).save(folder / "frame9.png")
    source = open_source(f"{folder}/frame%d.png", rate=10)
    frames = list(source)
    assert [round(frame.time, 9) for frame in frames] == [0, 0.2, 0.8, 0.9, 1.0]
    assert {frame.pixels.shape for frame in frames} == {(6, 8, 3)}
    assert "frame2.png" in source.losses[0]
    assert "20 x 6" in source.notes[0]


def test_nothing_readable(tmp_path: Path):
    (tmp_path / "1.png").write_text("not a photograph")
    with pytest.raises(ValueError, match="none of 1 photographs can be read"):
        list(open_source(f"{tmp_path}/%d.png"))
    with pytest.raises(ValueError, match="more than 0"):
        open_source(f"{tmp_path}/%d.png", rate=-1)
    with pytest.raises(ValueError, match="need a rate"):
        open_source(tmp_path)


def test_closing(folder: Path):
    source = ImageSequence(list(enumerate(sorted(folder.iterdir()))), "sequence", Fraction(1))
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=20))
def test_natural_order(numbers: list[int]):
    files = [Path(f"a1/frame{number}b.jpg") for number in numbers]
    assert in_natural_order(files) == [Path(f"a1/frame{number}b.jpg") for number in sorted(numbers)]
