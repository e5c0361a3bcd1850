"""People cut out of photographs, who walk over another photograph and hide each other: the truth is known."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from yolact.data.coco import decode_mask
from yolact.images import read_image

SIZE = (480, 854)
"""(height, width) of the frames."""

RATE = 24.0
FRAMES = 96
PEOPLE = 4
SHAKE = 0.012
"""Of the camera, where it shakes: how far a frame jumps, as a share of the width, one standard deviation."""


def film(data: Path, seed: int, shake: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames (H, W, 3) and what one sees of each person (PEOPLE, H, W).

    Each walks through the middle at a pace of his own, half of them from the left, half from the right, turns after a
    while, and bobs up and down.

    Args:
        data: the folder with `pennfudan` and `coco-mini`.
        seed: of who, where and how fast.
        shake: let the camera jump a little, each frame anew.
    """
    random = np.random.default_rng(seed)
    people = cut_people(data / "pennfudan", random)
    ground = background(data / "coco-mini", random)
    height, width = SIZE
    turn = random.uniform(0.5, 0.8, PEOPLE) * FRAMES
    start = np.where(np.arange(PEOPLE) % 2 == 0, random.uniform(0.0, 0.25, PEOPLE), random.uniform(0.75, 1.0, PEOPLE))
    pace = np.where(np.arange(PEOPLE) % 2 == 0, 1, -1) * random.uniform(0.5, 1.1, PEOPLE) / (FRAMES - 1)
    feet, phase = np.sort(random.uniform(0.8, 0.97, PEOPLE)), random.uniform(0, 2 * np.pi, PEOPLE)
    for frame in range(FRAMES):
        jump = random.normal(0, SHAKE, 2) * width if shake else np.zeros(2)
        walked = np.minimum(frame, 2 * turn - frame)
        places = np.stack([(start + pace * walked) * width, feet * height + 4 * np.sin(phase + frame * 0.5)], axis=1)
        yield paint(ground, people, places + jump, jump)


def paint(
    ground: np.ndarray, people: list[tuple[np.ndarray, np.ndarray]], feet: np.ndarray, jump: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A frame and its truth. People whose feet are lower stand in front.

    Args:
        feet: x, y of the middle of each person's lower edge, in pixels.
        jump: x, y of the camera, in pixels.
    """
    height, width = SIZE
    picture = cv2.warpAffine(
        ground, np.array([[1.0, 0, jump[0]], [0, 1, jump[1]]]), (width, height), borderMode=cv2.BORDER_REFLECT
    )
    truth = np.zeros((len(people), height, width), bool)
    for i, ((pixels, alpha), (x, y)) in enumerate(zip(people, feet, strict=True)):
        matrix = np.array([[1.0, 0, x - pixels.shape[1] / 2], [0, 1, y - pixels.shape[0]]])
        cover = cv2.warpAffine(alpha, matrix, (width, height))
        person = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        picture = np.rint(picture + cover[..., None] * (person.astype(np.float32) - picture)).astype(np.uint8)
        truth &= cover < 0.5
        truth[i] = cover >= 0.5
    return picture, truth


def cut_people(folder: Path, random: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels (h, w, 3) and coverage (h, w) in 0..1 of large people whom no edge cuts, at about half
    the frame's height."""
    content = json.loads((folder / "instances_val.json").read_text())
    images = {image["id"]: image for image in content["images"]}
    found = []
    for annotation in content["annotations"]:
        image, (x, y, w, h) = images[annotation["image_id"]], annotation["bbox"]
        room = min(x, y, image["width"] - x - w, image["height"] - y - h)
        if room > 2 and h > 200 and 0.25 < w / h < 0.6 and not meets_another(annotation, content["annotations"]):
            found.append(annotation)
    chosen = []
    for i in random.permutation(len(found))[:PEOPLE]:
        image, (x, y, w, h) = images[found[i]["image_id"]], (round(side) for side in found[i]["bbox"])
        mask = decode_mask(found[i]["segmentation"], (image["height"], image["width"]))
        inside = (slice(y, y + h), slice(x, x + w))
        scale = random.uniform(0.4, 0.6) * SIZE[0] / h
        to = (round(w * scale), round(h * scale))
        pixels = cv2.resize(read_image(folder / "val" / image["file_name"])[inside], to, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(mask[inside].astype(np.float32), to, interpolation=cv2.INTER_AREA)
        chosen.append((pixels, alpha))
    return chosen


def meets_another(annotation: dict, annotations: list[dict]) -> bool:
    """Whether someone else's box overlaps this one's, so that he may hide a part of it."""
    x, y, w, h = annotation["bbox"]
    others = (each for each in annotations if each["image_id"] == annotation["image_id"] and each is not annotation)
    boxes = (each["bbox"] for each in others)
    return any(x < ox + ow and ox < x + w and y < oy + oh and oy < y + h for ox, oy, ow, oh in boxes)


def background(folder: Path, random: np.random.Generator) -> np.ndarray:
    """A photograph without people, out of focus."""
    content = json.loads((folder / "instances_val.json").read_text())
    with_people = {annotation["image_id"] for annotation in content["annotations"] if annotation["category_id"] == 1}
    wide = [i for i in content["images"] if i["id"] not in with_people and i["width"] > i["height"]]
    image = wide[int(random.integers(len(wide)))]
    pixels = cv2.resize(read_image(folder / "val" / image["file_name"]), (SIZE[1], SIZE[0]))
    return cv2.GaussianBlur(pixels, (0, 0), 4)
