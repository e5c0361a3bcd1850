from dataclasses import replace

import pytest
import torch

from golden import golden_weight, uniform
from yolact import presets
from yolact.losses.objective import Objective, class_loss, mask_loss
from yolact.model.anchors import make_anchors
from yolact.model.mask_rescoring import MaskRescoring
from yolact.structures import RawOutput, Target

SIZES_550 = ((69, 69), (35, 35), (18, 18), (9, 9), (5, 5))


def ellipse(box: tuple[float, ...], size: int = 550) -> torch.Tensor:
    """Filled, inscribed in the box."""
    at = (torch.arange(size) + 0.5) / size
    x1, y1, x2, y2 = box
    horizontal, vertical = (at - (x1 + x2) / 2) / ((x2 - x1) / 2), (at - (y1 + y2) / 2) / ((y2 - y1) / 2)
    return horizontal[None, :] ** 2 + vertical[:, None] ** 2 <= 1


def golden_targets() -> list[Target]:
    first, second, crowd, third = (0.1, 0.15, 0.45, 0.6), (0.5, 0.4, 0.9, 0.95), (0, 0, 0.3, 0.3), (0.3, 0.2, 0.62, 0.8)
    return [
        Target(
            boxes=torch.tensor([first, second, crowd]),
            labels=torch.tensor([2, 17, 0]),
            masks=torch.stack([ellipse(first), ellipse(second), ellipse(crowd)]),
            is_crowd=torch.tensor([False, False, True]),
        ),
        Target(
            boxes=torch.tensor([third]),
            labels=torch.tensor([0]),
            masks=ellipse(third)[None],
            is_crowd=torch.tensor([False]),
        ),
    ]


def golden_output(config) -> RawOutput:
    anchors = make_anchors(config, SIZES_550, (550, 550))
    n = len(anchors)
    prototypes = (4 * uniform("loss.proto", 2, 138, 138, 32) - 2).relu() / 4
    return RawOutput(
        class_logits=(2 * (2 * uniform("loss.conf", 2, n, 81) - 1)).requires_grad_(),
        box_deltas=(0.5 * (2 * uniform("loss.loc", 2, n, 4) - 1)).requires_grad_(),
        coefficients=torch.tanh(4 * uniform("loss.mask", 2, n, 32) - 2).requires_grad_(),
        prototypes=prototypes.permute(0, 3, 1, 2).contiguous().requires_grad_(),
        anchors_cxcywh=anchors,
        image_size=(550, 550),
        semantic_logits=(4 * uniform("loss.segm", 2, 80, 69, 69) - 2).requires_grad_(),
    )


