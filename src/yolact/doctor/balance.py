"""What the numbers of a data set say: classes that cannot be learned or measured, objects that are out of reach."""

import numpy as np

from yolact.config import ModelConfig
from yolact.data.source import DataConfig
from yolact.data.transforms import SMALLEST_OBJECT
from yolact.doctor.anchor_recall import anchor_shapes
from yolact.doctor.findings import Finding, Severity, Spot
from yolact.doctor.survey import Survey
from yolact.doctor.tally import Tally, input_boxes
from yolact.losses.matching import POSITIVE_IOU

FEW = 10
"""Training objects of a class below which little can be learned of it."""

DETECTIONS = 100
"""An image's detections that COCO counts."""

POOR_RECALL = 0.75
"""The share of the objects with an anchor of their own by IoU, below which other anchors are worth a try."""


Rule = tuple[Severity, str, str, list[str]]
"""Severity, split, kind, and the classes that it holds for."""


def judge_classes(data: DataConfig, surveys: dict[str, Survey], tallies: dict[str, Tally]) -> list[Finding]:
    """Classes that one split has and the other lacks, that hardly occur, or that have another id than they should."""
    train, classes = surveys["train"], surveys["train"].classes
    learned = [name for name in classes if tallies["train"].classes[name].objects]
    rare = [name for name in learned if tallies["train"].classes[name].objects < FEW]
    unlisted = [name for name in classes if name not in train.categories]
    rules: list[Rule] = [
        ("error", "train", "class that no annotation file of it lists", unlisted),
        ("note", "train", f"class with fewer than {FEW} objects", rare),
    ]
    seen = set(learned)
    if "val" in tallies:
        measured = {name for name, count in tallies["val"].classes.items() if count.objects}
        unmeasured = [name for name in learned if name not in measured]
        strange = [name for name in surveys["val"].categories if data.classes is None and name not in classes]
        rules.append(("error", "val", "class to be measured that train has no object of", sorted(measured - seen)))
        rules.append(("error", "val", "class that train does not list, passed over", strange))
        rules.append(("note", "val", "class of train without an object, so without AP", unmeasured))
        seen |= measured
    nowhere = [name for name in classes if name not in seen and name not in unlisted]
    rules.append(("note", " and ".join(tallies), "class without an object", nowhere))
    for split, survey in surveys.items():
        left_out = [name for name in survey.categories if data.classes is not None and name not in classes]
        rules.append(("note", split, "annotated class that is not asked for, becomes background", left_out))
        rules.append(("note", split, "class with another category id than published", _renumbered(data, survey)))
    return [
        Finding(severity, split, kind, tuple(names), (), "class") for severity, split, kind, names in rules if names
    ]


def _renumbered(data: DataConfig, survey: Survey) -> list[str]:
    expected = dict(zip(data.classes or (), data.category_ids or (), strict=False))
    pairs = ((name, survey.categories.get(name), number) for name, number in expected.items())
    return [f"{name} ({found} instead of {number})" for name, found, number in pairs if found not in (None, number)]


def judge_sizes(survey: Survey, tally: Tally, model: ModelConfig) -> list[Finding]:
    """Objects that the network's input or its anchors are too small or too coarse for."""
    split, objects = survey.split, survey.objects
    boxes = input_boxes(survey, model.image_size)
    sides = boxes[:, 2:] - boxes[:, :2]
    single = ~objects["is_crowd"]
    is_lost = single & (sides.min(axis=1) < SMALLEST_OBJECT)
    smallest = min(float(shapes.prod(axis=1).min()) for shapes in anchor_shapes(model))
    is_tiny = single & ~is_lost & (sides.prod(axis=1) < POSITIVE_IOU * smallest)
    each = np.bincount(objects["photograph"][single], minlength=len(survey.records))
    many = np.flatnonzero(each > DETECTIONS)
    findings = [
        _objects(survey, is_lost, "object below a pixel at the network's input, left out of training"),
        _objects(survey, is_tiny, "object too small for the smallest anchor to overlap by half"),
        Finding(
            "note",
            split,
            f"more objects than the {DETECTIONS} detections that count",
            tuple(survey.names[row] for row in many),
            tuple((Spot(split, int(row)),) for row in many),
        ),
    ]
    findings = [finding for finding in findings if finding.where]
    if tally.recall is not None and tally.recall.positive < POOR_RECALL:
        share = f"{tally.recall.positive:.0%} of the objects overlap an anchor by half"
        findings.append(Finding("note", split, f"{share}; `yolact data anchors` proposes others"))
    return findings


def _objects(survey: Survey, chosen: np.ndarray, kind: str) -> Finding:
    rows = survey.objects[chosen]
    spots = tuple((Spot(survey.split, int(row["photograph"]), int(row["number"])),) for row in rows)
    return Finding("note", survey.split, kind, tuple(survey.name(spot) for (spot,) in spots), spots)
