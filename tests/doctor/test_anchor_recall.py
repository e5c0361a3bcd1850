"""The best overlap of each object, against every anchor of the network compared with every object."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact.boxes import cxcywh_to_xyxy, pairwise_iou
from yolact.config import ModelConfig
from yolact.doctor.anchor_recall import AnchorFit, Recall, anchor_shapes, feature_sizes
from yolact.model import build_model
from yolact.model.anchors import make_anchors
from yolact.presets import PRESETS

SIDES = st.floats(0.5, 400)
CENTERS = st.floats(-20, 420)
BOXES = st.lists(st.tuples(CENTERS, CENTERS, SIDES, SIDES), min_size=1, max_size=8)


def config(image_size: tuple[int, int], scales: int, square: bool) -> ModelConfig:
    return ModelConfig(
        name="small",
        backbone="resnet18",
        class_names=("a",),
        image_size=image_size,
        anchor_scales=tuple(tuple(side * 2 ** (i / scales) for i in range(scales)) for side in (20, 45, 90, 180, 300)),
        anchor_ratios=(1.0, 0.4, 3.0),
        square_anchors=square,
    )


@given(
    boxes=BOXES, height=st.integers(70, 400), width=st.integers(70, 400), scales=st.integers(1, 2), square=st.booleans()
)
@settings(max_examples=40)
def test_the_nearest_anchor_of_each_shape_is_enough(
    boxes: list[tuple[float, ...]], height: int, width: int, scales: int, square: bool
):
    model = config((height, width), scales, square)
    sizes = tuple((-(-height // stride), -(-width // stride)) for stride in (8, 16, 32, 64, 128))
    cxcywh = np.array(boxes)
    xyxy = np.concatenate([cxcywh[:, :2] - cxcywh[:, 2:] / 2, cxcywh[:, :2] + cxcywh[:, 2:] / 2], axis=1)
    found = AnchorFit(xyxy, sizes, (height, width)).best(anchor_shapes(model))
    anchors = cxcywh_to_xyxy(make_anchors(model, sizes, (height, width)).double())
    fractions = torch.from_numpy(xyxy / [width, height, width, height])
    expected = pairwise_iou(fractions, anchors).amax(dim=1)
    assert found == pytest.approx(expected.numpy(), abs=1e-6)


@pytest.mark.parametrize("preset", ["yolact-resnet18", "yolact-mobilenetv4", "yolact-efficientnet-lite0"])
def test_the_sizes_are_those_of_the_network(preset: str):
    model = PRESETS[preset].build(image_size=(90, 130), class_names=("a",))
    sizes = feature_sizes(model)
    assert sizes == ((12, 17), (6, 9), (3, 5), (2, 3), (1, 2))
    network = build_model(model).eval()
    with torch.inference_mode():
        anchors = network(torch.zeros(1, 3, 90, 130)).anchors_cxcywh
    assert torch.equal(anchors, make_anchors(model, sizes, (90, 130)))


def test_the_paper_counts_its_anchors():
    sizes = feature_sizes(PRESETS["yolact-resnet101"].build())
    assert 3 * sum(rows * columns for rows, columns in sizes) == 19248


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_shares_add_up(overlaps: list[float]):
    recall = Recall.of(np.array(overlaps))
    assert recall is not None
    assert recall.positive + recall.nearly + recall.forced + recall.unreachable == pytest.approx(1)
    assert min(recall.positive, recall.nearly, recall.forced, recall.unreachable) > -1e-9


def test_shares_are_those_of_the_matching():
    recall = Recall.of(np.array([0.5, 0.49, 0.4, 0.39, 0.01, 0.0, 0.9, 1.0]))
    assert recall is not None
    assert (recall.positive, recall.nearly, recall.forced, recall.unreachable) == pytest.approx(
        (3 / 8, 0.25, 0.25, 1 / 8)
    )
    assert Recall.of(np.zeros(0)) is None
