"""The fit, on Lightning: what a step does, and where batches come from."""

from dataclasses import fields, replace
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from yolact.data.coco import CocoDataset
from yolact.data.loader import (
    EpochSampler,
    EvaluationSamples,
    TrainingSamples,
    evaluation_loader,
    training_loader,
)
from yolact.losses.objective import Objective
from yolact.model import Yolact
from yolact.structures import RawOutput, Target
from yolact.training.config import TrainConfig
from yolact.training.schedule import build_optimizer, learning_rate, share_of_rate

Batch = tuple[Tensor, list[Target]]


class TrainingModule(lightning.LightningModule):
    """A network and its objective."""

    def __init__(self, network: Yolact, config: TrainConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.objective = Objective(network.config, crop_masks=config.crop_masks, semantic_weight=config.semantic_weight)
        network.semantic.requires_grad_(config.semantic_weight > 0)
        self.skipped_steps = 0
        """Steps without a finite loss and finite gradients: their update is left out."""
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.freezes_batchnorm:
            self._freeze_batchnorm()

    def on_fit_start(self) -> None:
        if self.config.precision == "bf16" and self.device.type == "cpu":
            for part in self.network.modules():
                if isinstance(part, nn.Conv2d) and part.groups > 1:
                    part.register_forward_pre_hook(_leave_autocast)
                    part.register_forward_hook(_enter_autocast, always_call=True)

    def configure_optimizers(self) -> Any:
        rate = learning_rate(self.config, self.trainer.world_size)
        optimizer = build_optimizer(self.network.parameters(), self.config, rate)
        share = share_of_rate(self.config, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # By the step, and not once for the run: so a resumed run draws what an uninterrupted one would have drawn.
        key = (self.config.seed, self.trainer.global_step, self.trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch
        raw = self.network(images)
        # Probabilities near 0 and 1, sums over thousands of anchors: the loss needs all of float32.
        with torch.autocast(images.device.type, enabled=False):
            losses = self._losses(_in_float32(raw), targets)
            total = torch.stack(list(losses.values())).sum()
        for name, value in losses.items() if torch.isfinite(total) else ():
            self.log(f"train/{name}", value.detach(), on_step=False, on_epoch=True, batch_size=len(images))
        self.log("loss", total.detach(), prog_bar=True)
        # A loss that is not finite makes every gradient NaN, on every device: all of them then skip the step together.
        return total * torch.where(torch.isfinite(total.detach()), 1.0, float("nan"))

    def _losses(self, raw: RawOutput, targets: list[Target]) -> dict[str, Tensor]:
        """The objective; where the network's output is not finite, NaN, as cross-entropy refuses to be computed."""
        outputs = [raw.class_logits, raw.box_deltas, raw.coefficients, raw.prototypes]
        checksum = torch.stack([output.sum() for output in outputs]).sum()
        if not torch.isfinite(checksum):
            return {"not_finite": checksum * float("nan")}
        return self.objective(raw, targets, self.network.mask_rescoring)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if torch.isfinite(norm):
            return
        self.skipped_steps += 1
        for parameter in self.network.parameters():
            parameter.grad = None

    def on_train_epoch_start(self) -> None:
        # Lightning sets all to training mode, at the start and after a validation.
        self.network.train()
        if self.config.freezes_batchnorm:
            self._freeze_batchnorm()

    def on_train_epoch_end(self) -> None:
        self.log("skipped_steps", float(self.skipped_steps))
        self.log("learning_rate", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["skipped_steps"] = self.skipped_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.skipped_steps = checkpoint["skipped_steps"]

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, RawOutput]:
        """The raw output; `yolact.training.callbacks.Validation` turns it into AP."""
        return {"raw": _in_float32(self.network(batch[0]))}

    def _freeze_batchnorm(self) -> None:
        for part in self.network.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval().requires_grad_(False)


class CocoData(lightning.LightningDataModule):
    """Batches of a data set for training, and of another for validation."""

    def __init__(
        self, train: CocoDataset, val: CocoDataset | None, network: Yolact, config: TrainConfig, done: int = 0
    ) -> None:
        """
        Args:
            done: batches that an earlier, interrupted run has already trained on.
        """
        super().__init__()
        self.train, self.val, self.model_config, self.config, self.done = train, val, network.config, config, done

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        config = self.config
        samples = TrainingSamples(self.train, self.model_config, config.seed, config.augment, config.zoom_out)
        replicas = self.trainer.world_size
        epoch, skip = divmod(self.done, max(len(samples) // (config.batch_size * replicas), 1))
        sampler = EpochSampler(
            len(samples), config.seed, self.trainer.global_rank, replicas, epoch, skip * config.batch_size
        )
        return training_loader(samples, sampler, config.batch_size, config.workers)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if self.val is None:
            return []
        samples = EvaluationSamples(self.val, self.model_config)
        return evaluation_loader(samples, self.config.batch_size, min(self.config.workers, 2))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        images, rest = batch
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        images = images.to(device, non_blocking=True, memory_format=layout)
        return images, [_to(item, device) if isinstance(item, Target) else item for item in rest]


def _leave_autocast(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Depthwise convolutions stay in float32: the CPU's backward pass of them is five times slower in bfloat16."""
    torch.set_autocast_enabled("cpu", False)
    return (inputs[0].float(),)


def _enter_autocast(*_: Any) -> None:
    torch.set_autocast_enabled("cpu", True)


def _in_float32(raw: RawOutput) -> RawOutput:
    return replace(raw, **{f.name: v.float() for f in fields(raw) if isinstance(v := getattr(raw, f.name), Tensor)})


def _to(target: Target, device: torch.device) -> Target:
    return Target(**{f.name: getattr(target, f.name).to(device, non_blocking=True) for f in fields(target)})
