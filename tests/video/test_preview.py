"""The live page: the newest picture for whoever watches, and no waiting for those who do not read."""

import io
import socket
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from yolact.video.preview import Preview


def picture(level: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), (level, 10, 10), np.uint8)


def next_picture(stream) -> np.ndarray:
    while not (line := stream.readline()).startswith(b"Content-Length"):
        assert line
    stream.readline()
    return np.asarray(Image.open(io.BytesIO(stream.read(int(line.split(b":")[1])))))


def test_a_browser_sees_the_newest_picture():
    with Preview() as preview:
        assert preview.address.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(preview.address, timeout=5).read().decode()
        assert "/stream" in page
        assert "http" not in page.replace("<!doctype html>", "")  # nothing from elsewhere
        preview.show(picture(10))
        preview.show(picture(100))
        with urllib.request.urlopen(preview.address + "stream", timeout=5) as stream:
            assert np.abs(next_picture(stream)[20, 20].astype(int) - (100, 10, 10)).max() < 8
            preview.show(Image.fromarray(picture(200)))
            assert np.abs(next_picture(stream)[20, 20].astype(int) - (200, 10, 10)).max() < 8


def test_a_browser_that_does_not_read_holds_nothing_up():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    with Preview() as preview:
        port = int(preview.address.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as idle:
            idle.sendall(b"GET /stream HTTP/1.0\r\nHost: 127.0.0.1:1\r\n\r\n")
            start = time.perf_counter()
            for _ in range(200):
                preview.show(noise)
                time.sleep(0.001)
            assert time.perf_counter() - start < 5
        preview.show(noise)
    assert time.perf_counter() - start < 10


def test_other_names_and_paths_are_refused():
    with Preview() as preview:
        request = urllib.request.Request(preview.address, headers={"Host": "evil.example:80"})
        for wanted, code in ((request, 403), (preview.address + "etc/passwd", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(wanted, timeout=5)
            assert refused.value.code == code
            refused.value.close()
        taken = int(preview.address.rstrip("/").rpartition(":")[2])
        with pytest.raises(OSError, match=f"port {taken}"):
            Preview(taken)
