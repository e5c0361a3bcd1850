"""What runs on each machine: one network, which takes chunk after chunk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from yolact.apps.cluster.attempts import Attempt
from yolact.apps.cluster.contents import Entry, decode, entries_of
from yolact.apps.cluster.listing import Chunk, Listing
from yolact.apps.cluster.model_files import ModelFiles
from yolact.apps.cluster.parts import Part
from yolact.apps.cluster.reading_ahead import ahead
from yolact.apps.cluster.storage import Folder
from yolact.instances import Instances

READERS = 8
"""Threads that fetch and decode: object stores answer late, not slowly."""

DEPTH = 16
"""Images that wait decoded. 16 of 12 megapixels are 600 MB."""


Found = tuple[str, Instances | Exception]
"""The key of an image, and what came of it."""

Read = tuple[str, np.ndarray | Exception]


@dataclass(frozen=True)
class Work:
    """The same for all chunks."""

    listing: Listing
    """Without its files and chunks."""

    out: Folder
    model: ModelFiles
    """Without their bytes, which are in `out`."""

    request: Mapping[str, Any]
    """What `Predictor.predict` takes, by name."""

    batch_size: int = 1
    device: str = "cpu"
    cpus: int = 1


class Worker:
    """Predicts on chunks and writes their parts. Ray keeps some of these alive, and starts others for dead ones."""

    def __init__(self, work: Work) -> None:
        import torch

        torch.set_num_threads(work.cpus)
        self.work, self.predictor = work, work.model.read(work.out).load(work.device)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the results of a chunk (as JSON), and count them."""
        chunk = Chunk.from_json(row["chunk"])
        attempt, part = Attempt(self.work.out, chunk.number), Part(chunk.number)
        for key, found in self._results(chunk, attempt):
            part.add(key, found)
        part.write(self.work.out)
        attempt.done()
        return part.counts

    def _results(self, chunk: Chunk, attempt: Attempt) -> Iterator[Found]:
        """Batches are of neighbors that could be read, so that nothing depends on which thread was quicker."""
        waiting: list[Read] = []
        for key, pixels in self._read(chunk, attempt):
            waiting.append((key, pixels))
            if sum(isinstance(pixels, np.ndarray) for _, pixels in waiting) == self.work.batch_size:
                yield from self._predict(waiting, attempt)
                waiting = []
        yield from self._predict(waiting, attempt)

    def _read(self, chunk: Chunk, attempt: Attempt) -> Iterator[Read]:
        entries = entries_of(chunk, self.work.listing)
        if not attempt.is_careful:
            yield from ((entry.key, pixels) for entry, pixels in ahead(entries, _pixels, READERS, DEPTH))
            return
        for entry in entries:  # one after the other, so that it is known which it was
            if attempt.is_deadly([entry.key]):
                yield entry.key, ValueError(f"{entry.key} has ended the processes that it was predicted on in")
                continue
            attempt.note(entry.key)
            yield entry.key, _pixels(entry)

    def _predict(self, batch: list[Read], attempt: Attempt) -> Iterator[Found]:
        keys = [key for key, pixels in batch if isinstance(pixels, np.ndarray)]
        if len(keys) > 1 and attempt.is_deadly(keys):
            yield from (found for read in batch for found in self._predict([read], attempt))
            return
        if attempt.is_careful and keys:
            attempt.note(*keys)
        results = iter(self._predict_each([pixels for _, pixels in batch if isinstance(pixels, np.ndarray)]))
        for key, pixels in batch:
            yield key, next(results) if isinstance(pixels, np.ndarray) else pixels

    def _predict_each(self, photographs: list[np.ndarray]) -> list[Instances | Exception]:
        """What the network found; where it cannot take a photograph, that instead."""
        try:
            return list(self.predictor.predict(photographs, batch_size=len(photographs) or 1, **self.work.request))
        except Exception as error:  # also what nobody foresaw: one photograph of a million must not stop the others
            if len(photographs) > 1:
                return [result for pixels in photographs for result in self._predict_each([pixels])]
            if not isinstance(error, ValueError):
                self._raise_if_broken(error)
            return [error]

    def _raise_if_broken(self, error: Exception) -> None:
        """An error that the network has with a gray picture too is this process's, not the photograph's."""
        try:
            self.predictor.predict(np.full((32, 32, 3), 128, np.uint8), **self.work.request)
        except Exception:
            raise error from None


def _pixels(entry: Entry) -> np.ndarray | Exception:
    try:
        return decode(entry.key, entry.fetch())
    except ConnectionError:  # of the store, not of this image
        raise
    except Exception as error:  # as above
        return error
