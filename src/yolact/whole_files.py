"""Files that appear complete or not at all, whatever happens while they are written."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_whole(path: Path, lasting: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to, which then takes its place; its folder is made if it is missing.

    Args:
        lasting: wait until the disk has it, so that not even a power cut leaves the name with half of the bytes.

    Raises:
        OSError: it cannot be written, such as to a full disk. What was there before is left as it was.
    """
    unfinished = path.with_name(f".{uuid.uuid4().hex}.{path.name[-40:]}")  # systems take 255 bytes, not more
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        if lasting:
            synchronize(unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise OSError(f"cannot write {path} ({error.strerror or error}); choose another place") from error
    finally:
        with suppress(OSError):  # what is in the way has been said already
            unfinished.unlink(missing_ok=True)


@contextmanager
def staging_beside(path: Path) -> Iterator[Path]:
    """A new hidden folder beside `path` for what belongs together, until it is moved into place; gone afterward.

    Raises:
        OSError: there cannot be one.
    """
    folder = path.with_name(f".{path.name[-40:]}.{uuid.uuid4().hex}")
    try:
        folder.mkdir(parents=True)
        yield folder
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:  # Ctrl-C in the middle of it: it is heeded when the rest is gone, too
            shutil.rmtree(folder, ignore_errors=True)
            raise


def synchronize(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shortened(name: str, most: int) -> str:
    """Of names longer than this many bytes their beginning, and digits that tell them apart: systems take 255."""
    whole = os.fsencode(name)
    if len(whole) <= most:
        return name
    return f"{whole[: most - 9].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"
