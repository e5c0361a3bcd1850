"""What there is to predict on, cut into numbered chunks: the same ones each time that nothing has changed."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Literal

import pyarrow as pa
from pyarrow import fs as arrow_fs
from pyarrow import parquet

from yolact.apps.cluster.storage import FileFacts, Folder, open_folder
from yolact.images import SUFFIXES
from yolact.printable import printable

Kind = Literal["photographs", "webdataset", "parquet"]

READERS = 16
"""Footers of Parquet files that are read at once."""


@dataclass(frozen=True)
class Chunk:
    """What one call of a worker does."""

    number: int
    names: tuple[str, ...]
    """Photographs; or the one shard or Parquet file that they are in."""

    first_group: int = 0
    groups: int = 0
    """Of Parquet: which row groups."""

    first_row: int = 0
    """Of Parquet: where in its file the first of these groups begins."""

    images: int | None = None
    """None where nobody knows before the shard is read."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Chunk":
        values = json.loads(text)
        return cls(**values | {"names": tuple(values["names"])})


@dataclass(frozen=True)
class Listing:
    folder: Folder
    kind: Kind
    files: tuple[FileFacts, ...]
    """By name."""

    chunks: tuple[Chunk, ...]
    column: str | None
    """Of Parquet: where the images are. Of WebDataset: the extension, if only one is wanted."""

    @property
    def images(self) -> int | None:
        counts = [chunk.images for chunk in self.chunks]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def fingerprint(self) -> str:
        """Of the names, sizes and dates of all files."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\0{file.size}\0{file.modified}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def list_source(source: str, chunk: int, column: str | None = None) -> Listing:
    """List a source.

    Args:
        source: a folder, with its subfolders, or a glob, of photographs, WebDataset shards (.tar) or Parquet files, or
            one such file; here, or an address that pyarrow or fsspec know.
        chunk: photographs to a chunk.
        column: see `RayPredict`.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: nothing in it, several kinds in it, no such column, or a name that is not UTF-8.
    """
    folder, files = _files_of(source)
    by_kind: dict[Kind, list[FileFacts]] = {}
    for file in sorted(files, key=lambda file: file.name):
        kind = _kind_of(file.name)
        if kind is not None:
            _refuse_undecodable(file.name, source)
            by_kind.setdefault(kind, []).append(file)
    if not by_kind:
        raise ValueError(f"no photographs, .tar shards or Parquet files in {source}")
    if len(by_kind) > 1:
        counts = " and ".join(f"{len(found)} of {kind}" for kind, found in by_kind.items())
        raise ValueError(f"{source} holds {counts}; choose with a glob such as '{source.rstrip('/')}/**/*.jpg'")
    [(kind, found)] = by_kind.items()
    if kind == "parquet":
        column, chunks = _parquet_chunks(folder, [file.name for file in found], chunk, column)
    elif kind == "webdataset":
        chunks = [Chunk(number, (file.name,)) for number, file in enumerate(found)]
    else:
        if column is not None:
            raise ValueError(f"ray.column is {column!r}, but {source} holds photographs; leave it out")
        names = [file.name for file in found]
        pieces = [tuple(names[first : first + chunk]) for first in range(0, len(names), chunk)]
        chunks = [Chunk(number, piece, images=len(piece)) for number, piece in enumerate(pieces)]
    return Listing(folder, kind, tuple(found), tuple(chunks), column)


def _files_of(source: str) -> tuple[Folder, list[FileFacts]]:
    """The folder that names are relative to, and its files, or those that a glob names."""
    folder = open_folder(source)
    info = folder.files.get_file_info(folder.path)
    if info.type == arrow_fs.FileType.Directory:
        return folder, list(folder.entries())
    if info.type == arrow_fs.FileType.File:
        parent, _, name = folder.path.rpartition("/")
        above = Folder(source, folder.files, parent)
        return above, [FileFacts(name, info.size or 0, info.mtime_ns or 0)]
    if not re.search(r"[*?\[]", folder.path):
        raise FileNotFoundError(f"{source} does not exist; give a folder, a glob or a file")
    from fsspec.utils import glob_translate

    fixed = re.match(r"[^*?\[]*/|", folder.path)
    above = Folder(source, folder.files, (fixed[0] if fixed else "").rstrip("/") or "/")
    pattern = re.compile(glob_translate(folder.path[len(above.path) :].lstrip("/")))
    try:
        found = [file for file in above.entries() if pattern.match(file.name)]
    except FileNotFoundError:
        found = []
    if not found:
        raise FileNotFoundError(f"nothing matches {source!r}")
    return above, found


def _refuse_undecodable(name: str, source: str) -> None:
    """Parquet's texts, and pyarrow's files, have names in UTF-8 only."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{source} holds {printable(name)}, whose name is not UTF-8; rename it, or choose others with a glob"
        ) from None


def _kind_of(name: str) -> Kind | None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES:
        return "photographs"
    return {".tar": "webdataset", ".parquet": "parquet", ".pq": "parquet"}.get(suffix)  # type: ignore[return-value]


def _parquet_chunks(folder: Folder, names: Sequence[str], images: int, column: str | None) -> tuple[str, list[Chunk]]:
    """Row groups that follow each other in one file, until they have so many rows."""

    def read(name: str) -> tuple[pa.Schema, list[int]]:
        try:
            with folder.open(name, random_access=True) as file:
                footer = parquet.read_metadata(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"cannot read {name} as Parquet: {error}") from error
        return footer.schema.to_arrow_schema(), [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]

    with ThreadPoolExecutor(READERS) as readers:
        footers = list(readers.map(read, names))
    column = column or _only_column(names[0], footers[0][0])
    chunks: list[Chunk] = []
    for name, (schema, groups) in zip(names, footers, strict=True):
        if column not in schema.names or not holds_bytes(schema.field(column).type):
            raise ValueError(f"{name} has no column {column!r} with bytes of images; its columns: {_columns(schema)}")
        first = row = 0
        while first < len(groups):
            last, rows = first, 0
            while last < len(groups) and (rows == 0 or rows + groups[last] <= images):
                rows += groups[last]
                last += 1
            chunks.append(Chunk(len(chunks), (name,), first, last - first, row, rows))
            first, row = last, row + rows
    return column, chunks


def _only_column(name: str, schema: pa.Schema) -> str:
    """
    Raises:
        ValueError: no column, or several, could hold images.
    """
    counts = Counter(field.name for field in schema if holds_bytes(field.type))
    if len(counts) != 1:
        raise ValueError(
            f"{name} has {len(counts)} columns with bytes; name the images' with --ray.column: {_columns(schema)}"
        )
    return next(iter(counts))


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column is of bytes, or of a struct with such a field called `bytes`, as Hugging Face writes images."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and holds_bytes(field.type) for field in kind.fields)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
