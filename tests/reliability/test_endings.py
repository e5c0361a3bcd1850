"""How runs end that do not end by themselves, and what they leave."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips import write_clip
from graphs import crowded
from yolact import checkpoint, export
from yolact.cli import main
from yolact.runtimes import automatic
from yolact.runtimes.torch_export import TorchExportRuntime
from yolact.video.live import LiveSource, Picture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(checkpoint.save(tmp_path_factory.mktemp("weights") / "small.safetensors", crowded()))


def run(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as exited:
        main([str(argument) for argument in arguments])
    assert isinstance(exited.value.code, int)
    return exited.value.code


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
def test_a_terminated_export_leaves_nothing(
    number: int, code: int, said: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    def write(deployable: Any, path: Path) -> Path:
        path.write_text("half of a graph")
        os.kill(os.getpid(), number)
        time.sleep(10)
        raise AssertionError("nothing came")

    (tmp_path / "small.pt2").write_text("an earlier one")
    monkeypatch.setitem(export.KINDS, "torch", export._Kind(".pt2", write, TorchExportRuntime))
    before = signal.getsignal(signal.SIGTERM)
    assert run("export", weights, "--to", "torch", "--out", tmp_path / "small.pt2") == code
    assert capsys.readouterr().err == f"yolact: {said}\n"
    assert signal.getsignal(signal.SIGTERM) is before
    assert [file.name for file in tmp_path.iterdir()] == ["small.pt2"]
    assert (tmp_path / "small.pt2").read_text() == "an earlier one"


def test_what_is_ignored_stays_ignored(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`nohup yolact ...` outlives its terminal."""

    def find(*_: Any) -> None:
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        raise ValueError("seen")

    monkeypatch.setattr("yolact.sources.find_images", find)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("predict", tmp_path, "--weights", weights) == 2
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_that_finds_no_frame_costs_no_earlier_results(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    clip = write_clip(tmp_path / "clip.mp4", 3)
    arguments = ("predict", clip, "--out", tmp_path / "out", "--weights", weights, "--top-k", "1")
    assert run(*arguments) == 0
    assert "earlier" not in capsys.readouterr().out
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("yolact.video.stages._batch", lambda *_: ([], OSError("the camera is gone"), False))
        assert run(*arguments) == 2
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    capsys.readouterr()
    assert run(*arguments) == 0
    assert "(those of an earlier run replaced)" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.mp4", "clip.jsonl", "videos.json"}


class OncePresent:
    """A stream of a few pictures, after which nothing answers any more."""

    rate: Fraction | None = None

    def __init__(self) -> None:
        self.answers = True

    def __call__(self) -> "OncePresent":
        if not self.answers:
            raise OSError("no answer")
        self.answers = False
        return self

    def __iter__(self) -> Iterator[tuple[float, Picture]]:
        for _ in range(3):
            time.sleep(0.02)
            yield time.monotonic(), lambda: np.zeros((1, 1, 3), np.uint8)
        raise ConnectionError("lost")

    def cancel(self) -> None: ...

    def close(self) -> None: ...


def test_a_lost_stream_ends_after_its_seconds():
    source = LiveSource(OncePresent(), "stream", patience=30.0)
    source.seconds = 0.5
    start = time.monotonic()
    frames = list(source)
    assert 0.4 < time.monotonic() - start < 5
    assert 1 <= len(frames) <= 3


def test_a_stream_is_given_its_seconds(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    sources: list[LiveSource] = []

    def open_stream(*_: Any, **__: Any) -> LiveSource:
        sources.append(LiveSource(OncePresent(), "stream", patience=30.0))
        return sources[0]

    monkeypatch.setattr("yolact.video.stream.open_stream", open_stream)
    options = ("--out", tmp_path / "out", "--weights", weights, "--seconds", "0.5", "--no-pictures")
    start = time.monotonic()
    assert run("predict", "rtsp://127.0.0.1:9/live", *options) == 0
    assert time.monotonic() - start < 15
    assert sources[0].seconds == 0.5
    (lines,) = (tmp_path / "out").glob("*.jsonl")
    assert all(json.loads(line) for line in lines.read_text().splitlines())


def test_the_cache_keeps_what_was_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(automatic, "MOST_KEPT", 3)
    for number in range(6):
        file = tmp_path / f"{number}.onnx"
        file.touch()
        os.utime(file, (number, number))
        automatic._keep_the_latest(file)
    assert {file.name for file in tmp_path.iterdir()} == {"3.onnx", "4.onnx", "5.onnx"}
    os.utime(tmp_path / "3.onnx", (10**11, 10**11))  # the clock was years ahead
    (tmp_path / "6.onnx").touch()
    automatic._keep_the_latest(tmp_path / "6.onnx")
    assert (tmp_path / "6.onnx").is_file()
    assert len(list(tmp_path.iterdir())) == 3
    automatic._keep_the_latest(tmp_path / "missing" / "7.onnx")  # nothing can be done, and nothing is raised
