"""Decoded photographs on disk: read in a fraction of the time that decoding takes, by all processes at once."""

import hashlib
import os
from pathlib import Path

import numpy as np

from yolact.data.annotations import read_image
from yolact.whole_files import written_whole


class PixelCache:
    """A folder with one array for each photograph, made when it is first read.

    On disk and not in memory: the system keeps in memory what fits, once for all processes, and gives it up when memory
    is needed. A photograph takes three bytes a pixel there, about ten times its JPEG file. A file that has changed, by
    size or time, is decoded again.
    """

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            ValueError: the folder cannot be made, or written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cache {folder} cannot be made: {error.strerror}; name another folder") from None
        if not os.access(folder, os.W_OK):
            raise ValueError(f"cache {folder} cannot be written to; name another folder")
        self.folder = folder

    def read(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """What `yolact.data.annotations.read_image` gives for the same arguments."""
        cached = self.folder / self._name(path, size)
        try:
            return np.load(cached)
        except (OSError, ValueError, EOFError):  # not there, or damaged
            pixels = read_image(path, size)
        try:
            with written_whole(cached) as unfinished, unfinished.open("wb") as file:
                np.save(file, pixels)
        except OSError:  # the disk is full: this photograph is decoded each time
            pass
        return pixels

    @staticmethod
    def _name(path: Path, size: tuple[int, int]) -> str:
        try:
            about = path.stat()
        except OSError as error:
            raise ValueError(f"{path} cannot be used: {error}") from None
        key = f"{path.resolve()} {about.st_size} {about.st_mtime_ns} {size}"
        return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
