"""Videos written: H.264 in MP4, each picture at its own time, with the sound of another file.

While it grows, the video lies in a folder beside its place, in parts that can be read up to their last two seconds even
if the process is killed. At the end they are joined, without encoding anything anew:

clip.mp4                         the video, when it is complete; or all there is, when its writing was given up
clip.unfinished/000000000000.mp4    a part; its name says when it begins, in ticks
clip.unfinished/000012960000.mp4    the next, of a later process
"""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.codec import codecs_available
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image

from yolact.video.joining import TICK, join
from yolact.video.parts import count_frames, keep_whole_fragments
from yolact.whole_files import written_whole

ENCODERS = {
    "libx264": {"preset": "superfast", "crf": "21", "bf": "0", "x264-params": "force-cfr=1"},
    "libopenh264": {"rc_mode": "quality"},
    "mpeg4": {"qscale": "3"},
}
"""The first that this build of FFmpeg has is taken. Without B-frames, pictures need no reordering, so that the
first one begins at 0; and x264 is not told of the times, which would fill its headers with odd rates."""

COARSE_TICK = Fraction(1, 60_000)
"""MPEG-4 part 2 knows no finer ones."""

KEY_SECONDS = 2
"""Every so often, a picture that needs no other: where players can jump to, and where a killed process ends."""


class VideoWriter:
    """Write pictures as a video. Use it in a `with` statement, or call `finish`.

    Where the statement ends with an error, the video of the pictures so far is left.

    Args:
        path: of the video; what is there is replaced at the end.
        rate: pictures a second, about; each has its own time all the same.
        audio: a file whose sound is to go with the pictures: copied as it is if it is of a kind that MP4 players take,
            or else encoded as AAC.
        resume: go on with what an earlier process left unfinished.

    Raises:
        OSError: it cannot be written there.
    """

    def __init__(
        self, path: Path, rate: Fraction | None = None, audio: Path | None = None, *, resume: bool = False
    ) -> None:
        self.notes: list[str] = []
        """What people should know."""

        self.begins: float | None = None
        """When the first picture is shown, in seconds on the clock of `audio`. None: when that file's own is."""

        self._path, self._rate, self._audio = path, rate or Fraction(25), audio
        self._parts = path.with_suffix(".unfinished")
        self._last = -1
        self._size: tuple[int, int] | None = None
        self._part: _Part | None = None
        if not resume:
            shutil.rmtree(self._parts, ignore_errors=True)
        for part in self._found():
            keep_whole_fragments(part)
        self.frames = sum(count_frames(part) for part in self._found())
        """Pictures so far, those of an earlier process counted too."""

        path.parent.mkdir(parents=True, exist_ok=True)
        self._parts.mkdir(exist_ok=True)

    def write(self, picture: UInt8[np.ndarray, "H W 3"] | Image.Image, time: float | int) -> None:
        """Add a picture (RGB, 0..255).

        All pictures get the first one's size. For one with an odd number of rows or columns, which H.264 does not know,
        the last row or column is repeated.

        Args:
            time: seconds from the beginning. One that is not after the last picture's is put right behind it.
        """
        pixels = np.asarray(picture)
        if self._part is None:
            self._size = self._size or (pixels.shape[1], pixels.shape[0])
        if (pixels.shape[1], pixels.shape[0]) != self._size:
            if not self.notes or "size" not in self.notes[-1]:
                self.notes.append(f"{self._path.name}: pictures of another size were scaled to {self._size}")
            pixels = cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA)
        ticks = max(round(time / TICK), self._last + 1)
        if self._part is None:
            self._part = _Part(self._parts / f"{ticks:012d}.mp4", pixels.shape[:2], self._rate, ticks)
            if self._part.encoder != "libx264":
                self.notes.append(f"{self._path.name}: this FFmpeg has no libx264; {self._part.encoder} is written")
        self._part.write(pixels, ticks)
        self._last = ticks
        self.frames += 1

    def finish(self, complete: bool = True) -> None:
        """Join what was written.

        Args:
            complete: nothing more will come, so the unfinished parts are removed. Else they stay, to go on with.
        """
        if self._part is not None:
            self._part.close()
            self._part = None
            for part in self._found():  # where writing failed, the last may be none
                keep_whole_fragments(part)
        if parts := self._found():
            with written_whole(self._path) as unfinished:
                self.notes += join(parts, unfinished, self._audio, self.begins)
        if complete or not parts:
            shutil.rmtree(self._parts, ignore_errors=True)

    def _found(self) -> list[Path]:
        return sorted(self._parts.glob("*.mp4")) if self._parts.is_dir() else []

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()


class _Part:
    """A fragmented MP4: what is complete of it can be read while it grows."""

    def __init__(self, path: Path, shape: tuple[int, ...], rate: Fraction, start: int) -> None:
        height, width = shape
        self.encoder = next(name for name in ENCODERS if name in codecs_available)
        self._start, self._odd = start, (height % 2, width % 2)
        self._container = av.open(
            str(path),
            "w",
            format="mp4",
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"},
        )
        rate = rate.limit_denominator(1001)
        stream = self._container.add_stream(self.encoder, rate=rate, options=ENCODERS[self.encoder])
        assert isinstance(stream, VideoStream)
        self._stream = stream
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context = stream.codec_context
        context.time_base = COARSE_TICK if self.encoder == "mpeg4" else TICK
        context.gop_size = max(round(KEY_SECONDS * rate), 1)
        context.thread_count = 2
        # As pixels are converted below, and as players take it for granted in high definition only.
        context.color_range, context.colorspace = 1, 1
        context.color_primaries, context.color_trc = 1, 1
        self._to_yuv = VideoReformatter()

    def write(self, pixels: UInt8[np.ndarray, "H W 3"], ticks: int) -> None:
        if any(self._odd):
            pixels = np.pad(pixels, ((0, self._odd[0]), (0, self._odd[1]), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = self._to_yuv.reformat(
            frame, format="yuv420p", src_color_range="JPEG", dst_colorspace=Colorspace.ITU709, dst_color_range="MPEG"
        )
        base = self._stream.codec_context.time_base
        assert base is not None
        frame.pts, frame.time_base = round((ticks - self._start) * TICK / base), base
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
