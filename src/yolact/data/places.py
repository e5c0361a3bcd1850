"""What is at a place that a file of somebody else names: also where that is no name on this file system."""

import os
from pathlib import Path


def is_file(path: Path) -> bool:
    """As `Path.is_file`, which before Python 3.14 raises for a name that is too long."""
    return os.path.isfile(path)  # noqa: PTH113


def expanded(path: str) -> Path:
    """As `Path.expanduser`, which raises for ~ and the name of no user; that stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def is_folder(path: Path) -> bool:
    """As `Path.is_dir`, likewise."""
    return os.path.isdir(path)  # noqa: PTH112
