"""Written videos: times, colors, sound, and what is left when writing was cut short."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact.video import writing
from yolact.video.joining import TICK
from yolact.video.writing import VideoWriter


def picture(number: int = 0, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    pixels = np.full((*size, 3), 40, dtype=np.uint8)
    pixels[:, : 1 + number % size[1]] = (200, 30, 40)
    return pixels


def write(path: Path, times, size=(48, 64), **options) -> None:
    with VideoWriter(path, **options) as writer:
        for number, time in enumerate(times):
            writer.write(picture(number, size), time)


def read(path: Path) -> tuple[list[Fraction], list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [(frame.pts or 0) * (frame.time_base or Fraction(0)) for frame in frames]
    return times, [f.to_ndarray(format="rgb24") for f in frames]


def write_sound(path: Path, codec: str, seconds: float = 1.0, rate: int = 16_000, late: float = 0.0) -> None:
    """A file with a tone, and with pictures that begin `late` seconds after it."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(audio, AudioStream)
        for number in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number + round(late * 10), Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = np.sin(np.arange(round((seconds + late) * rate)) * 2 * np.pi * 440 / rate)
        samples = (wave * 20_000).astype(np.int16)[None]
        sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        sound.sample_rate, sound.pts = rate, 0
        resampler = av.AudioResampler(audio.format, "mono", rate, audio.codec_context.frame_size or 1024)
        for part in [*resampler.resample(sound), *resampler.resample(None)]:
            container.mux(audio.encode(part))
        container.mux(audio.encode(None))


@settings(max_examples=15)
@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=12), st.sampled_from([None, Fraction(30000, 1001)]))
def test_each_picture_keeps_its_time(tmp_path_factory, steps, rate):
    ticks = np.cumsum([0, *steps]).tolist()
    path = tmp_path_factory.mktemp("times") / "clip.mp4"
    write(path, [float(tick * TICK) for tick in ticks], rate=rate)
    assert read(path)[0] == [tick * TICK for tick in ticks]
    assert [each.name for each in path.parent.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30), Fraction(60000, 1001), Fraction(15)])
def test_usual_rates_are_exact(tmp_path: Path, rate: Fraction):
    write(tmp_path / "clip.mp4", [float(n / rate) for n in range(9)], rate=rate)
    assert read(tmp_path / "clip.mp4")[0] == [n / rate for n in range(9)]
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == stream.guessed_rate == rate
        assert (stream.duration or 0) * (stream.time_base or 0) == 9 / rate


def test_times_that_do_not_grow_are_put_behind_each_other(tmp_path: Path):
    write(tmp_path / "clip.mp4", [0, 0.5, 0.5, 0.2, 1])
    assert read(tmp_path / "clip.mp4")[0] == [0, Fraction(1, 2), Fraction(1, 2) + TICK, Fraction(1, 2) + 2 * TICK, 1]


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1), (720, 16)])
@pytest.mark.parametrize("color", [(255, 0, 0), (0, 200, 0), (30, 60, 220), (255, 255, 255), (0, 0, 0), (200, 190, 60)])
def test_a_red_stays_red(tmp_path: Path, size, color):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path) as writer:
        writer.write(np.full((*size, 3), color, dtype=np.uint8), 0)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        (frame,) = container.decode(video=0)
        shown = frame.to_ndarray(format="rgb24", src_colorspace="ITU709")
    assert shown.shape[:2] == tuple(side + side % 2 for side in size)
    assert np.abs(shown.astype(int) - color).max() <= 4


def test_pictures_of_another_size_are_scaled_and_it_is_said(tmp_path: Path):
    with VideoWriter(tmp_path / "clip.mp4") as writer:
        for number, size in enumerate([(48, 64), (96, 128), (24, 32)]):
            writer.write(picture(63, size), number)
    assert len(writer.notes) == 1
    assert [pixels.shape for pixels in read(tmp_path / "clip.mp4")[1]] == [(48, 64, 3)] * 3


