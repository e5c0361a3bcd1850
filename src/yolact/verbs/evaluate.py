"""`yolact evaluate`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.verbs.runtime_choice import RuntimeChoice


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure COCO's average precision of boxes and masks on an annotated data set."""

    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA.YAML")]
    """A data.yaml, as for training, or the name of a published data set: coco2017 or sbd."""

    root: Path | None = None
    """The folder that holds a published data set. None: one of its name, or the current folder."""

    split: Literal["train", "val"] = "val"
    """The images of the data.yaml to measure on."""

    out: Path | None = None
    """A folder for box_results.json, mask_results.json and evaluation.json."""

    model: OmitArgPrefixes[RuntimeChoice] = field(default_factory=RuntimeChoice)

    def run(self) -> int:
        from yolact.data.source import DataConfig
        from yolact.evaluate import evaluate

        data = DataConfig.read(self.data, self.root)
        evaluation = evaluate(self.model.load(), data, split=self.split, out=self.out)
        print(evaluation.table())
        return 1 if evaluation.unreadable else 0
