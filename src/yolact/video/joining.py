"""Parts of a video become one file, with sound, and nothing is encoded anew."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet

TICK = Fraction(1, 360_000)
"""Seconds. Frames of all usual rates begin at a whole number of ticks, those of 24000/1001 a second too."""

COPIED = frozenset(("aac", "mp3", "ac3", "eac3", "alac", "opus"))
"""Kinds of sound that players expect in an MP4."""

SLOWEST_MP3 = 16_000
"""Samples a second. An MP4 with MP3 of fewer is none that the standard knows, and libav refuses to write it."""


def join(parts: Sequence[Path], target: Path, audio: Path | None, begins: float | None = None) -> list[str]:
    """Write the parts, one behind the other, into an MP4 whose index comes first, so that it plays while it loads.

    Args:
        parts: files whose names are the ticks at which they begin.
        audio: a file with the sound, which is cut off where the video ends.
        begins: when the first picture is shown, in seconds on that file's clock. None: when its own is.

    Returns:
        What people should know.
    """
    with ExitStack() as opened:
        out = opened.enter_context(av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}))
        first = opened.enter_context(av.open(str(parts[0])))
        stream = out.add_stream_from_template(first.streams.video[0])
        stream.time_base = TICK
        sound = _Sound(audio, out, opened, begins) if audio is not None else None
        shift = round(sound.video_start / TICK) if sound is not None else 0
        for packet, ticks, duration in _packets(parts):
            packet.stream, packet.time_base, packet.duration = stream, TICK, duration
            packet.pts = packet.dts = ticks + shift
            if sound is not None:
                sound.mux_until((ticks + shift + duration) * TICK)
            out.mux(packet)
    return sound.notes if sound is not None else []


def _packets(parts: Sequence[Path]) -> Iterator[tuple[Packet, int, int]]:
    """Each with the tick at which it is shown, and for how many."""
    for part in parts:
        with av.open(str(part)) as container:
            for packet in container.demux(video=0):
                if packet.pts is not None and packet.time_base is not None:  # not the last, which is empty
                    ticks = packet.time_base / TICK
                    yield packet, int(part.stem) + round(packet.pts * ticks), round((packet.duration or 0) * ticks)


class _Sound:
    """The first audio stream of a file on its way into another."""

    def __init__(self, path: Path, out: OutputContainer, opened: ExitStack, begins: float | None) -> None:
        self.notes: list[str] = []
        self.video_start = Fraction(0)
        """Seconds by which the pictures begin later than what is first."""

        self._out, self._name = out, path.name
        self._waiting: Packet | None = None
        self._is_writing = False
        self._packets: Iterator[Packet] = iter(())
        try:
            source = opened.enter_context(av.open(str(path)))
            if source.streams.audio:
                self._begin(source, source.streams.audio[0], begins)
        except (FFmpegError, ValueError) as error:
            self._give_up(error)

    def _begin(self, source: InputContainer, audio: AudioStream, begins: float | None) -> None:
        if audio.codec_context is None:
            raise ValueError("its codec is unknown here")
        starts = [_start(stream) for stream in (audio, *source.streams.video[:1])]
        video_start = starts[-1] if begins is None else Fraction(begins)
        self._shift = min(starts[0], video_start)
        self.video_start = video_start - self._shift
        if _is_copied(audio):
            target = self._out.add_stream_from_template(audio)
            self._packets = _copied(source, audio, target)
        else:
            rate = audio.rate if audio.rate in (Codec("aac", "w").audio_rates or ()) else 48_000
            target = self._out.add_stream("aac", rate=rate, layout=_layout(audio))
            self._packets = _encoded(source, audio, target)

    def mux_until(self, end: Fraction) -> None:
        """Write the packets that begin before this time, in seconds of the new file.

        Raises:
            OSError: the new file cannot be written, which is no fault of the sound.
        """
        try:
            while True:
                if self._waiting is None:
                    self._waiting = next(self._packets, None)
                packet = self._waiting
                if packet is None or packet.time_base is None or packet.pts is None:
                    return
                if packet.pts * packet.time_base - self._shift >= end:
                    return
                shift = round(self._shift / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.pts - shift
                self._waiting, self._is_writing = None, True
                self._out.mux(packet)
                self._is_writing = False
        except (FFmpegError, ValueError) as error:
            if self._is_writing and isinstance(error, OSError):
                raise
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.notes.append(f"{self._name}: from some point on, its sound cannot be read ({error}), and is missing")
        self._packets, self._waiting = iter(()), None


def _start(stream: object) -> Fraction:
    start, base = getattr(stream, "start_time", None), getattr(stream, "time_base", None)
    return Fraction(0) if start is None or base is None else start * base


def _is_copied(audio: AudioStream) -> bool:
    name = audio.codec.canonical_name  # of the format: that of MP3's decoder is mp3float
    return name in COPIED and (name != "mp3" or audio.rate >= SLOWEST_MP3)


def _layout(audio: AudioStream) -> str:
    """Where its loudspeakers stand; some formats only say how many there are, in a name such as "2 channels"."""
    if "channels" not in audio.layout.name:
        return audio.layout.name
    return "mono" if audio.layout.nb_channels == 1 else "stereo"


def _copied(source: InputContainer, audio: AudioStream, target: AudioStream) -> Iterator[Packet]:
    for packet in source.demux(audio):
        if packet.pts is not None:
            packet.stream = target
            yield packet


def _encoded(source: InputContainer, audio: AudioStream, target: AudioStream) -> Iterator[Packet]:
    context = target.codec_context
    resampler = AudioResampler(context.format, context.layout, context.rate)
    for frame in source.decode(audio):
        for part in resampler.resample(frame):
            yield from target.encode(_finely_timed(part))
    for part in resampler.resample(None):
        yield from target.encode(_finely_timed(part))
    yield from target.encode(None)


def _finely_timed(frame: AudioFrame) -> AudioFrame:
    """By a clock that counts samples: that of an AVI counts packets, and several of ours would begin at one tick."""
    if frame.pts is not None and frame.time_base is not None:
        frame.pts, frame.time_base = round(frame.pts * frame.time_base * frame.rate), Fraction(1, frame.rate)
    return frame
