"""SIGKILL at any moment: the resumed run ends with the bits of one that was never killed."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from locations import ROOT
from synthetic import write_dataset
from tiny import TINY
from yolact.training import TrainConfig, resume, train
from yolact.training.saving import SaveLast

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")

RECIPE = TrainConfig(
    epochs=3,
    batch_size=2,
    accumulate=2,
    optimizer="adamw",
    gradient_clip=1.0,
    batchnorm="trained",
    augment="jitter",
    multi_scale=0.5,
    mosaic=0.3,
    copy_paste=0.5,
    ema_decay=0.9,
    workers=1,
    device="cpu",
    backbone_weights="none",
    pictures=0,
)

PARTS = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")
"""Of a state, what must not differ in a bit."""

CHILD = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import test_killed
from yolact.training import saving, train

steps, moment = int(sys.argv[3]), sys.argv[4]

def die_after(owner, name, is_time):
    before = getattr(owner, name)
    def wrapped(*args, **kwargs):
        result = before(*args, **kwargs)
        if is_time(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapped)

if moment == "after a step":
    die_after(saving.SaveLast, "on_train_batch_end", lambda self, trainer, *_: trainer.global_step == steps)
else:  # the new state is written, but does not have its name yet
    die_after(saving, "synchronize", lambda path: path.is_file() and test_killed.step_of(path) == steps)
train(Path(sys.argv[1]), test_killed.TINY, test_killed.RECIPE, Path(sys.argv[2]))
"""


def step_of(state: Path) -> int:
    return torch.load(state, weights_only=False)["global_step"]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), images=8, size=(48, 64))


@pytest.fixture(scope="module")
def whole(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = train(data_yaml, TINY, RECIPE, tmp_path_factory.mktemp("runs") / "whole")
    return torch.load(out / "last.ckpt", weights_only=False)


@pytest.mark.parametrize(
    ("steps", "moment", "saved"),
    [(0, "while saving", None), (1, "after a step", 0), (3, "after a step", 2), (4, "while saving", 2)],
)
def test_a_killed_run_ends_like_one_that_was_not(
    data_yaml: Path, whole: dict[str, Any], tmp_path: Path, steps: int, moment: str, saved: int | None
) -> None:
    """Weights, their average, the optimizer and the schedule, data order and augmentation included: to the bit."""
    out = tmp_path / "run"
    child = CHILD.format(paths=[str(ROOT / "tests"), str(Path(__file__).parent)])
    command = [sys.executable, "-c", child, str(data_yaml), str(out), str(steps), moment]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    result = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert (step_of(out / "last.ckpt") if (out / "last.ckpt").exists() else None) == saved
    resume(out)
    ended = torch.load(out / "last.ckpt", weights_only=False)
    for part in PARTS:
        assert same(ended[part], whole[part]), part
    assert ended["global_step"] == whole["global_step"] == 6


SETTINGS: dict[str, dict[str, Any]] = {
    "several batches a step, nothing measured": {"accumulate": 2, "epochs": 3},
    "measured every other epoch, with patience": {"accumulate": 2, "epochs": 4, "validate_every": 2, "patience": 1},
    "an end within an epoch": {"steps": 7},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_whichever_state_was_the_last_the_end_is_the_same(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Also the measurements, and the best weights by them."""
    if "nothing measured" in setting:
        lone = data_yaml.with_name("train.yaml")
        lone.write_text("train: {images: train, annotations: instances_train.json}\n")
        data_yaml = lone
    recipe = replace(tiny.RECIPE, ema_decay=0.9, batchnorm="trained", save_every=1, pictures=0, **SETTINGS[setting])
    before = SaveLast.save

    def save(self: SaveLast, trainer: Any, *rest: Any, **options: Any) -> None:
        before(self, trainer, *rest, **options)
        shutil.copytree(self.out, tmp_path / f"{trainer.global_step}", dirs_exist_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(SaveLast, "save", save)
        whole = train(data_yaml, TINY, recipe, tmp_path / "whole")
    states = sorted((path for path in tmp_path.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    assert len(states) >= 4
    wanted = torch.load(whole / "last.ckpt", weights_only=False)
    for folder in states:
        resume(folder)
        ended = torch.load(folder / "last.ckpt", weights_only=False)
        for part in PARTS:
            assert same(ended[part], wanted[part]), (folder.name, part)
        assert ended["global_step"] == wanted["global_step"]
        callbacks = [{n: s for n, s in of["callbacks"].items() if "Validation" in n} for of in (ended, wanted)]
        assert callbacks[0] == callbacks[1], folder.name
        for name in ("last", "best"):
            files = [of / f"{name}.safetensors" for of in (folder, whole)]
            assert files[0].exists() == files[1].exists()
            assert not files[1].exists() or tiny.same(*files), (folder.name, name)
