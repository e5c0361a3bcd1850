"""Prototypes and explanations as pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mask_parts import assemble_windows
from yolact.explain import explain, picture_of
from yolact.explain.character import Character
from yolact.explain.figure import draw_explanation
from yolact.explain.gallery import draw_gallery


def of_nothing(number: int) -> Character:
    return Character(number, "mixed", 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, "center", None, None, 0.0)


def test_zero_is_dark_and_the_largest_is_bright():
    picture = picture_of(np.array([[0, 1], [2, 4]], np.float32), (20, 30))
    assert picture.shape == (20, 30, 3)
    assert picture[0, 0].sum() < picture[0, -1].sum() < picture[-1, -1].sum()
    assert np.array_equal(picture_of(np.zeros((2, 2), np.float32), (3, 3))[0, 0], picture[0, 0])


def test_a_common_scale_can_be_given():
    faint = picture_of(np.ones((4, 4), np.float32), (4, 4), brightest=10.0)
    assert faint.mean() < picture_of(np.ones((4, 4), np.float32), (4, 4)).mean()


def test_what_is_no_number_is_dark():
    picture = picture_of(np.array([[np.nan, np.inf], [-1, 1]], np.float32), (2, 2))
    assert np.array_equal(picture[0, 0], picture[0, 1])


def test_a_picture_needs_pixels():
    with pytest.raises(ValueError, match="no pixels"):
        picture_of(np.zeros((2, 2), np.float32), (0, 3))


@pytest.mark.parametrize(("count", "size"), [(1, (60, 80)), (9, (30, 900)), (5, (900, 20)), (3, (1, 1))])
def test_any_number_and_shape_makes_a_sheet(tmp_path: Path, count: int, size: tuple[int, int]):
    prototypes = np.random.default_rng(0).random((count, 8, 8), np.float32)
    photograph = np.zeros((*size, 3), np.uint8)
    characters = [of_nothing(k) for k in range(count)]
    draw_gallery(tmp_path / "sheet.png", prototypes, characters, size, photograph, "$a$ 写真.jpg" * 9)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert 400 < sheet.width < 3000
        assert sheet.height < 3000
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize("window", [(2, 2, 6, 6), (0, 0, 8, 8), (0, 0, 0, 0), (7, 0, 8, 1)])
def test_any_window_makes_a_figure(tmp_path: Path, window: tuple[int, int, int, int]):
    prototypes = np.random.default_rng(0).random((6, 8, 8), np.float32)
    coefficients = np.array([[0.9, -0.8, 0.7, -0.6, 0.5, -0.4]], np.float32)
    windows = np.array([window], np.int32)
    soft = assemble_windows(prototypes, coefficients, windows)
    explanation = explain(prototypes, coefficients, windows, soft, 0)
    for size in ((60, 80), (10, 700)):
        photograph = np.full((*size, 3), 90, np.uint8)
        draw_explanation(tmp_path / "one.png", photograph, prototypes, explanation, (), "0: 人 $5")
        with Image.open(tmp_path / "one.png") as figure:
            assert figure.width > 300