def gradient(loss: torch.Tensor, tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    return torch.autograd.grad(loss, tensor, retain_graph=True)[0]


def test_losses_and_gradients_of_the_original():
    config = presets.yolact_resnet101()
    raw = golden_output(config)
    losses = Objective(config)(raw, golden_targets())
    expected = {"box": 3.92316, "class": 26.52258, "mask": 5.22026, "semantic": 67.66979}
    assert {key: float(value.detach()) for key, value in losses.items()} == pytest.approx(expected, rel=1e-5)
    box = gradient(losses["box"], raw.box_deltas)
    assert float(box.abs().sum()) == pytest.approx(4.14827, rel=1e-5)
    assert int((box != 0).sum()) == 68
    classes = gradient(losses["class"], raw.class_logits)
    assert float(classes.abs().sum()) == pytest.approx(7.97095, rel=1e-5)
    assert int((classes != 0).sum()) == 17 * 4 * 81
    assert float(gradient(losses["mask"], raw.coefficients).abs().sum()) == pytest.approx(6.61882, rel=1e-5)
    assert float(gradient(losses["mask"], raw.prototypes).abs().sum()) == pytest.approx(26.6029, rel=1e-5)
    assert float(gradient(losses["semantic"], raw.semantic_logits).abs().sum()) == pytest.approx(40.0087, rel=1e-5)


def test_losses_and_gradients_of_the_original_plus():
    config = presets.yolact_plus_resnet101()
    rescoring = MaskRescoring(80)
    for name, parameter in rescoring.named_parameters():
        golden = golden_weight(f"maskiou_net.maskiou_net.{name.removeprefix('layers.')}", tuple(parameter.shape))
        parameter.data.copy_(golden)
    raw = golden_output(config)
    losses = Objective(config)(raw, golden_targets(), rescoring)
    expected = {"box": 3.99120, "class": 26.41226, "mask": 5.10054, "semantic": 67.66979, "mask_iou": 0.87827}
    assert {key: float(value.detach()) for key, value in losses.items()} == pytest.approx(expected, rel=1e-5)
    assert float(gradient(losses["mask"], raw.prototypes).abs().sum()) == pytest.approx(16.2516, rel=1e-5)
    assert float(gradient(losses["mask_iou"], raw.prototypes).abs().sum()) == pytest.approx(211.916, rel=1e-4)
    assert float(gradient(losses["mask_iou"], raw.coefficients).abs().sum()) == pytest.approx(4.01081, rel=1e-4)


SMALL = presets.yolact_mobilenetv4(class_names=("a", "b"), category_ids=(), num_prototypes=4, image_size=(64, 64))


def small_output(batch: int) -> RawOutput:
    anchors = make_anchors(SMALL, ((8, 8), (4, 4), (2, 2), (1, 1), (1, 1)), (64, 64))
    return RawOutput(
        class_logits=torch.randn(batch, len(anchors), 3, requires_grad=True),
        box_deltas=torch.randn(batch, len(anchors), 4, requires_grad=True),
        coefficients=torch.randn(batch, len(anchors), 4).tanh().requires_grad_(),
        prototypes=torch.rand(batch, 4, 16, 16, requires_grad=True),
        anchors_cxcywh=anchors,
        image_size=(64, 64),
        semantic_logits=torch.randn(batch, 2, 8, 8, requires_grad=True),
    )


def objects(*boxes: tuple[float, float, float, float], crowd: bool = False) -> Target:
    count = len(boxes)
    masks = [ellipse(box, 64) if box[2] > box[0] and box[3] > box[1] else torch.zeros(64, 64) for box in boxes]
    return Target(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.zeros(count, dtype=torch.long),
        masks=torch.stack(masks).bool() if masks else torch.zeros(0, 64, 64, dtype=torch.bool),
        is_crowd=torch.full((count,), crowd),
    )


@pytest.mark.parametrize(
    "target",
    [
        objects(),
        objects((0.1, 0.1, 0.9, 0.9), crowd=True),
        objects((0.5, 0.5, 0.5, 0.5)),
        objects((0.5, 0.5, 0.500001, 0.500001)),
        objects((0.0, 0.0, 1.0, 1.0)),
        objects((0.3, 0.3, 0.3, 0.8), (0.1, 0.1, 0.4, 0.4)),
    ],
    ids=["nothing", "crowd only", "a point", "a speck", "everything", "a line"],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_losses_and_gradients_are_finite(target, batch):
    raw = small_output(batch)
    losses = Objective(SMALL)(raw, [target] * batch)
    total = sum(losses.values())
    total.backward()  # type: ignore[union-attr]
    assert all(loss.isfinite() for loss in losses.values())
    for tensor in (raw.class_logits, raw.box_deltas, raw.coefficients, raw.prototypes, raw.semantic_logits):
        assert tensor is not None
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_more_positives_than_masks_to_train_are_scaled_up():
    target = objects((0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.7, 0.6), (0.3, 0.4, 0.9, 1.0))
    raw = small_output(1)
    everything = Objective(SMALL, masks_to_train=None)(raw, [target])["mask"]
    samples = [Objective(SMALL, masks_to_train=2)(raw, [target])["mask"] for _ in range(300)]
    torch.testing.assert_close(torch.stack(samples).mean(), everything, rtol=0.1, atol=0)


def test_a_seed_decides_which_masks_are_trained():
    target = objects((0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.7, 0.6), (0.3, 0.4, 0.9, 1.0))
    raw, objective = small_output(1), Objective(SMALL, masks_to_train=2)
    first, again = (objective(raw, [target], seeds=[5])["mask"] for _ in range(2))
    others = [objective(raw, [target], seeds=[seed])["mask"] for seed in range(6, 12)]
    assert torch.equal(first, again)
    assert any(not torch.equal(first, other) for other in others)


def test_without_crop_the_mask_loss_looks_everywhere():
    target = objects((0.3, 0.3, 0.6, 0.6))
    raw = small_output(1)
    losses = [Objective(SMALL, crop_masks=crop)(raw, [target])["mask"] for crop in (True, False)]
    gradients = [torch.autograd.grad(loss, raw.prototypes)[0][0] for loss in losses]
    height, width = raw.prototypes.shape[-2:]
    corner = (slice(None), slice(0, height // 5), slice(0, width // 5))
    assert gradients[0][corner].abs().max() == 0
    assert gradients[1][corner].abs().max() > 0


def test_semantic_loss_can_be_left_out():
    raw, target = small_output(1), objects((0.3, 0.3, 0.6, 0.6))
    assert "semantic" not in Objective(SMALL, semantic_weight=0.0)(raw, [target])
    once, twice = (Objective(SMALL, semantic_weight=w)(raw, [target])["semantic"] for w in (1.0, 2.0))
    torch.testing.assert_close(2 * once, twice)


def test_photographs_without_objects_teach_what_is_none():
    """As many of their negatives as an image of the batch has on average; with parity, as in the original, none."""
    target = objects((0.1, 0.1, 0.7, 0.6))
    empty = Target(target.boxes[:0], target.labels[:0], target.masks[:0], target.is_crowd[:0])
    trained = {}
    for parity in (False, True):
        raw, config = small_output(2), replace(SMALL, parity=parity)
        slopes = gradient(Objective(config)(raw, [target, empty])["class"], raw.class_logits)
        trained[parity] = (slopes.abs().sum(dim=2) > 0).sum(dim=1).tolist()
    positives = trained[False][0] // 4
    assert positives > 0
    assert trained[False] == [4 * positives, -(-3 * positives // 2)]
    assert trained[True][1] == 0


def test_shares_of_a_batch_average_to_the_loss_of_the_whole():
    """As processes that train together compute it: one share has all the positives but one."""
    raws = [small_output(1) for _ in range(2)]
    targets = [objects((0.0, 0.0, 1.0, 1.0), (0.3, 0.4, 0.9, 1.0)), objects((0.1, 0.1, 0.12, 0.12))]
    outputs = ("class_logits", "box_deltas", "coefficients", "prototypes", "semantic_logits")
    both = replace(raws[0], **{name: torch.cat([getattr(raw, name) for raw in raws]) for name in outputs})
    whole = Objective(SMALL)(both, targets)
    counts: list[torch.Tensor] = []
    for raw, target in zip(raws, targets, strict=True):
        Objective(SMALL, average=lambda count: counts.append(count) or count)(raw, [target])
    mean = torch.stack(counts).mean()
    shares = [Objective(SMALL, average=lambda _: mean)(r, [t]) for r, t in zip(raws, targets, strict=True)]
    assert counts[0] != counts[1]
    for name, value in whole.items():
        torch.testing.assert_close(value, (shares[0][name] + shares[1][name]) / 2)


def test_three_hardest_negatives_for_a_positive():
    logits = torch.zeros(1, 8, 3)
    logits[0, :, 1] = torch.tensor([0.0, 5.0, 4.0, 3.0, 2.0, 1.0, 9.0, 0.0])
    labels = torch.tensor([[2, 0, 0, 0, 0, 0, -1, 0]])
    expected = -logits.log_softmax(-1)
    chosen = expected[0, 0, 2] + expected[0, 1:4, 0].sum()  # the neutral anchor, the hardest of all, is left alone
    torch.testing.assert_close(class_loss(logits, labels), chosen)


def test_an_image_without_positives_trains_as_many_negatives_as_is_said():
    logits, labels = torch.randn(1, 8, 3), torch.zeros(1, 8, dtype=torch.long)
    assert float(class_loss(logits, labels)) == 0
    hardest = (-logits.log_softmax(-1))[0, :, 0].sort(descending=True).values
    for of_empty, chosen in ((2.0, 2), (torch.tensor(2.1), 3), (100.0, 7)):
        torch.testing.assert_close(class_loss(logits, labels, of_empty), hardest[:chosen].sum())


def test_mask_loss_is_per_area_of_the_box():
    masks, truth = torch.full((1, 16, 16), 0.5), torch.ones(1, 16, 16)
    large = mask_loss(masks, truth, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    assert float(large) == pytest.approx(0.6931, abs=1e-4)
    small = mask_loss(masks, truth, torch.tensor([[0.0, 0.0, 0.01, 0.01]]))
    assert float(small) == pytest.approx(0.6931 * 256, rel=1e-3)  # as if of one pixel, not of a fortieth
