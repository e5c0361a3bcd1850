"""AP of the validation images after an epoch, the best weights by it, and when to stop early."""

import json
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from yolact import checkpoint
from yolact.config import DetectConfig
from yolact.data.loader import EvaluationSample
from yolact.detect.postprocess import detect, to_outputs
from yolact.evaluate import CocoEvaluator
from yolact.instances import Instances
from yolact.structures import RawOutput
from yolact.training.module import TrainingModule
from yolact.training.pictures import Pictures
from yolact.training.together import gathered, spread


class Validation(Callback):
    """Box and mask AP of the validation images, by the same code as `yolact evaluate`.

    Comes before `AveragedWeights` in the list of callbacks: while this one works, the averaged weights are in place.
    """

    def __init__(
        self, annotation_file: Path, image_ids: list[int], out: Path, pictures: Pictures, patience: int | None = None
    ) -> None:
        """
        Args:
            patience: measurements without a better mask AP, after which training stops. None: it never does.
        """
        self.annotation_file, self.image_ids, self.out = annotation_file, image_ids, out
        self.pictures, self.patience = pictures, patience
        self.best: float | None = None
        self.since_best = 0
        self.measured_at = -1
        self.evaluator: CocoEvaluator | None = None

    @property
    def is_exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.since_best >= self.patience

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        self.evaluator = CocoEvaluator(self.annotation_file, pl_module.network.config, self.image_ids)

    def on_validation_batch_start(  # type: ignore[override]
        self, trainer: lightning.Trainer, pl_module: TrainingModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0:
            # Each process averages the statistics of batch norm over its own images; the first one's are saved.
            for buffer in pl_module.network.buffers():
                spread(buffer)

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
            self.pictures.add(sample.image_id, instances)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        figures = self._figures(trainer)
        self.evaluator, self.measured_at = None, trainer.global_step
        for kind in ("box", "mask"):
            for name, value in figures[kind].items():
                shown = kind == "mask" and name in ("AP", "AP50")
                pl_module.log(f"val/{kind}_{name}", value, prog_bar=shown, rank_zero_only=True)
        self._compare(figures["mask"]["AP"], trainer, pl_module, figures)
        if trainer.is_global_zero:
            sheet = self.pictures.save(trainer.global_step)
            for logger in trainer.loggers:
                if sheet and isinstance(logger, TensorBoardLogger):
                    pixels = torch.frombuffer(bytearray(sheet.tobytes()), dtype=torch.uint8)
                    pixels = pixels.view(sheet.height, sheet.width, 3)
                    logger.experiment.add_image("validation", pixels, trainer.global_step, dataformats="HWC")

    def _figures(self, trainer: lightning.Trainer) -> dict[str, dict[str, float]]:
        """Of all images, whichever process has looked at them; the first one adds up, and tells the others."""
        assert self.evaluator is not None
        for evaluator_taken, pictures_taken in gathered((self.evaluator.taken(), self.pictures.taken())):
            self.evaluator.join(evaluator_taken)
            self.pictures.join(pictures_taken)
        if not trainer.is_global_zero:
            self.pictures.forget()
            return trainer.strategy.broadcast({})
        figures = self.evaluator.compute()
        return trainer.strategy.broadcast({kind: dict(figures[kind]) for kind in ("box", "mask")})

    def _compare(
        self,
        mask_ap: float,
        trainer: lightning.Trainer,
        pl_module: TrainingModule,
        figures: dict[str, dict[str, float]],
    ) -> None:
        """Keep the weights if they are the best so far. Equal ones count as such: they saw more images."""
        if mask_ap < 0:  # there is no object to measure on
            return
        self.since_best = 0 if self.best is None or mask_ap > self.best else self.since_best + 1
        if self.best is None or mask_ap >= self.best:
            self.best = mask_ap
            if trainer.is_global_zero:
                about = {"step": str(trainer.global_step), "val": json.dumps(figures)}
                checkpoint.save(self.out / "best.safetensors", pl_module.network, about)
        if self.is_exhausted:
            trainer.should_stop = True

    def on_train_start(self, trainer: lightning.Trainer, pl_module: TrainingModule) -> None:  # type: ignore[override]
        if self.is_exhausted:  # resumed after it had stopped
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "since_best": self.since_best, "measured_at": self.measured_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.measured_at = state_dict["best"], state_dict["measured_at"]
        self.since_best = state_dict["since_best"]
