import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolact.data.packed import Packed


@given(st.lists(st.one_of(st.none(), st.text(), st.lists(st.floats(allow_nan=False)), st.tuples(st.integers()))))
def test_is_a_list_of_the_same_items(items: list) -> None:
    packed = Packed(items)
    assert list(packed) == items
    assert [packed[i] for i in range(len(packed))] == items
    assert [packed[-1 - i] for i in range(len(packed))] == items[::-1]
    for outside in (len(items), -len(items) - 1):
        with pytest.raises(IndexError):
            packed[outside]


def test_takes_little_more_than_its_numbers() -> None:
    outlines = [[float(i + j) for j in range(50)] for i in range(1000)]
    assert Packed(outlines).nbytes < 1000 * 50 * 8 * 1.25


def _first(packed: Packed[int]) -> int:
    return packed[0]


def test_travels_to_processes_that_are_spawned() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_first, (Packed([3, 4]),)) == 3
