"""`yolact data check`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class Check:
    """Look for what would spoil a training: broken files, doubtful objects, leaks, rare classes, anchors that miss.

    Ends with 1 if there are errors: what harms training or evaluation. Notes are worth knowing.
    """

    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA.YAML")]
    """A data.yaml, as for training, or the name of a published data set: coco2017 or sbd."""

    root: Path | None = None
    """The folder that holds a published data set. None: one of its name, or the current folder."""

    preset: str = "yolact-resnet18"
    """The network that is to be trained: its input size and anchors count."""

    image_size: tuple[int, int] | None = None
    """Height and width of the network's input. None: the preset's."""

    out: Path | None = None
    """A folder for report.json, and for sheet.html and sheet.png with samples to look at."""

    samples: int = 24
    """Photographs on the sheet that are drawn by lot."""

    examples: int = 8
    """Pictures on the sheet for each kind of problem, at most."""

    seed: int = 0
    """Of the lot."""

    def run(self) -> int:
        from yolact.data.source import DataConfig, locate
        from yolact.doctor import check
        from yolact.presets import PRESETS

        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset!r} is unknown; choose one of {', '.join(PRESETS)}")
        if min(self.samples, self.examples, self.seed) < 0:
            raise ValueError("--samples, --examples and --seed must not be negative")
        data = DataConfig.read(self.data, self.root)
        model = PRESETS[self.preset].build()
        model = model if self.image_size is None else model.at_size(self.image_size)
        if self.out is not None:  # refused before minutes of work
            try:
                self.out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OSError(
                    f"cannot write into --out {self.out} ({error.strerror}); choose another folder"
                ) from error
        report = check(data, model, str(locate(self.data, self.root)))
        print(report.table())
        if self.out is not None:
            from yolact.doctor.sheet import write_sheet

            written = write_sheet(report, self.out, self.samples, self.examples, self.seed)
            print("written:", ", ".join(str(file) for file in written))
        return 1 if report.errors else 0
