"""Photographs that are a video: numbered files, or a folder in the order in which people count."""

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np

from yolact.images import read_image
from yolact.video.frame import Frame
from yolact.video.upright import Fit

THREADS = 4
"""How many photographs are read at once; no more than that are ahead of the reader."""

_NUMBER = re.compile(r"%0?(\d*)d")


class ImageSequence:
    """A `FrameSource` of photographs. One that cannot be read is left out, and noted; the others keep their times."""

    is_live = False
    dropped = 0
    audio: Path | None = None
    begins: float | None = None

    def __init__(self, photographs: Sequence[tuple[int, Path]], name: str, rate: Fraction) -> None:
        """Take the photographs in their order.

        Args:
            photographs: the place of each in time, counted in frames, and its file.
            name: for people.
            rate: frames a second.

        Raises:
            ValueError: there are none, or the rate is not above 0.
        """
        if rate <= 0:
            raise ValueError(f"{float(rate):g} frames a second; an image sequence needs more than 0")
        if not photographs:
            raise ValueError(f"{name}: no photograph is there")
        self.name = name
        self.rate: Fraction | None = rate
        self._step = 1 / rate
        self.count: int | None = len(photographs)
        self.notes, self.losses = list[str](), list[str]()
        self.files = tuple(file for _, file in photographs)
        self._photographs = iter(photographs)
        self._first = photographs[0][0]
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        fit, number, failures = Fit(), 0, list[str]()
        with ThreadPoolExecutor(THREADS, "photographs") as pool:
            ahead: deque[tuple[int, Future[np.ndarray]]] = deque()
            while not self._closed:
                while len(ahead) < THREADS and (following := next(self._photographs, None)):
                    ahead.append((following[0], pool.submit(read_image, following[1])))
                if not ahead:
                    break
                place, reading = ahead.popleft()
                try:
                    pixels = fit(reading.result())
                except (OSError, ValueError) as error:
                    failures.append(str(error))
                    continue
                if number == 0:
                    self._first = place
                yield Frame(pixels, number, float((place - self._first) * self._step), time.monotonic())
                number += 1
            pool.shutdown(cancel_futures=True)
        if failures and not number and not self._closed:
            raise ValueError(f"{self.name}: none of {len(failures)} photographs can be read; {failures[0]}")
        if failures:
            others = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
            self.losses.append(f"{self.name}: left out: {failures[0]}{others}")
        self.notes += fit.describe(self.name)

    def close(self) -> None:
        """Stop, from any thread."""
        self._closed = True


def is_numbered(text: str) -> bool:
    """Whether this names numbered files, such as `frames/%05d.jpg`, and is not a file itself."""
    return len(_NUMBER.findall(Path(text).name)) == 1 and not Path(text).expanduser().exists()


def numbered(text: str) -> list[tuple[int, Path]]:
    """The files that a pattern such as `frames/%05d.jpg` names, by their numbers; some may be missing.

    Raises:
        FileNotFoundError: there are none.
    """
    pattern = Path(text).expanduser()
    start, width, rest = _NUMBER.split(pattern.name)
    is_padded = f"{start}%0" in pattern.name
    digits = rf"(\d{{{width},}})" if width and is_padded else r"(\d+)"
    form = re.compile(re.escape(start) + digits + re.escape(rest))
    files = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    found = sorted((int(match[1]), file) for file in files if (match := form.fullmatch(file.name)))
    if not found:
        raise FileNotFoundError(f"no file is named like {text}")
    return list(dict(reversed(found)).items())[::-1]  # 7.jpg and 07.jpg are one


def in_natural_order(files: Sequence[Path]) -> list[Path]:
    """Sorted as people count: frame2 before frame10."""
    return sorted(files, key=lambda file: ([_part(part) for part in re.split(r"(\d+)", str(file))], str(file)))


def _part(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() else (-1, part.casefold())
