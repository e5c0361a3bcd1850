"""Small networks to export, and photographs to run them on."""

import numpy as np
import torch
from PIL import Image

from locations import ROOT
from yolact.config import ModelConfig
from yolact.deployable import Deployable
from yolact.model import Yolact, build_model
from yolact.presets import yolact_mobilenetv4, yolact_plus_resnet50
from yolact.runtimes.exported import Outputs

PHOTOGRAPHS = sorted((ROOT / "photos").glob("*.jpg"))
CLASSES = ("cat", "dog", "cow")


def crowded() -> Yolact:
    """Every one of its 1,614 anchors shows something: more than a graph looks at before it looks at everything."""
    return _random(yolact_mobilenetv4(image_size=(160, 160), class_names=CLASSES, width=32, num_prototypes=8))


def parity() -> Yolact:
    """As the original does it: boxes are clipped on one side, and photographs shrink without a low-pass."""
    config = yolact_mobilenetv4(image_size=(128, 192), class_names=CLASSES, width=32, antialias=False, parity=True)
    return _random(config)


def plus() -> Yolact:
    """YOLACT++, with a deformable block in each stage, whose offsets point somewhere."""
    small = {"image_size": (256, 256), "class_names": CLASSES, "width": 32, "num_prototypes": 8}
    network = _random(yolact_plus_resnet50(**small, deformable_blocks=(1, 1, 1)))
    for name, parameter in network.named_parameters():
        if "offset_mask.weight" in name:
            torch.nn.init.normal_(parameter, std=1.0, generator=torch.Generator().manual_seed(0))
    return network


def photograph(seed: int, height: int, width: int) -> np.ndarray:
    """Soft patches."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def _random(config: ModelConfig) -> Yolact:
    """Random weights whose outputs spread as those of a trained network, lest rounding decide what is best."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = build_model(config).eval()
        head, protonet = network.head, network.protonet
        for layer, spread in (
            (head.class_logits, 2.0),
            (head.box_deltas, 1.0),
            (head.coefficients, 0.5),
            (protonet.prototypes, 2.0),
        ):
            seen: list[torch.Tensor] = []
            hook = layer.register_forward_hook(lambda *called, seen=seen: seen.append(called[2].flatten()))
            network(torch.randn(1, 3, *config.image_size))
            hook.remove()
            layer.weight *= spread / torch.cat(seen).std()
        head.coefficients.bias.fill_(0.3)  # type: ignore[union-attr]  # or most masks would be empty
    return network


def in_pytorch(deployable: Deployable, photographs: np.ndarray) -> Outputs:
    """The outputs for a batch of photographs."""
    with torch.inference_mode():
        return {name: value.numpy() for name, value in deployable(torch.from_numpy(photographs)).items()}
