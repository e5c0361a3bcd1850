"""Addresses, over this machine's own network."""

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import pytest

from clips import number_in, picture, write_clip
from yolact.video.remote import RemoteFile, without_password
from yolact.video.sources import open_source

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Start a server that answers each GET as told, and give its address."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send_file(
    handler: http.server.BaseHTTPRequestHandler, data: bytes, most: int | None = None, ranges: bool = True
) -> None:
    """Answer with a file, from the place that was asked for; break off after `most` bytes."""
    asked = handler.headers.get("Range") if ranges else None
    start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
    handler.send_response(206 if asked else 200)
    if asked:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    if ranges:
        handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Length", str(len(data) - start))
    handler.end_headers()
    handler.wfile.write(data[start:][:most])


def send_pictures(handler: http.server.BaseHTTPRequestHandler, numbers: range, seconds: float) -> None:
    """Answer with JPEG pictures as cameras do."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
    handler.end_headers()
    for number in numbers:
        _, data = cv2.imencode(".jpg", picture(number % 64))
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        handler.wfile.write(head.encode() + data.tobytes() + b"\r\n")
        handler.wfile.flush()
        time.sleep(seconds)


@pytest.mark.parametrize("flags", ["faststart", "empty_moov+frag_keyframe", "disable_chpl"])
def test_a_file_far_away(tmp_path: Path, serve, flags: str):
    data = write_clip(tmp_path / "clip.mp4", movflags=flags).read_bytes()
    source = open_source(serve(lambda handler: send_file(handler, data)) + "/clip.mp4")
    assert not source.is_live
    assert [number_in(frame.pixels) for frame in source] == list(range(30))
    assert source.notes == []


def test_an_index_at_the_end_that_the_server_does_not_give(tmp_path: Path, serve):
    data = write_clip(tmp_path / "clip.mp4", 60, size=(240, 320)).read_bytes()  # more than libav reads in advance
    with pytest.raises(ValueError, match="sends whole files only, so download it first"):
        list(open_source(serve(lambda handler: send_file(handler, data, ranges=False))))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_whose_connection_drops(tmp_path: Path, serve, monkeypatch: pytest.MonkeyPatch, ranges: bool):
    monkeypatch.setattr("yolact.video.remote.FIRST_PAUSE", 0.02)
    data = write_clip(tmp_path / "clip.ts", 60, size=(96, 128)).read_bytes()
    asked = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("Range"))
        send_file(handler, data, (len(data) // 3 + 1) * (1 if ranges else len(asked)), ranges)

    source = open_source(serve(answer) + "/clip.ts")
    assert [number_in(frame.pixels) for frame in source] == list(range(60))
    assert len(asked) >= 3


def test_a_file_that_does_not_come_back(serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yolact.video.remote.FIRST_PAUSE", 0.02)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Range"):
            handler.send_error(503)
        else:
            send_file(handler, bytes(1000), 600)

    with closing(RemoteFile(serve(answer), timeout=1.0, patience=0.1)) as remote:
        assert sum(len(remote.read(100)) for _ in range(6)) == 600
        with pytest.raises(ConnectionError, match=r"Service Unavailable; no answer for 0\.1 s"):
            remote.read(100)


def test_a_file_that_is_another_now(serve):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        send_file(handler, bytes(900 if handler.headers.get("Range") else 1000), 600)

    with closing(RemoteFile(serve(answer), timeout=1.0, patience=5.0)) as remote:
        assert sum(len(remote.read(100)) for _ in range(6)) == 600
        with pytest.raises(ValueError, match="changed while it was read"):
            remote.read(1000)


def test_pictures_of_a_camera(serve):
    source = open_source(serve(lambda handler: send_pictures(handler, range(60), 0.02)), patience=0.2)
    assert source.is_live
    frames = []
    for frame in source:
        assert time.monotonic() - frame.captured < 0.3
        frames.append(frame)
        time.sleep(0.1)
        if len(frames) == 8:
            break
    shown = [number_in(frame.pixels) for frame in frames]
    assert shown == sorted(shown)
    assert source.dropped > 8


def test_pictures_that_come_back(serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yolact.video.live.FIRST_PAUSE", 0.1)
    starts = iter([0, 32])
    address = serve(lambda handler: send_pictures(handler, range(start := next(starts), start + 15), 0.02))
    source = open_source(address, patience=0.5)
    shown = [number_in(frame.pixels) for frame in source]
    assert min(shown) < 16
    assert max(shown) >= 32
    assert "came back" in source.notes[0]
    assert "was given up" in source.notes[1]


def test_a_silent_server(serve):
    stop = threading.Event()
    address = serve(lambda handler: (handler.send_response(200), handler.end_headers(), stop.wait(5)))
    start = time.monotonic()
    with pytest.raises((OSError, ValueError), match=r"127\.0\.0\.1"):
        open_source(address, timeout=0.3)
    assert time.monotonic() - start < 3
    stop.set()


def test_closing_wakes_who_waits(serve):
    stop = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        send_file(handler, bytes(1000), 600)
        handler.wfile.flush()
        stop.wait(5)

    remote = RemoteFile(serve(answer), timeout=5.0, patience=5.0)
    assert sum(len(remote.read(100)) for _ in range(6)) == 600
    threading.Timer(0.1, remote.close).start()
    start = time.monotonic()
    assert remote.read(100) == b""
    assert time.monotonic() - start < 1
    stop.set()


@pytest.mark.parametrize("target", ["file:///etc/hostname", "concat:a|b", "clip.ts"])
def test_playlists_lead_nowhere_but_to_http(tmp_path: Path, serve, target: str):
    data = write_clip(tmp_path / "clip.ts").read_bytes()
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n".encode()
    address = serve(lambda handler: send_file(handler, text if handler.path.endswith("m3u8") else data))
    if target == "clip.ts":
        source = open_source(f"{address}/list.m3u8")
        assert not source.is_live
        assert [number_in(frame.pixels) for frame in source] == list(range(30))
    else:
        with pytest.raises((OSError, ValueError), match=r"list\.m3u8"):
            list(open_source(f"{address}/list.m3u8", patience=0.2, timeout=1.0))


def test_no_video_at_an_address(serve):
    with pytest.raises(ValueError, match="not a video in a known format"):
        open_source(serve(lambda handler: send_file(handler, b"<html>" * 1000)))
    with pytest.raises(OSError, match="404"):
        open_source(serve(lambda handler: handler.send_error(404)))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        for scheme in ("http", "tcp", "rtsp"):
            with pytest.raises(OSError, match=r"127\.0\.0\.1.*[Rr]efused"):
                open_source(f"{scheme}://{address}", timeout=2.0)


@pytest.mark.parametrize("address", ["ftp://host/clip.mp4", "file:///clip.mp4", "concat://a|b", "data://x"])
def test_other_schemes(address: str):
    with pytest.raises(ValueError, match=r"is not read; give http://"):
        open_source(address)


def test_a_raw_connection(tmp_path: Path):
    data = write_clip(tmp_path / "clip.ts", 60).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for start in range(0, len(data), 1880):
                    connection.sendall(data[start : start + 1880])
                    time.sleep(0.01)

        threading.Thread(target=send, daemon=True).start()
        source = open_source(f"tcp://127.0.0.1:{server.getsockname()[1]}", patience=0.2, timeout=1.0)
        assert source.is_live
        assert len(list(source)) > 1


def test_passwords_are_not_shown():
    assert without_password("rtsp://me:se@cret@cam/1?x=a@b") == "rtsp://me:***@cam/1?x=a@b"
    assert without_password("http://host:80/a:b@c") == "http://host:80/a:b@c"
