"""What happens when steps fail: after a few in a row, back to the last good state, with a lower learning rate."""

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import LambdaLR

from yolact.training.averaging import AveragedWeights
from yolact.training.module import TrainingModule
from yolact.training.progress import say
from yolact.training.saving import GOOD_STATE, STATE

PATIENCE = 5
"""Steps in a row without a finite loss or finite gradients, after which the state is not worth keeping."""

RATE_AFTER = 0.5
"""What the learning rate is multiplied with, from then on."""

MOST_ROLLBACKS = 5


class Recovery(Callback):
    """Rolls back to `good.ckpt` after `PATIENCE` failed steps in a row, and halves the learning rate.

    Weights, their average and the optimizer go back; steps and data go on, so that the same images do not come again.
    """

    def __init__(self, out: Path, averaged: AveragedWeights | None) -> None:
        self.out, self.averaged = out, averaged
        self.rollbacks = 0

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: lightning.Trainer, pl_module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.skipped_in_a_row < PATIENCE:
            return
        if self.rollbacks == MOST_ROLLBACKS:
            raise ValueError(
                f"the loss was not finite after {MOST_ROLLBACKS} returns to an earlier state; {self.out} stops at step"
                f" {trainer.global_step}; start anew with a lower --learning-rate, or --gradient-clip 10"
            )
        self.rollbacks += 1
        step = self._roll_back(trainer, pl_module)
        pl_module.skipped_in_a_row = 0
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        say(
            f"step {trainer.global_step}: no finite loss for {PATIENCE} steps; back to the weights of step {step},"
            f" at half the learning rate, now {rate:.2g}"
        )

    def _roll_back(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> int:
        """Returns the step that the state is of."""
        good = self.out / GOOD_STATE
        state = torch.load(good if good.exists() else self.out / STATE, map_location="cpu", weights_only=True)
        if self.averaged is None:
            pl_module.load_state_dict(state["state_dict"])
        else:
            self.averaged.on_load_checkpoint(trainer, pl_module, state)
        (optimizer,), (schedule,) = trainer.optimizers, (c.scheduler for c in trainer.lr_scheduler_configs)
        assert isinstance(schedule, LambdaLR)
        optimizer.load_state_dict(state["optimizer_states"][0])
        precision = trainer.precision_plugin
        precision.load_state_dict(state.get(type(precision).__qualname__, {}))
        schedule.base_lrs = [RATE_AFTER * float(rate) for rate in schedule.base_lrs]
        for group, base, share in zip(optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = base * share(schedule.last_epoch)
        return int(state["global_step"])

    def state_dict(self) -> dict[str, Any]:
        return {"rollbacks": self.rollbacks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rollbacks = state_dict["rollbacks"]
