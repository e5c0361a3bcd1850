"""Video files: whole, damaged, cut off, and no videos at all."""

import itertools
import struct
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clips import cut, damage, number_in, write_clip, write_sound
from yolact.video.decoding import Decoding
from yolact.video.file import PresentationTimes, open_file
from yolact.video.frame import Frame
from yolact.video.upright import Fit, Upright, turn


def numbers(frames: list[Frame]) -> list[int]:
    return [number_in(frame.pixels) for frame in frames]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mov"])
def test_every_frame_once_in_order(tmp_path: Path, suffix: str):
    source = open_file(write_clip(tmp_path / f"clip.{suffix}"))
    frames = list(source)
    assert numbers(frames) == list(range(30)) == [frame.number for frame in frames]
    assert np.allclose([frame.time for frame in frames], np.arange(30) / 30, atol=1e-3)
    assert (source.rate, source.count, source.audio) == (30, 30, None)
    assert source.notes == source.losses == []
    assert source.begins is not None
    assert list(source) == []  # it is read once


def test_variable_rate_is_kept(tmp_path: Path):
    shown = [0, 40, 500, 2000, 2040, 5000]
    source = open_file(write_clip(tmp_path / "clip.mp4", len(shown), milliseconds=shown))
    assert [round(1000 * frame.time) for frame in source] == shown
    assert source.count == len(shown)
    assert source.notes == source.losses == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_title_in_another_encoding_spoils_no_video(tmp_path: Path, suffix: str):
    path = write_clip(tmp_path / f"clip.{suffix}", title="Cafe-Film")
    data = path.read_bytes()
    assert b"Cafe-Film" in data
    path.write_bytes(data.replace(b"Cafe-Film", b"Caf\xe9-Film"))  # Latin 1
    assert numbers(list(open_file(path))) == list(range(30))


def test_sound_is_named(tmp_path: Path):
    path = write_clip(tmp_path / "clip.mp4", sound=True)
    source = open_file(path)
    assert source.audio == path
    assert len(list(source)) == 30
    assert source.notes == source.losses == []


@pytest.mark.parametrize(
    ("pixel_format", "codec", "size"),
    [
        ("yuv420p10le", "libx264", (48, 64)),
        ("yuv444p", "ffv1", (47, 63)),
        ("gray", "ffv1", (48, 64)),
        ("gray16le", "ffv1", (48, 64)),
        ("bgra", "ffv1", (48, 64)),
        ("yuvj420p", "mjpeg", (48, 64)),
    ],
)
def test_kinds_of_pixels(tmp_path: Path, pixel_format: str, codec: str, size: tuple[int, int]):
    frames = list(open_file(write_clip(tmp_path / "clip.mkv", 6, codec=codec, pixel_format=pixel_format, size=size)))
    assert numbers(frames) == list(range(6))
    assert {frame.pixels.shape for frame in frames} == {(*size, 3)}
    assert abs(float(frames[0].pixels[2, 2].mean()) - 90) < 4


def test_transparency_is_white(tmp_path: Path):
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgra"
        red = np.tile(np.array([255, 0, 0, 255], np.uint8), (48, 64, 1))
        red[:, 32:, 3] = 0
        container.mux(stream.encode(av.VideoFrame.from_ndarray(red, "rgba").reformat(format="bgra")))
        container.mux(stream.encode())
    (frame,) = open_file(tmp_path / "clip.mkv")
    assert frame.pixels[10, [10, 40]].tolist() == [[255, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize(
    ("matrix", "how"),
    [
        ((0, 1, -1, 0), lambda pixels: np.rot90(pixels, -1)),  # a phone held upright
        ((0, -1, 1, 0), lambda pixels: np.rot90(pixels, 1)),
        ((-1, 0, 0, -1), lambda pixels: np.rot90(pixels, 2)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
    ],
)
def test_turned_as_the_file_says(tmp_path: Path, matrix: tuple[int, int, int, int], how):
    path = write_clip(tmp_path / "clip.mp4", 3)
    lying = [frame.pixels for frame in open_file(path)]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: flags, dates, ids, duration, layer and volume come before it
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    upright = [frame.pixels for frame in open_file(path)]
    assert all((got == how(was)).all() for got, was in zip(upright, lying, strict=True))


@given(st.sampled_from([(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (0, 1, 1, 0), (-1, 0, 0, 1)]))
def test_turning_moves_each_pixel_where_the_matrix_says(matrix: tuple[int, int, int, int]):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    turned = turn(pixels, matrix)
    a, b, c, d = matrix
    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(3) for y in range(2)}
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    for (x, y), (to_x, to_y) in places.items():
        assert (turned[to_y - top, to_x - left] == pixels[y, x]).all()


@pytest.mark.parametrize(
    ("name", "movflags"),
    [
        ("clip.mp4", "faststart"),
        ("clip.mp4", "frag_keyframe+empty_moov"),
        ("clip.mkv", ""),
        ("clip.ts", ""),
    ],
)
def test_cut_off(tmp_path: Path, name: str, movflags: str):
    path = cut(write_clip(tmp_path / name, codec="mpeg4", movflags=movflags), 0.75)
    source = open_file(path)
    frames = list(source)
    assert 10 < len(frames) < 30
    # The last one may be there in part.
    assert numbers(frames)[:-1] == list(range(len(frames) - 1))
    if not name.endswith(".ts"):  # which does not say how long it should be
        assert len([note for note in source.losses if "ends early" in note or "damaged" in note]) >= 1
    if movflags == "faststart":
        assert f"after {len(frames)} of 30 frames" in source.losses[0]
        assert "of 1.00 s" in source.losses[0]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_damaged_in_the_middle(tmp_path: Path, name: str):
    movflags = "faststart" if name == "clip.mp4" else ""
    path = damage(write_clip(tmp_path / name, size=(96, 128), every_key=5, movflags=movflags), 0.6, 250)
    source = open_file(path)
    frames = list(source)
    assert 10 <= len(frames) <= 30
    assert numbers(frames)[:10] == list(range(10))
    assert any("damaged" in note for note in source.losses)
    if name != "clip.mkv":  # which is one cluster
        assert numbers(frames)[-1] == 29


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"no video at all\n" * 400, "not a video in a known format"),
        ("zeros.mp4", bytes(5000), "nothing but zeros"),
        ("list.mp4", b"ffconcat version 1.0\nfile clip.mkv\n", "not a video in a known format"),
        ("list.mkv", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mkv\n#EXT-X-ENDLIST\n", "not a video in a"),
    ],
)
def test_no_videos(tmp_path: Path, capfd: pytest.CaptureFixture, name: str, content: bytes, reason: str):
    write_clip(tmp_path / "clip.mkv", 3)  # which the lists name
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=reason) as raised:
        list(open_file(tmp_path / name))
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_without_pictures(tmp_path: Path):
    with pytest.raises(ValueError, match=r"sound\.mp4 has no pictures, only sound"):
        open_file(write_sound(tmp_path / "sound.mp4"))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_file(tmp_path / "missing.mp4")
    with pytest.raises(ValueError, match="cut off before the end of its index"):
        open_file(cut(write_clip(tmp_path / "clip.mp4"), 0.6))
    with pytest.raises(ValueError, match="no frame in it can be decoded"):
        list(open_file(_without_frames(tmp_path / "clip.mkv")))


