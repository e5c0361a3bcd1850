"""The processes of clusters that a test has started, and their ends."""

import os
import signal
from pathlib import Path


def descendants(process: int) -> dict[int, str]:
    """The command line of each process that this one has started, and theirs."""
    parents, commands = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:  # it has ended meanwhile
                continue
    found, before = {process}, set()
    while found != before:
        before = set(found)
        found |= {child for child, parent in parents.items() if parent in before}
    return {number: commands.get(number, "") for number in found - {process}}


def kill(process: int, name: str) -> list[int]:
    """SIGKILL to those of its descendants whose command line has this in it."""
    ended = [number for number, command in descendants(process).items() if name in command]
    for number in ended:
        os.kill(number, signal.SIGKILL)
    return ended
