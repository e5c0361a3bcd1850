"""Work on what comes next, while what came before is used."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    items: Iterator[Item], work: Callable[[Item], Result], threads: int, depth: int
) -> Generator[tuple[Item, Result]]:
    """Each item with what `work` gives for it, in order; both are taken from other threads.

    Args:
        items: taken one by one, by one thread.
        work: called by `threads` threads.
        depth: so many results wait at most.

    Raises:
        Whatever `items` or `work` raise, when its turn comes.
    """
    waiting: queue.Queue[tuple[Item, Future[Result]] | BaseException | None] = queue.Queue(depth)
    abandoned = threading.Event()

    def put(entry: "tuple[Item, Future[Result]] | BaseException | None") -> None:
        while not abandoned.is_set():
            try:
                waiting.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for item in items:
                put((item, pool.submit(work, item)))
                if abandoned.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    with ThreadPoolExecutor(threads, thread_name_prefix="yolact-read") as pool:
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            while (entry := waiting.get()) is not None:
                if isinstance(entry, BaseException):
                    raise entry
                item, result = entry
                yield item, result.result()
        finally:
            abandoned.set()
            reader.join()
