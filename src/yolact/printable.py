"""Text that may hold names of files and classes, for a terminal or a page."""


def printable(text: str) -> str:
    """Without what would move a terminal's cursor or cannot be written as UTF-8: a ? is in its place."""
    return "".join(character if character.isprintable() else "?" for character in text)
