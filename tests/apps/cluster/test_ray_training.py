"""Training in processes of Ray: a small cluster of its own for each run, in a folder with a short name."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from synthetic import write_dataset
from tiny import same
from yolact.presets import yolact_mobilenetv4
from yolact.training import TrainConfig, train

pytest.importorskip("ray", reason="needs the extra yolact[ray]")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")

NETWORK = replace(yolact_mobilenetv4().at_size((64, 64)), width=16, num_prototypes=4, parity=False)
RECIPE = TrainConfig(
    steps=4,
    batch_size=2,
    batchnorm="frozen",
    learning_rate=0.0005,
    gradient_clip=2.0,
    workers=0,
    device="cpu",
    backbone_weights="none",
    pictures=0,
)


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), images=4, size=(48, 64))


@pytest.fixture
def home() -> Iterator[Path]:
    """Ray's own folder: it holds sockets, whose names have an end."""
    folder = Path(tempfile.mkdtemp(prefix="ry"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def start(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "yolact", "train", *arguments, "--ray.workers", "2", "--ray.address", "local"]
    settings = {
        "OMP_NUM_THREADS": "1",
        "RAY_TMPDIR": str(home),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    }
    return subprocess.Popen(
        [*command, "--ray.cpus", "0.5"],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begin(home: Path, data_yaml: Path, out: Path, recipe: TrainConfig) -> "subprocess.Popen[str]":
    words = ["--preset", "yolact-mobilenetv4", "--image-size", "64", "64", "--width", "16", "--num-prototypes", "4"]
    default = TrainConfig()
    for name, value in vars(recipe).items():
        if value != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return start(home, str(data_yaml), "--out", str(out), *words)


def ended(driver: "subprocess.Popen[str]", code: int) -> str:
    printed, complained = driver.communicate(timeout=300)
    assert driver.returncode == code, complained[-3000:]
    return printed + complained


def losses(out: Path) -> list[float]:
    files = sorted(out.glob("csv/*/metrics.csv"))
    rows = [row for file in files for row in csv.DictReader(file.read_text().splitlines())]
    return [float(row["loss"]) for row in rows if row.get("loss")]


@pytest.mark.slow
def test_processes_on_ray_train_as_one_does(data_yaml: Path, tmp_path: Path, home: Path) -> None:
    driver = begin(home, data_yaml, tmp_path / "ray", RECIPE)
    train(data_yaml, NETWORK, replace(RECIPE, batch_size=4), tmp_path / "one")
    said = ended(driver, 0)
    assert losses(tmp_path / "ray") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    assert len(losses(tmp_path / "one")) == 4
    first, *_, last = said.splitlines()
    assert first == "4 training images, 8 objects, 2 classes; 4 validation images", "nobody else speaks"
    assert last.endswith("of the time of training went by waiting for data") or "would help" in last
    names = {path.name for path in (tmp_path / "ray").iterdir()}
    assert names == {path.name for path in (tmp_path / "one").iterdir()}


LONG = replace(RECIPE, steps=40, save_every=3)


@pytest.fixture
def out(data_yaml: Path, tmp_path: Path, home: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A run that has begun, and its driver."""
    driver = begin(home, data_yaml, tmp_path / "run", LONG)
    deadline = time.monotonic() + 200
    while not losses(tmp_path / "run"):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield tmp_path / "run", driver
    driver.kill()
    driver.communicate()


@pytest.fixture(scope="module")
def whole(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An undisturbed run."""
    home = Path(tempfile.mkdtemp(prefix="ry"))
    out = tmp_path_factory.mktemp("runs") / "whole"
    ended(begin(home, data_yaml, out, LONG), 0)
    yield out
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.slow
class TestDisturbed:
    def test_a_process_that_dies_is_started_again(
        self, whole: Path, out: tuple[Path, "subprocess.Popen[str]"], home: Path
    ) -> None:
        folder, driver = out
        os.kill(workers(home)[-1], signal.SIGKILL)
        assert f"started again; going on with the run in {folder}" in ended(driver, 0)
        assert same(folder / "last.safetensors", whole / "last.safetensors")

    def test_stopped_by_ctrl_c_and_gone_on_with(
        self, whole: Path, out: tuple[Path, "subprocess.Popen[str]"], home: Path
    ) -> None:
        folder, driver = out
        driver.send_signal(signal.SIGINT)
        assert f"go on with: yolact train --resume {folder}" in ended(driver, 130).splitlines()[-1]
        ended(start(home, "--resume", str(folder)), 0)
        assert same(folder / "last.safetensors", whole / "last.safetensors")


def workers(home: Path) -> list[int]:
    """The processes of the cluster in this folder that train."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            trains = (process / "cmdline").read_bytes().startswith(b"ray::RayTrainWorker")
            if trains and f"RAY_TMPDIR={home}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ray.workers", "-1"], "ray.workers is -1; it must not be negative"),
        (["--ray.workers", "2"], "out is not given; name a folder on a disk that all machines share with --out"),
        (["--ray.workers", "2", "--torchrun.machines", "2", "--torchrun.meet", "a:1"], "both say where to train"),
        (["--torchrun.machines", "2"], "say where they meet: --torchrun.meet HOST:PORT"),
        (["--torchrun.meet", "host"], "torchrun.meet is 'host'; write it as HOST:PORT"),
    ],
)
def test_mistakes(
    arguments: list[str],
    said: str,
    data_yaml: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from yolact.cli import main

    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with pytest.raises(SystemExit) as exit_code:
        main(["train", str(data_yaml), *arguments])
    assert exit_code.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
