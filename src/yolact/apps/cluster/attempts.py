"""Which images kill the process that predicts on them, by the traces that a killed process leaves.

What is begun has a file in OUT/attempts, which goes when it is done. After two that are still there, the third attempt
at a chunk notes what it is about before each step; what two such attempts have died of is left out.
"""

import json
from collections.abc import Sequence

from yolact.apps.cluster.storage import Folder

FOLDER = "attempts"

CAREFUL_AFTER = 2
"""Attempts that ended without a word: by a power cut, a machine that was taken away, or an image."""

DEADLY = 2
"""Careful attempts that died of the same."""


class Attempt:
    """At one chunk.

    Args:
        out: where earlier attempts have left their traces.
        number: of the chunk.
    """

    def __init__(self, out: Folder, number: int) -> None:
        self.out, self.number, before = out, number, 0
        deaths: list[str] = []
        while out.has(self._name(before)):
            deaths.append(out.read(self._name(before)).decode())
            before += 1
        self.ordinal, self.is_careful = before, before >= CAREFUL_AFTER
        self._deaths = deaths
        self.note()

    def note(self, *keys: str) -> None:
        """Say what comes next."""
        self.out.write(self._name(self.ordinal), json.dumps(keys).encode(), lasting=False)

    def is_deadly(self, keys: Sequence[str]) -> bool:
        return self._deaths.count(json.dumps(keys)) >= DEADLY

    def done(self) -> None:
        for ordinal in range(self.ordinal + 1):
            self.out.remove(self._name(ordinal))

    def _name(self, ordinal: int) -> str:
        return f"{FOLDER}/{self.number:08d}-{ordinal}.json"
