"""What happens when the loss is not finite."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from synthetic import write_dataset
from tiny import TINY
from yolact import checkpoint
from yolact.training import recovery, train
from yolact.training.module import TrainingModule

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")

RECIPE = replace(tiny.RECIPE, epochs=8, schedule="cosine", batchnorm="trained", pictures=0)


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    path = write_dataset(tmp_path / "data", images=4, size=(48, 64))
    path.write_text("train: {images: train, annotations: instances_train.json}\n")
    return path


def poison(monkeypatch: pytest.MonkeyPatch, steps: range, value: float = float("nan")) -> None:
    """At these steps, one pixel of the batch is no number."""
    before = TrainingModule.training_step

    def poisoned(self: TrainingModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.trainer.global_step in steps:
            batch[0][0, 0, 0, 0] = value
        return before(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", poisoned)


def rates(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """The learning rate of each step, as it is used."""
    used: dict[int, float] = {}
    before = TrainingModule.on_before_optimizer_step

    def note(self: TrainingModule, optimizer: torch.optim.Optimizer) -> None:
        used[self.trainer.global_step] = optimizer.param_groups[0]["lr"]
        before(self, optimizer)

    monkeypatch.setattr(TrainingModule, "on_before_optimizer_step", note)
    return used


def is_finite(file: Path) -> bool:
    return all(value.isfinite().all() for value in checkpoint.load(file).state_dict().values())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_single_steps_are_skipped_and_leave_no_trace(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    """Not in the weights, and not in the statistics of batch norm, which had seen them before."""
    poison(monkeypatch, range(1, 3), value)
    before = TrainingModule.on_before_optimizer_step
    states: dict[int, dict[str, torch.Tensor]] = {}

    def note(self: TrainingModule, optimizer: torch.optim.Optimizer) -> None:
        before(self, optimizer)
        states[self.trainer.global_step] = {n: v.clone() for n, v in self.network.state_dict().items()}

    monkeypatch.setattr(TrainingModule, "on_before_optimizer_step", note)
    out = train(data_yaml, TINY, replace(RECIPE, steps=4), tmp_path / "run")
    assert "4 steps, 2 of them skipped for a loss that was not finite" in capsys.readouterr().out
    assert all(torch.equal(states[1][name], states[2][name]) for name in states[1])
    assert any(not torch.equal(states[2][name], states[3][name]) for name in states[1])
    assert is_finite(out / "last.safetensors")


@pytest.mark.parametrize("ema_decay", [0.0, 0.99])
def test_several_in_a_row_lead_back_to_the_last_state(
    data_yaml: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ema_decay: float,
) -> None:
    poison(monkeypatch, range(7, 7 + recovery.PATIENCE))
    used = rates(monkeypatch)
    out = train(data_yaml, TINY, replace(RECIPE, ema_decay=ema_decay), tmp_path / "run")
    printed = capsys.readouterr().out
    assert "step 12: no finite loss for 5 steps; back to the weights of step 6, at half the learning rate" in printed
    assert is_finite(out / "last.safetensors")

    used, fresh = dict(used), rates(monkeypatch)
    monkeypatch.setattr(TrainingModule, "training_step", _unpoisoned)
    train(data_yaml, TINY, RECIPE, tmp_path / "other")
    assert used[11] == fresh[11]
    assert all(used[step] == pytest.approx(fresh[step] / 2) for step in range(12, 16))


_unpoisoned = TrainingModule.training_step


def test_a_state_that_its_own_step_ruined_is_not_gone_back_to(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gradients of the sixth step are finite, and so is what is saved of it; the weights are useless."""
    before = TrainingModule.optimizer_step

    def ruin(self: TrainingModule, epoch: int, batch_idx: int, *rest: Any) -> None:
        step = self.trainer.global_step
        before(self, epoch, batch_idx, *rest)
        if step == 5:
            with torch.no_grad():
                for parameter in self.network.parameters():
                    parameter.fill_(1e30)

    monkeypatch.setattr(TrainingModule, "optimizer_step", ruin)
    out = train(data_yaml, TINY, replace(RECIPE, save_every=1, ema_decay=0.0), tmp_path / "run")
    printed = capsys.readouterr().out
    assert "step 11: no finite loss for 5 steps; back to the weights of step 5, at half the learning rate" in printed
    assert "16 steps, 5 of them skipped" in printed
    assert all(value.abs().max() < 1e6 for value in checkpoint.load(out / "last.safetensors").state_dict().values())


def test_what_never_recovers_stops_and_keeps_the_last_good_weights(
    data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PATIENCE", 2)
    poison(monkeypatch, range(3, 1000))
    with pytest.raises(ValueError, match=r"not finite after 5 returns to an earlier state.*lower --learning-rate"):
        train(data_yaml, TINY, replace(RECIPE, epochs=20), tmp_path / "run")
    assert is_finite(tmp_path / "run/last.safetensors")
    assert torch.load(tmp_path / "run/last.ckpt", weights_only=False)["global_step"] == 2
