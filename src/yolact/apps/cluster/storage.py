"""Folders of files here and in object stores, by one interface: pyarrow's, and fsspec's for what pyarrow lacks."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs as arrow_fs

from yolact.whole_files import written_whole


@dataclass(frozen=True)
class FileFacts:
    """What tells whether a file has changed, without reading it."""

    name: str
    """Below the folder, with slashes."""

    size: int
    modified: int
    """In nanoseconds since 1970; 0 where the store does not say."""


@dataclass(frozen=True)
class Folder:
    """A folder, or the prefix of names in an object store. It may be sent to other machines."""

    text: str
    """As it was given."""

    files: arrow_fs.FileSystem
    path: str

    @property
    def is_local(self) -> bool:
        return self.files.type_name == "local"

    def entries(self) -> Iterator[FileFacts]:
        """The files in it and in its subfolders, but hidden ones, in no certain order.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        if self.is_local:
            yield from _local_entries(Path(self.path))
            return
        for info in self.files.get_file_info(arrow_fs.FileSelector(self.path, recursive=True)):
            name = info.path[len(self.path) :].lstrip("/")
            if info.type == arrow_fs.FileType.File and not any(part.startswith(".") for part in name.split("/")):
                yield FileFacts(name, info.size or 0, info.mtime_ns or 0)

    def has(self, name: str) -> bool:
        return self.files.get_file_info(self._at(name)).type == arrow_fs.FileType.File

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def open(self, name: str, random_access: bool = False) -> pa.NativeFile:
        """For reading; at any place in it, or quicker, from its beginning on only."""
        opened = self.files.open_input_file if random_access else self.files.open_input_stream
        return opened(self._at(name))

    def write(self, name: str, content: bytes | pa.Buffer, lasting: bool = True) -> None:
        """Have a file of this content appear, complete or not at all, in place of one of that name.

        Args:
            lasting: wait until a local disk has it.

        Raises:
            OSError: it cannot be written.
        """
        if self.is_local:
            with written_whole(Path(self._at(name)), lasting) as unfinished:
                unfinished.write_bytes(content)
            return
        if self.files.type_name == "hdfs":  # shows what is half written, and renames
            self._write_at(f"{self.path}/.unfinished/{name}", content)
            self.files.create_dir(self._at(name).rpartition("/")[0], recursive=True)
            self.files.move(f"{self.path}/.unfinished/{name}", self._at(name))
            return
        self._write_at(self._at(name), content)  # an object appears when all of it has arrived

    def _write_at(self, path: str, content: bytes | pa.Buffer) -> None:
        if self.files.type_name not in ("s3", "gcs", "abfs"):  # in which there are no folders
            self.files.create_dir(path.rpartition("/")[0], recursive=True)
        with self.files.open_output_stream(path) as file:
            file.write(content)

    def remove(self, name: str) -> None:
        """Whether it is there or not."""
        with suppress(FileNotFoundError):
            self.files.delete_file(self._at(name))

    def remove_folder(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.files.delete_dir(self._at(name))

    def remove_unfinished(self) -> None:
        """Files whose writing was cut off."""
        if self.files.type_name == "hdfs":
            self.remove_folder(".unfinished")
        if self.is_local:
            for path in Path(self.path).rglob(".*"):
                if re.match(r"\.[0-9a-f]{32}\.", path.name):
                    path.unlink(missing_ok=True)

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path


def open_folder(text: str) -> Folder:
    """The folder of this path or address, whether it is there or not.

    Raises:
        ValueError: an address of a kind that neither pyarrow nor fsspec can open; the message says what is missing.
    """
    scheme = re.match(r"([a-z][a-z0-9+.-]+)::?//|([a-z]+)::", text)
    if scheme is None:
        return Folder(text, arrow_fs.LocalFileSystem(), Path(text).expanduser().absolute().as_posix())
    try:
        files, path = arrow_fs.FileSystem.from_uri(text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        files, path = _by_fsspec(text)
    except OSError as error:
        raise OSError(f"cannot open {text}: {error}") from error
    return Folder(text, files, path.rstrip("/") or path)


def _local_entries(root: Path) -> Iterator[FileFacts]:
    """As pyarrow lists them, but that a folder which links lead to again, or into itself, is listed once."""
    seen: set[tuple[int, int]] = set()

    def is_new(folder: Path) -> bool:
        facts = folder.stat()
        place = facts.st_dev, facts.st_ino
        return place not in seen and not seen.add(place)

    def fail(error: OSError) -> None:
        raise error

    is_new(root)
    for text, folders, names in os.walk(root, followlinks=True, onerror=fail):
        above = Path(text)
        # In order, as the first of two names for a folder is the one that counts.
        folders[:] = [name for name in sorted(folders) if name[0] != "." and is_new(above / name)]
        for path in (above / name for name in names if name[0] != "."):
            with suppress(FileNotFoundError):  # a link that leads nowhere, or gone since
                facts = path.stat()
                if stat.S_ISREG(facts.st_mode):
                    yield FileFacts(path.relative_to(root).as_posix(), facts.st_size, facts.st_mtime_ns)


def _by_fsspec(text: str) -> tuple[arrow_fs.FileSystem, str]:
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        files, path = url_to_fs(text)
    except (ImportError, ValueError) as error:
        raise ValueError(f"cannot open {text}: {error}") from error
    if isinstance(files, LocalFileSystem):
        return arrow_fs.LocalFileSystem(), path
    return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(files)), path
