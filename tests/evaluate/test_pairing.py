"""Which detection stands for which object, and the confusion table that counts it."""

import csv
from pathlib import Path

import numpy as np

from annotated import config_of, instances_of, scene_of, square
from yolact.evaluate.confusion import PRINTED, Confusion, ConfusionCounts
from yolact.evaluate.pairing import Pairing, pair
from yolact.evaluate.scene import Scene

CAT = square(20, 20, 60, 60)
NEAR_CAT = square(20, 20, 60, 56)
DOG = square(100, 20, 140, 60)


def paired(folder: Path, objects: list, rows: list, score_threshold: float = 0.15) -> tuple[Scene, Pairing]:
    scene = scene_of(folder, objects, instances_of(rows, config_of("cat", "dog")))
    return scene, pair(scene, score_threshold)


def test_the_same_class_comes_first_then_the_overlap(tmp_path: Path) -> None:
    objects = [("cat", CAT, False), ("dog", DOG, False)]
    rows = [("dog", CAT, 0.9, 0.9), ("cat", NEAR_CAT, 0.3, 0.3), ("cat", CAT, 0.2, 0.2), ("cat", DOG, 0.8, 0.8)]
    pairing = paired(tmp_path, objects, rows)[1]
    assert pairing.right == [(2, 0)]  # the cat whose box fits better, though it scores less
    assert pairing.confused == [(3, 1)]
    assert pairing.surplus == [0, 1]
    assert pairing.missed == []


def test_each_is_in_one_pair_at_most_and_low_scores_in_none(tmp_path: Path) -> None:
    rows = [("cat", CAT, 0.9, 0.9), ("cat", CAT, 0.8, 0.8), ("cat", DOG, 0.15, 0.15)]
    pairing = paired(tmp_path, [("cat", CAT, False), ("cat", DOG, False)], rows)[1]
    assert (pairing.right, pairing.surplus, pairing.missed) == ([(0, 0)], [1], [1])
    assert paired(tmp_path, [("cat", DOG, False)], rows[2:], 0.1)[1].right == [(0, 0)]


def test_detections_in_a_crowd_of_their_class_do_not_count(tmp_path: Path) -> None:
    rows = [("cat", CAT, 0.9, 0.9), ("dog", CAT, 0.9, 0.9)]
    pairing = paired(tmp_path, [("cat", square(0, 0, 100, 100), True)], rows)[1]
    assert (pairing.right, pairing.confused, pairing.surplus, pairing.missed) == ([], [], [1], [])


def test_what_lies_in_a_crowd_of_its_class_is_not_taken_for_another(tmp_path: Path) -> None:
    objects = [("cat", square(0, 0, 100, 100), True), ("dog", NEAR_CAT, False)]
    pairing = paired(tmp_path, objects, [("cat", CAT, 0.9, 0.9)])[1]
    assert (pairing.right, pairing.confused, pairing.surplus, pairing.missed) == ([], [], [], [1])


def test_an_overlap_below_one_half_is_none(tmp_path: Path) -> None:
    for width, right in ((20, [(0, 0)]), (19, [])):
        rows = [("cat", square(20, 20, 20 + width, 60), 0.9, 0.9)]
        assert paired(tmp_path, [("cat", CAT, False)], rows)[1].right == right


def test_objects_are_counted_by_what_they_are_detected_as(tmp_path: Path) -> None:
    counts = ConfusionCounts(("cat", "dog"), 0.15)
    objects = [("cat", CAT, False), ("dog", DOG, False), ("dog", square(0, 100, 30, 130), False)]
    rows = [("cat", CAT, 0.9, 0.9), ("cat", DOG, 0.8, 0.8), ("dog", square(200, 100, 230, 130), 0.8, 0.8)]
    for _ in range(2):
        scene, pairing = paired(tmp_path, objects, rows)
        counts.update(scene.labels, scene.objects, pairing)
    confusion = counts.compute()
    assert confusion.counts.tolist() == [[2, 0, 0], [2, 0, 2], [0, 2, 0]]
    assert [line.split() for line in confusion.table()[1:]] == [
        ["cat", "dog", "missed"],
        ["cat", "2", "0", "0"],
        ["dog", "2", "0", "2"],
        ["nothing", "0", "2"],
    ]
    confusion.save(tmp_path / "confusion.csv")
    with (tmp_path / "confusion.csv").open(newline="") as file:
        assert list(csv.reader(file))[:2] == [["object", "cat", "dog", "missed"], ["cat", "2", "0", "0"]]


def test_a_table_of_many_classes_is_not_printed() -> None:
    names = tuple(f"class {i}" for i in range(PRINTED + 1))
    assert Confusion(names, np.zeros((PRINTED + 2, PRINTED + 2), np.int64), 0.15).table() == []
    assert Confusion(names[1:], np.zeros((PRINTED + 1, PRINTED + 1), np.int64), 0.15).table() != []
