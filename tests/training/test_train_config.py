import json
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
    ],
    ids=str,
)
def test_wrong_values_are_named(wrong: dict[str, Any]) -> None:
    (name, value), *_ = wrong.items()
    with pytest.raises(ValueError, match=f"{name} is {value!r}; "):
        TrainConfig(**wrong)


def test_survives_json() -> None:
    config = TrainConfig(init=Path("a.pth"), gradient_clip=3.0)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(("batch_size", "asked", "frozen"), [(5, None, True), (6, None, False), (5, False, False)])
def test_small_batches_freeze(batch_size: int, asked: bool | None, frozen: bool) -> None:
    assert TrainConfig(batch_size=batch_size, freeze_batchnorm=asked).freezes_batchnorm == frozen
