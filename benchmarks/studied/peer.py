"""torchvision's Mask R-CNN on the backbone, data and budget of the other runs.

The same photographs in the same order with the same augmentation, the same ImageNet weights, frozen batch norm, number
of steps, optimizer, schedule and averaging. Its own is what is behind the backbone: a feature pyramid from C2 on as its
paper has it, of our width, and torchvision's heads. Of an image, 500 regions of each level are proposed instead of up
to 2,000, and 64 train the heads instead of 512: the image has a twentieth of the usual pixels, and 2.4 people.
"""

import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn
from torchvision.models.detection import MaskRCNN
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from studied import DATA
from studied.runs import PEER, Run
from yolact.config import ModelConfig
from yolact.structures import Target
from yolact.training.config import TrainConfig

LEARNING_RATE = 5e-4
"""Of `RATES`, the one with the lowest loss after `TRIAL` steps."""

RATES = (2e-4, 5e-4, 1e-3)
TRIAL = 60
WEIGHTS = "last.pth"
REGIONS = 64
PROPOSALS = 500
STAGES = {"C2": 4, "C3": 8, "C4": 16, "C5": 32}
"""Feature maps of the backbone, and their strides."""


class Pyramid(nn.Module):
    """What `MaskRCNN` calls a backbone: the network's, and a feature pyramid on it."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        """
        Args:
            backbone: a `yolact.model.backbone.TimmBackbone`.
        """
        super().__init__()
        self.features: Any = backbone.features
        reductions = self.features.feature_info.reduction()
        self.indices = [max(i for i, r in enumerate(reductions) if r == stride) for stride in STAGES.values()]
        channels = [self.features.feature_info.channels()[i] for i in self.indices]
        self.fpn = FeaturePyramidNetwork(channels, width, LastLevelMaxPool())
        self.out_channels = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.features(images)
        # In float32: the operators that cut regions out know no bfloat16.
        pyramid = self.fpn(OrderedDict((str(place), maps[i]) for place, i in enumerate(self.indices)))
        return OrderedDict((name, level.float()) for name, level in pyramid.items())


def build(config: ModelConfig, train_config: TrainConfig) -> MaskRCNN:
    """A Mask R-CNN for images that are already normalized and of `config.image_size`."""
    from yolact.model import build_model
    from yolact.training.start import initialize

    network = build_model(config)
    initialize(network, train_config)
    shortest, longest = min(config.image_size), max(config.image_size)
    model = MaskRCNN(
        Pyramid(network.backbone, config.width),
        num_classes=config.num_classes + 1,
        min_size=shortest,
        max_size=longest,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        box_batch_size_per_image=REGIONS,
        rpn_pre_nms_top_n_train=PROPOSALS,
        rpn_pre_nms_top_n_test=PROPOSALS,
        rpn_post_nms_top_n_train=PROPOSALS,
        rpn_post_nms_top_n_test=PROPOSALS,
    )
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def train(run: Run, backbone_weights: str, folder: Path, rate: float = LEARNING_RATE) -> Path:
    """The weights of a run; trained now, if `folder` does not have them. See `studied.training.train`."""
    finished = folder / run.name / WEIGHTS
    if finished.exists():
        return finished
    began = time.time()
    average = fit(run, backbone_weights, rate)
    finished.parent.mkdir(parents=True, exist_ok=True)
    facts = {"seconds": time.time() - began, "torch": torch.__version__, "threads": torch.get_num_threads()}
    (finished.parent / "facts.json").write_text(json.dumps(facts))
    unfinished = finished.with_suffix(".unfinished")
    torch.save(average.state_dict(), unfinished)
    unfinished.rename(finished)
    return finished


def tune(backbone_weights: str) -> dict[float, float]:
    """The mean loss of the last third of a short training, by learning rate."""
    losses: dict[float, float] = {}
    for rate in RATES:
        totals: list[float] = []
        fit(Run(PEER, 0), backbone_weights, rate, TRIAL, totals)
        losses[rate] = sum(totals[-TRIAL // 3 :]) / (TRIAL // 3)
    return losses


def fit(
    run: Run, backbone_weights: str, rate: float, steps: int | None = None, totals: list[float] | None = None
) -> nn.Module:
    """Train, and return the averaged network.

    Args:
        steps: None: those of all other runs.
        totals: a list that takes the loss of each step.
    """
    from yolact.data.coco import CocoDataset, DataConfig
    from yolact.data.loader import EpochBatches, Share, TrainingSamples, training_loader
    from yolact.training.schedule import build_optimizer, share_of_rate

    data = CocoDataset(DataConfig.read(DATA).train, None)
    config, recipe = run.model_config(data.classes), run.train_config(backbone_weights)
    torch.manual_seed(run.seed)
    model = build(config, recipe)
    samples = TrainingSamples(data, config, recipe.seed, recipe.augmentation)
    done = 0
    batches = EpochBatches(len(samples), recipe.seed, Share(recipe.images), config.image_size, lambda: done)
    loader = training_loader(samples, batches, workers=0)
    steps = recipe.epochs * len(loader) if steps is None else steps
    hold_frozen(model, recipe.freeze)
    keep_depthwise_in_float32(model)
    optimizer = build_optimizer(model.parameters(), recipe, rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_rate(recipe, steps))
    average = AveragedModel(model, avg_fn=get_ema_avg_fn(recipe.ema_decay))
    while done < steps:
        for images, targets in loader:
            losses = step(model, images, targets, config.image_size)
            optimizer.zero_grad()
            losses["total"].backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip or float("inf"))
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
            done += 1
            if totals is not None:
                totals.append(losses["total"].item())
            print(f"\r{run.name}: step {done} of {steps}, loss {losses['total'].item():.2f}", end="", flush=True)
            if done == steps:
                break
    print()
    return average.module


def hold_frozen(model: nn.Module, names: tuple[str, ...]) -> None:
    """Training mode, but for batch norm and these parts, which stay as they were loaded."""
    model.train()
    parts = dict(model.named_modules())
    for part in parts.values():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval().requires_grad_(False)
    for name in names:
        parts[name].requires_grad_(False)


def keep_depthwise_in_float32(model: nn.Module) -> None:
    """As `TrainingModule` does, for the same reason."""
    from yolact.training.module import _enter_autocast, _leave_autocast

    for part in model.modules():
        if isinstance(part, nn.Conv2d) and part.groups > 1:
            part.register_forward_pre_hook(_leave_autocast)
            part.register_forward_hook(_enter_autocast, always_call=True)


def step(model: nn.Module, images: Tensor, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
    """The losses of one batch, and their sum."""
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(list(images), [as_torchvision(target, size) for target in targets])
    return {**losses, "total": torch.stack([loss.float() for loss in losses.values()]).sum()}


def as_torchvision(target: Target, size: tuple[int, int]) -> dict[str, Tensor]:
    """Boxes in pixels, labels from 1; without crowds."""
    keep = ~target.is_crowd
    height, width = size
    boxes = target.boxes[keep] * torch.tensor([width, height] * 2)
    return {"boxes": boxes, "labels": target.labels[keep] + 1, "masks": target.masks[keep].to(torch.uint8)}


def load(run: Run, weights: Path) -> MaskRCNN:
    """A trained network, ready to predict."""
    torch.manual_seed(0)
    model = build(run.model_config(("person",)), run.train_config("none"))
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return model.eval()


def predict(model: MaskRCNN, image: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """What is found in a photograph: boxes in its pixels, scores, and masks (N, H, W) bool at its size.

    Args:
        image: (3, h, w), normalized and of the network's size.
        size: (height, width) of the photograph. Masks are enlarged once, from their 28 x 28 cells to its pixels.
    """
    return enlarge(model, detect(model, image)[1], image, size)


@torch.inference_mode()
def detect(model: MaskRCNN, image: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The feature pyramid, and what is found: boxes in the network's pixels, masks in cells. See `predict`."""
    from torchvision.models.detection.image_list import ImageList

    small = (image.shape[1], image.shape[2])
    features = model.backbone(image[None])
    proposals, _ = model.rpn(ImageList(image[None], [small]), features)
    found, _ = model.roi_heads(features, proposals, [small])
    return features, found[0]


