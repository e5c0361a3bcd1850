"""Average precision, as COCO measures it: the twelve figures for boxes and the twelve for masks, and each class's own.

Models and data sets meet by class name. A class that only one of them has cannot be judged: the model's are dropped
from the results, the data set's from the ground truth, and `notes` says which. Images without detections count, and so
do images that cannot be read: all their objects are missed.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from yolact.config import ModelConfig, NmsKind
from yolact.data.annotations import annotated_size, read_image
from yolact.data.ground_truth import GroundTruth, Kind, some
from yolact.data.source import DataConfig, Source
from yolact.instances import Instances
from yolact.predictor import Predictor

KINDS: tuple[Kind, ...] = ("box", "mask")
FIGURES = {
    "AP": "average precision, mean over IoU 0.50 to 0.95",
    "AP50": "at IoU 0.50",
    "AP75": "at IoU 0.75",
    "APs": "of small objects, below 32 x 32 pixels",
    "APm": "of medium objects",
    "APl": "of large objects, above 96 x 96 pixels",
    "AR1": "average recall with 1 detection an image",
    "AR10": "with 10 detections",
    "AR100": "with 100 detections",
    "ARs": "of small objects",
    "ARm": "of medium objects",
    "ARl": "of large objects",
}
"""COCO's twelve, in COCO's order, and what they mean."""

DETECTIONS = 100
"""COCO counts the best hundred of an image."""


@dataclass(frozen=True)
class Evaluation:
    """How good detections are: `evaluation["mask"]["AP"]`, in 0..1; -1 where the data have no such object."""

    box: dict[str, float]
    """The `FIGURES` of boxes, ranked by `scores`."""

    mask: dict[str, float]
    """The `FIGURES` of masks, ranked by `mask_scores`."""

    box_by_class: dict[str, float]
    mask_by_class: dict[str, float]
    """The AP of each class."""

    objects: dict[str, int]
    """How many objects of each class there were to find, crowds not counted."""

    images: int
    """How many images counted."""

    notes: tuple[str, ...] = ()
    """What was left out, and why: a line each."""

    unreadable: tuple[str, ...] = ()
    """Image files that could not be read."""

    def __getitem__(self, kind: str) -> dict[str, float]:
        if kind not in KINDS:
            raise KeyError(kind)
        return getattr(self, kind)

    def table(self) -> str:
        """COCO's twelve lines in percent, boxes and masks side by side; the AP of each class; the notes."""
        lines = [f"{sum(self.objects.values())} objects in {self.images} images", "", f"{'':5}{'box':>8}{'mask':>8}"]
        lines += [f"{name:5}{_show(self.box[name])}{_show(self.mask[name])}   {FIGURES[name]}" for name in FIGURES]
        if len(self.objects) > 1:
            width = max(len(name) for name in self.objects)
            lines += ["", f"{'AP':{width}}{'box':>8}{'mask':>8}{'objects':>10}"]
            for name, count in self.objects.items():
                box, mask = self.box_by_class[name], self.mask_by_class[name]
                lines.append(f"{name:{width}}{_show(box)}{_show(mask)}{count:>10}")
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


