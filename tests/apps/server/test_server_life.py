"""Beginning, dying and ending: a server answers what it accepted, and every mistake is one line."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from served import PATIENCE, Served, jpeg
from yolact.apps.server.limits import Limits
from yolact.verbs.serve import Serve

pytest.importorskip("fastapi_offline", reason="needs the extra yolact[serve]")


def test_a_process_that_is_killed_takes_no_request_along(served: Served):
    files = [jpeg(seed, (60 + seed, 90)) for seed in range(6)]
    expected = [[one["score"] for one in served.predict(file)["instances"]] for file in files]
    answers: dict[int, list[float]] = {}
    before = served.children()[0]

    def ask(number: int) -> None:
        answers[number] = [one["score"] for one in served.predict(files[number])["instances"]]

    os.kill(before, signal.SIGSTOP)  # or it might be done before it is killed
    asking = [threading.Thread(target=ask, args=(number,)) for number in range(len(files))]
    for one in asking:
        one.start()
    over = time.monotonic() + PATIENCE
    while b'yolact_queue_images{model="small"} 6.0' not in served.ask("/metrics")[1]:
        assert time.monotonic() < over
        time.sleep(0.02)
    os.kill(before, signal.SIGKILL)
    for one in asking:
        one.join()
    assert sorted(answers) == list(range(len(files)))
    for number, scores in answers.items():
        assert scores == pytest.approx(expected[number], abs=2e-4)
    assert before not in served.children()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_answered_and_the_rest_refused(weights: Path, how: signal.Signals):
    server = Served(weights)
    process, statuses = server.children()[0], list[int]()
    os.kill(process, signal.SIGSTOP)
    asking = [threading.Thread(target=lambda: statuses.append(server.ask("/predict", jpeg(0))[0])) for _ in range(3)]
    for one in asking:
        one.start()
    over = time.monotonic() + PATIENCE
    while b'yolact_queue_images{model="small"} 3.0' not in server.ask("/metrics")[1]:
        assert time.monotonic() < over
        time.sleep(0.02)
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as open_before:
        open_before.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b'"up"}'):
            answer += open_before.recv(10_000)
        open_before.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
        time.sleep(0.2)
        ending = threading.Thread(target=lambda: codes.append(server.stop(how)))
        codes: list[int] = []
        ending.start()
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):  # nobody listens any more
            server.ask("/predict", jpeg(0))
        os.kill(process, signal.SIGCONT)
        for one in asking:
            one.join()
        assert statuses == [200, 200, 200]
        open_before.sendall(b"c")
        assert open_before.recv(10_000).startswith(b"HTTP/1.1 422 ")  # it was begun before
    ending.join()
    assert codes == [0]


def test_a_second_signal_waits_for_nobody(weights: Path):
    server = Served(weights)
    os.kill(server.children()[0], signal.SIGSTOP)
    hanging = threading.Thread(target=ask_in_vain, args=(server,), daemon=True)
    hanging.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    began = time.monotonic()
    server.stop(signal.SIGTERM)
    assert time.monotonic() - began < 10
    hanging.join()


def test_who_is_not_answered_in_time_after_sigterm_is_told(weights: Path):
    server = Served(weights, "--drain-seconds", "1")
    os.kill(server.children()[0], signal.SIGSTOP)
    left = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    body, told = jpeg(0), list[tuple[int, bytes]]()
    left.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    asking = threading.Thread(target=lambda: told.append(server.ask("/predict", body)[:2]))
    asking.start()
    over = time.monotonic() + PATIENCE
    while b'yolact_queue_images{model="small"} 2.0' not in server.ask("/metrics")[1]:
        assert time.monotonic() < over
        time.sleep(0.02)
    left.close()
    while b'yolact_queue_images{model="small"} 1.0' not in server.ask("/metrics")[1]:
        assert time.monotonic() < over
        time.sleep(0.02)
    assert server.stop() == 0
    asking.join()
    ((status, answer),) = told
    assert (status, json.loads(answer)["error"]["code"]) == (503, "stopping")
    assert server.complaints == ""  # nor about the one that left


def changed(folder: Path, program: str) -> str:
    """What makes each process of Python's run this first, as the value of PYTHONPATH."""
    (folder / "sitecustomize.py").write_text(program)
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def test_nothing_in_it_goes_by_the_clock(weights: Path, tmp_path: Path):
    jumping = """
import itertools, time
true, calls = time.time, itertools.count()
time.time = lambda: true() + (1e9 if next(calls) % 2 else -1e9)
"""
    server = Served(weights, "--seconds", "20", "--upload-seconds", "5", PYTHONPATH=changed(tmp_path, jumping))
    try:
        assert [server.ask("/predict", jpeg(i))[0] for i in range(5)] == [200] * 5
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
            time.sleep(1)
            slow.sendall(b"bc")
            assert slow.recv(10_000).startswith(b"HTTP/1.1 422 ")  # in time, and no image
    finally:
        assert server.stop() == 0


