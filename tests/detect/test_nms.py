import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import uniform
from yolact.boxes import cxcywh_to_xyxy, decode, pairwise_iou
from yolact.config import DetectConfig
from yolact.detect.nms import cross_class_nms, fast_nms, traditional_nms
from yolact.detect.postprocess import detect
from yolact.structures import RawOutput


@pytest.fixture
def raw() -> RawOutput:
    """300 anchors, 4 foreground classes, 8 prototypes: the case whose results by the original are recorded."""
    anchors = torch.cat([uniform("det.prior_xy", 300, 2), 0.1 + 0.3 * uniform("det.prior_wh", 300, 2)], dim=1)
    return RawOutput(
        class_logits=(6 * uniform("det.conf", 1, 300, 5) - 3),
        box_deltas=2 * uniform("det.loc", 1, 300, 4) - 1,
        coefficients=2 * uniform("det.mask", 1, 300, 8) - 1,
        prototypes=(2 * uniform("det.proto", 1, 16, 20, 8) - 1).permute(0, 3, 1, 2),
        anchors_cxcywh=anchors,
        image_size=(550, 550),
    )


@pytest.mark.parametrize(
    ("settings", "count", "score_sum", "box_sum", "coefficient_sum", "per_class"),
    [
        ({}, 100, 74.019075, 204.849878, 21.724607, [25, 23, 32, 20]),
        ({"candidates": 20, "top_k": 1000}, 74, 57.337875, 156.214196, 13.956999, [19, 19, 18, 18]),
        ({"score_floor": 0.3, "top_k": 1000}, 565, 181.679935, 1151.598855, -34.886208, [145, 138, 142, 140]),
        ({"nms": "cross-class", "top_k": 200}, 140, 92.372366, 288.978484, 2.817476, [33, 36, 40, 31]),
        (
            {"nms": "cross-class", "score_floor": 0.5, "top_k": 200},
            117, 81.655546, 244.746545, 18.997892, [31, 25, 37, 24],
        ),
        ({"nms": "traditional"}, 100, 74.019075, None, None, [25, 23, 32, 20]),
        ({"nms": "traditional", "top_k": 1000}, 552, 189.861641, None, None, None),
    ],
)  # fmt: skip
def test_detections_of_the_original(raw, settings, count, score_sum, box_sum, coefficient_sum, per_class):
    detections = detect(raw, DetectConfig(**settings))
    valid = detections.valid[0]
    assert int(valid.sum()) == count
    assert float(detections.scores[0].double().sum()) == pytest.approx(score_sum, abs=1e-4)
    if box_sum is not None:
        assert float(detections.boxes[0, valid].double().sum()) == pytest.approx(box_sum, abs=1e-3)
        assert float(detections.coefficients[0, valid].double().sum()) == pytest.approx(coefficient_sum, abs=1e-3)
    if per_class is not None:
        assert torch.bincount(detections.labels[0, valid], minlength=4).tolist() == per_class
    assert int(detections.labels[0, 0]) == 0
    assert float(detections.scores[0, 0]) == pytest.approx(0.934268, abs=1e-6)
    assert (detections.scores[0].diff() <= 0).all()


def test_first_detection_of_the_original(raw):
    detections = detect(raw, DetectConfig())
    expected = torch.tensor([0.726700, 0.206157, 0.838390, 0.482768])
    torch.testing.assert_close(detections.boxes[0, 0], expected, atol=1e-5, rtol=0)
    assert float(detections.coefficients[0, 0, 0]) == pytest.approx(0.750818, abs=1e-6)


def random_case(seed: int, images: int = 2, anchors: int = 40, classes: int = 3):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, anchors, classes + 1, generator=generator)
    centers = torch.rand(images, anchors, 2, generator=generator)
    sizes = 0.1 + 0.5 * torch.rand(images, anchors, 2, generator=generator)
    return logits.softmax(-1)[..., 1:], cxcywh_to_xyxy(torch.cat([centers, sizes], dim=-1))


def sequential(probabilities, boxes, config, greedy):
    """One image, one class and one box at a time: (score, class, anchor) of what is kept, best first."""
    overlaps = pairwise_iou(boxes, boxes).tolist()
    probabilities = probabilities.tolist()
    kept = []
    for label in range(len(probabilities[0])):
        if greedy:
            entries = [i for i in range(len(boxes)) if probabilities[i][label] > config.score_floor]
        else:
            entries = [i for i in range(len(boxes)) if max(probabilities[i]) > config.score_floor]
        entries.sort(key=lambda i: -probabilities[i][label])
        judges = []
        for i in entries[: None if greedy else config.candidates]:
            is_kept = all(overlaps[i][j] < 0.5 if greedy else overlaps[i][j] <= 0.5 for j in judges)
            if is_kept:
                kept.append((probabilities[i][label], label, i))
            if is_kept or not greedy:
                judges.append(i)
    return sorted(kept, reverse=True)[: config.top_k]


