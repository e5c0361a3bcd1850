"""Videos that end: every frame, in order, with its own time."""

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.video.container import is_cut_off, open_container, require_av, why_not_a_video
from yolact.video.decoding import Decoding
from yolact.video.frame import Frame
from yolact.video.upright import Upright

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

BACKWARD_JUMP = 3
"""Frames. Times that go back further belong to a clock that was set anew, others to one bad stamp."""

SMALLEST_STEP = 1e-3
"""Seconds that a frame with a bad stamp is put after the one before it."""

SMALLEST_LOSS = 0.15
"""Seconds. Less than this may lack at the end because sound is counted in other steps than pictures."""

WITH_DURATION = frozenset(("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf", "mxf"))
"""Formats that say how long they are; of others, libav guesses it from their size."""

DEFAULT_RATE = Fraction(25)
"""Frames a second of what does not say when its frames are shown."""


def open_file(path: Path) -> "VideoFile":
    """Open a video file and read what it says of itself.

    Raises:
        ValueError: not a video, or cut off so that nothing can be decoded.
        OSError: it cannot be read.
        ModuleNotFoundError: the extra `yolact[video]` is not installed.
    """
    require_av()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give a video, a camera, a stream or an image sequence")
    if path.is_file() and (reason := why_not_a_video(path)):
        raise ValueError(f"cannot read {path}: {reason}")
    container = open_container(f"file:{path}", str(path))
    sound = path if container.streams.audio else None
    return VideoFile(container, str(path), audio=sound, is_cut_off=path.is_file() and is_cut_off(path))


class VideoFile:
    """A `FrameSource` of a container that is open and ends."""

    is_live = False
    dropped = 0

    def __init__(
        self,
        container: "InputContainer",
        name: str,
        *,
        audio: Path | None = None,
        is_cut_off: bool = False,
        cancel: Callable[[], None] = lambda: None,
        if_empty: str = "",
    ) -> None:
        """Take over a container, which is closed in the end.

        Args:
            name: for people.
            audio: the file whose sound belongs to it.
            is_cut_off: its bytes say that more should follow.
            cancel: makes reading end at once, from any thread.
            if_empty: what is said besides where no frame can be decoded.

        Raises:
            ValueError: its codec is unknown here.
        """
        self.name, self.audio = name, audio
        self.notes, self.losses = list[str](), list[str]()
        self.begins: float | None = None
        self._container, self._cancel, self._is_cut_off = container, cancel, is_cut_off
        self._if_empty = if_empty
        try:
            self._decoding = Decoding(container, is_live=False)
        except ValueError as error:
            container.close()
            raise ValueError(f"cannot read {name}: {error}") from None
        self.rate = self._decoding.rate
        self.count = _count(self._decoding)
        self._closed = self._is_read = False
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Frame]:
        with self._lock:
            if self._closed or self._is_read:
                return
            self._is_read = True
        try:
            yield from self._frames()
        finally:
            self._closed = True
            self._cancel()
            self._container.close()

    def close(self) -> None:
        """Stop, from any thread."""
        with self._lock:
            self._closed = True
            self._cancel()
            if not self._is_read:  # else whoever reads closes it: libav is not to be disturbed while it works
                self._container.close()

    def _frames(self) -> Iterator[Frame]:
        upright, times = Upright(), PresentationTimes(self.rate)
        number, failure = 0, None
        try:
            for captured, picture in self._decoding:
                if self._closed:
                    return
                shown = times(self._stamp(picture))
                self.begins = times.first
                yield Frame(upright(picture, self._decoding.pixel_aspect), number, shown, captured)
                number += 1
        except (OSError, ValueError) as error:  # a drive, or a network, and not what the file says
            failure = error
        if self._closed:
            return
        if number == 0:
            raise failure or ValueError(f"cannot read {self.name}: no frame in it can be decoded{self._if_empty}")
        self._take_stock(number, times.last, failure)
        self.notes += upright.fit.describe(self.name)

    def _stamp(self, picture: "VideoFrame") -> float | None:
        time_base = self._decoding.stream.time_base
        return None if picture.pts is None or time_base is None else float(picture.pts * time_base)

    def _take_stock(self, number: int, last: float, failure: OSError | ValueError | None) -> None:
        """Note what was lost."""
        decoding = self._decoding
        start, duration, is_of_pictures = _extent(decoding)
        end = decoding.end if is_of_pictures else decoding.end_of_all
        step = float(1 / (self.rate or DEFAULT_RATE))
        is_short = duration is not None and start + duration - end > max(1.5 * step, SMALLEST_LOSS)
        if (is_short and decoding.container.format.name in WITH_DURATION) or self._is_cut_off or failure is not None:
            is_known = is_short and duration is not None
            of_frames = f" of {self.count}" if is_known and self.count and self.count > number else ""
            of_seconds = f" of {duration:.2f}" if is_known else ""
            why = (
                (getattr(failure, "strerror", None) or str(failure))
                if failure
                else "the file is cut off or damaged there"
            )
            self.losses.append(
                f"{self.name} ends early, after {number}{of_frames} frames and {last + step:.2f}{of_seconds} s: {why}"
            )
        if decoding.damaged:
            packets = "1 packet is" if decoding.damaged == 1 else f"{decoding.damaged} packets are"
            self.losses.append(f"{self.name}: {packets} damaged; pictures are missing or faulty there")


class PresentationTimes:
    """Seconds since the first frame, each later than the one before, from the stamps of a container."""

    def __init__(self, rate: Fraction | None) -> None:
        self.first: float | None = None
        """The first frame's stamp."""
        self.last = 0.0
        self._step = float(1 / (rate or DEFAULT_RATE))
        self._shift = 0.0

    def __call__(self, stamp: float | None) -> float:
        if self.first is None:
            self.first = stamp or 0.0
            return 0.0
        time = self.last + self._step if stamp is None else stamp - self.first + self._shift
        if time <= self.last - BACKWARD_JUMP * self._step:
            self._shift += self.last + self._step - time
            time = self.last + self._step
        self.last = max(time, self.last + SMALLEST_STEP)
        return self.last


def _extent(decoding: Decoding) -> tuple[float, float | None, bool]:
    """Start and duration in seconds as the container says, and whether it says so of the pictures alone."""
    stream, container = decoding.stream, decoding.container
    if stream.duration and stream.time_base:
        return float((stream.start_time or 0) * stream.time_base), float(stream.duration * stream.time_base), True
    if container.duration:
        return (container.start_time or 0) / 1e6, container.duration / 1e6, False
    return 0.0, None, False


def _count(decoding: Decoding) -> int | None:
    """How many frames the container promises; where it is edited to a part of them, that part's share."""
    _, duration, _ = _extent(decoding)
    by_duration = round(duration * decoding.rate) if duration and decoding.rate else None
    written = decoding.stream.frames
    if not written or by_duration is None:
        return written or by_duration
    return min(written, max(1, by_duration)) if by_duration < 0.9 * written else written