def _without_frames(path: Path) -> Path:
    data = bytearray(write_clip(path, 1, codec="ffv1").read_bytes())
    start = data.rindex(b"\xa3") if b"\xa3" in data else len(data) * 3 // 4
    path.write_bytes(data[:start])
    return path


def test_two_videos_in_one_file(tmp_path: Path):
    parts = [write_clip(tmp_path / "1.ts", 20), write_clip(tmp_path / "2.ts", 20, size=(96, 64))]
    (tmp_path / "clip.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    source = open_file(tmp_path / "clip.ts")
    frames = list(source)
    assert {frame.pixels.shape for frame in frames} == {(48, 64, 3)}
    assert np.allclose([frame.time for frame in frames], np.arange(40) / 30, atol=2e-3)
    assert "pictures of 64 x 96 were fitted" in source.notes[0]


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_clip(tmp_path / "clip.mp4", 3)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'yolact\[video\]'"):
        open_file(path)


def test_closing_in_the_middle(tmp_path: Path):
    source = open_file(write_clip(tmp_path / "clip.mp4"))
    frames = iter(source)
    next(frames)
    threading.Thread(target=source.close).start()
    time.sleep(0.05)
    assert len(list(frames)) <= 1
    assert source.notes == source.losses == []
    unread = open_file(tmp_path / "clip.mp4")
    unread.close()
    assert list(unread) == []


def test_a_drive_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    decode = Decoding.__iter__

    def fail_after_ten(decoding: Decoding):
        yield from itertools.islice(decode(decoding), 10)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Decoding, "__iter__", fail_after_ten)
    source = open_file(write_clip(tmp_path / "clip.mp4"))
    assert len(list(source)) == 10
    assert "ends early, after 10" in source.losses[0]
    assert source.losses[0].endswith("Input/output error")


@given(st.lists(st.one_of(st.none(), st.floats(-100, 1000)), min_size=1, max_size=30))
def test_times_grow_whatever_the_stamps(stamps: list[float | None]):
    times = PresentationTimes(Fraction(25))
    shown = [times(stamp) for stamp in stamps]
    assert shown[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(shown))


def test_a_clock_set_anew():
    times = PresentationTimes(Fraction(10))
    assert np.allclose([times(stamp) for stamp in (50.0, 50.1, 50.2, 3.0, 3.1)], [0, 0.1, 0.2, 0.3, 0.4])


@given(st.integers(1, 40), st.integers(1, 40))
def test_other_sizes_are_fitted(height: int, width: int):
    fit = Fit()
    first = np.full((20, 30, 3), 200, np.uint8)
    assert (fit(first) == first).all()
    fitted = fit(np.full((height, width, 3), 200, np.uint8))
    assert fitted.shape == first.shape
    rows, columns = (np.flatnonzero(fitted.any(axis=axis).any(axis=-1)) for axis in (1, 0))
    assert len(rows) == 20 or len(columns) == 30
    assert bool(fit.describe("it")) == ((height, width) != (20, 30))


def test_pictures_of_too_many_pixels(tmp_path: Path):
    with av.open(tmp_path / "large.avi", "w") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8000, 6400, "yuvj420p"
        output.mux(stream.encode(av.VideoFrame(8000, 6400, "yuvj420p")))
    with pytest.raises(ValueError, match="8000 x 6400 pixels, and at most 50 million are decoded"):
        open_file(tmp_path / "large.avi")


def test_pixels_that_are_hardly_so_wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A picture that would be too large if it was widened, as is said of its pixels, is not."""
    monkeypatch.setattr("yolact.video.upright.MOST_PIXELS", 32 * 24 * 4)
    frame = av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), format="rgb24")
    assert Upright()(frame, 4.0).shape == (24, 128, 3)
    assert Upright()(frame, 4.5).shape == (24, 32, 3)
