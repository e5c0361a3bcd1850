"""What happens around the steps: averaged weights, AP, files, and Ctrl-C."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar, WeightAveraging
from torch import Tensor

from yolact import checkpoint
from yolact.config import DetectConfig
from yolact.data.loader import EvaluationSample
from yolact.detect.postprocess import detect, to_outputs
from yolact.evaluate import CocoEvaluator
from yolact.instances import Instances
from yolact.model import Yolact
from yolact.structures import RawOutput
from yolact.training.module import TrainingModule


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Ctrl-C, after the state was saved."""


class Progress(TQDMProgressBar):
    """One line that stays: steps, loss and the last AP."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def get_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        metrics = super().get_metrics(*args, **kwargs)
        metrics.pop("v_num", None)
        return metrics


class AveragedWeights(WeightAveraging):
    """An exponential moving average of the weights, which takes their place during validation.

    It forgets faster in the first steps: the random start should not linger in it.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=_Average(decay))

    def network(self) -> Yolact | None:
        """The averaged network, during a fit."""
        if self._average_model is None:
            return None
        assert isinstance(self._average_model.module, TrainingModule)
        return self._average_model.module.network


class _Average:
    """A class and no closure, as it travels to other processes."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, average: Tensor, current: Tensor, count: int | Tensor) -> Tensor:
        if not average.is_floating_point():
            return current  # batch norm's count of batches
        decay = min(self.decay, (1 + float(count)) / (10 + float(count)))
        return average.lerp(current, 1 - decay)


class Validation(Callback):
    """Box and mask AP of the validation images, by the same code as `yolact evaluate`.

    Comes before `AveragedWeights` in the list of callbacks: while this one works, the averaged weights are in place.
    """

    def __init__(self, annotation_file: Path, image_ids: list[int], out: Path) -> None:
        self.annotation_file, self.image_ids, self.out = annotation_file, image_ids, out
        self.best: float | None = None
        self.measured_at = -1
        self.evaluator: CocoEvaluator | None = None

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        self.evaluator = CocoEvaluator(self.annotation_file, pl_module.network.config, self.image_ids)

    def on_validation_batch_end(  # type: ignore[override]
        self,
        trainer: lightning.Trainer,
        pl_module: TrainingModule,
        outputs: dict[str, RawOutput],
        batch: tuple[Tensor, list[EvaluationSample]],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert self.evaluator is not None
        network = pl_module.network
        with torch.autocast(batch[0].device.type, enabled=False):
            detections = detect(outputs["raw"], DetectConfig(), network.mask_rescoring)
        for i, sample in enumerate(batch[1]):
            found = to_outputs(detections, sample.size, network.config.parity)
            found = {name: tensor.cpu().numpy() for name, tensor in found.items()}
            instances = Instances.from_outputs(found, i, sample.size, network.config)
            self.evaluator.update(sample.image_id, instances)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        assert self.evaluator is not None
        figures = self.evaluator.compute()
        self.evaluator, self.measured_at = None, trainer.global_step
        for kind in ("box", "mask"):
            for name, value in figures[kind].items():
                shown = kind == "mask" and name in ("AP", "AP50")
                pl_module.log(f"val/{kind}_{name}", value, prog_bar=shown, rank_zero_only=True)
        mask_ap = figures["mask"]["AP"]
        if trainer.is_global_zero and mask_ap >= (self.best or 0.0):  # -1: nothing to measure
            self.best = mask_ap
            about = {
                "step": str(trainer.global_step),
                "val": json.dumps({k: dict(figures[k]) for k in ("box", "mask")}),
            }
            checkpoint.save(self.out / "best.safetensors", pl_module.network, about)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "measured_at": self.measured_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.measured_at = state_dict["best"], state_dict["measured_at"]


class SaveLast(Callback):
    """After each epoch and on Ctrl-C: `last.safetensors`, the (averaged) weights, and `last.ckpt`, to resume from."""

    def __init__(self, out: Path, averaged: AveragedWeights | None) -> None:
        self.out, self.averaged = out, averaged
        self.stopping = False

    def save(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:
        """Both files, each complete or not at all."""
        unfinished = self.out / ".last.ckpt.unfinished"
        trainer.save_checkpoint(unfinished)
        if trainer.is_global_zero:
            unfinished.replace(self.out / "last.ckpt")
            network = self.averaged.network() if self.averaged else None
            about = {"step": str(trainer.global_step)}
            checkpoint.save(self.out / "last.safetensors", network or pl_module.network, about)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        self.save(trainer, pl_module)
        if self.stopping and trainer.global_step < trainer.max_steps:
            raise Interrupted

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: lightning.Trainer, pl_module: TrainingModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.stopping:
            self.save(trainer, pl_module)
            if not trainer.is_last_batch:  # after the last one of an epoch, its validation is still to come
                raise Interrupted

    @contextmanager
    def heeding_interrupts(self) -> Iterator[None]:
        """Within, Ctrl-C and `kill` ask to save and stop. Around the whole fit, as Lightning moves handlers in it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        print("\nsaving after this step; once more stops at once, without", flush=True)
