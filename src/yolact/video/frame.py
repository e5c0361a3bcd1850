"""One picture of a video, and what every source of them offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True, slots=True)
class Frame:
    pixels: UInt8[np.ndarray, "H W 3"]
    """RGB, 0..255, upright."""

    number: int
    """Its place in the source from 0, frames that were dropped counted too."""

    time: float
    """Seconds from the source's first frame to this one, as the source tells the time."""

    captured: float
    """`time.monotonic()` when it came from the camera, the network or the file."""


@runtime_checkable
class FrameSource(Protocol):
    """A video that is read once, from its first frame on, by one thread. All its frames are of the first one's size.

    Iterating ends where the video ends; of a live one, where it is closed or gone for good. It raises ValueError or
    OSError, with one line that names the source, only where nothing more can be had and nothing was.
    """

    name: str
    """For people."""

    is_live: bool
    """It does not wait: what is not read in time is dropped, the oldest first."""

    rate: Fraction | None
    """Frames a second, on average; None if nobody knows."""

    count: int | None
    """How many frames there will be, as far as that is known beforehand."""

    audio: Path | None
    """The file whose sound belongs to the frames."""

    begins: float | None
    """When the first frame is shown, in seconds on the clock of `audio`; None before it was read, and without sound."""

    dropped: int
    """Frames that came and were not read in time."""

    notes: list[str]
    """What happened that people should know, a line each: a stream that came back, pictures of several sizes."""

    losses: list[str]
    """What it should have given and could not, a line each: a truncated file, photographs that cannot be read."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Stop, from any thread."""
        ...
