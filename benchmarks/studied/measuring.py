"""Measure one trained network on the validation photographs."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studied import DATA
from studied.precision import (
    Records,
    average_precision,
    found_objects,
    in_perfect_boxes,
    of_instances,
    read_json,
    records_of,
    true_boxes,
    uncropped,
)
from studied.redundancy import directions, measure, of_rank
from studied.runs import Run
from yolact.config import NmsKind
from yolact.data.source import DataConfig, Source
from yolact.instances import Instances

NMS_KINDS: tuple[NmsKind, ...] = ("fast", "cross-class", "traditional")
RANKS = (1, 2, 4, 8, 16, 32)


def measure_run(run: Run, weights: Path) -> dict[str, Any]:
    """What a run's network gets right, and what its prototypes are like."""
    return measure_weights(weights)


def measure_weights(weights: Path | None) -> dict[str, Any]:
    """The same of any weights for one class; None: those that come with the package."""
    import yolact

    source, truth = val_source()
    predictor = yolact.load(weights, device="cpu") if weights else yolact.load(device="cpu")
    found = predict(predictor, source, truth)
    boxes = {image_id: true_boxes(truth, image_id) for image_id in found}
    basis, means = directions(found)
    figures: dict[str, Any] = {
        "box": of_instances(truth, found, "box"),
        "mask": of_instances(truth, found, "mask"),
        "objects": found_objects(truth, records_of(found, "box"), records_of(found, "mask")),
        "mask_uncropped": of_instances(truth, {i: uncropped(each) for i, each in found.items()}, "mask"),
        "mask_perfect_boxes": of_instances(
            truth, {i: in_perfect_boxes(each, boxes[i]) for i, each in found.items()}, "mask"
        ),
        "mask_by_rank": {
            str(rank): of_instances(
                truth, {i: of_rank(each, basis[:, :rank], means) for i, each in found.items()}, "mask"
            )["AP"]
            for rank in RANKS
            if rank < len(means)
        },
    }
    return {**figures, "nms": by_nms(predictor, source, truth), "prototypes": measure(found)}


def by_nms(predictor: Any, source: Source, truth: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Box and mask AP by kind of NMS."""
    figures = {}
    for kind in NMS_KINDS:
        found = predict(predictor, source, truth, kind)
        figures[kind] = {each: of_instances(truth, found, each)["AP"] for each in ("box", "mask")}
    return figures


def measure_peer(run: Run, weights: Path) -> dict[str, Any]:
    """The same figures of a Mask R-CNN, as far as it has them."""
    import torch

    from studied import peer
    from yolact.pixels import to_network_input

    source, truth = val_source()
    config = run.model_config(("person",))
    model = peer.load(run, weights)
    box_records: Records = []
    mask_records: Records = []
    for image in truth["images"]:
        pixels = torch.from_numpy(read_pixels(source.images / image["file_name"])).permute(2, 0, 1)
        found = peer.predict(model, to_network_input(pixels, config), (image["height"], image["width"]))
        box_records += peer.to_coco(found, image["id"], "box")
        mask_records += peer.to_coco(found, image["id"], "mask")
    return {
        "box": average_precision(truth, box_records, "box"),
        "mask": average_precision(truth, mask_records, "mask"),
        "objects": found_objects(truth, box_records, mask_records),
    }


def val_source() -> tuple[Source, dict[str, Any]]:
    """The validation photographs, and the content of their annotation file."""
    source = DataConfig.read(DATA).val
    assert source is not None
    return source, read_json(source.annotations)


def predict(predictor: Any, source: Source, truth: dict[str, Any], nms: NmsKind = "fast") -> dict[int, Instances]:
    """The best hundred instances of each photograph, by its id."""
    pictures = [read_pixels(source.images / image["file_name"]) for image in truth["images"]]
    found = predictor.predict(pictures, 0.0, 100, nms=nms, crop="box")
    return {image["id"]: instances for image, instances in zip(truth["images"], found, strict=True)}


def read_pixels(file: Path) -> np.ndarray:
    return np.array(Image.open(file).convert("RGB"))
