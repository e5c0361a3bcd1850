"""Processes that train together: how they meet, agree on what is trained, and end when one of them is lost.

What they compute together is Lightning's and the module's affair. Here is what has to hold before the first step.
"""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")

REMEDIES = {
    "data": "{name} images or annotations differ; copy the data to all machines anew",
    "recipe": "{name} is {there}, not {here}; start all with the same command",
    "network": "{name} is {there}, not {here}; start all with the same command",
    "versions": "{name} is {there}, not {here}; install the same",
}
"""What to say of each kind of facts that differ between processes."""

SHARED_DISK_SECONDS = 20.0
"""After which a file of another machine is there, if ever: network file systems look again after some seconds."""

FIRST_WORD_SECONDS = 5.0
"""In which whoever has started the processes of a machine ends those that are left when one of them fails."""

AGENT = "YOLACT_AGENT"
"""The variable with the number of the process that has started this one, if it is `yolact train` itself."""

LOST = re.compile(
    r"gloo|nccl|socket|store|connect|peer|broken pipe|timed? ?out|watchdog|process group|rank \d", re.IGNORECASE
)
"""In what torch says when another process is gone: it has no one type of error for that."""


def launched() -> bool:
    """Whether something else (torchrun, Ray) has started this process as one of several, and says which it is."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def restarted() -> bool:
    """Whether it was started again, after processes had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextmanager
def joined(device: torch.device, seconds: float) -> Iterator[None]:
    """Connects the processes that were launched for as long as it is entered; by itself, a process does nothing.

    Lightning would connect them later, and only then could they find out that they do not fit together.

    Args:
        seconds: how long one waits for the others, each time.

    Raises:
        ConnectionError: another process does not come, or is gone.
    """
    if not launched() or distributed.is_initialized():  # Ray has connected them
        with losing_none():
            yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with losing_none():
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=timedelta(seconds=seconds))
        try:
            yield
        finally:
            distributed.destroy_process_group()


@contextmanager
def losing_none(remedy: str = "start all of them again") -> Iterator[None]:
    """What torch says when another process is gone becomes one line."""
    try:
        yield
    except RuntimeError as error:
        if not (launched() or distributed.is_initialized()) or not LOST.search(str(error)):
            raise
        lines = re.sub(r"^\[[^]]*\]", "", str(error)).strip().splitlines() or [type(error).__name__]
        raise ConnectionError(
            f"{_who()} has lost the others of this run: one has ended or does not answer"
            f" ({lines[0].split('. ')[0][:160]}); {remedy}"
        ) from error


def gathered(value: T) -> list[T]:
    """The values of all processes, in their order, in the first process; nothing in the others."""
    if not _are_several():
        return [value]
    is_first = distributed.get_rank() == 0
    values: list[Any] = [None] * distributed.get_world_size() if is_first else []
    distributed.gather_object(value, values if is_first else None)
    return values


def exchanged(value: T) -> list[T]:
    """The values of all processes, in their order."""
    if not _are_several():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def of_first(value: T) -> T:
    """The first process's value."""
    return exchanged(value)[0]


def spread(tensor: Tensor) -> None:
    """Give a tensor the first process's values, in place."""
    if _are_several():
        distributed.broadcast(tensor, 0)


def on_all(prepare: Callable[[], T]) -> T:
    """What `prepare` gives. What goes wrong in one process goes wrong in all: none waits for one that is gone.

    Raises:
        ValueError: in this process, or another one, whose host the message then names.
    """
    try:
        result, problem = prepare(), ""
    except (ValueError, OSError, ImportError) as error:
        if not _are_several():
            raise
        result, problem = None, str(error)
    problems = exchanged((_who(), problem))
    if problem:
        raise ValueError(problem)
    for who, theirs in problems:
        if theirs:
            raise ValueError(f"{who}: {theirs}")
    return result  # type: ignore[return-value]


def agree(facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare what all processes are about to do.

    Args:
        facts: by kind, one of `REMEDIES`, and by name.

    Raises:
        ValueError: in all of them, with the first difference to the first process.
    """
    (first, expected), *others = exchanged((_who(), facts))
    for who, theirs in others:
        for kind, remedy in REMEDIES.items():
            ours, those = expected.get(kind, {}), theirs.get(kind, {})
            for name in (*ours, *(set(those) - set(ours))):
                if ours.get(name) != those.get(name):
                    how = remedy.format(name=name, here=ours.get(name), there=those.get(name))
                    raise ValueError(f"{who} would not train what {first} does: {how}")


def check_shared(file: Path) -> None:
    """Raise a ValueError in all processes if one of them does not see what the first one has in a file."""
    is_first = not _are_several() or distributed.get_rank() == 0
    content = of_first(file.read_bytes() if is_first else b"")
    on_all(lambda: _check_holds(file, content))


def _check_holds(file: Path, content: bytes) -> None:
    deadline = time.monotonic() + SHARED_DISK_SECONDS
    while not (file.is_file() and file.read_bytes() == content):
        if time.monotonic() > deadline:
            raise ValueError(
                f"{file}, which the first machine has written, is not there on {socket.gethostname()}; --out must be"
                " on a disk that all machines share"
            )
        time.sleep(0.5)


@contextmanager
def one_speaks() -> Iterator[None]:
    """Of the processes on one machine, the first says why they end; the others only if it has nothing to say."""
    place = int(os.environ.get("LOCAL_RANK", "0"))
    try:
        yield
    except KeyboardInterrupt:
        is_agents = os.environ.get(AGENT) == str(os.getppid())
        if place == 0 and (is_agents or int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0):
            # Stopped on another machine, too: or torchrun would start again, or miss that machine.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.kill(os.getppid(), signal.SIGTERM)
        if place == 0:
            raise
        raise SystemExit(130) from None
    except (ValueError, OSError, ImportError):
        if place > 0:
            time.sleep(FIRST_WORD_SECONDS)  # and is ended in it
        raise


def _who() -> str:
    return f"process {os.environ.get('RANK', '0')} on {socket.gethostname()}"


def _are_several() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
