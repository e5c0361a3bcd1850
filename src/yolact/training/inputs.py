"""What a run trains and measures on."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from yolact.data.cache import PixelCache
from yolact.data.coco import CocoDataset, DataConfig
from yolact.data.ground_truth import GroundTruth
from yolact.training.progress import say
from yolact.training.record import fingerprint


@dataclass(frozen=True)
class Inputs:
    """The images of a run, and where they come from."""

    config: DataConfig
    train: CocoDataset
    val: CocoDataset | None

    def fingerprints(self) -> dict[str, str]:
        prints = {"train": fingerprint(self.config.train, self.train)}
        if self.config.val is not None and self.val is not None:
            prints["val"] = fingerprint((self.config.val,), self.val)
        return prints

    def category_ids(self) -> tuple[int, ...]:
        """Those of the validation file, as results are compared with it; new ones for classes that it lacks."""
        known = self.train.category_ids if self.val is None else self.val.category_ids
        free = (i for i in count(1) if i not in known.values())
        return tuple(known[name] if name in known else next(free) for name in self.train.classes)


def read_inputs(data: Path, cache: Path | None = None) -> Inputs:
    """The training and the validation images of a data.yaml; what is wrong with them is printed, one line a kind.

    Raises:
        ValueError: nothing to train on, or a class that is nowhere annotated.
    """
    config = DataConfig.read(data)
    pixels = None if cache is None else PixelCache(cache)
    train = CocoDataset(config.train, config.classes, pixels)
    train.check_classes()
    val = CocoDataset((config.val,), train.classes, pixels) if config.val else None
    if config.val and val:
        truth = GroundTruth(config.val.annotations, train.classes)  # refuses what could not be measured after an epoch
        if not any(truth.objects().values()):
            val.problems.append(f"{config.val.annotations.name}: no object to find, so no AP and no best weights")
    for line in train.problems + (val.problems if val else []):
        say(f"warning: {line}")
    if train.num_objects == 0:
        raise ValueError(f"{data}: no usable object of {', '.join(train.classes[:5])} in the training images")
    validation = f"{len(val)} validation images" if val else "no validation images"
    say(f"{len(train)} training images, {train.num_objects} objects, {len(train.classes)} classes; {validation}")
    return Inputs(config, train, val)
