"""What `yolact explain` leaves behind.

out/prototypes.png           all prototypes of the photograph
out/instance-00-person.png   how each mask came about
out/explanation.json         the same as numbers
out/street/...               of several photographs, each has a folder
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolact.explain.character import Character, measure
from yolact.explain.figure import draw_explanation
from yolact.explain.gallery import draw_gallery
from yolact.images import read_image
from yolact.instances import Instances
from yolact.predictor import Predictor
from yolact.whole_files import written_whole


def folders_of(photographs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where the explanation of each photograph goes; a number is added to names that are taken."""
    if len(photographs) == 1:
        return {photographs[0]: out}
    folders, taken = {}, set()
    for path in photographs:
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}-{number}"
        taken.add(name.lower())
        folders[path] = out / name
    return folders


def measure_characters(
    predictor: Predictor, results: Sequence[Instances], image_size: tuple[int, int] | None = None
) -> tuple[Character, ...]:
    """What the prototypes have become, as far as these photographs tell, by whatever runtime the predictor has.

    Args:
        results: what was found in each photograph; they know their photographs.
        image_size: (height, width) of the network's input, as it was predicted with.
    """
    photographs = [_pixels(found) for found in results]
    masks = [found.soft_masks > 0.5 for found in results]
    runtime = predictor.runtime
    return measure(lambda pixels: runtime.run([pixels], None, image_size)[0]["prototypes"][0], photographs, masks)


def explain_photograph(
    predictor: Predictor,
    found: Instances,
    folder: Path,
    *,
    numbers: Sequence[int] = (),
    most: int | None = None,
    image_size: tuple[int, int] | None = None,
) -> int:
    """Write all there is to say on one photograph. Each file appears complete or not at all.

    Args:
        found: in the photograph, which it knows.
        numbers: of the instances to explain; () explains all.
        most: prototypes of an instance, at most.
        image_size: (height, width) of the network's input, as it was predicted with.

    Returns:
        How many instances were explained.

    Raises:
        ValueError: an instance that was not found.
        OSError: the folder cannot be written into.
    """
    missing = [number for number in numbers if number >= len(found)]
    name = found.image.name if isinstance(found.image, Path) else "a photograph"
    if missing:
        raise ValueError(f"{name} has no instance {missing[0]}; {len(found)} were found, numbered from 0")
    photograph = _pixels(found)
    characters = measure_characters(predictor, [found], image_size)
    draw_gallery(folder / "prototypes.png", found.prototypes, characters, found.image_size, photograph, name)
    records = []
    for i in dict.fromkeys(numbers or range(len(found))):
        explanation = found.explain(i, most=most)
        safe = re.sub(r"[^\w-]+", "-", found.names[i])[:60]
        file = f"instance-{i:02d}-{safe}.png"
        title = f"{i}: {found.names[i]} {found.scores[i]:.0%}"
        draw_explanation(folder / file, photograph, found.prototypes, explanation, characters, title)
        box = [round(float(edge), 2) for edge in found.boxes[i]]
        about = {"class": found.names[i], "score": round(float(found.scores[i]), 4), "box": box, "picture": file}
        records.append(about | explanation.to_dict())
    height, width = found.image_size
    grid = list(found.prototypes.shape[1:])
    content = {
        "photograph": found.image.as_posix() if isinstance(found.image, Path) else None,
        "width": width,
        "height": height,
        "grid": grid,
        "prototypes": [character.to_dict() for character in characters],
        "instances": records,
    }
    with written_whole(folder / "explanation.json") as unfinished:
        unfinished.write_text(json.dumps(content, allow_nan=False))
    return len(records)


def _pixels(found: Instances) -> np.ndarray:
    if found.image is None:
        raise ValueError("these instances do not know their photograph; predict on it again")
    return read_image(found.image) if isinstance(found.image, Path) else found.image
