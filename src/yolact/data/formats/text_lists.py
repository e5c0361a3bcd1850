"""Text files with an entry a line: classes, or images."""

from pathlib import Path


def read_lines(path: Path) -> list[str]:
    """The lines that are not blank.

    Raises:
        ValueError: the file is no text.
    """
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8; save it as such") from None
