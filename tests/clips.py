"""Small videos made for tests: each frame tells its number."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

HEIGHT, WIDTH = 48, 64


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Six stripes, light or dark as the bits of the number, below gray and a band of noise, which makes files large."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    noise = np.random.default_rng(number).integers(0, 256, (height // 4, width, 1), np.uint8)
    pixels[height // 4 : height // 4 + len(noise)] = noise
    for bit in range(6):
        pixels[height // 2 :, bit * width // 6 : (bit + 1) * width // 6] = 220 if number >> bit & 1 else 20
    return pixels


def number_in(pixels: np.ndarray) -> int:
    """What `picture` was asked for."""
    height, width, _ = pixels.shape
    columns = [int((bit + 0.5) * width / 6) for bit in range(6)]
    return sum((int(pixels[3 * height // 4, column].mean()) > 120) << bit for bit, column in enumerate(columns))


def write_clip(
    path: Path,
    count: int = 30,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: int = 30,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    milliseconds: list[int] | None = None,
    sound: bool = False,
    every_key: int = 10,
    movflags: str = "",
    title: str = "",
) -> Path:
    """Write `picture(0)`, `picture(1)`, ... as a video.

    Args:
        milliseconds: when each is shown; None: at an even rate.
        sound: with silence beside it.
        movflags: for MP4: where its index is.
    """
    with av.open(str(path), "w", container_options={"movflags": movflags} if movflags else {}) as container:
        container.metadata.update({"title": title} if title else {})
        stream = container.add_stream(codec, rate=rate, options={"g": str(every_key)})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = *size, pixel_format
        audio = container.add_stream("aac", rate=16000) if sound else None
        if milliseconds is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number, *size)).reformat(format=pixel_format)
            frame.pts = number if milliseconds is None else milliseconds[number]
            frame.time_base = Fraction(1, rate if milliseconds is None else 1000)
            container.mux(stream.encode(frame))
            if audio is not None:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000 // rate), np.float32), "fltp", "mono")
                silence.sample_rate, silence.pts = 16000, number * (16000 // rate)
                container.mux(audio.encode(silence))
        container.mux(stream.encode())
        if audio is not None:
            container.mux(audio.encode())
    return path


def write_sound(path: Path) -> Path:
    """A second of silence, without pictures."""
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=16000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        container.mux(audio.encode(silence))
        container.mux(audio.encode())
    return path


def damage(path: Path, at: float, length: int = 60) -> Path:
    """Overwrite some bytes of a file in place."""
    data = bytearray(path.read_bytes())
    start = int(at * len(data))
    data[start : start + length] = np.random.default_rng(0).integers(0, 256, length, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def cut(path: Path, keep: float) -> Path:
    """Keep the first part of a file's bytes."""
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    return path
