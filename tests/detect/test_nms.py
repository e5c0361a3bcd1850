from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import uniform
from yolact.boxes import cxcywh_to_xyxy, decode, pairwise_iou, window
from yolact.config import DetectConfig
from yolact.detect import nms_cpu, postprocess
from yolact.detect.nms import cross_class_nms, fast_nms, fast_nms_by_class, traditional_nms
from yolact.detect.postprocess import detect, soft_masks, to_outputs, windows_of
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


def random_case(seed: int, images: int = 2, anchors: int = 40, classes: int = 3, levels: int | None = None):
    """Probabilities and boxes; with `levels`, logits are multiples of one over it, so that many scores are equal."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, anchors, classes + 1, generator=generator)
    if levels is not None:
        logits = (logits * levels).round() / levels
    centers = torch.rand(images, anchors, 2, generator=generator)
    sizes = 0.1 + 0.5 * torch.rand(images, anchors, 2, generator=generator)
    return logits.softmax(-1)[..., 1:], cxcywh_to_xyxy(torch.cat([centers, sizes], dim=-1))


def on_pixels(boxes: torch.Tensor, side: int) -> torch.Tensor:
    """Boxes of which the plain overlap is what the original measures: a box from 3 to 5 is three pixels wide."""
    return boxes * side + torch.tensor([0.0, 0.0, 1.0, 1.0])


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
        entries.sort(key=lambda i: -probabilities[i][label])  # stable: of equal ones the lower anchor comes first
        judges = []
        for i in entries[: None if greedy else config.candidates]:
            is_kept = all(overlaps[i][j] < 0.5 if greedy else overlaps[i][j] <= 0.5 for j in judges)
            if is_kept:
                kept.append((probabilities[i][label], label, i))
            if is_kept or not greedy:
                judges.append(i)
    return sorted(kept, key=sequential_order)[: config.top_k]


def sequential_order(row):
    """Descending score; of equal scores first the lower class, then the lower anchor."""
    score, label, anchor = row
    return -score, label, anchor


def compiled(probabilities, boxes, config):
    """The form for CPUs, one image at a time: rows as `sequential` gives them."""
    kept = [nms_cpu.fast_nms(p.numpy(), b.numpy(), config) for p, b in zip(probabilities, boxes, strict=True)]
    return [list(zip(*(row.tolist() for row in rows), strict=True)) for rows in kept]


def as_rows(kept, image):
    scores, labels, anchors = (tensor[image] for tensor in kept)
    rows = zip(scores.tolist(), labels.tolist(), anchors.tolist(), strict=True)
    return [row for row in rows if row[0] >= 0]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 100_000),
    st.sampled_from([5, 20, 200]),
    st.sampled_from([7, 100]),
    st.sampled_from([3, 16, 64, 256]),
    st.sampled_from([None, 1, 3]),
)
def test_fast_nms_is_its_definition_in_every_form_ties_included(seed, candidates, top_k, pairs, levels):
    probabilities, boxes = random_case(seed, levels=levels)
    config = DetectConfig(candidates=candidates, top_k=top_k)
    by_class, ranked = fast_nms_by_class(probabilities, boxes, config), fast_nms(probabilities, boxes, config, pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms_cpu, "FIRST_PAIRS", pairs)
        walked = compiled(probabilities, boxes, config)
    for image in range(2):
        expected = sequential(probabilities[image], boxes[image], config, greedy=False)
        assert as_rows(by_class, image) == expected
        assert as_rows(ranked, image) == expected
        assert walked[image] == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([1, 4, 80]), st.sampled_from([None, 2]), st.sampled_from([0.05, 0.2]))
def test_ranked_pairs_give_what_the_classes_give_at_full_size(seed, classes, levels, score_floor):
    probabilities, boxes = random_case(seed, images=1, anchors=500, classes=classes, levels=levels)
    config = DetectConfig(score_floor=score_floor)
    for ours, expected in zip(
        fast_nms(probabilities, boxes, config), fast_nms_by_class(probabilities, boxes, config), strict=True
    ):
        assert torch.equal(ours[ours >= 0], expected[ours >= 0])
    assert compiled(probabilities, boxes, config)[0] == as_rows(fast_nms(probabilities, boxes, config), 0)


@pytest.mark.parametrize("pairs", [1, 2, 4, 512])
def test_boxes_without_area_are_dropped_in_every_form(pairs):
    boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.5], [0.3, 0.3, 0.3, 0.3], [0.3, 0.3, 0.3, 0.3], [0.7, 0.7, 0.9, 0.9]]])
    probabilities = torch.tensor([[[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]])
    kept = fast_nms(probabilities, boxes, DetectConfig(), pairs)
    assert as_rows(kept, 0) == as_rows(fast_nms_by_class(probabilities, boxes, DetectConfig()), 0)
    assert as_rows(kept, 0) == compiled(probabilities, boxes, DetectConfig())[0]
    assert [row[2] for row in as_rows(kept, 0) if row[1] == 0] == [0, 1, 3]  # 0 / 0 overlaps what is before it


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([0.0, 0.05, 0.4, 1.0]), st.booleans(), st.sampled_from([5, 100]))
def test_raw_output_gives_the_same_with_and_without_a_compiler(seed, score_floor, is_odd, top_k):
    generator = torch.Generator().manual_seed(seed)
    logits, deltas = (3 * torch.randn(2, 60, n, generator=generator) for n in (5, 4))
    if is_odd:  # as broken weights give them
        odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30])
        deltas.view(-1)[torch.randint(480, (40,), generator=generator)] = odd.repeat(10)
    anchors = 0.1 + 0.5 * torch.rand(60, 4, generator=generator)
    raw = RawOutput(logits, deltas, torch.randn(2, 60, 3), torch.randn(2, 3, 8, 8), anchors, (64, 64))
    config = DetectConfig(score_floor=score_floor, top_k=top_k)
    ours = detect(raw, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postprocess, "_compiled_nms", lambda: None)
        expected = detect(raw, config)
    assert ours.scores.shape == (2, top_k)
    for image in range(2):
        found, there = ours.valid[image], expected.valid[image]
        for name in ("scores", "labels", "boxes", "coefficients"):
            mine, other = getattr(ours, name)[image, found], getattr(expected, name)[image, there]
            torch.testing.assert_close(mine, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("nms", ["fast", "cross-class", "traditional"])
@pytest.mark.parametrize("is_compiled", [True, False])
def test_anchors_that_overflow_take_no_places(raw, nms, is_compiled, monkeypatch: pytest.MonkeyPatch):
    if not is_compiled:
        monkeypatch.setattr(postprocess, "_compiled_nms", lambda: None)
    bad = torch.arange(300) % 40 == 7
    config, without = DetectConfig(nms=nms), replace(raw, class_logits=raw.class_logits.clone())
    odd = replace(raw, class_logits=raw.class_logits.clone())
    odd.class_logits[:, bad] = torch.tensor(float("inf"))
    without.class_logits[:, bad, 0] = 50.0
    found, expected = detect(odd, config), detect(without, config)
    assert int(found.valid.sum()) > 50
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.valid, expected.valid)


def test_asking_for_everything_costs_no_more_than_there_is(raw):
    assert detect(raw, DetectConfig(top_k=10**12)).scores.shape == (1, 4 * 200)
    assert detect(raw, DetectConfig(top_k=10**12, nms="cross-class")).scores.shape == (1, 200)


def test_nothing_that_is_a_number():
    raw = RawOutput(
        class_logits=torch.full((1, 9, 4), float("nan")),
        box_deltas=torch.zeros(1, 9, 4),
        coefficients=torch.zeros(1, 9, 3),
        prototypes=torch.zeros(1, 3, 8, 8),
        anchors_cxcywh=torch.full((9, 4), 0.5),
        image_size=(64, 64),
    )
    assert not detect(raw, DetectConfig()).valid.any()


@pytest.mark.parametrize("nms", ["fast", "cross-class", "traditional"])
@pytest.mark.parametrize("score_floor", [0.0, 0.02, 0.3, 1.0])
def test_leaving_out_hopeless_anchors_changes_nothing(raw, nms, score_floor):
    config = DetectConfig(nms=nms, score_floor=score_floor)
    found = detect(raw, config)
    probabilities = raw.class_logits.softmax(-1)[..., 1:]
    boxes = decode(raw.box_deltas, raw.anchors_cxcywh)
    if nms == "traditional":
        scores, labels, _ = traditional_nms(probabilities, boxes, config, raw.image_size)
    else:
        scores, labels, _ = (fast_nms_by_class if nms == "fast" else cross_class_nms)(probabilities, boxes, config)
    width = min(scores.shape[1], found.scores.shape[1])
    assert torch.equal(found.scores[:, :width], scores[:, :width].clamp(min=0))
    assert torch.equal(found.labels[:, :width][found.valid[:, :width]], labels[:, :width][scores[:, :width] >= 0])
    assert not found.valid[:, width:].any()
    assert not (scores[:, width:] >= 0).any()


def test_windows_are_what_cropping_keeps(raw):
    detections = detect(raw, DetectConfig())
    kept = window(detections.boxes, (16, 20))
    for (x1, y1, x2, y2), inside in zip(windows_of(detections)[0].tolist(), kept[0], strict=True):
        expected = torch.zeros(16, 20, dtype=torch.bool)
        expected[y1:y2, x1:x2] = True
        assert torch.equal(inside, expected)


def test_outputs_are_pixels_and_say_how_many_there_are(raw):
    config = DetectConfig(score_floor=0.85)
    detections = detect(raw, config)
    outputs = to_outputs(detections, (100, 200), one_sided=False)
    count = int(outputs["count"][0])
    assert 0 < count < 100
    assert outputs["scores"][0, count:].max() == 0
    assert outputs["boxes"][0, count:].abs().max() == 0
    limit = torch.tensor([200, 100, 200, 100])
    assert torch.equal(outputs["boxes"][0], (detections.boxes[0] * limit).clamp(min=0).minimum(limit))
    assert outputs["windows"].dtype == torch.int32


def test_parity_clips_boxes_on_one_side_only():
    anchors = torch.tensor([[1.5, -0.5, 0.2, 0.2], [0.5, 0.5, 3.0, 3.0]])
    raw = RawOutput(
        class_logits=torch.tensor([[[0.0, 9.0], [0.0, 8.0]]]),
        box_deltas=torch.zeros(1, 2, 4),
        coefficients=torch.ones(1, 2, 3),
        prototypes=torch.ones(1, 3, 8, 8),
        anchors_cxcywh=anchors,
        image_size=(64, 64),
    )
    detections = detect(raw, DetectConfig(top_k=2))
    one_sided = to_outputs(detections, (10, 10), one_sided=True)["boxes"][0]
    torch.testing.assert_close(one_sided, torch.tensor([[14.0, 0.0, 10.0, -4.0], [0.0, 0.0, 10.0, 10.0]]))
    both = to_outputs(detections, (10, 10), one_sided=False)["boxes"][0]
    torch.testing.assert_close(both, torch.tensor([[10.0, 0.0, 10.0, 0.0], [0.0, 0.0, 10.0, 10.0]]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([2, 3]), st.sampled_from([4, 16, 1024]))
def test_traditional_nms_keeps_the_order_of_equal_scores(seed, levels, pool):
    probabilities, boxes = random_case(seed, levels=levels)
    config = DetectConfig(nms="traditional", top_k=20)
    kept = traditional_nms(probabilities, boxes, config, image_size=(64, 64), pool=pool)
    for image in range(2):
        expected = sequential(probabilities[image], on_pixels(boxes[image], 64), config, greedy=True)
        assert [row[1:] for row in as_rows(kept, image)] == [row[1:] for row in expected]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([4, 16, 1024]), st.sampled_from([7, 100]))
def test_traditional_nms_is_sequential_nms_whatever_the_pool(seed, pool, top_k):
    probabilities, boxes = random_case(seed)
    config = DetectConfig(nms="traditional", top_k=top_k)
    kept = traditional_nms(probabilities, boxes, config, image_size=(64, 64), pool=pool)
    for image in range(2):
        expected = sequential(probabilities[image], on_pixels(boxes[image], 64), config, greedy=True)
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
    torch.testing.assert_close(soft_masks(together)[0], soft_masks(alone)[0])
    assert not together.valid[1].any()
    assert together.scores[1].max() == 0
    assert soft_masks(together)[1].max() == 0
    assert windows_of(together)[1].max() == 0


def test_decoded_boxes_reach_the_detections(raw):
    detections = detect(raw, DetectConfig())
    boxes = decode(raw.box_deltas, raw.anchors_cxcywh)[0]
    assert ((detections.boxes[0][:, None] - boxes[None]).abs().amax(-1).amin(-1) == 0).all()
