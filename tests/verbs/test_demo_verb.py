"""`yolact demo` before there is a page."""

import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from locations import ROOT
from yolact.apps.demo import models, server
from yolact.apps.demo.server import LOOPBACK, listen
from yolact.cli import main
from yolact.verbs.demo import Demo
from yolact.verbs.runtime_choice import RuntimeChoice


def test_a_missing_extra_gives_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SystemExit) as exited:
        main(["demo"])
    assert exited.value.code == 2
    assert capsys.readouterr().err.strip().endswith("pip install 'yolact[demo]'")


def test_a_port_that_is_taken_gives_another():
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        listener, was_taken = listen(port)
        with listener:
            assert was_taken
            assert listener.getsockname()[0] == LOOPBACK
            assert listener.getsockname()[1] != port


def test_a_port_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="port is 70000"):
        listen(70000)


def test_a_broken_example_is_skipped_in_words(tmp_path: Path, capsys: pytest.CaptureFixture):
    sound = next((ROOT / "photos").glob("*.jpg"))
    (tmp_path / "a.jpg").write_bytes(b"no photograph")
    (tmp_path / "b.jpg").write_bytes(sound.read_bytes()[:9000])
    shutil.copy(sound, tmp_path / "c.jpg")
    assert Demo(examples=tmp_path)._photographs() == [tmp_path / "c.jpg"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(line.startswith("skipped: ") for line in said)


def test_a_terminated_page_still_removes_what_visitors_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Page:
        def __init__(self, *_: Any) -> None: ...

        def warm_up(self) -> None: ...

        def run(self, sockets: list[socket.socket]) -> None:
            signal.raise_signal(signal.SIGTERM)

    @contextmanager
    def prepared(*_: Any) -> Iterator[Page]:
        left = tmp_path / "left"
        left.mkdir()
        try:
            yield Page()
        finally:
            left.rmdir()

    monkeypatch.setattr(server, "require_gradio", lambda: None)
    monkeypatch.setattr(server, "prepared", prepared)
    monkeypatch.setattr(models, "Models", Page)
    monkeypatch.setattr(RuntimeChoice, "load", lambda _: None)
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [signal.getsignal(number) for number in numbers]
    try:
        with pytest.raises(KeyboardInterrupt):
            Demo(port=0).run()
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert not any(tmp_path.iterdir())
