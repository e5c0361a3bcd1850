"""Proposed anchors: never worse, always the same, and each level's where it can be."""

from pathlib import Path

import numpy as np
import pytest

from synthetic import write_dataset
from yolact.config import ModelConfig
from yolact.data.source import DataConfig
from yolact.doctor import class_names
from yolact.doctor.anchor_proposal import STRIDES, propose, search
from yolact.doctor.anchor_recall import AnchorFit, Recall, anchor_shapes, feature_sizes
from yolact.presets import yolact_resnet18

SMALL = {"image_size": (256, 256), "class_names": ("a",)}


def boxes_of(sides: np.ndarray, seed: int = 0) -> np.ndarray:
    corner = np.random.default_rng(seed).uniform(0, 256 - sides.clip(max=255))
    return np.concatenate([corner, corner + sides], axis=1)


def fitted(model: ModelConfig, sides: np.ndarray) -> tuple[AnchorFit, tuple[tuple[int, int], ...]]:
    sizes = feature_sizes(model)
    return AnchorFit(boxes_of(sides), sizes, model.image_size), sizes


def mean(fit: AnchorFit, model: ModelConfig) -> float:
    recall = Recall.of(fit.best(anchor_shapes(model)))
    assert recall is not None
    return recall.positive + recall.mean_iou


@pytest.mark.parametrize("shape", [(20, 60), (60, 20), (12, 12), (150, 40)])
def test_objects_of_one_shape_get_anchors_of_it(shape: tuple[int, int]):
    model = yolact_resnet18(**SMALL)
    sides = np.random.default_rng(1).uniform(0.9, 1.1, (200, 2)) * shape
    fit, sizes = fitted(model, sides)
    proposed = search(fit, sizes, model)
    assert mean(fit, proposed) > mean(fit, model)
    # An object of 12 pixels may lie between the centers of a grid of 8, whatever the anchors.
    assert float((fit.best(anchor_shapes(proposed)) >= 0.5).mean()) > (0.95 if max(shape) > 12 else 0.7)
    assert search(fit, sizes, model) == proposed
    strides = np.array([256 / rows for rows, _ in sizes])[:, None]
    scales = np.array(proposed.anchor_scales)
    assert (scales >= strides * STRIDES[0] * 0.99).all()
    assert (scales <= strides * STRIDES[1] * 1.01).all()
    assert (np.diff(scales, axis=0) >= 0).all()


@pytest.mark.parametrize("each", [1, 2, 3])
def test_never_worse_than_the_preset(each: int):
    model = yolact_resnet18(**SMALL)
    sides = np.exp(np.random.default_rng(2).uniform(1, 5, (300, 2)))
    fit, sizes = fitted(model, sides)
    proposed = search(fit, sizes, model, each)
    assert {len(scales) for scales in proposed.anchor_scales} == {each}
    assert len(proposed.anchor_ratios) == 3
    if each == 1:
        assert mean(fit, proposed) >= mean(fit, model)


def test_the_options_are_the_proposal(tmp_path: Path):
    data = DataConfig.read(write_dataset(tmp_path, images=3, size=(48, 64)))
    proposal = propose(data, class_names(data), yolact_resnet18(image_size=(96, 128)), 2, progress=False)
    words = proposal.options().split()
    assert words[:4] == ["--image-size", "96", "128", "--anchor-scales"]
    assert [float(word) for word in words[4:14]] == [s for level in proposal.after.anchor_scales for s in level]
    assert [float(word) for word in words[15:]] == list(proposal.after.anchor_ratios)
    assert set(proposal.recall) == {"train", "val"}
    assert proposal.options() in proposal.table()


def test_nothing_to_fit(tmp_path: Path):
    data_yaml = write_dataset(tmp_path, images=2, size=(48, 64), classes=("disk",))
    text = (tmp_path / "instances_train.json").read_text().replace('"bbox": [', '"bbox": [900, ')
    (tmp_path / "instances_train.json").write_text(text.replace('"segmentation"', '"other"'))
    data = DataConfig.read(data_yaml)
    with pytest.raises(ValueError, match="no usable object of disk"):
        propose(data, class_names(data), yolact_resnet18(image_size=(96, 96)), progress=False)
