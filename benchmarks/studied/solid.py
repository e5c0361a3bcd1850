"""The study of translation variance as a whole: which networks, and the picture of a solid image's prototypes."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studied import plots, translation
from studied.measuring import read_pixels, val_source
from studied.padding import prototypes_of, with_padding

PHOTOGRAPHS = 4
COLOR = (40, 120, 60)
SHIPPED = "shipped weights"
RANDOM = "random weights"


def networks(trained: Path | None) -> Iterator[tuple[str, Any]]:
    """By name. No trained ResNet is at hand; that the shipped network is there with random weights, too, tells what
    training changes."""
    import yolact
    from yolact.model import build_model
    from yolact.presets import yolact_efficientnet_lite0, yolact_resnet50

    yield SHIPPED, yolact.load(device="cpu").network
    if trained is not None:
        yield "baseline of the studies", yolact.load(trained, device="cpu").network
    torch.manual_seed(0)
    yield f"EfficientNet-Lite0, {RANDOM}", build_model(yolact_efficientnet_lite0(image_size=(448, 448)))
    yield f"ResNet-50, {RANDOM}", build_model(yolact_resnet50(image_size=(448, 448)))


def measure(trained: Path | None) -> dict[str, Any]:
    """The whole study, for JSON.

    Args:
        trained: weights of the studies' baseline.
    """
    figures = {}
    for name, network in networks(trained):
        network = settled(network.eval()) if RANDOM in name else network.eval()
        figures[name] = translation.measure_network(network, photographs(network.config))
    ap = {SHIPPED: translation.measure_ap(None)}
    if trained is not None:
        ap["baseline of the studies"] = translation.measure_ap(str(trained))
    return {"networks": figures, "ap": ap}


@torch.no_grad()
def settled(network: Any) -> Any:
    """Batch norm gets the statistics of photographs: without, activations of random weights grow without bound."""
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.train()
    network.backbone(torch.stack(photographs(network.config)))
    for norm in norms:
        norm.eval()
    return network


def photographs(config: Any) -> list[Tensor]:
    """The first validation photographs, larger than the network's input by the farthest shift."""
    from yolact.pixels import normalize

    source, truth = val_source()
    side = config.image_size[0] + max(translation.SHIFTS)
    made = []
    for image in truth["images"][:PHOTOGRAPHS]:
        pixels = torch.from_numpy(read_pixels(source.images / image["file_name"])).permute(2, 0, 1)[None].float()
        resized = torch.nn.functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
        made.append(normalize(resized[0], config))
    return made


def draw(file: Path) -> None:
    """Prototypes of a green image under two paddings, by the shipped weights."""
    import yolact

    network = yolact.load(device="cpu").network.eval()
    image = translation.solid(COLOR, network.config.image_size[0], network.config)
    maps = {
        kind: prototypes_of(with_padding(copy.deepcopy(network), kind), image)[0].numpy()
        for kind in ("zeros", "replicate")
    }
    plots.solid_prototypes(maps, file)
