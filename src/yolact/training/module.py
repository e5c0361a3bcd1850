"""The fit, on Lightning: what a step does, and where batches come from."""

from dataclasses import fields
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from yolact.data.coco import CocoDataset
from yolact.data.loader import (
    EpochBatches,
    EvaluationSamples,
    Share,
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

    _sums: Tensor
    """Of each loss over the finite batches of this epoch, and how many there were."""

    def __init__(self, network: Yolact, config: TrainConfig) -> None:
        """
        Raises:
            ValueError: `freeze` names no part of the network, or all of it.
        """
        super().__init__()
        self.network = network
        self.config = config
        self.objective = Objective(
            network.config,
            crop_masks=config.crop_masks,
            semantic_weight=config.semantic_weight,
            average=_mean_over_processes,
        )
        network.semantic.requires_grad_(config.semantic_weight > 0)
        self.frozen = frozen_parts(network, config)
        self.skipped_steps = self.skipped_in_a_row = 0
        """Steps without a finite loss and finite gradients: their update is left out."""
        self.step_failed = False
        """Whether the last one was such a step."""
        self._statistics: list[Tensor] = []
        self._loss_names = ["box", "class", "mask"]
        self._loss_names += ["semantic"] * (config.semantic_weight > 0)
        self._loss_names += ["mask_iou"] * (network.mask_rescoring is not None)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._hold_frozen()
        smallest = min(network.config.image_size) * (1 - config.multi_scale)
        if network.mask_rescoring is not None and smallest < 256:
            raise ValueError(
                f"multi_scale is {config.multi_scale}, which makes inputs of {smallest:.0f} pixels; mask_rescoring"
                " needs at least 256: give a larger --image-size or a smaller --multi-scale"
            )
        self.register_buffer("_sums", torch.zeros(len(self._loss_names) + 1), persistent=False)
        # DistributedDataParallel gives all processes the first one's buffers before each step; these are their own.
        self._ddp_params_and_buffers_to_ignore = ["_sums"]

    def on_fit_start(self) -> None:
        if self.config.precision == "bf16" and self.device.type == "cpu":
            for part in self.network.modules():
                if isinstance(part, nn.Conv2d) and part.groups > 1:
                    part.register_forward_pre_hook(_leave_autocast)
                    part.register_forward_hook(_enter_autocast, always_call=True)
        if self.config.compile:
            self.network.compile()

    def configure_optimizers(self) -> Any:
        rate = learning_rate(self.config, self.trainer.world_size)
        optimizer = build_optimizer(self.network.parameters(), self.config, rate)
        share = share_of_rate(self.config, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # By the batch, and not once for the run: so a resumed run draws what an uninterrupted one would have drawn.
        self._batch_number = self.trainer.global_step * self.config.accumulate + batch_idx % self.config.accumulate
        torch.manual_seed(self._seed(self.trainer.global_rank))
        if batch_idx % self.config.accumulate == 0:
            self._statistics = [buffer.clone() for buffer in self.network.buffers()]
            self._is_finite = torch.ones((), device=self.device)

    def _seed(self, place: int) -> int:
        """Of something that happens in this batch at a place of its own."""
        return int(np.random.SeedSequence((self.config.seed, self._batch_number, place)).generate_state(1)[0])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch
        raw = self.network(images)
        # Probabilities near 0 and 1, sums over thousands of anchors: the loss needs all of float32.
        with torch.autocast(images.device.type, enabled=False):
            losses = self._losses(raw.float(), targets)
            total = torch.stack(list(losses.values())).sum()
        is_finite = torch.isfinite(total.detach())
        self._is_finite = self._is_finite * is_finite
        parts = [losses.get(name, total).detach() for name in self._loss_names]
        self._sums += torch.where(is_finite, torch.stack([*parts, torch.ones_like(total)]), 0.0)
        several = self.trainer.world_size > 1
        self.log("loss", total.detach(), prog_bar=True, batch_size=len(images), sync_dist=several)
        # A loss that is not finite makes every gradient NaN, on every device: all of them then skip the step together.
        return total * torch.where(is_finite, 1.0, float("nan"))

    def _losses(self, raw: RawOutput, targets: list[Target]) -> dict[str, Tensor]:
        """The objective; where the network's output is not finite, NaN, as cross-entropy refuses to be computed."""
        outputs = [raw.class_logits, raw.box_deltas, raw.coefficients, raw.prototypes]
        if not torch.stack([output.detach().sum() for output in outputs]).sum().isfinite():
            # Of every parameter: processes that train together wait for all gradients.
            trained = [parameter.sum() for parameter in self.network.parameters() if parameter.requires_grad]
            # They wait for the count of positives, too.
            self.objective.average(torch.zeros((), device=self.device))
            return {"not_finite": torch.stack(trained).sum() * float("nan")}
        world, rank = self.trainer.world_size, self.trainer.global_rank
        seeds = [self._seed(place * world + rank) for place in range(len(targets))]
        return self.objective(raw, targets, self.network.mask_rescoring, seeds)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        self.step_failed = not torch.isfinite(torch.nn.utils.get_total_norm(gradients))
        if not self.step_failed:
            self.skipped_in_a_row = 0
            return
        for buffer, before in zip(self.network.buffers(), self._statistics, strict=True):
            buffer.copy_(before)  # batch norm has seen what was not finite
        losses_are_finite = float(_mean_over_processes(self._is_finite)) == 1
        if losses_are_finite and getattr(self.trainer.precision_plugin, "scaler", None) is not None:
            return  # fp16 feels its way to the largest scale: it leaves the step out, and lowers the scale
        self.skipped_steps += 1
        self.skipped_in_a_row += 1
        for parameter in self.network.parameters():
            parameter.grad = None

    def on_train_epoch_start(self) -> None:
        self.network.train()
        self._hold_frozen()

    def on_train_epoch_end(self) -> None:
        # Summed here and not by Lightning, which waits forever if one process had nothing finite to log.
        *sums, count = _mean_over_processes(self._sums.clone())
        self._sums.zero_()
        for name, value in zip(self._loss_names, sums, strict=True):
            if count > 0:
                self.log(f"train/{name}", value / count)
        self.log("skipped_steps", float(self.skipped_steps))
        self.log("learning_rate", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["skipped"] = (self.skipped_steps, self.skipped_in_a_row)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.skipped_steps, self.skipped_in_a_row = checkpoint["skipped"]

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, RawOutput]:
        """The raw output; `yolact.training.validation.Validation` turns it into AP."""
        return {"raw": self.network(batch[0]).float()}

    def _hold_frozen(self) -> None:
        for part in self.frozen:
            part.requires_grad_(False)
            for layer in part.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()


def frozen_parts(network: Yolact, config: TrainConfig) -> list[nn.Module]:
    """The parts that stay as they were loaded.

    Raises:
        ValueError: a name in `freeze` that is no part of the network, or nothing would be left to train.
    """
    parts = dict(network.named_modules())
    frozen = []
    for name in config.freeze:
        if name not in parts or not name:
            known = [n for n, part in parts.items() if n and n.count(".") < 2 and any(True for _ in part.parameters())]
            raise ValueError(f"freeze names {name!r}, which is no part of the network; it has {', '.join(known)}")
        frozen.append(parts[name])
    if config.freezes_batchnorm:
        frozen += [part for part in parts.values() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    held = {id(parameter) for part in frozen for parameter in part.parameters()}
    if all(id(parameter) in held for parameter in network.parameters() if parameter.requires_grad):
        raise ValueError(f"freeze is {', '.join(config.freeze)}; nothing is left to train")
    return frozen


def _mean_over_processes(count: Tensor) -> Tensor:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return count
    total = count.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


class CocoData(lightning.LightningDataModule):
    """Batches of a data set for training, and of another for validation."""

    def __init__(self, train: CocoDataset, val: CocoDataset | None, network: Yolact, config: TrainConfig) -> None:
        super().__init__()
        self.train, self.val, self.model_config, self.config = train, val, network.config, config

    def _done(self) -> int:
        """Batches that the run has had, also before it was interrupted."""
        assert self.trainer is not None
        return self.trainer.global_step * self.config.accumulate

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        config, trainer = self.config, self.trainer
        samples = TrainingSamples(self.train, self.model_config, config.seed, config.augmentation)
        share = Share(config.images, trainer.global_rank, trainer.world_size, config.accumulate)
        size = self.model_config.image_size
        batches = EpochBatches(len(samples), config.seed, share, size, self._done, config.multi_scale)
        return training_loader(samples, batches, config.workers)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if self.val is None:
            return []
        assert self.trainer is not None
        samples, trainer = EvaluationSamples(self.val, self.model_config), self.trainer
        workers = min(self.config.workers, 2)
        return evaluation_loader(samples, self.config.images, workers, trainer.global_rank, trainer.world_size)

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


def _to(target: Target, device: torch.device) -> Target:
    return Target(**{f.name: getattr(target, f.name).to(device, non_blocking=True) for f in fields(target)})
