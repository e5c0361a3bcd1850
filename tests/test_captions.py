"""Captions: where they are put, and that they can be read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from yolact.captions import anchor_of, arrange, ink_on, load_font, write_all
from yolact.visualize import PALETTE, SHADES, _shade

FONT = load_font(None, 12.0)
SIZE = (200, 150)

coordinates = st.tuples(st.floats(0, 200), st.floats(0, 150), st.floats(0, 200), st.floats(0, 150), st.floats(0, 200))


@given(st.lists(coordinates, max_size=25))
def test_captions_never_cover_each_other(anchors):
    anchors = [(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2), top) for x1, y1, x2, y2, top in anchors]
    spots = arrange(["person 93%"] * len(anchors), anchors, SIZE, FONT)
    assert len(spots) == len(anchors)
    taken = np.zeros((150, 200), dtype=int)
    for x1, y1, x2, y2 in filter(None, spots):
        assert 0 <= x1 < x2 <= 200
        assert 0 <= y1 < y2 <= 150
        taken[y1:y2, x1:x2] += 1
    assert taken.max() <= 1
    assert not anchors or spots[0] is not None  # the best instance always has its caption


def test_a_caption_sits_over_what_it_names():
    (spot,) = arrange(["dog"], [(50.0, 80.0, 120.0, 140.0, 90.0)], SIZE, FONT)
    assert spot is not None
    assert spot[3] == pytest.approx(80, abs=1)
    assert (spot[0] + spot[2]) / 2 == pytest.approx(90, abs=1)


def test_at_the_upper_border_it_moves_inside():
    (spot,) = arrange(["dog"], [(0.0, 0.0, 30.0, 20.0, 5.0)], SIZE, FONT)
    assert spot is not None
    assert spot[:2] == (0, 0)


def test_anchor_is_what_one_sees_of_the_mask():
    mask = np.zeros((10, 20), dtype=np.float32)
    mask[4:8, 5:10] = 1
    mask[3, 9] = 1
    mask[9, 19] = 0.4
    anchor = anchor_of(mask, np.zeros(4, dtype=np.float32), (100, 200, 3))
    assert anchor == pytest.approx((50, 30, 100, 80, 95))
    empty = anchor_of(mask * 0, np.array([1, 2, 3, 4], dtype=np.float32), (100, 200, 3))
    assert empty == pytest.approx((1, 2, 3, 4, 2))


def test_every_color_can_be_written_on():
    def luminance(color):
        linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for color in PALETTE:
        for shade in SHADES:
            ground = _shade(color, shade)
            low, high = sorted((luminance(ground), luminance(ink_on(ground))))
            assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_caption_larger_than_the_picture_is_left_out():
    picture = Image.new("RGB", (12, 8))
    write_all(picture, ["an extraordinarily long name", ""], [(0.0, 0.0, 5.0, 5.0, 1.0)] * 2, [PALETTE[0]] * 2, FONT)
    assert not np.asarray(picture).any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_boxes_that_are_no_place_get_one(value: float) -> None:
    anchor = anchor_of(np.zeros((4, 4), np.float32), np.full(4, value, np.float32), (30, 40, 3))
    assert all(0 <= side <= 40 for side in anchor)
    assert arrange(["a"], [anchor], (40, 30), FONT)[0] is not None
