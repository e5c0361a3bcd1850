"""Where there is no room: it is said, and what was written stays whole."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from clips import write_clip
from yolact.video.joining import join
from yolact.video.results import VideoResults
from yolact.video.sources import open_source
from yolact.video.stages import VideoResult
from yolact.video.writing import VideoWriter

resource = pytest.importorskip("resource", reason="Windows has no limits for files")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may become larger than this, in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)


def write_part(folder: Path) -> Path:
    writer = VideoWriter(folder / "part.mp4")
    for number in range(10):
        writer.write(noise(number), number / 25)
    writer.finish(complete=False)
    return next((folder / "part.unfinished").glob("*.mp4"))


@pytest.mark.parametrize("room", [0, 1000])
def test_that_a_video_has_no_room_is_not_blamed_on_its_sound(tmp_path: Path, room: int):
    part, audio = write_part(tmp_path), write_clip(tmp_path / "sound.mp4", sound=True)
    with room_for(room), pytest.raises(OSError, match="File too large"):  # it was a segmentation fault
        join([part], tmp_path / "joined.mp4", audio)


@pytest.mark.parametrize("room", [0, 500, 5000])
def test_the_pictures_that_have_no_room_are_said(tmp_path: Path, room: int):
    with pytest.raises(OSError, match="File too large"):
        write_within(room, tmp_path / "clip.mp4")


def write_within(room: int, path: Path) -> None:
    with VideoWriter(path) as writer, room_for(room):
        for number in range(200):
            writer.write(noise(number), number / 25)


def test_lines_stay_whole_and_the_error_says_where_and_what_helps(tmp_path: Path):
    from disks import instances

    source = open_source(str(write_clip(tmp_path / "clip.mp4", 3)))
    results = VideoResults(tmp_path / "out" / "clip", source, {}, pictures=False)
    for number, frame in enumerate(source):
        result = VideoResult(frame, instances([(20, 20, 6)] * 3), 0.0)
        if number < 2:
            results.add(result, None)
            continue
        message = rf"{re.escape(str(tmp_path / 'out'))}.*--resume goes on"
        with room_for(results.lines.stat().st_size + 10), pytest.raises(OSError, match=message):
            results.add(result, None)
    results.finish(complete=False)
    assert len(results.lines.read_bytes().splitlines()) == 2
    assert results.lines.read_bytes().endswith(b"\n")
    again = VideoResults(tmp_path / "out" / "clip", source, {}, pictures=False, resume=True)
    assert (again.frames, again.skip, again.found()) == (2, 2, "3 disk at most in a frame")
    again.finish()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").touch()
    source = open_source(str(write_clip(tmp_path / "clip.mp4", 1)))
    with pytest.raises(OSError, match=r"cannot write .*file.*; choose another place"):
        VideoResults(tmp_path / "file" / "clip", source, {})
    source.close()
