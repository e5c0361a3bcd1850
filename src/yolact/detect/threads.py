"""Work for several threads at once: for torch's own, where they can be had.

After each operation, torch's threads keep watching for the next one, for about ten milliseconds, and meanwhile leave
their processors to nobody. On few processors, threads besides them would come into their own only after that.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

_PROCESS = os.getpid()
"""Imported early (by `masks.py`), lest a process that was forked take itself for the one whose threads they are."""


def run_on_threads(work: Callable[[], None], count: int) -> None:
    """Call `work` on this many threads, this one among them, and wait for all.

    It may be called less often: a thread that finds no time before the others are done is not waited for.

    Raises:
        Whatever `work` raised.
    """
    parallel = _openmp() if os.getpid() == _PROCESS else None  # which a process that was forked must not use
    if parallel is not None and count > 1:
        _run_on_openmp(parallel, work, count)
        return
    others = [_pool(os.getpid()).submit(work) for _ in range(count - 1)]
    work()
    for other in others:
        if not other.cancel():
            other.result()


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
