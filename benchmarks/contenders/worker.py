"""The process of one contender, from both sides: it computes when it is told to, and sleeps while others compute."""

import contextlib
import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from contenders import Contender, Entry


class Worker:
    """A contender's process, as its parent sees it."""

    def __init__(self, entry: Entry, photographs: list[np.ndarray], threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # nothing that is imported here may be imported there
        self.entry, self.description = entry, ""
        self.connection: Connection
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, entry, photographs, threads), daemon=True)
        self.process.start()
        other.close()

    def receive(self) -> Any:
        """
        Raises:
            RuntimeError: it failed, or is gone.
        """
        try:
            word, answer = self.connection.recv()
        except EOFError:
            raise RuntimeError(f"its process ended with exit code {self.process.exitcode}") from None
        if word == "failed":
            raise RuntimeError(answer)
        return answer

    def ask(self, command: str) -> Any:
        self.connection.send(command)
        return self.receive()

    def stop(self) -> None:
        if self.process.is_alive():
            self.connection.send("stop")
            self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


def serve(connection: Connection, entry: Entry, photographs: list[np.ndarray], threads: int) -> None:
    """Build the contender, then answer until told `stop`.

    Sends `("ready", description)` or `("failed", reason)`, then for each command `("done", answer)` or
    `("failed", reason)`. Commands: `measure` (every photograph once, after one that does not count) and `find`.
    """
    with contextlib.redirect_stdout(sys.stderr):
        limit_threads(threads)
        contender: Contender | None = None

        def build() -> str:
            nonlocal contender
            contender = importlib.import_module(entry.module).build(photographs, **entry.options)
            assert contender is not None
            for photograph in photographs * 2:  # sizes of photographs are met before time counts
                contender.measure(photograph)
            return contender.describe()

        answer(connection, build, "ready")
        while (command := next_command(connection)) != "stop":
            assert contender is not None
            run = {"measure": measure_all, "find": find_all}[command]
            answer(connection, lambda run=run: run(contender, photographs), "done")


def next_command(connection: Connection) -> str:
    try:
        return connection.recv()
    except EOFError:  # nobody is there any more
        return "stop"


def measure_all(contender: Contender, photographs: list[np.ndarray]) -> list[dict[str, float]]:
    contender.measure(photographs[-1])  # another process has just had the caches
    return [contender.measure(photograph) for photograph in photographs]


def find_all(contender: Contender, photographs: list[np.ndarray]) -> list[Any]:
    return [contender.find(photograph) for photograph in photographs]


def answer(connection: Connection, work: Callable[[], Any], word: str) -> None:
    try:
        result = work()
    except Exception as error:  # one contender that fails must not end the others
        connection.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())}"))
    else:
        connection.send((word, result))


def limit_threads(threads: int) -> None:
    """Hold every library in this process to so many processors, whatever it calls its threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import torch

    torch.set_num_threads(threads)
