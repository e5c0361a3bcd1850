"""A model's process, seen from outside."""

import asyncio
import contextlib
import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from yolact.apps.server.inference import Recipe, work
from yolact.apps.server.jobs import Answer, Failed, Job, Ready


class Process:
    """Started at once; what it says arrives in the event loop that started it.

    Args:
        recipe: what it loads.
        hear: called with everything that it says, in order, and at last with None: it is gone.
    """

    def __init__(self, recipe: Recipe, hear: Callable[[Ready | Failed | Answer | None], object]) -> None:
        self._loop, self._hear = asyncio.get_running_loop(), hear
        # Not forked: what the server's threads hold at that moment would be held forever.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=work, args=(theirs, recipe), daemon=True)
        try:
            with _deaf():
                self._process.start()
        except OSError:
            self._connection.close()
            raise
        finally:
            theirs.close()  # or the end of the process would not be the end of the connection
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._send, args=(self._connection,), name="yolact-send", daemon=True),
            threading.Thread(target=self._listen, args=(self._connection,), name="yolact-listen", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._closing: asyncio.Future[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def give(self, job: Job) -> None:
        """Without waiting. Whether it arrives shows in an answer, or in the end of the process."""
        self._jobs.put(job)

    def kill(self) -> None:
        """End it, wherever it is."""
        self._process.kill()

    async def close(self) -> None:
        """End it, and wait until nothing of it is left. May be called again, and while another call waits."""
        if self._closing is None:
            self.kill()
            self._jobs.put(None)
            self._closing = asyncio.ensure_future(asyncio.to_thread(self._wait))
        await asyncio.shield(self._closing)

    def _wait(self) -> None:
        self._process.join()
        for thread in self._threads:
            thread.join()
        self._connection.close()
        self._process.close()

    def _send(self, connection: Connection) -> None:
        while (job := self._jobs.get()) is not None:
            with contextlib.suppress(OSError):  # the listener has noticed
                connection.send(job)

    def _listen(self, connection: Connection) -> None:
        said: Ready | Failed | Answer | None
        while True:
            try:
                said = connection.recv()
            except Exception:  # its end; or, if it was killed while it wrote, half of something
                said = None
            with contextlib.suppress(RuntimeError):  # the server is gone, and its loop closed
                self._loop.call_soon_threadsafe(self._hear, said)
            if said is None:
                return


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """What is started here hears no signals that go to a whole terminal or container, from its first moment.

    Its own `signal.signal` comes a second later, when Python and this package are imported.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # or `start` would, which unblocks them again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
