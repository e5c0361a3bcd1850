"""Which kind of source a name stands for."""

from pathlib import Path

import pytest
from PIL import Image

from yolact.video import camera
from yolact.video.camera import camera_number, cameras
from yolact.video.sources import find_videos, is_live, is_video, open_source


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.mp4", "a10.MKV", "a2.mkv", ".hidden.mp4", "photo.jpg", "deeper/c.webm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_a_video(folder: Path):
    assert find_videos(folder) == [str(folder / name) for name in ("a2.mkv", "a10.MKV", "b.mp4")]
    assert find_videos("**/*") == ["a2.mkv", "a10.MKV", "b.mp4", "deeper/c.webm"]
    assert find_videos("missing.mp4") == ["missing.mp4"]
    for text in ("0", "camera:1", "/dev/video2", "rtsp://host/1", "HTTP://host", "ftp://host", "f/%05d.jpg"):
        assert find_videos(text) == [text]
    for text in ("photo.jpg", "*.jpg", "deeper/*.jpg", "clip", ""):
        assert not is_video(text)


def test_what_is_live(folder: Path):
    assert is_live("0")
    assert is_live("rtsp://host/1")
    assert not is_live("b.mp4")
    (folder / "0").mkdir()
    assert not is_live("0")


def test_gifs_that_move(tmp_path: Path):
    pictures = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    pictures[0].save(tmp_path / "still.gif")
    pictures[0].save(tmp_path / "moving.gif", save_all=True, append_images=pictures[1:])
    (tmp_path / "broken.gif").write_text("GIF")
    assert [is_video(tmp_path / f"{name}.gif") for name in ("still", "moving", "broken", "missing")] == [0, 1, 0, 0]
    assert find_videos(tmp_path) == []


def test_camera_numbers():
    assert [camera_number(text) for text in ("0", "camera:12", "/dev/video3")] == [0, 12, 3]
    assert [camera_number(text) for text in ("zero", "camera:", "1.5", "-1", "/dev/video")] == [None] * 5


def test_a_camera_that_is_not_there(capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(camera, "cameras", dict)
    with pytest.raises(OSError, match="cannot open camera 97: this machine has no cameras"):
        open_source("97")
    monkeypatch.setattr(camera, "cameras", lambda: {0: "Built in", 2: "Microscope"})
    with pytest.raises(OSError, match=r"cannot open camera 97: there are 0 \(Built in\), 2 \(Microscope\)"):
        open_source("camera:97")
    assert capfd.readouterr() == ("", "")
    assert cameras() is None or 97 not in (cameras() or {})


def test_nothing(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="'' names no video"):
        open_source("")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_source(tmp_path / "missing.mp4")
