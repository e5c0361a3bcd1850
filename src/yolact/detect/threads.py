"""Work for several threads at once: for torch's own, where they can be had.

After each operation, torch's threads keep watching for the next one, for about ten milliseconds, and meanwhile leave
their processors to nobody. On few processors, threads besides them would come into their own only after that.

Each Python thread that asks for them gets threads of its own. Once there are more of all than processors, none watches
any longer: they sleep after each operation, and waking them for each of the hundreds that a network consists of makes
it take half as long again. So where a network runs in a thread of its own, `give_up_threads` and `borrowed_threads`
hand them over.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

SOFTLY = 1
"""As OpenMP numbers the ways to let go of threads: settings stay."""

_borrower: int | None = None
"""The Python thread that torch's threads serve; None: whichever asks."""

_PROCESS = os.getpid()
"""Imported early (by `masks.py`), lest a process that was forked take itself for the one whose threads they are."""


def run_on_threads(work: Callable[[], None], count: int) -> None:
    """Call `work` on this many threads, this one among them, and wait for all.

    It may be called less often: a thread that finds no time before the others are done is not waited for. Where torch's
    threads serve a network in another thread, which needs the processors, this one does it alone.

    Raises:
        Whatever `work` raised.
    """
    if _borrower not in (None, threading.get_ident()):
        work()
        return
    parallel = _openmp() if os.getpid() == _PROCESS else None  # which a process that was forked must not use
    if parallel is not None and count > 1:
        _run_on_openmp(parallel, work, count)
        return
    others = [_pool(os.getpid()).submit(work) for _ in range(count - 1)]
    work()
    for other in others:
        if not other.cancel():
            other.result()


def give_up_threads() -> None:
    """Let go of the threads that torch has started for this Python thread. They come back when it needs them."""
    try:
        ctypes.CDLL(None).omp_pause_resource_all(SOFTLY)
    except (OSError, TypeError, AttributeError):  # another OpenMP, or none
        return


@contextmanager
def borrowed_threads() -> Iterator[None]:
    """Meanwhile, torch's threads serve this Python thread; others do without, if they ask through `run_on_threads`.

    Whoever had them before calls `give_up_threads`.
    """
    global _borrower
    own = _borrower = threading.get_ident()
    try:
        yield
    finally:
        if _borrower == own:
            _borrower = None
        give_up_threads()


def _run_on_openmp(parallel: Any, work: Callable[[], None], count: int) -> None:
    raised: list[BaseException] = []
    done: list[int] = []

    @_BODY
    def body(_: int | None) -> None:
        try:
            work()
        except BaseException as error:  # there is no way through OpenMP for it
            raised.append(error)
        done.append(threading.get_ident())

    parallel(body, None, count, 0)
    if raised:
        raise raised[0]
    if threading.get_ident() not in done:  # a signal came just before or after `try`, and is lost with its exception
        raise KeyboardInterrupt


_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _openmp() -> Any:
    """The function of the OpenMP library in this process, which is torch's, to which compilers give parallel parts."""
    try:
        parallel = ctypes.CDLL(None).GOMP_parallel
    except (OSError, TypeError, AttributeError):  # TypeError: on Windows
        return None
    parallel.argtypes, parallel.restype = [_BODY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return parallel


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """A process that was forked has none of its parent's threads, hence one pool for each."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="yolact-masks")
