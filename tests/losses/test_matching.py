import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact.boxes import pairwise_iou
from yolact.losses.matching import _best_pairs, match_anchors
from yolact.structures import Target

ANCHORS = torch.tensor(
    [
        [0.2, 0.2, 0.2, 0.2],
        [0.3, 0.3, 0.2, 0.2],
        [0.5, 0.5, 0.4, 0.4],
        [0.55, 0.5, 0.4, 0.4],
        [0.8, 0.8, 0.1, 0.1],
        [0.5, 0.5, 0.2, 0.2],
    ]
)
BOXES = [[0.3, 0.3, 0.7, 0.7], [0.35, 0.3, 0.75, 0.7], [0.12, 0.12, 0.3, 0.3]]
CROWD = [0.7, 0.7, 0.9, 0.9]


def target(boxes, labels, crowds):
    return Target(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        masks=torch.zeros(len(boxes), 8, 8, dtype=torch.bool),
        is_crowd=torch.tensor(crowds, dtype=torch.bool),
    )


def test_matching_of_the_original():
    matches = match_anchors(ANCHORS, target([*BOXES, CROWD], [3, 7, 0, 0], [0, 0, 0, 1]))
    assert matches.labels.tolist() == [1, 0, 4, 8, -1, 0]
    assert matches.objects.tolist() == [2, 2, 0, 1, 0, 0]


def test_without_the_crowd_its_anchor_is_background():
    matches = match_anchors(ANCHORS, target(BOXES, [3, 7, 0], [0, 0, 0]))
    assert matches.labels.tolist() == [1, 0, 4, 8, 0, 0]


def test_an_object_that_touches_no_anchor():
    lost = target([*BOXES, [0.9, 0.9, 0.95, 0.95], CROWD], [3, 7, 0, 5, 0], [0, 0, 0, 0, 1])
    assert match_anchors(ANCHORS, lost, force_unreachable=True).labels.tolist() == [1, 6, 4, 8, -1, 0]
    assert match_anchors(ANCHORS, lost).labels.tolist() == [1, 0, 4, 8, -1, 0]


def test_an_image_with_nothing_or_only_a_crowd():
    assert match_anchors(ANCHORS, target([], [], [])).labels.tolist() == [0] * 6
    assert match_anchors(ANCHORS, target([CROWD], [0], [1])).labels.tolist() == [0, 0, 0, 0, -1, 0]


def pairs_one_by_one(overlaps):
    """The original's rule, word for word: the largest overlap left, then strike out its row and its column."""
    left, pairs = overlaps.clone(), []
    for _ in range(len(left)):
        row, anchor = divmod(int(left.argmax()), left.shape[1])
        pairs.append((row, anchor))
        left[row], left[:, anchor] = -1, -1
    return pairs


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(12, 40))
def test_pairs_are_those_of_the_largest_overlap_first(seed, objects, anchors):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(objects + anchors, 4, generator=generator)
    boxes[:, 2:] = boxes[:, :2] + 0.05 + 0.4 * boxes[:, 2:]
    overlaps = pairwise_iou(boxes[:objects], boxes[objects:])
    expected = [pair for pair in pairs_one_by_one(overlaps) if overlaps[pair] > 0]
    assert _best_pairs(overlaps, force_unreachable=False) == expected
