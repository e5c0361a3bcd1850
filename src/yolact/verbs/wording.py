"""How errors and options are worded."""

import tyro

Several = tyro.conf.arg(metavar="NAME [NAME ...]")


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
