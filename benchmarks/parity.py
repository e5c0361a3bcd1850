"""How close this code comes to the original's, on reference outputs that the original gave.

    uv run benchmarks/parity.py tests/data/parity --photographs photos --seed 11
    uv run benchmarks/parity.py ../shared/parity --photographs ../shared/data/coco-mini --seed 7

A reference is a group of files CONFIG.npz, CONFIG.detections.json and, where there is one, CONFIG.loss.json beside a
`recipe.py` that rebuilds the checkpoint; the README there says what they hold. Annotations are `instances_val.json`
there or beside the photographs. Prints a Markdown table and exits with 1 if a figure is beyond its tolerance.
"""

import argparse
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask

from yolact.config import DetectConfig
from yolact.convert import convert, expected_tensors, original_name
from yolact.detect.postprocess import detect, to_outputs
from yolact.images import read_image
from yolact.instances import Instances
from yolact.losses.objective import Objective
from yolact.model import Yolact
from yolact.pixels import to_network_input
from yolact.presets import PRESETS
from yolact.structures import Target

ORIGINALS = {
    "yolact_base": "yolact-resnet101",
    "yolact_resnet50": "yolact-resnet50",
    "yolact_darknet53": "yolact-darknet53",
    "yolact_im400": "yolact-resnet101-400",
    "yolact_im700": "yolact-resnet101-700",
    "yolact_resnet50_pascal": "yolact-resnet50-pascal",
    "yolact_plus_base": "yolact-plus-resnet101",
    "yolact_plus_resnet50": "yolact-plus-resnet50",
}
"""What the original calls a configuration, and what we do."""

STRIDES = (97, 6)
"""Every which anchor, and every which row and column of the prototypes, a reference holds if it says nothing else."""


@dataclass(frozen=True)
class Figure:
    """One comparison: the worst deviation found, and what is allowed."""

    name: str
    worst: float
    tolerance: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.worst >= self.tolerance if self.at_least else self.worst <= self.tolerance


def compare(folder: Path, name: str, photographs: Path, seed: int, training_step: bool = True) -> list[Figure]:
    """All comparisons for one configuration of the original, such as `yolact_resnet50`."""
    network = rebuild(folder, name, seed)
    recorded = np.load(folder / f"{name}.npz")
    figures: list[Figure] = []
    for index, reference in enumerate(json.loads((folder / f"{name}.detections.json").read_text())):
        figures += compare_photograph(network, _find(photographs, reference["image"]), reference, recorded, index)
    step = folder / f"{name}.loss.json"
    if training_step and step.exists():
        places = (folder / "instances_val.json", photographs / "instances_val.json")
        annotations = json.loads(next(path for path in places if path.exists()).read_text())
        figures += compare_training_step(network, photographs, annotations, json.loads(step.read_text()))
    return worst_of_each(figures)


def rebuild(folder: Path, name: str, seed: int) -> Yolact:
    """The network of the checkpoint that a reference was computed with, converted as a published one would be."""
    recipe = _recipe(folder)
    expected = expected_tensors(PRESETS[ORIGINALS[name]].build())
    shapes = {original_name(key): tuple(value.shape) for key, value in expected.items()}
    state = {key: torch.from_numpy(np.asarray(recipe.fill(key, shape, seed))) for key, shape in shapes.items()}
    told = ORIGINALS[name] if name in ("yolact_im400", "yolact_im700") else None  # its tensors are those of yolact_base
    config, converted = convert(state, told)
    network = Yolact(config).eval()
    network.load_state_dict(converted)
    return network


@torch.inference_mode()
def compare_photograph(
    network: Yolact, path: Path, reference: dict, recorded: np.lib.npyio.NpzFile, index: int
) -> list[Figure]:
    """Raw outputs and the 100 detections of one photograph."""
    image = torch.from_numpy(read_image(path)).permute(2, 0, 1)
    raw = network(to_network_input(image, network.config)[None])
    anchor, pixel = recorded["strides"].tolist() if "strides" in recorded else STRIDES
    ours = {
        "loc": raw.box_deltas[0, ::anchor],
        "conf": raw.class_logits[0, ::anchor].softmax(-1),
        "mask": raw.coefficients[0, ::anchor],
        "proto": raw.prototypes[0].permute(1, 2, 0)[::pixel, ::pixel],
    }
    figures = [
        Figure(f"raw output {key}, relative to its largest", _relative(value.numpy(), recorded[f"{index}.{key}"]), 1e-4)
        for key, value in ours.items()
    ]
    anchors = raw.anchors_cxcywh[::anchor].numpy()
    figures.append(Figure("anchors, absolute", float(np.abs(anchors - recorded[f"{index}.priors"]).max()), 1e-6))
    size = tuple(reference["size"])
    outputs = to_outputs(detect(raw, DetectConfig(), network.mask_rescoring), size, network.config.parity)
    found = Instances.from_outputs({name: value.numpy() for name, value in outputs.items()}, 0, size, network.config)
    return figures + compare_detections(found, reference["detections"])


