"""`yolact data anchors`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """Propose anchor scales and ratios that fit the objects of a data set, beside the preset's own."""

    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA.YAML")]
    """A data.yaml, as for training, or the name of a published data set: coco2017 or sbd."""

    root: Path | None = None
    """The folder that holds a published data set. None: one of its name, or the current folder."""

    preset: str = "yolact-resnet18"
    """The network that is to be trained."""

    image_size: tuple[int, int] | None = None
    """Height and width of the network's input. None: the preset's."""

    scales_per_level: int | None = None
    """Anchor scales for each of P3 to P7. None: as many as the preset has."""

    def run(self) -> int:
        from yolact.data.source import DataConfig
        from yolact.doctor import class_names
        from yolact.doctor.anchor_proposal import propose
        from yolact.presets import PRESETS

        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset!r} is unknown; choose one of {', '.join(PRESETS)}")
        if self.scales_per_level is not None and self.scales_per_level < 1:
            raise ValueError(f"--scales-per-level is {self.scales_per_level}; it must be at least 1")
        data = DataConfig.read(self.data, self.root)
        model = PRESETS[self.preset].build()
        model = model if self.image_size is None else model.at_size(self.image_size)
        print(propose(data, class_names(data), model, self.scales_per_level).table())
        return 0