@torch.inference_mode()
def in_boxes(model: MaskRCNN, features: dict[str, Tensor], boxes: Tensor, image: Tensor) -> dict[str, Tensor]:
    """The masks that the mask head makes in given boxes (N, 4) in the network's pixels, as `detect` gives them."""
    heads: Any = model.roi_heads
    regions = heads.mask_roi_pool(features, [boxes], [(image.shape[1], image.shape[2])])
    masks = heads.mask_predictor(heads.mask_head(regions))[:, 1:2].sigmoid()
    labels = torch.ones(len(boxes), dtype=torch.int64)
    return {"boxes": boxes, "labels": labels, "scores": torch.ones(len(boxes)), "masks": masks}


@torch.inference_mode()
def enlarge(model: MaskRCNN, found: dict[str, Tensor], image: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    transform: Any = model.transform
    (result,) = transform.postprocess([dict(found)], [(image.shape[1], image.shape[2])], [size])
    return {"boxes": result["boxes"], "scores": result["scores"], "masks": result["masks"][:, 0] > 0.5}


def to_coco(found: dict[str, Tensor], image_id: int, kind: str) -> list[dict[str, Any]]:
    """Records of a COCO result file, for the first category."""
    from faster_coco_eval.core import mask as coco_mask

    records = []
    columns = [found[name].numpy() for name in ("boxes", "scores", "masks")]
    for box, score, mask in zip(*columns, strict=True):
        record: dict[str, Any] = {"image_id": image_id, "category_id": 1, "score": float(score)}
        if kind == "mask":
            record["segmentation"] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        else:
            x1, y1, x2, y2 = box.tolist()
            record["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        records.append(record)
    return records
