"""The loss: boxes, classes, masks, semantics, and mask IoU for YOLACT++ (paper sections 3.2 to 3.4 and 4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from yolact.boxes import area, encode, window
from yolact.config import ModelConfig
from yolact.losses.matching import NEUTRAL, match_anchors
from yolact.model.mask_rescoring import MaskRescoring
from yolact.structures import RawOutput, Target

BOX_WEIGHT = 1.5
MASK_WEIGHT = 6.125
MASK_IOU_WEIGHT = 25.0
NEGATIVES_PER_POSITIVE = 3
SMALLEST_RESCORED_AREA = 25
"""In prototype pixels: a smaller mask does not train the mask rescoring."""


@dataclass(frozen=True)
class Objective:
    """The weighted losses of a batch; their sum is what training minimizes (original `multibox_loss.py`)."""

    config: ModelConfig

    masks_to_train: int | None = 100
    """At most this many random positives of an image enter the mask loss, to bound memory; None takes all."""

    crop_masks: bool = True
    """The mask loss is the mean over the true box (paper section 3.3); otherwise over the whole image."""

    semantic_weight: float = 1.0
    """Of the semantic loss; 0 leaves it out."""

    average: Callable[[Tensor], Tensor] = lambda count: count
    """Turns the number of positives in this batch into the one that losses are divided by. Where several processes
    share a batch: the mean of theirs, so that the mean of their losses is the loss of the whole batch."""

    def __call__(
        self,
        raw: RawOutput,
        targets: list[Target],
        mask_rescoring: MaskRescoring | None = None,
        seeds: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses, each a scalar, already weighted; finite also where no anchor is positive.

        Args:
            seeds: of the choice of `masks_to_train`, one an image. None: torch's global random numbers decide.

        An image without objects trains as many of its hardest negatives as one of the batch does on average; with
        `parity` none, as in the original.

        Returns:
            `box`, `class`, `mask` and `semantic`; with `mask_rescoring` also `mask_iou`. Sums over anchors are divided
            by the number of positives in the batch, `semantic` by the number of images.
        """
        anchors = raw.anchors_cxcywh
        matches = [match_anchors(anchors, target, force_unreachable=self.config.parity) for target in targets]
        labels = torch.stack([match.labels for match in matches])
        positives = labels > 0
        count = self.average(positives.sum().float())
        count = torch.where(count > 0, count, 1.0)
        objects = [match.objects[match.labels > 0] for match in matches]
        targets = [_without_crowds(target) for target in targets]  # whose part ends with the matching
        boxes = [target.boxes[rows] for target, rows in zip(targets, objects, strict=True)]
        box = box_loss(raw.box_deltas[positives], torch.cat(boxes), anchors.expand(len(targets), -1, -1)[positives])
        of_empty = torch.zeros(()) if self.config.parity else NEGATIVES_PER_POSITIVE * count / len(targets)
        losses = {"box": BOX_WEIGHT * box / count, "class": class_loss(raw.class_logits, labels, of_empty) / count}
        mask, mask_iou = self._mask_losses(raw, targets, positives, objects, mask_rescoring, seeds)
        losses["mask"] = MASK_WEIGHT * mask / count
        if raw.semantic_logits is not None and self.semantic_weight > 0:
            losses["semantic"] = self.semantic_weight * semantic_loss(raw.semantic_logits, targets)
        if mask_rescoring is not None:
            losses["mask_iou"] = MASK_IOU_WEIGHT * mask_iou / count
        return losses

    def _mask_losses(
        self,
        raw: RawOutput,
        targets: list[Target],
        positives: Bool[Tensor, "B A"],
        objects: list[Tensor],
        mask_rescoring: MaskRescoring | None,
        seeds: Sequence[int] | None,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Mask and mask IoU losses, image by image: the number of positives differs, and so do the sizes."""
        # Zero, but part of the graph: where nothing is positive, every parameter still gets a gradient.
        mask = mask_iou = raw.prototypes[:, :0].sum() + raw.coefficients[:, :0].sum()
        if mask_rescoring is not None:
            mask_iou = mask_iou + mask_rescoring(raw.prototypes[0, :0]).sum()
        for image, target in enumerate(targets):
            coefficients, rows = raw.coefficients[image][positives[image]], objects[image]
            found = len(rows)
            if found == 0:
                continue
            if self.masks_to_train is not None and found > self.masks_to_train:
                chosen = _shuffled(found, None if seeds is None else seeds[image])[: self.masks_to_train].to(
                    rows.device
                )
                coefficients, rows = coefficients[chosen], rows[chosen]
            masks = (coefficients @ raw.prototypes[image].flatten(1)).view(-1, *raw.prototypes.shape[-2:]).sigmoid()
            truth = shrink_masks(target.masks, masks)[rows]
            boxes = (
                target.boxes[rows] if self.crop_masks else torch.tensor([[0.0, 0, 1, 1]]).to(masks).expand(len(rows), 4)
            )
            masks = masks * window(boxes, (masks.shape[-2], masks.shape[-1]))
            smallest = 0.0 if self.config.parity else 1.0
            mask = mask + mask_loss(masks, truth, boxes, smallest) * (found / len(rows))
            if mask_rescoring is not None:
                mask_iou = mask_iou + mask_iou_loss(masks, truth, target.labels[rows], mask_rescoring)
        return mask, mask_iou


def _shuffled(count: int, seed: int | None) -> Int[Tensor, " n"]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=generator)


def box_loss(
    box_deltas: Float[Tensor, "n 4"], boxes: Float[Tensor, "n 4"], anchors_cxcywh: Float[Tensor, "n 4"]
) -> Float[Tensor, ""]:
    """Smooth L1 between predicted and true offsets, summed over positive anchors."""
    return functional.smooth_l1_loss(box_deltas.float(), encode(boxes, anchors_cxcywh), reduction="sum")


def class_loss(
    class_logits: Float[Tensor, "B A C1"], labels: Int[Tensor, "B A"], of_empty: float | Float[Tensor, ""] = 0.0
) -> Float[Tensor, ""]:
    """Softmax cross-entropy, summed over positives and the three times as many hardest negatives of each image.

    Args:
        of_empty: how many negatives an image without positives trains, rounded up. With 0 it trains nothing; the
            original has no such images.
    """
    losses = functional.cross_entropy(
        class_logits.float().transpose(1, 2), labels.clamp(min=0), reduction="none"
    )  # the loss of a background anchor is -log p(background): what the negatives are ranked by
    positives = labels > 0
    with torch.no_grad():
        hardness = losses.masked_fill(labels != 0, 0.0)
        rank = hardness.argsort(dim=1, descending=True).argsort(dim=1)
        found = positives.sum(dim=1, keepdim=True)
        wanted = torch.where(found > 0, NEGATIVES_PER_POSITIVE * found, torch.as_tensor(of_empty).ceil().to(found))
        wanted = wanted.clamp(max=labels.shape[1] - 1)
        chosen = positives | ((rank < wanted) & ~positives & (labels != NEUTRAL))
    return losses[chosen].sum()


def mask_loss(
    masks: Float[Tensor, "n Hp Wp"],
    truth: Float[Tensor, "n Hp Wp"],
    boxes: Float[Tensor, "n 4"],
    smallest_area: float = 1.0,
) -> Float[Tensor, ""]:
    """Binary cross-entropy of each mask over the area of its true box in prototype pixels, summed over instances.

    The truth is not cropped: object pixels outside their own box add a constant of 100 each (quirk Q10).

    Args:
        masks: probabilities, already cropped with the true boxes.
        smallest_area: boxes count as at least this large, so that one of a hundredth of a pixel does not weigh a
            hundredfold.
    """
    height, width = masks.shape[-2:]
    losses = functional.binary_cross_entropy(masks.float(), truth, reduction="none").sum(dim=(1, 2))
    return (losses / (area(boxes) * height * width).clamp(min=max(smallest_area, 1e-6))).sum()


def semantic_loss(semantic_logits: Float[Tensor, "B C Hs Ws"], targets: list[Target]) -> Float[Tensor, ""]:
    """Binary cross-entropy of each class's map, summed over classes, averaged over pixels and images (section 3.4).

    Args:
        targets: without crowds.
    """
    truth = torch.zeros_like(semantic_logits, dtype=torch.float32)
    for image, target in enumerate(targets):
        masks = shrink_masks(target.masks, semantic_logits)
        truth[image].scatter_reduce_(0, target.labels[:, None, None].expand_as(masks), masks, "amax")
    losses = functional.binary_cross_entropy_with_logits(semantic_logits.float(), truth, reduction="none")
    return losses.mean(dim=(2, 3)).sum() / len(targets)


def mask_iou_loss(
    masks: Float[Tensor, "n Hp Wp"],
    truth: Float[Tensor, "n Hp Wp"],
    labels: Int[Tensor, " n"],
    mask_rescoring: MaskRescoring,
) -> Float[Tensor, ""]:
    """Smooth L1 between the predicted and the real IoU of each large enough mask (YOLACT++ paper section 6.1).

    The masks are not detached: this loss trains prototypes and coefficients too (quirk Q11).
    """
    large = truth.sum(dim=(1, 2)) > SMALLEST_RESCORED_AREA
    masks, truth, labels = masks[large], truth[large], labels[large]
    if len(masks) == 0:
        return mask_rescoring(masks).sum()  # 0, and a gradient for every parameter
    binary = (masks > 0.5).float()
    shared = (binary * truth).sum(dim=(1, 2))
    iou = shared / (binary.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) - shared)
    predicted = mask_rescoring(masks).gather(1, labels[:, None])[:, 0]
    return functional.smooth_l1_loss(predicted.float(), iou, reduction="sum")


def shrink_masks(masks: Bool[Tensor, "n H W"], like: Float[Tensor, "*m h w"]) -> Float[Tensor, "n h w"]:
    """True masks at the height and width of another map, 0 or 1."""
    size = (like.shape[-2], like.shape[-1])
    if len(masks) == 0:  # which interpolate refuses
        return torch.zeros(0, *size, device=masks.device)
    resized = functional.interpolate(masks[None].float(), size, mode="bilinear", align_corners=False)[0]
    return (resized > 0.5).float()


def _without_crowds(target: Target) -> Target:
    keep = ~target.is_crowd
    return Target(target.boxes[keep], target.labels[keep], target.masks[keep], target.is_crowd[keep])
