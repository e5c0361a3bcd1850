"""The commands of docs/paper-runs.md: they can be typed, and their schedules are the papers'."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import tyro

from locations import ROOT
from synthetic import write_sbd
from yolact.data.coco import CocoDataset
from yolact.data.source import DataConfig, published
from yolact.presets import PRESETS
from yolact.training.config import TrainConfig
from yolact.training.schedule import learning_rate, share_of_rate
from yolact.verbs.data_convert import DataConvert
from yolact.verbs.evaluate import Evaluate
from yolact.verbs.train import Train

PAGE = (ROOT / "docs" / "paper-runs.md").read_text()
COMMANDS = re.findall(r"^yolact (train|evaluate) (.*)$", PAGE, re.MULTILINE)
DECAYS = {800_000: (280_000, 600_000, 700_000, 750_000), 120_000: (60_000, 100_000)}


def test_there_is_one_for_each_run():
    trained = [arguments.split()[0] for verb, arguments in COMMANDS if verb == "train" and "--steps" in arguments]
    assert trained == ["coco2017", "sbd", "coco2017", "coco2017"]


@pytest.mark.parametrize("arguments", [arguments for verb, arguments in COMMANDS if verb == "train"])
def test_training_commands(arguments: str):
    if "--decay-at" in arguments and "decay_at" not in {field.name for field in fields(TrainConfig)}:
        pytest.skip("the schedule has no decay_at yet")
    command = tyro.cli(Train, args=shlex.split(arguments))
    if command.resume is not None:
        return
    assert str(command.data) in published()
    model = PRESETS[command.preset].build()
    assert model.image_size == (550, 550)
    recipe = command.recipe
    assert (recipe.optimizer, recipe.schedule, recipe.augment, recipe.zoom_out) == ("sgd", "steps", "ssd", 4.0)
    assert (recipe.batch_size, recipe.ema_decay, recipe.freezes_batchnorm) == (8, 0, False)
    assert learning_rate(recipe) == 1e-3
    assert recipe.steps is not None
    share = share_of_rate(recipe, recipe.steps)
    assert [share(step) for step in (0, 500)] == [0.1, 1.0]
    for place, decay in enumerate(DECAYS[recipe.steps]):
        assert share(decay - 1) == pytest.approx(0.1**place)
        assert share(decay) == pytest.approx(0.1 ** (place + 1))


@pytest.mark.parametrize("arguments", [arguments for verb, arguments in COMMANDS if verb == "evaluate"])
def test_evaluation_commands(arguments: str):
    assert str(tyro.cli(Evaluate, args=shlex.split(arguments)).data) in published()


def test_sbd_is_converted_to_the_root_that_is_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_sbd(tmp_path / "benchmark_RELEASE" / "dataset", {"train": ["a", "b"], "val": ["c"]})
    (arguments,) = re.findall(r"^yolact data convert (.*)$", PAGE, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    assert tyro.cli(DataConvert, args=shlex.split(arguments)).run() == 0
    config = DataConfig.read("sbd", Path("ROOT"))
    assert config.val is not None
    train, val = (CocoDataset(sources, config.classes) for sources in (config.train, (config.val,)))
    assert (len(train), train.num_objects, len(val), val.num_objects) == (2, 4, 1, 2)
    assert tuple(train.category_ids[name] for name in train.classes) == config.category_ids
    assert train.problems == val.problems == []
    assert sorted(train.classes[label] for label in train[0].labels) == ["person", "tvmonitor"]


def test_linked_files_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE + (ROOT / "docs" / "check-your-data.md").read_text()):
        assert (ROOT / "docs" / link).exists(), link
