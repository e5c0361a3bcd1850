"""Video containers. libav is C: what it does not survive ends the process, and the campaign goes on with another."""

from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from fuzzed.target import Target, check

FRAMES = 4
MOST_FRAMES = 60
"""Read of one input. Stamps can be changed so that there seem to be many, never so that there are."""

if TYPE_CHECKING:
    from av.video.stream import VideoStream

KINDS = (("mp4", "h264"), ("matroska", "mpeg4"), ("avi", "mjpeg"), ("mpegts", "mpeg2video"), ("webm", "vp8"))


def seeds() -> list[bytes]:
    return [_video(container, codec) for container, codec in KINDS]


def _video(container: str, codec: str) -> bytes:
    import av

    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = cast("VideoStream", output.add_stream(codec, rate=Fraction(25)))
        stream.width, stream.height = 32, 32
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(FRAMES):
            pixels = np.full((32, 32, 3), 40 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode())
    return file.getvalue()


def prepare(folder: Path) -> Callable[[bytes], object]:
    from yolact.video.file import open_file

    path = folder / "video.mp4"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        video = open_file(path)
        before, size = -1.0, None
        try:
            for number, frame in enumerate(video):
                size = size or frame.pixels.shape
                check(
                    frame.pixels.dtype == np.uint8 and frame.pixels.shape == size, f"{frame.pixels.shape} after {size}"
                )
                check(frame.time > before, f"{frame.time} after {before}")
                before = frame.time
                if number == MOST_FRAMES:
                    break
        finally:
            video.close()

    return read


TARGETS = (Target("videos", seeds, prepare, refusals=(ValueError, OSError), memory=3 << 29, longest=16_000),)
