"""`yolact train`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train on a COCO-format data set; the folder of the run holds best.safetensors, last.safetensors and the logs."""

    data: Annotated[Positional[Path | None], tyro.conf.arg(metavar="DATA.YAML")] = None
    """A data.yaml with `train: {images: FOLDER, annotations: FILE}`, and perhaps `val` and `classes`."""

    preset: str = "yolact-resnet18"
    """The network."""

    out: Path | None = None
    """The folder of the run, new or empty. None: runs/train, or the first free of runs/train-2, ..."""

    resume: Path | None = None
    """The folder of an interrupted run to go on with; nothing else is needed."""

    image_size: tuple[int, int] | None = None
    """Height and width of the network's input. None: the preset's."""

    num_prototypes: int | None = None
    """k of the paper. None: the preset's."""

    width: int | None = None
    """Channels of the feature pyramid, the prototype network and the head. None: the preset's."""

    recipe: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)

    def run(self) -> int:
        from yolact import training
        from yolact.presets import PRESETS

        if self.resume is not None:
            if self != Train(resume=self.resume):
                raise ValueError(
                    f"--resume {self.resume} goes on with that run's own data and recipe; give nothing else"
                )
            training.resume(self.resume)
            return 0
        if self.data is None:
            raise ValueError("no data set; give a data.yaml, or --resume with the folder of a run")
        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset!r} is unknown; choose one of {', '.join(PRESETS)}")
        wanted = {name: getattr(self, name) for name in ("image_size", "num_prototypes", "width")}
        changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        changes["parity"] = False  # what following the original costs in training, nobody has to pay
        training.train(self.data, replace(PRESETS[self.preset].build(), **changes), self.recipe, self.out)
        return 0