def as_rows(kept, image):
    scores, labels, anchors = (tensor[image] for tensor in kept)
    rows = zip(scores.tolist(), labels.tolist(), anchors.tolist(), strict=True)
    return [row for row in rows if row[0] >= 0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([5, 20, 200]), st.sampled_from([7, 100]))
def test_fast_nms_is_its_definition(seed, candidates, top_k):
    probabilities, boxes = random_case(seed)
    config = DetectConfig(candidates=candidates, top_k=top_k)
    kept = fast_nms(probabilities, boxes, config)
    for image in range(2):
        assert as_rows(kept, image) == sequential(probabilities[image], boxes[image], config, greedy=False)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([4, 16, 1024]), st.sampled_from([7, 100]))
def test_traditional_nms_is_sequential_nms_whatever_the_pool(seed, pool, top_k):
    probabilities, boxes = random_case(seed)
    config = DetectConfig(nms="traditional", top_k=top_k)
    # On a very large pixel grid the original's extra pixel vanishes and the overlap is the plain one.
    kept = traditional_nms(probabilities, boxes, config, image_size=(2**20, 2**20), pool=pool)
    for image in range(2):
        expected = sequential(probabilities[image], boxes[image], config, greedy=True)
        assert [row[1:] for row in as_rows(kept, image)] == [row[1:] for row in expected]


def test_traditional_nms_counts_pixels_as_the_original_does():
    # Two boxes of 4 pixels that share 2: a third on the plane, but (3 * 5) / (25 + 25 - 15) on the pixel grid.
    boxes = torch.tensor([[[0.0, 0.0, 0.4, 0.4], [0.2, 0.0, 0.6, 0.4]]])
    probabilities = torch.tensor([[[0.9], [0.8]]])
    config = DetectConfig(nms="traditional", iou_threshold=0.42)
    assert int((traditional_nms(probabilities, boxes, config, (10, 10))[0] > 0).sum()) == 1
    assert int((traditional_nms(probabilities, boxes, config, (1000, 1000))[0] > 0).sum()) == 2


def test_cross_class_nms_gives_an_anchor_one_class():
    probabilities, boxes = random_case(3)
    scores, labels, anchors = cross_class_nms(probabilities, boxes, DetectConfig(nms="cross-class"))
    for image in range(2):
        present = scores[image] >= 0
        chosen = anchors[image, present]
        assert len(chosen.unique()) == len(chosen)
        torch.testing.assert_close(labels[image, present], probabilities[image, chosen].argmax(dim=-1))
        overlaps = pairwise_iou(boxes[image, chosen], boxes[image, chosen]).triu(1)
        assert overlaps.max() <= 0.5


@pytest.mark.parametrize("nms", ["fast", "cross-class", "traditional"])
def test_batched_is_one_by_one_and_nothing_found_is_padding(raw, nms):
    config = DetectConfig(nms=nms)
    silent = raw.class_logits.clone()
    silent[..., 0] = 50.0
    both = RawOutput(
        class_logits=torch.cat([raw.class_logits, silent]),
        box_deltas=raw.box_deltas.expand(2, -1, -1),
        coefficients=raw.coefficients.expand(2, -1, -1),
        prototypes=raw.prototypes.expand(2, -1, -1, -1),
        anchors_cxcywh=raw.anchors_cxcywh,
        image_size=raw.image_size,
    )
    together, alone = detect(both, config), detect(raw, config)
    torch.testing.assert_close(together.scores[0], alone.scores[0])
    torch.testing.assert_close(together.boxes[0], alone.boxes[0])
    torch.testing.assert_close(together.masks[0], alone.masks[0])
    assert not together.valid[1].any()
    assert together.scores[1].max() == 0
    assert together.masks[1].max() == 0


def test_decoded_boxes_reach_the_detections(raw):
    detections = detect(raw, DetectConfig())
    boxes = decode(raw.box_deltas, raw.anchors_cxcywh)[0]
    assert ((detections.boxes[0][:, None] - boxes[None]).abs().amax(-1).amin(-1) == 0).all()
