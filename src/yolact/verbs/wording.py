"""How errors and options are worded."""

import tyro

from yolact.printable import printable

Several = tyro.conf.arg(metavar="NAME [NAME ...]")


def one_line(said: BaseException | str) -> str:
    """An error or a warning in one line, without what would move a terminal's cursor: it may name files."""
    line = " ".join(str(said).split()) or type(said).__name__
    return printable(line)
