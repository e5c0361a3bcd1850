"""Whole runs that end by a signal, and the same command again."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes_of_ray import descendants, kill
from sources_of_images import write_folder

from test_predictor import small_network
from yolact import checkpoint

PHOTOGRAPHS, CHUNK = 400, 8


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("run")
    weights = checkpoint.save(folder / "small.safetensors", small_network(image_size=(64, 64)))
    write_folder(folder / "photos", PHOTOGRAPHS)
    options = ["--weights", str(weights), "--top-k", "5", "--score-threshold", "0", "--ray.chunk", str(CHUNK)]
    verb = ["predict", "--ray", "--ray.address", "local", str(folder / "photos"), *options]
    return [sys.executable, "-m", "yolact", *verb]


@pytest.fixture(scope="module")
def whole(command: list[str], tmp_path_factory) -> dict[str, bytes]:
    """The files of a run that nothing happens to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    finished = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True)
    assert finished.returncode == 1, finished.stderr
    assert f"{PHOTOGRAPHS} photographs, in" in finished.stdout
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def begun(command: list[str], out: Path, parts: int) -> subprocess.Popen[str]:
    """A run of which so many chunks are done."""
    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while len(list((out / "images").glob("0*"))) < parts and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None
    return process


def end_driver(process: subprocess.Popen[str]) -> None:
    process.kill()


def end_node(process: subprocess.Popen[str]) -> None:
    assert kill(process.pid, "raylet/raylet")


def end_control(process: subprocess.Popen[str]) -> None:
    assert kill(process.pid, "gcs_server")


def end_everything(process: subprocess.Popen[str]) -> None:
    assert kill(process.pid, "ray")
    process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "after"), [(end_driver, (3, 25)), (end_node, (10,)), (end_control, (10,)), (end_everything, (10,))]
)
def test_the_same_command_ends_with_the_same_files(
    command: list[str],
    whole: dict[str, bytes],
    tmp_path: Path,
    end: Callable[[subprocess.Popen[str]], None],
    after: tuple[int, ...],
):
    for parts in after:
        process = begun(command, tmp_path / "out", parts)
        others = descendants(process.pid)
        end(process)
        process.communicate(timeout=180)
        assert process.returncode != 0
        deadline = time.monotonic() + 120
        while any(Path(f"/proc/{number}").exists() for number in others) and time.monotonic() < deadline:
            time.sleep(0.1)
        left = [command for number, command in others.items() if Path(f"/proc/{number}").exists()]
        assert not left  # Ray's processes end with their driver
        assert parts <= len(contents(tmp_path / "out")) < len(whole)
    finished = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True)
    assert finished.returncode == 1, finished.stderr
    assert "by an earlier run" in finished.stdout
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
)
def test_what_is_ended_says_how_to_go_on(command: list[str], tmp_path: Path, number: signal.Signals, code: int):
    process = begun(command, tmp_path / "out", 3)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert "chunks are done, and the same command does the others" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert "***" not in said  # as Ray's C++ does of signals
