"""What the splits of a data set are called, in the names of folders and files."""

from pathlib import Path

KNOWN = ("train", "val", "test")


def split_name(name: str) -> str:
    """A split as it is called here: `valid`, as Roboflow writes it, is `val`."""
    plain = name.casefold()
    return "val" if plain in ("valid", "validation") else plain if plain in KNOWN else name


def split_folders(folder: Path) -> dict[str, str]:
    """The subfolders that are splits, with the names of these: none, unless one is called train, val, valid or test.

    Then all are, so that `minival` beside `train` is neither passed over nor trained on.
    """
    found = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    names = {name: split_name(name) for name in found}
    return names if set(names.values()) & set(KNOWN) else {}
