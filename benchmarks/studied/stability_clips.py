"""Two clips of DAVIS, and the masks that a network gives their one person, frame by frame."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from studied import HERE
from studied.measuring import read_pixels
from studied.precision import box_ious
from studied.runs import PEER, Run
from studied.stability_measures import box_of, nudge_changes, nudges

FOLDER = HERE.parents[2] / "shared" / "data" / "davis"

CLIPS = ("parkour", "dance-twirl")
"""Those whose foreground is a person, one each; in car-shadow it is a car."""

OVERLAP = 0.5
"""IoU with the true box from which a detection is one of the object."""


class Found(NamedTuple):
    """Of one object in one frame of H x W pixels."""

    box: Float[np.ndarray, "4"]
    own: Bool[np.ndarray, "H W"]
    """Its mask as the network gives it."""

    surest: Bool[np.ndarray, "H W"]
    """The mask of the surest detection that overlaps the object; most often the same."""

    held: Bool[np.ndarray, "9 H W"]
    """Its masks if its box were the true one, and that one nudged; see `nudges`."""


Segment = Callable[[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "9 4"]], Found | None]
"""Finds the object in a frame, whose true box comes first, its nudges after it."""


@dataclass(frozen=True)
class Followed:
    """What a network gave for a clip of T frames."""

    boxes: Float[np.ndarray, "T 4"]
    """NaN where the object was not found."""

    own: Bool[np.ndarray, "T H W"]
    surest: Bool[np.ndarray, "T H W"]
    held: Bool[np.ndarray, "T H W"]
    """The masks in true boxes."""

    nudged: Float[np.ndarray, "T 2"]
    """`nudge_changes`; NaN where the object was not found."""

    @property
    def is_found(self) -> Bool[np.ndarray, " T"]:
        return ~np.isnan(self.boxes[:, 0])


def frames_of(clip: str, folder: Path = FOLDER) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], np.ndarray]]:
    """Each frame, and its true mask (H, W) of bool.

    Raises:
        ValueError: the clip is not there.
    """
    files = sorted((folder / clip / "frames").glob("*.jpg"))
    if not files:
        raise ValueError(f"{folder / clip} has no frames; put DAVIS's clip {clip} there, as frames/*.jpg, masks/*.png")
    for file in files:
        mask = np.array(Image.open(folder / clip / "masks" / f"{file.stem}.png").convert("L")) > 127
        yield read_pixels(file), mask


def choose(boxes: Float[np.ndarray, "n 4"], true: Float[np.ndarray, "4"]) -> tuple[int, int] | None:
    """Of detections by descending score, that whose box overlaps the true one most, and the surest one; both by half.

    By boxes, not by masks: chosen by their masks, of several detections the steadiest would be taken each time, and the
    choice would hide what is to be measured.
    """
    if not len(boxes):
        return None
    ious = box_ious(boxes, true[None])[:, 0]
    return (int(ious.argmax()), int((ious >= OVERLAP).argmax())) if ious.max() >= OVERLAP else None


def segment_ours(weights: Path | None) -> Segment:
    """By a network of this package; None: the one that comes with it. In true boxes, its masks are cut anew by them."""
    import yolact

    predictor: Any = yolact.load(weights, device="cpu") if weights else yolact.load(device="cpu")

    def segment(pixels: np.ndarray, boxes: np.ndarray) -> Found | None:
        found = predictor.predict(pixels, 0.0, 100, crop="box")
        chosen = choose(found.boxes, boxes[0])
        if chosen is None:
            return None
        i = chosen[0]
        own, surest = found[list(chosen)].masks
        held = found[[i] * len(boxes)].recropped(boxes.astype(np.float32)).masks
        return Found(found.boxes[i], own, surest, held)

    return segment


def segment_peer(run: Run, weights: Path) -> Segment:
    """By a Mask R-CNN. In true boxes, its mask head is given the features of those regions."""
    from studied import peer
    from yolact.pixels import to_network_input

    config, model = run.model_config(("person",)), peer.load(run, weights)

    def segment(pixels: np.ndarray, boxes: np.ndarray) -> Found | None:
        image = to_network_input(torch.from_numpy(pixels).permute(2, 0, 1), config)
        size = (pixels.shape[0], pixels.shape[1])
        scale = np.array([size[1], size[0]] * 2) / np.array([image.shape[2], image.shape[1]] * 2)
        features, found = peer.detect(model, image)
        chosen = choose(found["boxes"].numpy() * scale, boxes[0])
        if chosen is None:
            return None
        best = peer.enlarge(model, {name: values[list(chosen)] for name, values in found.items()}, image, size)
        small = torch.from_numpy(boxes / scale).float()
        held = peer.enlarge(model, peer.in_boxes(model, features, small, image), image, size)
        own, surest = best["masks"].numpy()
        return Found(best["boxes"][0].numpy(), own, surest, held["masks"].numpy())

    return segment


def segmenter(run: Run | None, weights: Path | None) -> Segment:
    """Of a run, or of the shipped weights."""
    return segment_peer(run, weights) if run and weights and run.variant == PEER else segment_ours(weights)


def follow(segment: Segment, clip: str, folder: Path = FOLDER) -> Followed:
    """An empty mask counts as not found."""
    boxes, nudged = [], []
    masks: dict[str, list[np.ndarray]] = {"own": [], "surest": [], "held": []}
    for pixels, true in frames_of(clip, folder):
        around = box_of(true)
        nudged_boxes = np.concatenate([around[None], nudges(around)])
        found = segment(pixels, nudged_boxes)
        if found is None or not (found.own.any() and found.surest.any() and found.held[0].any()):
            boxes.append([np.nan] * 4)
            nudged.append((np.nan, np.nan))
            for kept in masks.values():
                kept.append(np.zeros(true.shape, bool))
            continue
        boxes.append(found.box)
        nudged.append(nudge_changes(found.held, nudged_boxes, float(true.sum())))
        for kept, mask in zip(masks.values(), (found.own, found.surest, found.held[0]), strict=True):
            kept.append(mask)
    arrays = {name: np.array(kept) for name, kept in masks.items()}
    return Followed(boxes=np.array(boxes, np.float64), nudged=np.array(nudged), **arrays)


def followed(file: Path, clip: str, make: Callable[[], Segment], folder: Path = FOLDER) -> Followed:
    """What lies in `file`, or what is made now and kept there: finding the object takes most of the study's time."""
    names = ("own", "surest", "held")
    if not file.exists():
        made = follow(make(), clip, folder)
        own, surest, held = (np.packbits(getattr(made, name), axis=-1) for name in names)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        with unfinished.open("wb") as stream:
            np.savez_compressed(
                stream,
                boxes=made.boxes,
                nudged=made.nudged,
                width=made.own.shape[-1],
                own=own,
                surest=surest,
                held=held,
            )
        unfinished.replace(file)
    with np.load(file) as kept:
        masks = {name: np.unpackbits(kept[name], axis=-1, count=int(kept["width"])).astype(bool) for name in names}
        return Followed(boxes=kept["boxes"], nudged=kept["nudged"], **masks)
