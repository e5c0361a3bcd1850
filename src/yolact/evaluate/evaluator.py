"""Detections, image by image, against a COCO annotation file."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from yolact.config import ModelConfig
from yolact.data.ground_truth import GroundTruth, Kind
from yolact.evaluate.confusion import ConfusionCounts
from yolact.evaluate.errors import WorstErrors
from yolact.evaluate.figures import KINDS, Evaluation
from yolact.evaluate.leakage import LeakageSums
from yolact.evaluate.matching import RECORD, SIZES, judge, of_each_size
from yolact.evaluate.pairing import pair
from yolact.evaluate.precision import Precision, accumulate
from yolact.evaluate.result_files import ResultFiles
from yolact.evaluate.scene import Objects, Scene, areas_of
from yolact.instances import Instances

Taken = tuple[dict[str, dict[int, bytes]], dict[int, tuple[int, int] | None]]
"""Of each comparison and image, what was judged; and the (height, width) of these images."""


class CocoEvaluator:
    """Takes the detections of images one by one and compares each with a COCO annotation file at once.

    What is kept of an image is 19 bytes for each detection and comparison.
    """

    def __init__(
        self,
        annotation_file: Path,
        config: ModelConfig,
        image_ids: Collection[int] | None = None,
        classes: tuple[str, ...] | None = None,
        *,
        apart: bool = False,
        pictures: bool = False,
        score_threshold: float = 0.15,
        results: ResultFiles | None = None,
    ) -> None:
        """
        Args:
            config: of the model; its class names are looked up in the file.
            image_ids: the images that count; None takes all that the file lists.
            classes: the classes that count; None takes all that the model and the file share.
            apart: whether to look at masks apart from boxes, and at confusions.
            pictures: with `apart`, whether to keep pictures of the worst `errors` too, of images whose instances know
                their pixels.
            score_threshold: of the detections that leakage, confusions and errors are about; AP is of all.
            results: to write all detections to.

        Raises:
            ValueError: the file is not COCO's, lacks one of `image_ids`, or shares no class with the model.
        """
        self.truth = GroundTruth(Path(annotation_file), config.class_names, image_ids, classes)
        self.apart, self.pictures, self.score_threshold, self.results = apart, pictures, score_threshold, results
        self.leakage, self.errors = LeakageSums(), WorstErrors(tuple(self.truth.category_ids))
        self.confusion = ConfusionCounts(tuple(self.truth.category_ids), score_threshold)
        self._records: dict[str, dict[int, bytes]] = defaultdict(dict)
        """Of each comparison and image, in bytes: arrays would take as much again."""

    def update(self, image_id: int, instances: Instances) -> None:
        """Take the detections of one image, best without a score threshold. Given twice, the first ones count.

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
        if image_id in self._records["box"]:
            return
        known = instances[[i for i, name in enumerate(instances.names) if name in self.truth.category_ids]]
        order = {name: label for label, name in enumerate(self.truth.category_ids)}
        labels = np.array([order[name] for name in known.names], np.int64)
        scene = Scene(known, labels, Objects.of(self.truth, image_id))
        self._compare(image_id, scene)
        if self.results is not None:
            self._write(image_id, scene, self.results)
        if self.apart:
            self._look_closer(image_id, scene, instances.image)

    def taken(self) -> Taken:
        """What is kept of the images given so far, for `join` of another evaluator of the same file and classes."""
        sizes = {image_id: self.truth.size(image_id) for image_id in self._records["box"]}
        return {kind: dict(records) for kind, records in self._records.items()}, sizes

    def join(self, taken: Taken) -> None:
        """Take what another evaluator has taken, as if it had been given here; precision only, not `apart`."""
        assert not self.apart
        records, sizes = taken
        for kind, of_images in records.items():
            self._records[kind].update(of_images)
        for image_id, size in sizes.items():
            if size is not None and self.truth.size(image_id) is None:
                self.truth.images[image_id].update(zip(("height", "width"), size, strict=True))

    def compute(self) -> Evaluation:
        """The figures. Images that were not given count as images without detections."""
        names, comparisons = tuple(self.truth.category_ids), {kind: self.precision(kind) for kind in self._kinds}
        figures = {kind: comparison.figures() for kind, comparison in comparisons.items()}
        box, mask = (dict(zip(names, comparisons[kind].by_class(), strict=True)) for kind in KINDS)
        counts = self._objects("mask").sum(axis=1).tolist()
        return Evaluation(
            box=figures["box"],
            mask=figures["mask"],
            perfect_boxes=figures.get("perfect_boxes"),
            boundary=figures.get("boundary"),
            box_by_class=box,
            mask_by_class=mask,
            objects=self.truth.objects(),
            images=len(self.truth.images),
            notes=(*self.truth.notes, *self.truth.unusable()),
            leakage=self.leakage.compute() if self.apart else None,
            confusion=self.confusion.compute() if self.apart else None,
            objects_by_size=dict(zip(list(SIZES)[1:], counts[1:], strict=True)),
        )

    def precision(self, kind: str) -> Precision:
        """Of one comparison: `box`, `mask`, `perfect_boxes` or `boundary`."""
        records = self._records[kind]
        flat = b"".join(records[image_id] for image_id in sorted(records))
        return accumulate(np.frombuffer(flat, RECORD), self._objects("box" if kind == "box" else "mask"))

    @property
    def _kinds(self) -> tuple[str, ...]:
        return (*KINDS, "perfect_boxes", "boundary") if self.apart else KINDS

    def _objects(self, kind: Kind) -> np.ndarray:
        """How many objects of each size and class there are to find."""
        labels = {category_id: label for label, category_id in enumerate(self.truth.category_ids.values())}
        counts = np.zeros((len(SIZES), len(labels)), np.int64)
        for annotation in self.truth.annotations(kind):
            if not annotation["iscrowd"]:
                counts[:, labels[annotation["category_id"]]] += of_each_size(
                    np.array([annotation["area"]], np.float64)
                )[:, 0]
        return counts

    def _compare(self, image_id: int, scene: Scene) -> None:
        found, boxes, codes = scene.found, scene.box_ious(scene.boxes), scene.codes
        box_areas, mask_areas = scene.boxes_xywh[:, 2] * scene.boxes_xywh[:, 3], areas_of(codes)
        comparisons = {
            "box": (found.scores, box_areas, scene.boxes, lambda rows, columns: boxes[np.ix_(rows, columns)]),
            "mask": (found.mask_scores, mask_areas, scene.masks, lambda *some: scene.mask_ious(codes, *some)),
        }
        if self.apart:
            perfect = scene.codes_in_perfect_boxes
            comparisons["perfect_boxes"] = (
                *(found.mask_scores, areas_of(perfect), scene.masks),
                lambda *some: scene.mask_ious(perfect, *some),
            )
            comparisons["boundary"] = (found.mask_scores, mask_areas, scene.masks, scene.boundary_ious)
        for kind, comparison in comparisons.items():
            self._records[kind][image_id] = judge(scene.labels, *comparison).tobytes()

    def _write(self, image_id: int, scene: Scene, results: ResultFiles) -> None:
        records: dict[Kind, list[dict[str, Any]]] = {kind: scene.found.to_coco(image_id, kind) for kind in KINDS}
        for rows in records.values():
            for row, name in zip(rows, scene.found.names, strict=True):
                row["category_id"] = self.truth.category_ids[name]
        results.add(records)

    def _look_closer(self, image_id: int, scene: Scene, photograph: object) -> None:
        pairing = pair(scene, self.score_threshold)
        self.leakage.update(scene, pairing)
        self.confusion.update(scene.labels, scene.objects, pairing)
        if self.pictures and isinstance(photograph, np.ndarray):
            name = str(self.truth.images[image_id].get("file_name", f"image {image_id}"))
            self.errors.update(name, photograph, scene, pairing)
