"""`yolact evaluate`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.config import CropKind
from yolact.verbs.runtime_choice import RuntimeChoice


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure COCO's average precision on an annotated data set, look at masks apart from boxes, show the errors."""

    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA.YAML")]
    """A data.yaml, as for training, or the name of a published data set: coco2017 or sbd."""

    root: Path | None = None
    """The folder that holds a published data set. None: one of its name, or the current folder."""

    split: Literal["train", "val"] = "val"
    """The images of the data.yaml to measure on."""

    out: Path | None = None
    """A folder for all figures, precision over recall and confusions as plots, the worst errors as a page, and the
    detections in COCO's result format."""

    score_threshold: float = 0.15
    """Of the detections that leakage, confusions and errors are about, as for predict. Average precision is of all."""

    crop: CropKind | None = None
    """How masks are cut, as for predict."""

    model: OmitArgPrefixes[RuntimeChoice] = field(default_factory=RuntimeChoice)

    def run(self) -> int:
        from yolact.data.source import DataConfig
        from yolact.evaluate import evaluate
        from yolact.printable import printable

        data = DataConfig.read(self.data, self.root, needs=self.split)
        options = {"split": self.split, "out": self.out, "score_threshold": self.score_threshold, "crop": self.crop}
        evaluation = evaluate(self.model.load(), data, **options)
        print("\n".join(map(printable, evaluation.table().splitlines())))
        return 1 if evaluation.unreadable else 0
