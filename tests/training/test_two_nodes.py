"""Processes on two machines train as one does; here, two of torchrun's agents that meet on the loopback device."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from synthetic import write_dataset
from tiny import same
from yolact import checkpoint
from yolact.presets import yolact_mobilenetv4
from yolact.training import TrainConfig, train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")

NETWORK = replace(yolact_mobilenetv4().at_size((64, 64)), width=16, num_prototypes=4, parity=False)
STEPS = 20
RECIPE = TrainConfig(
    steps=STEPS,
    batch_size=4,
    batchnorm="frozen",
    augment="jitter",
    multi_scale=0.5,
    copy_paste=0.5,
    learning_rate=0.0005,
    gradient_clip=2.0,  # or the random network is chaotic: the seventh digit soon reaches the fourth
    validate_every=10,
    workers=0,
    device="cpu",
    backbone_weights="none",
    ema_decay=0.0,
    save_every=5,
)


RUN = replace(RECIPE, batch_size=2, steps=60, multi_scale=0.0, ema_decay=0.9)
"""Of one of two machines, long enough to be disturbed."""


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), images=6, size=(48, 64))


def options(recipe: TrainConfig) -> list[str]:
    """The network and the recipe as options of the command line."""
    default = TrainConfig()
    words = ["--preset", "yolact-mobilenetv4", "--image-size", "64", "64", "--width", "16", "--num-prototypes", "4"]
    for name, value in vars(recipe).items():
        if value != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(address: str, port: int, *arguments: str) -> "subprocess.Popen[str]":
    """One machine of two."""
    meeting = ["--torchrun.machines", "2", "--torchrun.meet", f"127.0.0.1:{port}", "--torchrun.local-address", address]
    command = [sys.executable, "-m", "yolact", "train", *arguments, *meeting]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def both(*arguments: str) -> list["subprocess.Popen[str]"]:
    port = free_port()
    return [start(address, port, *arguments) for address in ("127.0.0.1", "127.0.0.2")]


def ended(machines: list["subprocess.Popen[str]"], code: int) -> list[str]:
    """What each has said, once all have ended with this code."""
    said = []
    for machine in machines:
        printed, complained = machine.communicate(timeout=300)
        assert machine.returncode == code, complained[-3000:]
        said.append(printed + complained)
    return said


def rows(out: Path) -> list[dict[str, str]]:
    files = sorted(out.glob("csv/*/metrics.csv"))
    return [row for file in files for row in csv.DictReader(file.read_text().splitlines())]


def curve(out: Path, name: str) -> list[float]:
    return [float(row[name]) for row in rows(out) if row.get(name)]


def wait_for_steps(out: Path) -> None:
    deadline = time.monotonic() + 120
    while not curve(out, "loss"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def whole(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed `RUN`."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    ended(both(str(data_yaml), "--out", str(out), *options(RUN)), 0)
    return out


def test_two_machines_with_half_the_batch_are_one(data_yaml: Path, tmp_path: Path) -> None:
    """Losses, their means over epochs, weights, and what is found in the validation images."""
    machines = both(str(data_yaml), "--out", str(tmp_path / "two"), *options(replace(RECIPE, batch_size=2)))
    train(data_yaml, NETWORK, RECIPE, tmp_path / "one")
    said = ended(machines, 0)
    assert sorted(map(bool, said)) == [False, True], "only the first process speaks"
    for name in ("loss", "train/box", "train/class", "train/mask", "val/mask_AP", "val/box_AR100"):
        one, two = curve(tmp_path / "one", name), curve(tmp_path / "two", name)
        assert len(one) == (STEPS if name == "loss" else 2 if name.startswith("val") else STEPS), name
        assert two == pytest.approx(one, rel=1e-5, abs=1e-9), name
    weights, shared = (checkpoint.load(tmp_path / run / "last.safetensors").state_dict() for run in ("one", "two"))
    for name, value in weights.items():
        torch.testing.assert_close(shared[name], value, rtol=0, atol=1e-5)
    names = {path.name for path in (tmp_path / "two/pictures").iterdir()}
    assert names == {path.name for path in (tmp_path / "one/pictures").iterdir()}


@pytest.mark.slow
class TestEndings:
    """Of machines that do not come, do not fit together, are stopped, or die."""

    def begin(self, data_yaml: Path, out: Path) -> list["subprocess.Popen[str]"]:
        machines = both(str(data_yaml), "--out", str(out), *options(RUN))
        wait_for_steps(out)
        return machines

    def go_on(self, out: Path, whole: Path) -> None:
        ended(both("--resume", str(out)), 0)
        assert same(out / "last.safetensors", whole / "last.safetensors")

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_machine_that_is_stopped_has_all_of_them_save(
        self, data_yaml: Path, whole: Path, tmp_path: Path, which: int
    ) -> None:
        machines = self.begin(data_yaml, tmp_path / "run")
        machines[which].send_signal(signal.SIGTERM)
        for said in ended(machines, 130):
            assert f"; go on with: yolact train --resume {tmp_path / 'run'}" in said.splitlines()[-1]
            assert "Traceback" not in said
        self.go_on(tmp_path / "run", whole)

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_machine_that_dies_ends_the_others_soon(
        self, data_yaml: Path, whole: Path, tmp_path: Path, which: int
    ) -> None:
        machines = self.begin(data_yaml, tmp_path / "run")
        for child in children(machines[which].pid):
            os.kill(child, signal.SIGKILL)
        machines[which].kill()
        began = time.monotonic()
        (said,) = ended([machines[1 - which]], 2)
        assert time.monotonic() - began < 30
        assert "has lost the others of this run" in said or "does not answer, or no longer" in said
        assert "Traceback" not in said
        machines[which].communicate()
        self.go_on(tmp_path / "run", whole)

    def test_a_machine_with_other_data(self, data_yaml: Path, tmp_path: Path) -> None:
        other, port, out = write_dataset(tmp_path / "other", images=6, size=(48, 64), seed=1), free_port(), tmp_path
        recipe = ["--out", str(out / "run"), *options(RECIPE)]
        pairs = (("127.0.0.1", data_yaml), ("127.0.0.2", other))
        for said in ended([start(address, port, str(data), *recipe) for address, data in pairs], 2):
            assert "train images or annotations differ; copy the data to all machines anew" in said.splitlines()[-1]
            assert "Traceback" not in said
        assert not (out / "run").exists()

    def test_a_machine_that_never_comes(self, data_yaml: Path, tmp_path: Path) -> None:
        alone = [str(data_yaml), "--out", str(tmp_path / "run"), "--torchrun.wait", "3"]
        machine = start("127.0.0.1", free_port(), *alone)
        (said,) = ended([machine], 2)
        assert "2 machines were to meet at 127.0.0.1:" in said
        assert said.count("\n") == 1

    def test_a_worker_that_dies_is_started_again(self, data_yaml: Path, whole: Path, tmp_path: Path) -> None:
        out = tmp_path / "run"
        machines = both(str(data_yaml), "--out", str(out), *options(RUN), "--torchrun.restarts", "1")
        wait_for_steps(out)
        for child in children(machines[1].pid):
            os.kill(child, signal.SIGKILL)
        assert "started again; going on" in "".join(ended(machines, 0))
        assert same(out / "last.safetensors", whole / "last.safetensors")


def children(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
