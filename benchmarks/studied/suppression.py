"""Fast, cross-class and traditional NMS: what they cost in AP, and how long they take."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from studied import DATA
from studied.crowds import Candidates, crowd, simulate
from studied.measuring import NMS_KINDS, by_nms
from studied.precision import Records, average_precision, read_json
from yolact.config import DetectConfig, NmsKind
from yolact.data.source import DataConfig, Source
from yolact.detect.nms import Kept, cross_class_nms, fast_nms, fast_nms_by_class, traditional_nms

CROWDS = ((100, 1), (300, 1), (1000, 1), (100, 80), (300, 80), (1000, 80), (3000, 80))
"""Candidates above the floor, and classes."""

IMAGE_SIZE = (550, 550)


def of_shipped_weights(source: Source) -> dict[str, dict[str, float]]:
    """Box and mask AP by kind of NMS, of the people of a data set."""
    import yolact

    truth = only_class(read_json(source.annotations), "person")
    return by_nms(yolact.load(device="cpu"), source, truth)


def only_class(truth: dict[str, Any], name: str) -> dict[str, Any]:
    """An annotation file's content with the objects of one class, whose id becomes 1."""
    (number,) = (category["id"] for category in truth["categories"] if category["name"] == name)
    annotations = [{**a, "category_id": 1} for a in truth["annotations"] if a["category_id"] == number]
    return {**truth, "annotations": annotations, "categories": [{"id": 1, "name": name}]}


def of_simulation(file: Path, seeds: tuple[int, ...] = (0, 1, 2)) -> list[dict[str, float]]:
    """Box AP by kind of NMS of simulated candidates with the file's objects and classes; a row for each seed."""
    truth = read_json(file)
    ids = sorted(category["id"] for category in truth["categories"])
    rows = []
    for seed in seeds:
        records: dict[str, Records] = {kind: [] for kind in NMS_KINDS}
        for image in truth["images"]:
            candidates = simulate(truth, image, seed)
            if candidates is None:
                continue
            for kind in NMS_KINDS:
                scores, labels, anchors = by_kind(kind)(candidates)
                scale = np.array([image["width"], image["height"]] * 2)
                boxes = candidates.boxes[0][anchors[0]].numpy() * scale
                boxes[:, 2:] -= boxes[:, :2]
                records[kind] += [
                    {"image_id": image["id"], "category_id": ids[label], "bbox": box, "score": score}
                    for score, label, box in zip(scores[0].tolist(), labels[0].tolist(), boxes.tolist(), strict=True)
                    if score > 0
                ]
        rows.append({kind: average_precision(truth, records[kind], "box")["AP"] for kind in NMS_KINDS})
    return rows


def by_kind(kind: NmsKind) -> Callable[[Candidates], Kept]:
    """As it is defined, on everything."""
    config = DetectConfig(nms=kind)
    if kind == "fast":
        return lambda c: fast_nms_by_class(c.probabilities, c.boxes, config)
    if kind == "cross-class":
        return lambda c: cross_class_nms(c.probabilities, c.boxes, config)
    return lambda c: traditional_nms(c.probabilities, c.boxes, config, IMAGE_SIZE)


def timed_kinds() -> dict[str, Callable[[Candidates], Any]]:
    """By name, what the clock is put on. All give 100 detections of the best."""
    from yolact.detect import nms_cpu

    def compiled(c: Candidates) -> Any:
        return nms_cpu.fast_nms(c.probabilities[0].numpy(), c.boxes[0].numpy(), DetectConfig())

    return {
        "fast, matrices": by_kind("fast"),
        "fast, matrix of the best pairs": lambda c: fast_nms(c.probabilities, c.boxes, DetectConfig()),
        "fast, compiled loop": compiled,
        "cross-class, matrices": by_kind("cross-class"),
        "traditional, matrices": by_kind("traditional"),
        "traditional, torchvision's loop": sequential,
    }


def sequential(candidates: Candidates, config: DetectConfig | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Traditional NMS by torchvision's compiled loop: of each class, the candidates above the floor."""
    config = config or DetectConfig()
    anchors, labels = torch.nonzero(candidates.probabilities[0] > config.score_floor, as_tuple=True)
    scores, boxes = candidates.probabilities[0][anchors, labels], candidates.boxes[0][anchors]
    kept = batched_nms(boxes, scores, labels, config.iou_threshold)[: config.top_k]
    return scores[kept], labels[kept], anchors[kept]


def times(rounds: int = 15) -> dict[str, Any]:
    """Medians in milliseconds, of the same crowds, one kind after the other in each round; a row each of `CROWDS`.

    Of processor time, which others on the machine change least; on one thread the two are the same.
    """
    from yolact.host import host_facts

    rows = []
    for count, classes in CROWDS:
        crowds = [crowd(count, classes, seed) for seed in range(4)]
        measured: dict[str, list[float]] = {name: [] for name in timed_kinds()}
        for number in range(rounds + 1):
            for name, run in timed_kinds().items():
                start = time.process_time()
                for each in crowds:
                    run(each)
                if number > 0:  # the first one warms up
                    measured[name].append(1000 * (time.process_time() - start) / len(crowds))
        medians = {name: statistics.median(values) for name, values in measured.items()}
        rows.append({"candidates": count, "classes": classes, "ms": medians})
    return {"rows": rows, "host": host_facts(), "threads": torch.get_num_threads()}


def measure() -> dict[str, Any]:
    """What each kind costs in AP; networks of the other studies are measured when they are trained."""
    people = DataConfig.read(DATA).val
    assert people is not None
    coco = DataConfig.read(DATA.parent.parent / "people_coco.yaml").val
    assert coco is not None
    return {
        "shipped_pennfudan": of_shipped_weights(people),
        "shipped_coco": of_shipped_weights(coco),
        "simulated": of_simulation(coco.annotations),
    }
