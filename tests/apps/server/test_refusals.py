"""What the server refuses, each with a status and a message of its own; and that it serves the next one."""

import gzip
import importlib
import json
import os
import signal
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from locations import ROOT
from served import PATIENCE, Served, jpeg, multipart

pytest.importorskip("fastapi_offline", reason="needs the extra yolact[serve]")

from starlette.testclient import TestClient

from yolact.apps.server import running
from yolact.apps.server.app import Service, build
from yolact.apps.server.limits import Limits
from yolact.apps.server.metrics import Metrics

TOKEN = {"Authorization": "Bearer open-sesame"}


def head_of(length: int) -> bytes:
    """Of a request that the strict server lets in."""
    lines = (
        "POST /predict HTTP/1.1",
        "Host: x",
        f"Authorization: {TOKEN['Authorization']}",
        f"Content-Length: {length}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def refused(answer: tuple[int, bytes, dict[str, str]]) -> tuple[int, str, str]:
    status, body, headers = answer
    assert headers["content-type"] == "application/json"
    error = json.loads(body)["error"]
    assert "\n" not in error["message"]
    return status, error["code"], error["message"]


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("score_threshold=2", "score_threshold is '2'"),
        ("score_threshold=nan", "score_threshold is 'nan'"),
        ("top_k=0", "top_k is '0'"),
        ("format=gif", "format is 'gif'"),
        ("crop=round", "crop is 'round'"),
        ("classes=horse", "'horse' is no class of small"),
        ("threshold=0.5", "threshold"),
        ("tolerance=-1", "tolerance is '-1'"),
    ],
)
def test_options(served: Served, query: str, part: str):
    status, code, message = refused(served.ask(f"/predict?{query}", jpeg(0)))
    assert (status, code) == (400, "bad_option")
    assert part in message


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"", "image/jpeg", (400, "no_image")),
        (b"no image", "image/jpeg", (422, "unreadable")),
        (jpeg(0)[:300], "image/jpeg", (422, "unreadable")),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/eps", (422, "unreadable")),
        (bomb(60_000, 60_000), "image/png", (413, "too_many_pixels")),
        (bomb(2**31 - 1, 2**31 - 1), "image/png", (413, "too_many_pixels")),
        (b"x", "multipart/form-data", (400, "bad_multipart")),
        (b"x", "multipart/form-data; boundary=edge", (400, "bad_multipart")),
        (b"--edge--\r\n", "multipart/form-data; boundary=edge", (400, "no_image")),
        (b"\r\n" * 50_000, "multipart/form-data; boundary=edge", (400, "no_image")),
    ],
    ids=["empty", "text", "truncated", "eps", "bomb", "largest bomb", "no boundary", "no part", "no file", "lines"],
)
def test_bodies(served: Served, body: bytes, kind: str, expected: tuple[int, str]):
    assert refused(served.ask("/predict", body, Content_Type=kind))[:2] == expected
    served.predict(jpeg(0))


def test_what_is_packed(served: Served):
    answer = served.ask("/predict", gzip.compress(jpeg(0)), Content_Encoding="gzip")
    assert refused(answer)[:2] == (415, "packed")
    assert answer[2]["accept-encoding"] == "identity"
    assert served.ask("/predict", jpeg(0), Content_Encoding="identity")[0] == 200


@pytest.mark.parametrize("address", ["/health", "/ready", "/metrics"])
def test_who_looks_without_reading(served: Served, address: str):
    status, body, headers = served.ask(address, method="HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-type"] == served.ask(address)[2]["content-type"]


def test_addresses_and_methods(served: Served):
    assert refused(served.ask("/models/none/predict", jpeg(0)))[:2] == (404, "no_such_model")
    assert refused(served.ask("/predictions", jpeg(0)))[:2] == (404, "no_such_address")
    assert refused(served.ask("/predict"))[:2] == (405, "no_such_method")


def test_no_path_and_no_address_is_opened(served: Served, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    for text in (str(tmp_path / "a.jpg"), "http://127.0.0.1/a.jpg", json.dumps({"url": "file:///etc/passwd"})):
        assert refused(served.ask("/predict", text.encode()))[:2] == (422, "unreadable")


def test_a_picture_is_of_one(served: Served):
    body, kind = multipart(("a", jpeg(0)), ("b", jpeg(1)))
    assert refused(served.ask("/predict?format=png", body, Content_Type=kind))[:2] == (400, "bad_option")


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "open-sesame"}])
def test_the_token(strict: Served, given: dict[str, str]):
    for address, body in (("/predict", jpeg(0)), ("/models", None), ("/metrics", None), ("/docs", None)):
        assert refused(strict.ask(address, body, **given))[:2] == (401, "no_token")
    assert strict.ask("/health")[0] == strict.ask("/ready")[0] == 200
    assert strict.ask("/predict", jpeg(0), **TOKEN)[0] == 200


def test_large_bodies(strict: Served):
    assert refused(strict.ask("/predict", b"x" * 600_000, **TOKEN))[:2] == (413, "too_large")
    chunks = iter([b"x" * 100_000] * 7)
    assert refused(strict.ask("/predict", chunks, **TOKEN))[:2] == (413, "too_large")
    body, kind = multipart(*[("a", jpeg(0))] * 3)
    assert refused(strict.ask("/predict", body, Content_Type=kind, **TOKEN))[:2] == (413, "too_many_images")
    body, kind = multipart(*[("a", jpeg(0))] * 9)
    assert refused(strict.ask("/predict", body, Content_Type=kind, **TOKEN))[:2] == (413, "too_many_images")
    assert refused(strict.ask("/predict", jpeg(0, (400, 300)), **TOKEN))[:2] == (413, "too_many_pixels")


