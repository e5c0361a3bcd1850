"""Who may use torch's threads, and when."""

import threading

import torch

from yolact.detect import threads
from yolact.detect.threads import borrowed_threads, give_up_threads, run_on_threads


def called_by(count: int) -> set[int]:
    """The threads that work is called on."""
    seen: set[int] = set()
    together = threading.Barrier(count)

    def work() -> None:
        seen.add(threading.get_ident())
        if count > 1:
            together.wait(10)

    run_on_threads(work, count)
    return seen


def test_work_is_done_by_several():
    assert len(called_by(2)) == 2


def test_others_do_without_while_a_network_has_them():
    alone: list[set[int]] = []

    def work() -> None:
        seen: set[int] = set()
        run_on_threads(lambda: seen.add(threading.get_ident()), 2)
        alone.append(seen)

    with borrowed_threads():
        assert len(called_by(2)) == 2  # the borrower itself
        other = threading.Thread(target=work)
        other.start()
        other.join()
        assert alone == [{other.ident}]
    assert threads._borrower is None
    assert len(called_by(2)) == 2


def test_threads_that_were_given_up_come_back():
    values = torch.arange(1_000_000, dtype=torch.float32)
    before = values.sum()
    give_up_threads()
    assert values.sum() == before
    assert len(called_by(2)) == 2


def test_an_earlier_borrower_does_not_take_them_from_a_later_one():
    first, second = borrowed_threads(), borrowed_threads()
    first.__enter__()
    other = threading.Thread(target=second.__enter__)
    other.start()
    other.join()
    first.__exit__(None, None, None)
    assert threads._borrower == other.ident
    threads._borrower = None