def compare_detections(found: Instances, expected: list[dict]) -> list[Figure]:
    """The same labels in the same order, with the same scores, boxes and masks."""
    labels = [row["label"] for row in expected]
    figures = [
        Figure(
            "detections with another label", float(sum(a != b for a, b in zip(found.labels, labels, strict=True))), 0
        )
    ]
    scores = np.array([row["score"] for row in expected])
    figures.append(Figure("scores, absolute", float(np.abs(found.scores - scores).max()), 1e-4))
    if "mask_score" in expected[0]:
        mask_scores = np.array([row["mask_score"] for row in expected])
        figures.append(Figure("mask scores, absolute", float(np.abs(found.mask_scores - mask_scores).max()), 1e-4))
    boxes = np.array([row["box"] for row in expected])
    figures.append(Figure("boxes, pixels", float(np.abs(found.boxes - boxes).max()), 1.0))
    overlaps = [mask_overlap(found.rle(i), row["mask"]) for i, row in enumerate(expected)]
    figures.append(Figure("masks, smallest IoU", min(overlaps), 0.999, at_least=True))
    return figures


def mask_overlap(ours: dict, theirs: dict) -> float:
    """IoU of two run-length encoded masks; 1 if both are empty."""
    a, b = coco_mask.decode(ours).astype(bool), coco_mask.decode(theirs).astype(bool)
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def compare_training_step(network: Yolact, photographs: Path, annotations: dict, reference: dict) -> list[Figure]:
    """Losses and gradient norms of one step: training mode, batch norm on its stored statistics, no augmentation."""
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    batch = [_sample(annotations, image_id, photographs, network) for image_id in reference["image_ids"]]
    raw = network(torch.stack([image for image, _ in batch]))
    objective = Objective(network.config, masks_to_train=None)
    losses = objective(raw, [target for _, target in batch], network.mask_rescoring)
    torch.stack(list(losses.values())).sum().backward()
    letters = {"box": "B", "class": "C", "mask": "M", "semantic": "S", "mask_iou": "I"}
    figures = [
        Figure(f"loss {key}, relative", abs(float(value.detach()) / reference["losses"][letters[key]] - 1), 1e-4)
        for key, value in losses.items()
    ]
    norms = {original_name(key): float(p.grad.norm()) for key, p in network.named_parameters() if p.grad is not None}
    deviations = [abs(norms[key] / norm - 1) if norm else norms[key] for key, norm in reference["grad_norm"].items()]
    total = sum(norm**2 for norm in norms.values()) ** 0.5
    figures.append(Figure("gradient norms, relative", max(deviations), 1e-3))
    figures.append(Figure("gradient norm of everything, relative", abs(total / reference["grad_norm_total"] - 1), 1e-3))
    return figures


def worst_of_each(figures: list[Figure]) -> list[Figure]:
    """One figure a name: the worst over all photographs."""
    names = list(dict.fromkeys(figure.name for figure in figures))
    groups = ([figure for figure in figures if figure.name == name] for name in names)
    return [(min if group[0].at_least else max)(group, key=lambda figure: figure.worst) for group in groups]


def _sample(annotations: dict, image_id: int, photographs: Path, network: Yolact) -> tuple[torch.Tensor, Target]:
    """A photograph and its objects as the reference step takes them: crowds last, boxes as annotated."""
    entry = next(entry for entry in annotations["images"] if entry["id"] == image_id)
    rows = [row for row in annotations["annotations"] if row["image_id"] == image_id]
    rows.sort(key=lambda row: row["iscrowd"])
    height, width = entry["height"], entry["width"]
    boxes = torch.tensor([row["bbox"] for row in rows], dtype=torch.float64)  # as the original: rounding decides ties
    boxes[:, 2:] += boxes[:, :2]
    masks = torch.from_numpy(np.stack([_decode(row["segmentation"], height, width) for row in rows])).float()
    masks = torch.nn.functional.interpolate(masks[None], network.config.image_size, mode="bilinear")[0] > 0.5
    target = Target(
        boxes=(boxes / torch.tensor([width, height, width, height])).float(),
        labels=torch.tensor([network.config.coco_ids.index(row["category_id"]) for row in rows]),
        masks=masks,
        is_crowd=torch.tensor([bool(row["iscrowd"]) for row in rows]),
    )
    image = torch.from_numpy(read_image(_find(photographs, entry["file_name"]))).permute(2, 0, 1)
    return to_network_input(image, network.config), target


def _decode(segmentation: list | dict, height: int, width: int) -> np.ndarray:
    encoded = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(coco_mask.merge(encoded) if isinstance(encoded, list) else encoded)


def _relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def _find(photographs: Path, name: str) -> Path:
    return next(path for path in (photographs / name, photographs / "val" / name) if path.exists())


def _recipe(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("recipe", folder / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("references", type=Path)
    parser.add_argument("--photographs", type=Path, required=True, help="folder of them, or one with val/")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--configurations", nargs="*", help="all by default")
    arguments = parser.parse_args()
    names = arguments.configurations or sorted(p.name.removesuffix(".npz") for p in arguments.references.glob("*.npz"))
    results = {name: compare(arguments.references, name, arguments.photographs, arguments.seed) for name in names}
    print(table(results))
    return 0 if all(figure.holds for figures in results.values() for figure in figures) else 1


def table(results: dict[str, list[Figure]]) -> str:
    """Markdown: a row a comparison, a column a configuration, figures beyond their tolerance in bold."""
    rows = {figure.name: figure for figures in results.values() for figure in figures}
    lines = [f"| worst deviation | allowed | {' | '.join(name.removeprefix('yolact_') for name in results)} |"]
    lines.append("|---" * (len(results) + 2) + "|")
    for name, like in rows.items():
        found = [next((figure for figure in figures if figure.name == name), None) for figures in results.values()]
        cells = ["" if f is None else f"{f.worst:.3g}" if f.holds else f"**{f.worst:.3g}**" for f in found]
        allowed = f"{'at least ' if like.at_least else ''}{like.tolerance:g}"
        lines.append(f"| {name} | {allowed} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
