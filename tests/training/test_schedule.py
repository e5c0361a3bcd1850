import pytest
import torch
from torch import nn

from yolact.training.config import TrainConfig
from yolact.training.schedule import build_optimizer, learning_rate, share_of_rate


def test_the_paper() -> None:
    """800 thousand steps: 1e-4 rising to 1e-3 at 500, then a tenth at each of four points."""
    share = share_of_rate(TrainConfig(), 800_000)
    at = {step: 1e-3 * share(step) for step in (0, 250, 500, 279_999, 280_000, 600_000, 700_000, 750_000)}
    expected = [1e-4, 5.5e-4, 1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]
    assert list(at.values()) == pytest.approx(expected)


def test_warmup_is_at_most_a_tenth_of_a_short_run() -> None:
    share = share_of_rate(TrainConfig(), 100)
    assert share(0) == pytest.approx(0.1)
    assert share(9) < 1
    assert share(10) == 1
    assert [share_of_rate(TrainConfig(), 3)(step) for step in (0, 1)] == [1, 1]


def test_cosine() -> None:
    share = share_of_rate(TrainConfig(schedule="cosine", warmup_steps=0), 1000)
    assert [share(0), share(500), share(1000), share(2000)] == pytest.approx([1.0, 0.505, 0.01, 0.01])
    values = [share(step) for step in range(1000)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("config", "devices", "rate"),
    [
        (TrainConfig(), 1, 1e-3),
        (TrainConfig(batch_size=16), 1, 2e-3),
        (TrainConfig(batch_size=4), 4, 2e-3),
        (TrainConfig(optimizer="adamw"), 1, 2e-4),
        (TrainConfig(learning_rate=0.5, batch_size=4), 1, 0.25),
    ],
)
def test_the_rate_follows_the_batch(config: TrainConfig, devices: int, rate: float) -> None:
    assert learning_rate(config, devices) == pytest.approx(rate)


def test_sgd_decays_everything_that_is_trained() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    layer[1].requires_grad_(False)
    optimizer = build_optimizer(layer.parameters(), TrainConfig(), 0.1)
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert len(group["params"]) == 2
    assert (group["momentum"], group["weight_decay"], group["lr"]) == (0.9, 5e-4, 0.1)


def test_adamw_decays_matrices_only() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    optimizer = build_optimizer(layer.parameters(), TrainConfig(optimizer="adamw"), 0.1)
    assert [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups] == [(1, 0.05), (3, 0.0)]
