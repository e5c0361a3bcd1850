"""Painted masks: the compiled loop and NumPy agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolact import painting
from yolact.painting import paint, paint_in_numpy


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 300)),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1.25, 4.0]),
)
def test_the_loop_paints_as_numpy_does(size, cells, seed, line):
    random = np.random.default_rng(seed)
    mask = random.random(cells, dtype=np.float32) * (random.random(cells) < 0.5)
    canvas = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    expected, painted = canvas.copy(), canvas.copy()
    paint_in_numpy(expected, mask.astype(np.float32), (10, 200, 255), 0.45, line)
    paint(painted, mask.astype(np.float32), (10, 200, 255), 0.45, line)
    apart = np.abs(expected.astype(int) - painted).max(axis=2)
    # Where the surface is flat at one half, the distance from its edge is anything.
    assert (apart > 1).mean() <= 0.02


def test_a_part_of_a_picture_can_be_painted(monkeypatch: pytest.MonkeyPatch):
    whole = np.zeros((40, 80, 3), np.uint8)
    paint(whole[:, ::2], np.ones((4, 4), np.float32), (9, 9, 9), 1.0, 0.0)
    assert (whole[:, ::2] == 9).all()
    assert not whole[:, 1::2].any()
    monkeypatch.setattr(painting, "_loop", lambda: None)
    paint(whole, np.ones((4, 4), np.float32), (7, 7, 7), 1.0, 0.0)
    assert (whole == 7).all()
