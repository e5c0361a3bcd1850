"""Changes to JSON that leave it JSON: a reader that sees no syntax errors gets further."""

import copy
import json
import random
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 1.5, -0.0, 2**31, 2**63, -(2**63), 10**30, 1e308, 1e-320, float("nan"),
    float("inf"), -float("inf"), "", " ", "a", "\x1b[31m", "\x00", "\n", "\ud800", "é", "../../../etc/passwd",
    "/etc/passwd", "<b>", "x" * 300, [], {}, [[]], [[[[]]]], [0, 0, 0, 0], [1e9] * 6, [0, 0, 5, 0, 5, 5],
    {"size": [4, 4], "counts": "04"},
    {"size": [10**6, 10**6], "counts": [10**12]}, {"size": [4, 4], "counts": [0, 16]}, {"": {}},
)  # fmt: skip
"""What finds its way into files, and what somebody could put there."""


def changed(data: bytes, longest: int, seed: int) -> bytes | None:
    """The same JSON with some values replaced, removed, repeated or moved; None if it is none, or gets too long."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    chance = random.Random(seed)
    holder: Any = {"": content}
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        places = list(_places(holder))
        _change(*chance.choice(places), chance, places)
    text = json.dumps(holder[""]).encode()
    return text if len(text) <= longest else None


def _places(value: Any):
    """Each container with each key or index in it."""
    pending = [value]
    while pending:
        container = pending.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            yield container, key
            if isinstance(container[key], dict | list):
                pending.append(container[key])


def _change(container: Any, key: Any, chance: random.Random, places: list[tuple[Any, Any]]) -> None:
    """Make one change at a place: a key of an object, or an index of a list."""
    value, kind = container[key], chance.randrange(6)
    holder, made = container, copy.deepcopy(chance.choice(STRANGE))  # unnarrowed, for types
    if kind == 0 and key != "":
        del container[key]
        return
    if kind == 1 and isinstance(container, list) and len(container) < 50:
        container.insert(chance.randrange(len(container) + 1), value)
        return
    if kind == 2 and isinstance(container, dict) and key != "":
        container[chance.choice((f"{key}x", "", "id", "size", "\x1b"))] = container.pop(key)
        return
    if kind == 3:
        other, place = chance.choice(places)
        made = copy.deepcopy(other[place])  # or it could come to stand in itself
    elif kind == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        made = chance.choice((value + 1, value - 1, -value, value * 10, value / 3, value * 1e6))
    holder[key] = made