def test_heads_without_end(served: Served):
    """They come before the token, and before a body, whose length is bounded."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as connection:

        def send() -> bool:
            try:
                connection.sendall(b"X: " + b"a" * 10_000 + b"\r\n")
            except OSError:  # it was closed
                return False
            return True

        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        assert not all(send() for _ in range(2000))
    served.predict(jpeg(0))


def test_a_picture_that_no_jpeg_holds(served: Served):
    wide = jpeg(0, (1, 65_501), "PNG")
    assert refused(served.ask("/predict?format=picture", wide))[:2] == (413, "too_many_pixels")
    assert served.ask("/predict?format=png", wide)[0] == 200


def test_what_could_never_be_taken_is_not_told_to_come_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    stand_in = importlib.import_module("fuzzed.requests").stand_in()
    small = Limits(queue=2, images=16, body_mb=32.0, held_mb=0.01)
    client = TestClient(build(Service({"small": stand_in}, small, Metrics())))
    answer = client.post("/predict", files=[("images", jpeg(0, (9, 9)))] * 3).json()
    assert answer["error"] == {
        "code": "too_many_images",
        "message": "more than 2 images; send them in several requests",
    }
    answer = client.post("/predict", content=b"x" * 10_001)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_slow_bodies(strict: Served):
    with socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE) as slow:
        slow.sendall(head_of(99) + b"x")
        answer = b"".join(iter(lambda: slow.recv(10_000), b""))  # the connection is closed: the rest could still come
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too_slow" in answer


def test_large_bodies_of_many_at_once(strict: Served):
    """Of 0.9 MB in all, the third of three with 0.4 MB each finds no place, though none is too large."""
    held = [socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE) for _ in range(3)]
    try:
        for one in held:
            one.sendall(head_of(450_000) + b"x" * 400_000)
            time.sleep(0.1)
        assert b" 503 " in held[2].recv(10_000)
    finally:
        for one in held:
            one.close()
    over = time.monotonic() + PATIENCE
    while b"yolact_held_bytes 0.0" not in strict.ask("/metrics", **TOKEN)[1]:  # who left takes no place
        assert time.monotonic() < over
        time.sleep(0.05)


def test_many_connections_do_not_shut_out_the_next(strict: Served):
    """Its queue has four places; each who finds none is told so, and not cut off."""
    held = [socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE) for _ in range(300)]
    try:
        assert strict.ask("/health")[0] == 200
        assert strict.ask("/predict", jpeg(0), **TOKEN)[0] == 200
    finally:
        for one in held:
            one.close()


@pytest.mark.parametrize(
    ("soft", "hard", "queue", "expected"),
    [(256, 4096, 128, (1000, 1128)), (256, 4096, 500, (2000, 2128)), (256, 512, 128, (384, 512)), (64, 64, 9, (1, 64))],
)
def test_connections_keep_within_the_files_of_the_system(
    soft: int, hard: int, queue: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    resource = pytest.importorskip("resource", reason="Windows counts no files")
    now = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: now.__setitem__(slice(None), pair))
    assert (running._connections(Limits(queue=queue)), now[0]) == expected


def test_a_full_queue_is_said_at_once_and_a_process_that_is_stuck_is_replaced(strict: Served):
    stuck = strict.children()[0]
    os.kill(stuck, signal.SIGSTOP)
    answers: list[tuple[int, str, str]] = []

    def ask() -> None:
        answers.append(refused(strict.ask("/predict", jpeg(0), **TOKEN)))

    waiting = [threading.Thread(target=ask) for _ in range(4)]
    for one in waiting:
        one.start()
    over = time.monotonic() + PATIENCE
    while b'yolact_queue_images{model="small"} 4.0' not in strict.ask("/metrics", **TOKEN)[1]:
        assert time.monotonic() < over
        time.sleep(0.02)
    began = time.monotonic()
    status, body, headers = strict.ask("/predict", jpeg(0), **TOKEN)
    assert time.monotonic() - began < 1
    assert (status, json.loads(body)["error"]["code"]) == (503, "busy")
    assert 1 <= int(headers["retry-after"]) <= 60
    for one in waiting:
        one.join()
    assert {answer[:2] for answer in answers} == {(504, "timeout")}
    while strict.ask("/predict", jpeg(0), **TOKEN)[0] != 200:
        assert time.monotonic() < over
        time.sleep(0.2)
    assert stuck not in strict.children()
    assert b'yolact_process_restarts_total{model="small"} 1.0' in strict.ask("/metrics", **TOKEN)[1]


def test_a_client_that_leaves_takes_no_place(strict: Served):
    os.kill(strict.children()[0], signal.SIGSTOP)
    process = strict.children()[0]
    try:
        left = [socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE) for _ in range(4)]
        for one in left:
            one.sendall(head_of(len(jpeg(0))) + jpeg(0))
        over = time.monotonic() + PATIENCE
        while b'yolact_queue_images{model="small"} 4.0' not in strict.ask("/metrics", **TOKEN)[1]:
            assert time.monotonic() < over
            time.sleep(0.02)
        for one in left:
            one.close()
        while b"yolact_held_bytes 0.0" not in strict.ask("/metrics", **TOKEN)[1]:
            assert time.monotonic() < over
            time.sleep(0.02)
    finally:
        os.kill(process, signal.SIGCONT)
    with ThreadPoolExecutor(4) as clients:
        assert {one[0] for one in clients.map(lambda _: strict.ask("/predict", jpeg(0), **TOKEN), range(4))} == {200}