def test_the_index_comes_first(tmp_path: Path):
    write(tmp_path / "clip.mp4", [0, 1])
    data = (tmp_path / "clip.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("codec", "name", "kept"),
    [
        ("aac", "a.mp4", "aac"),
        ("libopus", "a.mkv", "opus"),
        ("libmp3lame", "a.mkv", "mp3"),
        ("pcm_s16le", "a.mov", "aac"),
    ],
)
@pytest.mark.parametrize("late", [0.0, 0.5])
def test_sound_goes_along(tmp_path: Path, codec: str, name: str, kept: str, late: float):
    write_sound(tmp_path / name, codec, late=late, rate=48_000)
    write(tmp_path / "clip.mp4", [n / 10 for n in range(10)], rate=Fraction(10), audio=tmp_path / name)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.audio[0].codec.canonical_name == kept
        sound = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)])
    assert sound.size / 48_000 == pytest.approx(1 + late, abs=0.1)
    assert read(tmp_path / "clip.mp4")[0][0] == pytest.approx(late, abs=0.05)
    if codec != "pcm_s16le":
        copied = packets(tmp_path / "clip.mp4")
        assert copied == packets(tmp_path / name)[: len(copied)]  # what ends the tone may lie behind the pictures


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_sound_whose_clock_counts_packets_is_encoded_to_its_end(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("yolact.video.joining.COPIED", frozenset())  # as if this were WMA, which nothing here encodes
    write_sound(tmp_path / "a.avi", "libmp3lame", rate=44_100)
    write(tmp_path / "clip.mp4", [n / 10 for n in range(10)], rate=Fraction(10), audio=tmp_path / "a.avi")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert sum(frame.samples for frame in container.decode(audio=0)) / 44_100 == pytest.approx(1, abs=0.1)


def test_sound_of_an_unknown_kind_costs_no_picture(tmp_path: Path):
    write_sound(tmp_path / "a.mkv", "aac")
    (tmp_path / "a.mkv").write_bytes((tmp_path / "a.mkv").read_bytes().replace(b"A_AAC", b"A_XYZ"))
    with VideoWriter(tmp_path / "clip.mp4", audio=tmp_path / "a.mkv") as writer:
        writer.write(picture(9), 0)
    assert writer.notes == [
        "a.mkv: from some point on, its sound cannot be read (its codec is unknown here), and is missing"
    ]
    assert len(read(tmp_path / "clip.mp4")[1]) == 1


def test_sound_ends_with_the_pictures(tmp_path: Path):
    write_sound(tmp_path / "a.mp4", "aac", seconds=3)
    write(tmp_path / "clip.mp4", [0, 0.1, 0.2], rate=Fraction(10), audio=tmp_path / "a.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) / 16_000 == pytest.approx(0.3, abs=0.1)


def test_sound_that_is_none_costs_no_picture(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"no sound")
    with VideoWriter(tmp_path / "clip.mp4", audio=tmp_path / "a.mp4") as writer:
        writer.write(picture(), 0)
    assert len(read(tmp_path / "clip.mp4")[1]) == 1
    assert "a.mp4" in writer.notes[0]


def test_an_error_leaves_a_video_of_what_was_done(tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "clip.mp4", (1 / (7 - number) for number in range(10)))
    assert len(read(tmp_path / "clip.mp4")[0]) == 7


def test_another_process_can_go_on(tmp_path: Path):
    writer = VideoWriter(tmp_path / "clip.mp4", Fraction(5))
    for number in range(7):
        writer.write(picture(number), number / 5)
    writer.finish(complete=False)
    assert len(read(tmp_path / "clip.mp4")[0]) == 7
    with VideoWriter(tmp_path / "clip.mp4", Fraction(5), resume=True) as writer:
        assert writer.frames == 7
        for number in range(7, 9):
            writer.write(picture(number), number / 5)
    times, shown = read(tmp_path / "clip.mp4")
    assert times == [Fraction(n, 5) for n in range(9)]
    assert all(np.abs(pixels.astype(int) - picture(n)).mean() < 6 for n, pixels in enumerate(shown))
    assert [each.name for each in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("lost", [1, 300, 1500, 100_000])
def test_a_killed_process_leaves_whole_fragments(tmp_path: Path, lost: int):
    path = tmp_path / "clip.mp4"
    writer = VideoWriter(path, Fraction(5))
    for number in range(35):
        writer.write(picture(number), number / 5)
    assert writer._part is not None
    writer._part.close()
    (part,) = (tmp_path / "clip.unfinished").iterdir()
    part.write_bytes(part.read_bytes()[:-lost])
    with VideoWriter(path, Fraction(5), resume=True) as writer:
        assert writer.frames == 35 if lost == 1 else writer.frames < 35  # the last byte is of an index nobody needs
        for number in range(writer.frames, 35):
            writer.write(picture(number), number / 5)
    times, shown = read(path)
    assert times == [Fraction(n, 5) for n in range(35)]
    assert all(np.abs(pixels.astype(int) - picture(n)).mean() < 6 for n, pixels in enumerate(shown))


def test_without_x264_another_encoder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(writing, "codecs_available", {"mpeg4"})
    with VideoWriter(tmp_path / "clip.mp4", Fraction(30000, 1001)) as writer:
        for number in range(5):
            writer.write(picture(number), number * 1001 / 30000)
    assert "mpeg4" in writer.notes[0]
    assert read(tmp_path / "clip.mp4")[0] == [Fraction(n * 1001, 30000) for n in range(5)]


def test_nothing_written_leaves_nothing(tmp_path: Path):
    with VideoWriter(tmp_path / "clip.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []
