"""How good detections are: COCO's average precision, masks apart from boxes, confusions, and the worst errors.

Models and data sets meet by class name. A class that only one of them has cannot be judged: the model's are dropped
from the results, the data set's from the ground truth, and `notes` says which. Images without detections count, and so
do images that cannot be read: all their objects are missed.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from yolact.config import CropKind, NmsKind
from yolact.data.annotations import annotated_size, read_image
from yolact.data.ground_truth import GroundTruth, some
from yolact.data.source import DataConfig, Source
from yolact.evaluate.evaluator import CocoEvaluator
from yolact.evaluate.figures import KINDS, Evaluation
from yolact.evaluate.gallery import write_gallery
from yolact.evaluate.matching import DETECTIONS
from yolact.evaluate.plots import plot_confusion, plot_precision
from yolact.evaluate.precision import FIGURES
from yolact.evaluate.result_files import ResultFiles
from yolact.images import UNREADABLE
from yolact.predictor import Predictor
from yolact.whole_files import written_whole

__all__ = ["FIGURES", "KINDS", "CocoEvaluator", "Evaluation", "annotated_source", "evaluate"]


def evaluate(
    predictor: Predictor,
    data: DataConfig | Source,
    *,
    split: Literal["train", "val"] = "val",
    image_ids: Collection[int] | None = None,
    out: Path | None = None,
    nms: NmsKind | None = None,
    crop: CropKind | None = None,
    score_threshold: float = 0.15,
    batch_size: int = 1,
    progress: bool = True,
) -> Evaluation:
    """Predict on the annotated images, and compare.

    The pixels are those that the annotations refer to, see `yolact.data.annotations.read_image`. Beside what the
    annotation file says, memory holds one image at a time and 76 bytes a detection; about 90 more in the end.

    Args:
        data: what a data.yaml says, or one folder of images with its annotation file.
        split: of a data.yaml.
        image_ids: the images that count; None takes all.
        out: a folder for `evaluation.json`, `box_results.json` and `mask_results.json`, `precision_recall.png` and
            `.csv`, `confusion.png` and `.csv`, and `errors.html`.
        nms: None takes what the runtime was made for: the paper's, unless a graph was exported with another.
        crop: how masks are cut, as of `Predictor.predict`.
        score_threshold: of the detections that leakage, confusions and errors are about, in 0..1; AP is of all.
        batch_size: images that go through the network together.
        progress: show a progress bar.

    Raises:
        ValueError: no such split, a file that is not COCO's, or one that shares no class with the model.
    """
    source = annotated_source(data, split)
    if not 0 <= score_threshold <= 1:
        raise ValueError(f"score_threshold is {score_threshold}; it must be between 0 and 1")
    with ResultFiles(out) if out is not None else nullcontext() as results:
        evaluator = CocoEvaluator(
            source.annotations,
            predictor.config,
            image_ids,
            data.classes if isinstance(data, DataConfig) else None,
            apart=True,
            pictures=out is not None,
            score_threshold=score_threshold,
            results=results,
        )
        readable, unreadable = [], []
        pictures = _read(evaluator.truth, source.images, readable, unreadable, progress)
        own = predictor.runtime.detect
        top_k = min(DETECTIONS, own.top_k)  # a graph may have been exported with fewer
        options = {"nms": nms or own.nms, "crop": crop, "batch_size": batch_size}
        found = predictor.predict(pictures, score_threshold=0.0, top_k=top_k, **options)
        for i, instances in enumerate(found):
            evaluator.update(readable[i], instances)
    evaluation = evaluator.compute()
    notes = (*evaluation.notes, *_notes(unreadable, top_k))
    evaluation = replace(evaluation, notes=notes, unreadable=tuple(unreadable))
    if out is not None:
        _write(out, evaluator, evaluation)
    return evaluation


def _notes(unreadable: list[str], top_k: int) -> Iterator[str]:
    if unreadable:
        yield f"{len(unreadable)} images cannot be read, all their objects are missed: {some(unreadable)}"
    if top_k < DETECTIONS:
        yield f"the graph gives at most {top_k} detections of an image, COCO counts {DETECTIONS}"


def _write(out: Path, evaluator: CocoEvaluator, evaluation: Evaluation) -> None:
    """All files but the results, which are there."""
    assert evaluation.confusion is not None
    with written_whole(out / "evaluation.json") as unfinished:
        unfinished.write_text(json.dumps(evaluation.to_dict(), indent=2))
    plot_precision(out / "precision_recall.png", evaluator.precision("box"), evaluator.precision("mask"))
    plot_confusion(out / "confusion.png", evaluation.confusion)
    evaluation.confusion.save(out / "confusion.csv")
    write_gallery(out / "errors.html", evaluator.errors, evaluator.score_threshold)


def _read(
    truth: GroundTruth, folder: Path, readable: list[int], unreadable: list[str], progress: bool
) -> Iterator[np.ndarray]:
    """The images one by one, as they are asked for; the ids of those that can be read, the names of the others."""
    from tqdm import tqdm

    for image_id, image in tqdm(truth.images.items(), desc="evaluating", unit="image", disable=not progress):
        path = folder / str(image.get("file_name", f"without name, id {image_id}"))
        try:
            pixels = read_image(path, annotated_size(path, image.get("height"), image.get("width")))
        except UNREADABLE:
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
