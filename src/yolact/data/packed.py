"""A list of records as one block of bytes."""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Packed(Sequence[T], Generic[T]):
    """Each item is pickled, and read again when it is asked for.

    COCO's 860,000 outlines as Python objects take gigabytes. Worse, merely reading an object writes its reference
    count, so that each loader process would come to have a copy of its own. A block of bytes is shared by all of them.
    """

    def __init__(self, items: Iterable[T]) -> None:
        packed = [pickle.dumps(item, pickle.HIGHEST_PROTOCOL) for item in items]
        self._ends = np.cumsum([len(item) for item in packed], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(packed), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> T:  # type: ignore[override]
        place = range(len(self))[index]
        start = self._ends[place - 1] if place else 0
        return pickle.loads(self._bytes[start : self._ends[place]].data)

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Memory that the items take."""
        return self._bytes.nbytes + self._ends.nbytes