class CocoEvaluator:
    """Collects the detections of images one by one and compares them with a COCO annotation file."""

    def __init__(
        self,
        annotation_file: Path,
        config: ModelConfig,
        image_ids: Collection[int] | None = None,
        classes: tuple[str, ...] | None = None,
    ) -> None:
        """
        Args:
            config: of the model; its class names are looked up in the file.
            image_ids: the images that count; None takes all that the file lists.
            classes: the classes that count; None takes all that the model and the file share.

        Raises:
            ValueError: the file is not COCO's, lacks one of `image_ids`, or shares no class with the model.
        """
        self.truth = GroundTruth(Path(annotation_file), config.class_names, image_ids, classes)
        self._results: dict[int, dict[Kind, list[dict[str, Any]]]] = {}

    def update(self, image_id: int, instances: Instances) -> None:
        """Take the detections of one image, best without a score threshold. Given twice, the later ones count.

        Raises:
            ValueError: an image that does not count, or one whose size is not the file's.
        """
        if image_id not in self.truth.images:
            raise ValueError(f"image_id {image_id} is not among the images of {self.truth.file} that count")
        if self.truth.size(image_id) is None:
            self.truth.images[image_id].update(zip(("height", "width"), instances.image_size, strict=True))
        annotated = self.truth.size(image_id)
        if annotated != instances.image_size:
            raise ValueError(
                f"{self.truth.file} says image {image_id} is {annotated} (height, width), the detections are for"
                f" {instances.image_size}; predict on the pixels that were annotated (EXIF orientation?)"
            )
        ids = self.truth.category_ids
        known = instances[[i for i, name in enumerate(instances.names) if name in ids]]
        self._results[image_id] = {kind: known.to_coco(image_id, kind) for kind in KINDS}
        for records in self._results[image_id].values():
            for record, name in zip(records, known.names, strict=True):
                record["category_id"] = ids[name]

    def results(self, kind: Kind) -> list[dict[str, Any]]:
        """The detections so far as records of a COCO result file, with the annotation file's category ids."""
        return [record for image_id in sorted(self._results) for record in self._results[image_id][kind]]

    def save(self, folder: Path) -> None:
        """Write `box_results.json` and `mask_results.json`, as COCO's tools and servers read them."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            (folder / f"{kind}_results.json").write_text(json.dumps(self.results(kind)))

    def compute(self) -> Evaluation:
        """Compare. Images that were not given count as images without detections."""
        (box, box_by_class), (mask, mask_by_class) = (self._compare(kind) for kind in KINDS)
        notes, objects = (*self.truth.notes, *self.truth.unusable()), self.truth.objects()
        return Evaluation(box, mask, box_by_class, mask_by_class, objects, len(self.truth.images), notes)

    def _compare(self, kind: Kind) -> tuple[dict[str, float], dict[str, float]]:
        """The twelve figures, and the AP of each class."""
        from faster_coco_eval import COCO, COCOeval_faster

        categories = [{"id": category_id, "name": name} for name, category_id in self.truth.category_ids.items()]
        images = list(self.truth.images.values())
        truth = COCO({"images": images, "categories": categories, "annotations": self.truth.annotations(kind)})
        found = truth.loadRes([dict(record) for record in self.results(kind)])
        comparison = COCOeval_faster(truth, found, "bbox" if kind == "box" else "segm")
        comparison.evaluate()
        comparison.accumulate()
        comparison.summarize()
        figures = {name: float(value) for name, value in zip(FIGURES, comparison.stats, strict=False)}
        precision = comparison.eval["precision"]  # IoU thresholds, recalls, classes, areas, numbers of detections
        by_class = {}
        for name, category_id in self.truth.category_ids.items():
            values = precision[:, :, comparison.params.catIds.index(category_id), 0, -1]
            by_class[name] = float(values[values > -1].mean()) if (values > -1).any() else -1.0
        return figures, by_class


def evaluate(
    predictor: Predictor,
    data: DataConfig | Source,
    *,
    split: Literal["train", "val"] = "val",
    image_ids: Collection[int] | None = None,
    out: Path | None = None,
    nms: NmsKind | None = None,
    batch_size: int = 1,
    progress: bool = True,
) -> Evaluation:
    """Predict on the annotated images, and compare; no score threshold is applied.

    The pixels are those that the annotations refer to, see `yolact.data.annotations.read_image`. Memory grows only with
    the detections: some kilobytes an image.

    Args:
        data: what a data.yaml says, or one folder of images with its annotation file.
        split: of a data.yaml.
        image_ids: the images that count; None takes all.
        out: a folder for `box_results.json`, `mask_results.json` and `evaluation.json`.
        nms: None takes what the runtime was made for: the paper's, unless a graph was exported with another.
        batch_size: images that go through the network together.
        progress: show a progress bar.

    Raises:
        ValueError: no such split, a file that is not COCO's, or one that shares no class with the model.
    """
    source = annotated_source(data, split)
    classes = data.classes if isinstance(data, DataConfig) else None
    evaluator = CocoEvaluator(source.annotations, predictor.config, image_ids, classes)
    readable: list[int] = []
    unreadable: list[str] = []
    pictures = _read(evaluator.truth, source.images, readable, unreadable, progress)
    own = predictor.runtime.detect
    top_k = min(DETECTIONS, own.top_k)  # a graph may have been exported with fewer
    options = {"score_threshold": 0.0, "top_k": top_k, "nms": nms or own.nms, "batch_size": batch_size}
    for i, instances in enumerate(predictor.predict(pictures, **options)):
        evaluator.update(readable[i], instances)
    evaluation = evaluator.compute()
    if unreadable:
        note = f"{len(unreadable)} images cannot be read, all their objects are missed: {some(unreadable)}"
        evaluation = replace(evaluation, notes=(*evaluation.notes, note), unreadable=tuple(unreadable))
    if out is not None:
        evaluator.save(out)
        (out / "evaluation.json").write_text(json.dumps(evaluation.to_dict(), indent=2))
    return evaluation


def _read(
    truth: GroundTruth, folder: Path, readable: list[int], unreadable: list[str], progress: bool
) -> Iterator[np.ndarray]:
    """The images one by one, as they are asked for; the ids of those that can be read, the names of the others."""
    from tqdm import tqdm

    for image_id, image in tqdm(truth.images.items(), desc="evaluating", unit="image", disable=not progress):
        path = folder / str(image.get("file_name", f"without name, id {image_id}"))
        try:
            pixels = read_image(path, annotated_size(path, image.get("height"), image.get("width")))
        except (OSError, ValueError):
            unreadable.append(path.name)
        else:
            readable.append(image_id)
            yield pixels


def annotated_source(data: DataConfig | Source, split: str) -> Source:
    """The one folder of a split that can be evaluated.

    Raises:
        ValueError: there is none, or there are several.
    """
    if isinstance(data, Source):
        return data
    sources = {"train": data.train, "val": (data.val,) if data.val else ()}.get(split, ())
    if len(sources) != 1:
        remedy = "evaluate one at a time, each with its own data.yaml" if sources else "add it to data.yaml"
        raise ValueError(f"the data set has {len(sources)} sources for {split!r}; {remedy}")
    return sources[0]


def _show(value: float) -> str:
    """A figure in percent; COCO's -1 says that there was nothing to measure."""
    return f"{'-' if value < 0 else f'{100 * value:.1f}':>8}"
