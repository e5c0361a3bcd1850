"""Sources that do not wait: the newest frame is there at any time, the others are dropped; what is lost is sought."""

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from yolact.video.frame import Frame
from yolact.video.remote import FIRST_PAUSE, LONGEST_PAUSE

Picture = Callable[[], np.ndarray]
"""Makes the upright RGB pixels. Only of pictures that somebody looks at, since it takes a while."""

MOST_NOTES = 100


@runtime_checkable
class Connection(Protocol):
    """An open camera or stream, used by one thread but for `cancel`."""

    rate: Fraction | None

    def __iter__(self) -> Iterator[tuple[float, Picture]]:
        """Pictures, each with the time at which it arrived. Ends where the sender says so; raises OSError or
        ValueError where the stream is lost."""
        ...

    def cancel(self) -> None:
        """Make reading end soon, from any thread."""

    def close(self) -> None: ...


class LiveSource:
    """A `FrameSource` that connects again when it is lost.

    A thread reads all the time and keeps the newest picture. Times are those of this machine's clock at arrival, so
    that they stay true over an interruption. Until frames are asked for, none count as dropped.
    """

    is_live = True
    count: int | None = None
    audio: Path | None = None
    begins: float | None = None

    def __init__(self, connect: Callable[[], Connection], name: str, *, patience: float) -> None:
        """Connect, and wait until that is done.

        Args:
            connect: opens it; raises OSError or ValueError where it cannot.
            name: for people.
            patience: seconds without a picture after which a lost source is gone for good.

        Raises:
            ValueError, OSError: what `connect` raises at first.
        """
        self.name, self.dropped = name, 0
        self.notes, self.losses = list[str](), list[str]()
        self.rate: Fraction | None = None
        self.seconds: float | None = None
        """Frames end so long after the first one, also while the source is lost. None: when it ends by itself."""

        self._connect, self._patience = connect, patience
        self._changed = threading.Condition()
        self._newest: tuple[int, float, Picture] | None = None
        self._seen = 0
        self._is_read = self._closed = self._ended = False
        self._failure: Exception | None = None
        self._connection: Connection | None = None
        threading.Thread(target=self._run, name=f"reading {name}", daemon=True).start()
        with self._changed:
            try:
                self._changed.wait_for(lambda: self._connection is not None or self._ended)
            except KeyboardInterrupt:
                self._closed = True
                raise
        if self._failure is not None:
            raise self._failure

    def __iter__(self) -> Iterator[Frame]:
        with self._changed:
            self._is_read, self._seen, self._newest = True, 0, None
        start = None
        try:
            while (arrived := self._wait(start)) is not None:
                number, captured, picture = arrived
                start = captured if start is None else start
                yield Frame(picture(), number, captured - start, captured)
            if start is None and self._failure is not None and not self._closed:
                raise self._failure
        finally:
            self.close()

    def close(self) -> None:
        """Stop, from any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            connection = self._connection
        if connection is not None:
            connection.cancel()

    def _wait(self, start: float | None) -> tuple[int, float, Picture] | None:
        left = None
        if self.seconds is not None and start is not None:
            left = max(0.0, start + self.seconds - time.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._closed or self._ended, left)
            arrived, self._newest = self._newest, None
            return None if self._closed else arrived

    def _run(self) -> None:
        """What the thread does: read, and come back, until it is closed or nothing comes for too long."""
        started = last = time.monotonic()
        pause, was_there = FIRST_PAUSE, False
        while not self._closed:
            try:
                connection = self._connect()
            except (OSError, ValueError) as error:
                self._failure = error
            else:
                self._failure, arrivals = None, 0
                with self._changed:
                    self._connection, self.rate = connection, self.rate or connection.rate
                    self._changed.notify_all()
                for arrivals, captured in self._read(connection):
                    if arrivals == 1 and was_there:
                        self._note_return(started, last, captured)
                    last, was_there, pause = captured, True, FIRST_PAUSE
                if self._failure is None:
                    break
            if (self._connection is None and not was_there) or time.monotonic() + pause - last > self._patience:
                break
            with self._changed:
                self._changed.wait_for(lambda: self._closed, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self._finish(started, last)

    def _read(self, connection: Connection) -> Iterator[tuple[int, float]]:
        """Hand over the pictures of one connection; yield how many, and when each came."""
        arrivals = 0
        try:
            for captured, picture in connection:
                if self._closed:
                    return
                with self._changed:
                    self.dropped += self._is_read and self._newest is not None
                    self._newest = (self._seen, captured, picture) if self._is_read else None
                    self._seen += self._is_read
                    self._changed.notify_all()
                arrivals += 1
                yield arrivals, captured
        except (OSError, ValueError) as error:
            self._failure = error
        finally:
            connection.close()

    def _note_return(self, started: float, last: float, now: float) -> None:
        if len(self.notes) < MOST_NOTES:  # a stream may come and go for days
            lost = f"came back {now - last:.1f} s later"
            self.notes.append(f"{self.name} dropped after {last - started:.1f} s and {lost}")

    def _finish(self, started: float, last: float) -> None:
        with self._changed:
            if self._failure is not None and self._connection is not None and not self._closed:
                gone = time.monotonic() - last
                end = f"was given up {gone:.1f} s later: {self._failure}"
                self.notes.append(f"{self.name} dropped after {last - started:.1f} s and {end}")
            self._ended = True
            self._changed.notify_all()
