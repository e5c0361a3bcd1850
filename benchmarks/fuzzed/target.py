"""What is tried, and what counts as a finding."""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["accepted", "refused"]

REFUSALS = (ValueError, FileNotFoundError)
"""What the package raises for bad input, with one line that people can read."""

LONGEST_LINE = 4000
"""Characters of such a line."""

FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "socket.connect", "ctypes.")
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Target:
    """One way in for bytes of strangers."""

    name: str
    seeds: Callable[[], list[bytes]]
    """Inputs to begin with, most of them sound."""

    prepare: Callable[[Path], Callable[[bytes], object]]
    """Given an empty folder, what reads an input. It checks what it gets with `check`, and raises one of `refusals` for
    what it does not take."""

    refusals: tuple[type[Exception], ...] = REFUSALS
    is_json: bool = False
    """Half of the changes are then made to the values in it, so that it stays JSON."""

    memory: int = 1 << 30
    """Bytes that reading may take."""

    longest: int = 4096
    """Bytes of an input."""

    may_read: bool = False
    """What an input names may be read wherever it is. Nothing may be written there."""


class Violation(Exception):  # noqa: N818 - what it says is what was found
    """Something was accepted that should not be, or came out wrong, or did what no reader does."""


def check(holds: object, what: str) -> None:
    """Unlike `assert`, this stays with -O, and is told apart from the package's own errors."""
    if not holds:
        raise Violation(what)


def outcome(target: Target, read: Callable[[bytes], object], data: bytes) -> Outcome:
    """Read one input.

    Raises:
        Exception: whatever is neither an answer nor a refusal in one line: a finding.
    """
    try:
        read(data)
    except target.refusals as error:
        text = str(error)
        check(len(text) <= LONGEST_LINE, f"a message of {len(text)} characters: {text[:200]!r}")
        return "refused"
    return "accepted"


_guarded: tuple[str, bool] | None = None


@contextmanager
def guarded(scratch: Path, may_read: bool = False) -> Iterator[None]:
    """Make it a finding to start programs, to reach for the network, or for files outside of a folder."""
    global _guarded
    if not _hooked:
        sys.addaudithook(_watch)  # for good: Python has no way to take it back
        _hooked.append(True)
    _guarded = (str(scratch.resolve()), may_read)
    try:
        yield
    finally:
        _guarded = None


_hooked: list[bool] = []
_PLACES = (*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, Path(__file__).parents[2] / "src")
_LIBRARIES = (*(os.path.realpath(place) for place in _PLACES), "/proc", "/sys", "/usr", "/dev", "/etc/localtime")
"""Where libraries read, from files that they know."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _guarded is None:
        return
    if event.startswith(FORBIDDEN) and event != "ctypes.get_errno":
        raise Violation(f"{event}{arguments!r:.200}")
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        path, _, flags = arguments
        is_changed = bool((flags or 0) & WRITING)
    elif event in CHANGES:
        path, is_changed = arguments[0], True
    else:
        return
    place = os.path.realpath(os.fsdecode(path))
    folder, may_read = _guarded
    if place.startswith(folder) or place == "/dev/null" or "__pycache__" in place:
        return
    if is_changed or not (may_read or place.startswith(_LIBRARIES)):
        raise Violation(f"{event} of {place[:200]!r}")
