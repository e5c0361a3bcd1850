"""The client, against a real server."""

import io
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from served import Served, jpeg

pytest.importorskip("httpx", reason="needs the extra yolact[serve]")

import httpx

from yolact.client import Client, Found, ServerError, _bytes


def test_any_kind_of_picture(served: Served, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(jpeg(0, format="PNG"))
    with Image.open(path) as image, Client(served.address) as client:
        image.load()
        pictures = (path, str(path), path.read_bytes(), image, np.array(image))
        found = [client.predict(picture, score_threshold=0, top_k=5) for picture in pictures]
    assert (found[0].width, found[0].height, len(found[0].instances)) == (120, 90, 5)
    assert all(other == found[0] for other in found)
    for one in found[0].instances:
        mask = one.mask()
        assert (mask.shape, mask.dtype, mask.sum()) == ((90, 120), bool, one.area)


def test_several_at_once(served: Served, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    with Client(served.address, model="other") as client:
        first, bad, second = client.predict_batch([tmp_path / "a.jpg", b"no image", jpeg(2, (50, 70))], top_k=3)
        assert isinstance(first, Found)
        assert isinstance(second, Found)
        assert (first.name, second.width) == ("a.jpg", 70)
        assert isinstance(bad, ServerError)
        assert bad.code == "unreadable"


def test_pictures_come_back(served: Served):
    with Client(served.address) as client:
        assert client.render(jpeg(0), score_threshold=0).size == (120, 90)
        assert np.asarray(client.render(jpeg(0), "png", score_threshold=0, top_k=5)).max() <= 5


def test_polygons_are_no_masks(served: Served):
    with Client(served.address) as client:
        found = client.predict(jpeg(0), format="polygons", score_threshold=0)
        with pytest.raises(ValueError, match="ask for format='rle'"):
            found.instances[0].mask()


@pytest.mark.parametrize("format", ["png", "picture"])
def test_who_asks_for_a_picture_is_sent_to_render(format: str):
    with Client("http://127.0.0.1:9") as client:  # where nobody answers: it is not even asked
        with pytest.raises(ValueError, match=f"format='{format}' is a picture.*ask render"):
            client.predict(jpeg(0), format=format)
        with pytest.raises(ValueError, match="ask render"):
            client.predict_batch([jpeg(0)], format=format)


def test_refusals_are_typed(served: Served, strict: Served):
    with Client(served.address) as client, pytest.raises(ServerError, match="'horse' is no class") as refusal:
        client.predict(jpeg(0), classes=["horse"])
    assert (refusal.value.status, refusal.value.code) == (400, "bad_option")
    with Client(strict.address) as client, pytest.raises(ServerError, match="token"):
        client.predict(jpeg(0))
    with Client(strict.address, token="open-sesame") as client:
        assert client.predict(jpeg(0)).width == 120
        assert [(model.name, model.ready, model.class_names) for model in client.models()] == [
            ("small", True, ("cat", "dog", "cow"))
        ]


def test_readiness(served: Served):
    with Client(served.address) as client:
        assert client.is_ready()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client:
        assert not client.is_ready()


def test_it_comes_back_to_a_busy_server():
    answers = [b"503 Busy\r\nRetry-After: 0", b"503 Busy\r\nRetry-After: 0", b"200 OK"]
    bodies = [b'{"error": {"code": "busy", "message": "full"}}'] * 2
    bodies += [b'{"model": "m", "images": [{"name": null, "width": 1, "height": 2, "instances": []}]}']

    def serve(listener: socket.socket) -> None:
        for head, body in zip(answers, bodies, strict=True):
            connection, _ = listener.accept()
            with connection:
                asked = b""
                while not asked.endswith(b"\r\n\r\nx"):
                    asked += connection.recv(65536)
                length = b"Connection: close\r\nContent-Length: %d" % len(body)
                connection.sendall(b"HTTP/1.1 " + head + b"\r\n" + length + b"\r\n\r\n" + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, args=(listener,), daemon=True)
        serving.start()
        with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", patience=30) as client:
            assert client.predict(b"x").height == 2
        serving.join()


@pytest.mark.parametrize("body", [b"<h1>Bad Gateway</h1>", b'{"error": "bad gateway"}', b"[]", b'{"error": {}}'])
def test_what_a_proxy_answers(body: bytes):
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503, content=body, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})

    with Client() as client:
        client._http = httpx.Client(base_url="http://x", transport=httpx.MockTransport(answer))
        with pytest.raises(ServerError, match="503 Service Unavailable") as refusal:
            client.predict(b"x")
    assert (refusal.value.status, refusal.value.code) == (503, "unknown")


def test_images_are_sent_upright_and_in_colors_that_png_knows(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("CMYK", (30, 20)).save(tmp_path / "a.jpg", exif=turned)
    with Image.open(tmp_path / "a.jpg") as image, Image.open(io.BytesIO(_bytes(image))) as sent:
        assert (sent.size, sent.mode) == ((20, 30), "RGB")


def test_none_is_what_the_server_takes(served: Served):
    with Client(served.address) as client:
        assert client.predict(jpeg(0), classes=None, crop=None).width == 120


def test_it_does_without_torch():
    script = "import sys, yolact.client; assert not {'torch', 'fastapi', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
