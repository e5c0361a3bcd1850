"""Which prototypes make a mask, where it was cut, and where it leaked."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mask_parts import assemble_windows
from yolact.explain import Explanation, explain

GRID = (12, 16)
WHOLE = (0, 0, 16, 12)


def block(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    cells = np.zeros(GRID, np.float32)
    cells[y1:y2, x1:x2] = 1
    return cells


def explained(prototypes: list[np.ndarray], rows: list[list[float]], windows: list, i: int = 0, **how) -> Explanation:
    stack, coefficients = np.stack(prototypes), np.array(rows, np.float32)
    limits = np.array(windows, np.int32)
    return explain(stack, coefficients, limits, assemble_windows(stack, coefficients, limits), i, **how)


def test_a_mask_of_one_prototype_takes_one_step():
    found = explained([block(0, 0, 3, 3), block(4, 4, 9, 9)], [[0.001, 0.9]], [(3, 3, 12, 12)])
    assert [(step.prototype, step.iou) for step in found.steps] == [(1, 1.0)]
    assert found.steps[0].coefficient == pytest.approx(0.9)
    assert found.steps[0].inside == pytest.approx(0.9)
    assert found.steps[0].outside == 0
    assert found.rest == ()


def test_what_is_subtracted_comes_with_its_sign():
    found = explained([block(2, 2, 14, 10), block(2, 2, 8, 10)], [[0.5, -0.8]], [WHOLE])
    assert [(step.prototype, step.coefficient > 0) for step in found.steps] == [(0, True), (1, False)]
    assert np.array_equal(found.steps[-1].mask, block(8, 2, 14, 10) > 0)


def test_what_was_cut_off_is_told_from_other_objects():
    lit = block(2, 2, 8, 8) + block(10, 2, 14, 8)
    found = explained([lit], [[1.0], [1.0]], [(2, 2, 6, 8), (10, 2, 14, 8)])
    assert int(found.cut.mask.sum()) == 12 + 24
    assert np.array_equal(found.cut.joined, block(6, 2, 8, 8) > 0)
    assert found.cut.others == 24
    assert not found.cut.apart.any()
    assert found.cut.share == pytest.approx(36 / 60)
    assert found.leak.contact["right"] == 1
    assert found.leak.share == 0


def test_a_window_that_ends_with_the_photograph_cuts_nothing():
    found = explained([block(0, 0, 16, 12)], [[1.0]], [WHOLE])
    assert set(found.leak.contact.values()) == {0.0}
    assert np.isnan(found.steps[0].outside)


def test_pieces_apart_and_shared_cells_are_leaks():
    lit = block(1, 1, 6, 6) + block(9, 9, 11, 11)
    found = explained([lit], [[1.0], [1.0]], [WHOLE, (1, 1, 3, 6)])
    assert np.array_equal(found.leak.apart, block(9, 9, 11, 11) > 0)
    assert found.leak.shared == {1: 10}
    assert found.leak.share == pytest.approx(14 / 29)


def test_pieces_that_the_cut_takes_away_count_for_nothing_but_are_told():
    lit, wrong = block(1, 1, 6, 6) + block(9, 9, 11, 11), block(9, 9, 11, 11)
    stack, coefficients = np.stack([lit, wrong]), np.array([[0.9, 0.8]], np.float32)
    windows = np.array([WHOLE], np.int32)
    soft = assemble_windows(stack, coefficients, windows)
    soft[0, 9:11, 9:11] = 0  # as `component` does
    found = explain(stack, coefficients, windows, soft, 0)
    assert [(step.prototype, step.iou) for step in found.steps] == [(0, 1.0)]
    assert found.rest == ()
    assert np.array_equal(found.cut.apart, wrong > 0)
    assert not found.cut.joined.any()
    assert found.to_dict()["cut"]["apart"] == 4


def test_an_empty_mask_has_no_steps():
    found = explained([block(1, 1, 5, 5)], [[-0.5]], [WHOLE])
    assert found.steps == ()
    assert found.rest == (0,)
    json.dumps(found.to_dict(), allow_nan=False)


def test_an_empty_window_is_explained():
    assert explained([block(1, 1, 5, 5)], [[0.5]], [(0, 0, 0, 0)]).steps == ()


@given(
    arrays(np.float32, (5, *GRID), elements=st.floats(0, 4, width=32)),
    arrays(np.float32, (1, 5), elements=st.floats(-1, 1, width=32)),
)
def test_the_steps_reach_what_they_promise(prototypes: np.ndarray, coefficients: np.ndarray):
    windows = np.array([(2, 1, 13, 11)], np.int32)
    soft = assemble_windows(prototypes, coefficients, windows)
    found = explain(prototypes, coefficients, windows, soft, 0)
    inside = block(2, 1, 13, 11) > 0
    inside &= ~found.uncut | found.mask  # a sum as small as a rounding error may count as 0
    if not found.uncut[inside].any():
        assert found.steps == ()
        return
    assert found.steps[-1].iou >= 0.95
    numbers = [step.prototype for step in found.steps]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(found.rest)
    last, whole = found.steps[-1].mask[inside], found.uncut[inside]
    assert int(last.sum()) + found.rest_gained - found.rest_lost == int(whole.sum())
    json.dumps(found.to_dict(), allow_nan=False)


def test_most_stops_early():
    parts = [block(x, 0, x + 4, 12) for x in (0, 4, 8, 12)]
    assert len(explained(parts, [[1.0] * 4], [WHOLE]).steps) == 4
    assert len(explained(parts, [[1.0] * 4], [WHOLE], most=2).steps) == 2


@pytest.mark.parametrize(
    ("i", "how", "says"), [(1, {}, "no instance 1"), (0, {"enough": 0}, "enough is 0"), (0, {"most": 0}, "most is 0")]
)
def test_what_cannot_be_explained_is_refused(i: int, how: dict, says: str):
    with pytest.raises(ValueError, match=says):
        explained([block(0, 0, 3, 3)], [[1.0]], [WHOLE], i, **how)
