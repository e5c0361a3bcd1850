import json
import re
from pathlib import Path
from typing import Any

import pytest

from yolact.training import TrainConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"ema_decay": 1.0},
        {"zoom_out": 0.5},
        {"seed": -1},
        {"batch_size": 0},
        {"accumulate": 0},
        {"patience": 0},
        {"mosaic": 1.5},
        {"multi_scale": 1.0},
        {"semantic_weight": -1.0},
        {"jitter_scales": (2.0, 0.1)},
        {"decay_at": (0.9, 0.5)},
    ],
    ids=str,
)
def test_wrong_values_are_named(wrong: dict[str, Any]) -> None:
    (name, value), *_ = wrong.items()
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}; ")):
        TrainConfig(**wrong)


def test_survives_json() -> None:
    config = TrainConfig(init=Path("a.pth"), cache=Path("c"), gradient_clip=3.0, freeze=("backbone",), decay_at=(0.5,))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_of_another_version_are_named() -> None:
    with pytest.raises(ValueError, match="unknown settings \\['speed'\\]"):
        TrainConfig.from_dict({"speed": 3})


@pytest.mark.parametrize(
    ("batch_size", "asked", "frozen"),
    [(5, "auto", True), (6, "auto", False), (5, "trained", False), (6, "frozen", True), (5, "synchronized", False)],
)
def test_small_batches_freeze(batch_size: int, asked: Any, frozen: bool) -> None:
    assert TrainConfig(batch_size=batch_size, batchnorm=asked).freezes_batchnorm == frozen


def test_an_undecided_batch_size_is_no_number() -> None:
    with pytest.raises(ValueError, match="batch_size is auto"):
        _ = TrainConfig(batch_size="auto").images
