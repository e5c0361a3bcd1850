"""Where the figures of a run go."""

from pathlib import Path

from lightning.pytorch import loggers
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger


def build_loggers(names: tuple[str, ...], out: Path) -> list[Logger]:
    """One logger for each name: `csv`, `tensorboard`, or the name of any class in `lightning.pytorch.loggers`.

    Those get `save_dir`, and read the rest of what they need (projects, keys) from their own environment variables.

    Raises:
        ValueError: no such logger, or its package is missing or refuses.
    """
    return [_build(name, out) for name in names]


def _build(name: str, out: Path) -> Logger:
    if name == "csv":
        return CSVLogger(out, name="csv")
    if name == "tensorboard":
        return TensorBoardLogger(out, name="tensorboard")
    kind = getattr(loggers, name, None)
    if not isinstance(kind, type):
        known = [n for n in loggers.__all__ if n not in ("Logger", "CSVLogger", "TensorBoardLogger")]
        raise ValueError(f"logger {name!r} is unknown; choose csv, tensorboard, {', '.join(known)}")
    try:
        return kind(save_dir=str(out))
    except Exception as error:  # each has its own errors for packages, keys and servers
        raise ValueError(f"logger {name} cannot be made: {' '.join(str(error).split())[:200]}") from error
