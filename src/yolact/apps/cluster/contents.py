"""The images of a chunk, in order: their keys and bytes, or what kept them from being read."""

import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from tarfile import HeaderError, ReadError, TarFile
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image
from pyarrow import parquet

from yolact.apps.cluster.listing import Chunk, Listing
from yolact.apps.cluster.storage import Folder
from yolact.images import SUFFIXES, UNREADABLE, opened, pil_to_rgb

ATTEMPTS = 4
"""To read a file, with 1, 2 and 4 s in between, before a store is taken for unreachable."""

ROWS_AT_ONCE = 16
"""Of a Parquet file: images are large."""

LARGEST_MEMBER = 2**30
"""Bytes of a file in a shard. What claims more is not read, as it would fill the memory."""


@dataclass(frozen=True)
class Entry:
    key: str
    fetch: Callable[[], bytes]
    """Raises OSError or ValueError for what is lost for good."""


def entries_of(chunk: Chunk, listing: Listing) -> Iterator[Entry]:
    """The chunk's images; the same ones in the same order each time.

    Raises:
        ConnectionError: the store does not answer.
    """
    kind, folder, column = listing.kind, listing.folder, listing.column
    if kind == "photographs":
        for name in chunk.names:
            yield Entry(name, lambda name=name: _read(folder, name))
    elif kind == "webdataset":
        yield from _of_shard(folder, chunk.names[0], column)
    else:
        yield from _of_parquet(folder, chunk, column or "")


def decode(key: str, content: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """Turn the bytes of an image into RGB, 0..255, as `yolact.images.read_image` does of a file.

    Raises:
        ValueError: it is none that can be read.
    """
    if not content:
        raise ValueError(f"cannot read {key}: it is empty")
    try:
        with opened(content) as image:
            return pil_to_rgb(image)
    except Image.UnidentifiedImageError:
        raise ValueError(f"cannot read {key}: it is not an image in a known format") from None
    except UNREADABLE as error:
        raise ValueError(f"cannot read {key}: {error}") from error


def _read(folder: Folder, name: str) -> bytes:
    """A whole file. What is gone, or may not be read, is so for good; a store that stumbles is asked again."""
    return _patiently(folder, name, lambda: folder.read(name))


def _patiently(folder: Folder, name: str, work: Callable[[], Any]) -> Any:
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except FileNotFoundError:
            raise FileNotFoundError(f"{name} is gone since the source was listed") from None
        except PermissionError:
            raise PermissionError(f"{name} may not be read") from None
        except OSError as error:
            if folder.is_local:
                raise OSError(f"cannot read {name}: {error}") from error
            if attempt == ATTEMPTS - 1:
                raise ConnectionError(f"{folder.text} does not give {name}: {error}") from error
            time.sleep(2**attempt)
    raise AssertionError


def _raise_if_unreachable(folder: Folder, name: str, error: BaseException) -> None:
    lost_for_good = not isinstance(error, OSError) or isinstance(error, FileNotFoundError | PermissionError)
    if isinstance(error, ConnectionError) or not (folder.is_local or lost_for_good):
        raise ConnectionError(f"{folder.text} does not give all of {name}: {error}") from error


class _StrictHeader(tarfile.TarInfo):
    """Python takes a header that is damaged, but for the first, for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> "_StrictHeader":
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            if type(error).__name__ in ("InvalidHeaderError", "TruncatedHeaderError"):
                raise ReadError(str(error)) from error
            raise


def _of_shard(folder: Folder, shard: str, extension: str | None) -> Iterator[Entry]:
    """The members of a tar file that are images, read from its beginning to its end.

    A shard that is cut off or damaged ends with an entry of its own name that says so, behind those before the damage.
    """
    seen: Counter[str] = Counter()
    try:
        with (
            _patiently(folder, shard, lambda: folder.open(shard)) as file,
            tarfile.open(fileobj=file, mode="r|*", tarinfo=_StrictHeader) as archive,
        ):
            for member in archive:
                if not member.isfile() or not _is_wanted(member.name, extension):
                    continue
                seen[member.name] += 1
                again = f"#{seen[member.name]}" if seen[member.name] > 1 else ""
                key = f"{shard}/{member.name.removeprefix('./')}{again}"
                yield _member(key, archive, member)
    except (tarfile.TarError, EOFError, *UNREADABLE) as error:
        _raise_if_unreachable(folder, shard, error)
        yield _lost(shard, f"{shard} is cut off or damaged behind {seen.total()} images: {error}")


def _is_wanted(name: str, extension: str | None) -> bool:
    path = PurePosixPath(name)
    if path.name.startswith("."):
        return False
    if extension is None:
        return path.suffix.lower() in SUFFIXES
    return path.name.partition(".")[2].lower() == extension.removeprefix(".").lower()


def _member(key: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    if member.size > LARGEST_MEMBER:
        return _lost(key, f"cannot read {key}: it is said to have {member.size:,} bytes")
    opened = archive.extractfile(member)
    assert opened is not None
    content = opened.read()
    return Entry(key, lambda: content)


def _lost(key: str, message: str) -> Entry:
    def fetch() -> bytes:
        raise ValueError(message)

    return Entry(key, fetch)


def _of_parquet(folder: Folder, chunk: Chunk, column: str) -> Iterator[Entry]:
    """The rows of some row groups. Damage takes the rest of the chunk, of which each image says so."""
    name, row = chunk.names[0], chunk.first_row
    end = row + (chunk.images or 0)
    groups = list(range(chunk.first_group, chunk.first_group + chunk.groups))
    try:
        with _patiently(folder, name, lambda: folder.open(name, random_access=True)) as file:
            table = parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
            batches = table.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=[column], use_threads=False)
            for batch in batches:
                values = batch.column(0)
                if pa.types.is_struct(values.type):
                    values = values.field("bytes")
                for value in values:
                    yield _row(f"{name}#{row}", value.as_py())
                    row += 1
    except OSError as error:
        _raise_if_unreachable(folder, name, error)
        yield from (_lost(f"{name}#{i}", f"cannot read row {i} of {name}: {error}") for i in range(row, end))


def _row(key: str, content: bytes | None) -> Entry:
    return _lost(key, f"{key} has no bytes") if content is None else Entry(key, lambda: content)
