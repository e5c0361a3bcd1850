"""Work ahead keeps the order, raises in its turn, and ends when it is left."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact.apps.cluster.reading_ahead import ahead


@settings(max_examples=20)
@given(st.lists(st.integers(), max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_all_in_order(items: list[int], threads: int, depth: int):
    def work(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return -item

    assert list(ahead(iter(items), work, threads, depth)) == [(item, -item) for item in items]


@pytest.mark.parametrize("where", ["items", "work"])
def test_errors_come_in_their_turn(where: str):
    def items() -> Iterator[int]:
        yield from range(5)
        if where == "items":
            raise OSError("lost")
        yield 5

    def work(item: int) -> int:
        if item == 5:
            raise OSError("lost")
        return item

    seen = []
    with pytest.raises(OSError, match="lost"):
        seen += [item for item, _ in ahead(items(), work, 2, 2) if not seen.append(item)]
    assert seen == [0, 1, 2, 3, 4]


def test_little_waits_and_no_thread_is_left_behind():
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    before = threading.active_count()
    results = ahead(iter(range(1000)), work, 2, 3)
    assert next(results) == (0, 0)
    time.sleep(0.05)
    assert len(begun) <= 3 + 3  # waiting, in the reader's hand, and taken
    results.close()
    assert threading.active_count() == before
