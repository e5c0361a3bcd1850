"""Packets to pictures: going on after damage, and counting it."""

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from yolact.video.container import MOST_PLAUSIBLE_RATE, picture_stream

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext

MOST_PIXELS = 50_000_000
"""Of one picture; 8K has 33 million. A few damaged bytes can ask for gigabytes."""

MOST_ERRORS_IN_A_ROW = 100
"""After so many failures to read on, with nothing in between, the rest counts as lost."""


class Decoding:
    """The pictures of an open container in the order in which they are shown, each with when its data arrived.

    Errors of libav end in `damaged`; those of the network, and of what reads a file for libav, are raised.
    """

    def __init__(self, container: "InputContainer", *, is_live: bool) -> None:
        self.container = container
        self.stream = picture_stream(container)
        _bound(self.stream.codec_context)
        # Decoding several pictures at once is quicker, and delays each by as many.
        self.stream.thread_type = "SLICE" if is_live else "AUTO"
        self.damaged = 0
        """Packets that could not be decoded, or only in part."""
        self.end = 0.0
        """Seconds on the container's clock where the pictures that were read end."""
        self.end_of_all = 0.0
        """The same of pictures, sound and whatever else there is."""

    @property
    def rate(self) -> Fraction | None:
        """Frames a second on average, as the container says."""
        for rate in (self.stream.average_rate, self.stream.guessed_rate, self.stream.base_rate):
            if rate is not None and 0 < rate <= MOST_PLAUSIBLE_RATE:
                return Fraction(rate)
        return None

    @property
    def pixel_aspect(self) -> float:
        """Width of a pixel through its height."""
        aspect = self.stream.sample_aspect_ratio
        return float(aspect) if aspect and 0.1 < aspect < 10 else 1.0

    def __iter__(self) -> Iterator[tuple[float, "VideoFrame"]]:
        captured = time.monotonic()
        for packet in self._packets():
            captured = time.monotonic()
            if packet.stream_index == self.stream.index:
                yield from ((captured, frame) for frame in self._decode(packet))
        yield from ((captured, frame) for frame in self._decode(None))

    def _packets(self) -> Iterator["Packet"]:
        import av.error

        errors = 0
        while errors < MOST_ERRORS_IN_A_ROW:
            try:
                for packet in self.container.demux():
                    errors = 0
                    if packet.size:  # not those that only say that a stream ends
                        self._note_end(packet)
                        yield packet
                return
            except (av.error.InvalidDataError, av.error.ArgumentError):
                errors += 1
                self.damaged += 1
            except IndexError:  # PyAV, of a packet of a stream that was not there when the container was opened
                errors += 1

    def _note_end(self, packet: "Packet") -> None:
        if packet.pts is None:
            return
        end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
        self.end_of_all = max(self.end_of_all, end)
        if packet.stream_index == self.stream.index:
            self.end = max(self.end, end)

    def _decode(self, packet: "Packet | None") -> list["VideoFrame"]:
        """The pictures that a packet completes; None: those that are still under way."""
        import av.error

        frames: list[VideoFrame] = []
        is_damaged = packet is not None and packet.is_corrupt
        for _ in range(MOST_ERRORS_IN_A_ROW):
            try:
                frames += self.stream.codec_context.decode(packet)
                break
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                is_damaged = True
                if packet is not None:
                    break
        self.damaged += is_damaged or any(frame.is_corrupt for frame in frames)
        return frames


def _bound(context: "VideoCodecContext") -> None:
    """
    Raises:
        ValueError: the pictures are too large.
    """
    if context.width * context.height > MOST_PIXELS:
        raise ValueError(
            f"its pictures have {context.width} x {context.height} pixels, and at most {MOST_PIXELS // 10**6} million"
            " are decoded; make it smaller, for instance with ffmpeg"
        )
    context.options = {**context.options, "max_pixels": str(MOST_PIXELS)}  # each picture may have a size of its own
