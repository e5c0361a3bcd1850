"""Which photographs are the same: by their pixels, and by a hash that survives saving them anew.

The hash is the signs of the 255 lowest frequencies (16 x 16 without the mean) of the cosine transform of a gray
32 x 32 thumbnail. Of the 378 photographs of coco-mini and Penn-Fudan, no two differ in fewer than 93 signs. One of them
and itself as a JPEG of quality 10, at a quarter of its side, brightened (gamma 0.7) or trimmed by 1 % differ in at most
24. Mirroring flips the signs of the odd frequencies, so mirrored ones are found as easily. A photograph that is turned,
or cropped by 3 % or more, is not found.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

THUMBNAIL = 32
FREQUENCIES = 16
SIGNS = FREQUENCIES * FREQUENCIES - 1

MOST_DIFFERENT = 32
"""Signs in which two copies of a photograph may differ."""

LEAST_AGREEMENT = SIGNS - 2 * MOST_DIFFERENT
"""The same, as the sum over all signs of +1 where they agree and -1 where they differ."""

LEAST_CONTRAST = 2.0
"""Standard deviation of the thumbnail, in gray levels, below which there is nothing to tell photographs apart by."""

ROWS_AT_ONCE = 2048

# Frequency k along x is odd about the middle if k is odd.
_MIRRORED = np.tile(np.where(np.arange(FREQUENCIES) % 2, -1.0, 1.0), FREQUENCIES)[1:].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is remembered of the pixels of a photograph."""

    digest: bytes
    """Of size and pixels."""

    signs: UInt8[np.ndarray, " 32"] | None
    """Packed bits; None for a photograph without contrast."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs that are one, by their place in the list, the first one first."""

    first: int
    second: int
    kind: str
    """`identical`, `nearly identical` or `mirrored`."""


def fingerprint(pixels: UInt8[np.ndarray, "H W 3"]) -> Fingerprint:
    """The fingerprint of RGB pixels in 0..255."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
    if small.std() < LEAST_CONTRAST:
        return Fingerprint(digest.digest(), None)
    lowest = cv2.dct(small)[:FREQUENCIES, :FREQUENCIES].ravel()[1:]
    return Fingerprint(digest.digest(), np.packbits(lowest > 0))


def find_pairs(fingerprints: list[Fingerprint], splits: Sequence[str] | None = None) -> list[Pair]:
    """Photographs that are one: each is paired with the first of each split that it is like. So the pairs do not grow
    with the square of the photographs where a fixed camera took them.

    Every photograph is compared with every other: of 100 thousand, that takes a few minutes, less than decoding them.
    Of a group of identical ones, each is paired with the first only, and no other is compared with the rest.

    Args:
        splits: of each photograph. None: all are of one.
    """
    pairs, first_with, firsts = [], {}, []
    for place, found in enumerate(fingerprints):
        first = first_with.setdefault(found.digest, place)
        if first != place:
            pairs.append(Pair(first, place, "identical"))
        elif found.signs is not None:
            firsts.append(place)
    pairs += _similar(fingerprints, firsts, np.array(splits or [""] * len(fingerprints))[firsts])
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def _similar(fingerprints: list[Fingerprint], places: list[int], splits: np.ndarray) -> list[Pair]:
    known = [signs for signs in (fingerprints[place].signs for place in places) if signs is not None]
    packed = np.array(known, dtype=np.uint8).reshape(-1, (SIGNS + 7) // 8)
    pairs: dict[tuple[int, str, str], Pair] = {}
    for start in range(0, len(places), ROWS_AT_ONCE):
        rows = _plus_minus(packed[start : start + ROWS_AT_ONCE])
        for other in range(start, len(places), ROWS_AT_ONCE):
            columns = _plus_minus(packed[other : other + ROWS_AT_ONCE])
            upright = rows @ columns.T >= LEAST_AGREEMENT
            mirrored = ((rows * _MIRRORED) @ columns.T >= LEAST_AGREEMENT) & ~upright
            for kind, alike in (("nearly identical", upright), ("mirrored", mirrored)):
                alike = np.triu(alike, 1) if start == other else alike
                for split, i, j in _firsts(alike, splits[start : start + ROWS_AT_ONCE]):
                    pair = Pair(places[start + i], places[other + j], kind)
                    pairs.setdefault((other + j, split, kind), pair)
    return list(pairs.values())


def _firsts(alike: Bool[np.ndarray, "R C"], splits: np.ndarray) -> Iterator[tuple[str, int, int]]:
    """For each column the first row of each split that it is like: split, row, column."""
    if not alike.any():
        return
    for split in np.unique(splits):
        rows = np.flatnonzero(splits == split)
        part = alike[rows]
        for column in np.flatnonzero(part.any(axis=0)):
            yield str(split), int(rows[part[:, column].argmax()]), int(column)


def _plus_minus(packed: np.ndarray) -> np.ndarray:
    """Signs as +1 and -1: a product of two rows then counts how many agree."""
    return 2 * np.unpackbits(packed, axis=1, count=SIGNS).astype(np.float32) - 1
