"""What one stage leaves for the next."""

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Handoff(Iterator[Item], Generic[Item]):
    """Between two threads, one that puts and one that iterates.

    Iterating ends where the other side finished, by raising what it finished with, after all its items; or where either
    side closed it.

    Args:
        room: how many items may wait; whoever puts more waits too.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._items: deque[Item] = deque()
        self._changed = Condition()
        self._finished = self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Leave an item, and say whether the other side still wants any."""
        with self._changed:
            while len(self._items) >= self._room and not self._closed:
                self._changed.wait()
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def __next__(self) -> Item:
        with self._changed:
            while not self._items and not self._finished and not self._closed:
                self._changed.wait()
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        raise StopIteration if error is None or self._closed else error

    def finish(self, error: BaseException | None = None) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will be taken; what waits is thrown away, and whoever waits to put goes on."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