def test_it_needs_no_place_to_write_to(weights: Path, tmp_path: Path):
    refusing = """
import os, sys
CHANGES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def refuse(event, details):
    if event in CHANGES or event == "open" and isinstance(details[2], int) and details[2] & WRITING:
        place = str(details[0])
        is_named = isinstance(details[0], (str, os.PathLike))  # a pipe has a number
        if is_named and not place.startswith("/dev/") and "__pycache__" not in place:  # or Numba would compile for 15 s
            raise PermissionError(13, "no place to write to", place)
sys.addaudithook(refuse)
"""
    server = Served(weights, PYTHONPATH=changed(tmp_path, refusing))
    try:
        for form in ("rle", "polygons", "png", "picture"):
            assert server.ask(f"/predict?format={form}&score_threshold=0", jpeg(0))[0] == 200
    finally:
        assert server.stop() == 0


def ask_in_vain(server: Served) -> None:
    with suppress(OSError, http.client.HTTPException):
        server.ask("/predict", jpeg(0))


def run(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "yolact", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_mistakes_are_one_line(weights: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = run(str(weights), "--port", port)
    assert (code, said.count("\n")) == (2, 1)
    assert f"cannot listen on 127.0.0.1, port {port}" in said
    assert run(str(weights), "--queue", "0") == (2, "yolact: queue is 0; it must be above 0, and not infinite\n")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes()[:1000])
    code, said = run(str(damaged), "--port", "0")
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("yolact: damaged: ")


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ((), ["yolact-people"]),
        (("runs/a/best.safetensors", "b=runs/b/best.safetensors"), ["best", "b"]),
        (("yolact_base_54_800000.pth",), ["yolact_base_54_800000"]),
        (("owner/name",), ["name"]),
    ],
)
def test_names_of_models(weights: tuple[str, ...], names: list[str]):
    assert list(Serve(weights=weights, device="cpu")._recipes()) == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ("a.onnx", "b/a.onnx")}, "two models are called a; name them, as in a-2=b/a.onnx"),
        ({"weights": ("..=a.onnx",)}, "cannot be a part of an address"),
        ({"weights": ("a b=a.onnx",)}, "cannot be a part of an address"),
        ({"most_together": 0}, "most-together is 0"),
        ({"patience": float("nan")}, "patience is nan"),
    ],
)
def test_options_that_do_not_fit(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Serve(**{"device": "cpu", **options})._recipes()


@pytest.mark.parametrize("token", ["", "two\nlines", "space at its end ", "caf\u00e9"])
def test_tokens_that_no_request_could_send(token: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="the token "):
        Serve(token=token, port=0).run()
    monkeypatch.setenv("YOLACT_TOKEN", token)
    with pytest.raises(ValueError, match="the token "):
        Serve(port=0).run()


@pytest.mark.parametrize(("name", "value"), [("queue", 0), ("body_mb", float("inf")), ("seconds", float("nan"))])
def test_limits_are_limits(name: str, value: Any):
    with pytest.raises(ValueError, match=f"{name.replace('_', '-')} is {value}; it must be above 0"):
        Limits(**{name: value}).check()
