"""What a visitor can take home, at the photograph's full size."""

import json
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from yolact.apps.demo.limits import WRITTEN_KEPT
from yolact.apps.demo.session import Choice, Session, selected
from yolact.images import read_image
from yolact.instances import Instances


def save(session: Session, choice: Choice, kind: str, folder: Path) -> Path:
    """Write one of `KINDS` into a new folder inside `folder`.

    Raises:
        ValueError: nothing is shown that could be saved, or another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} cannot be downloaded; choose one of {', '.join(KINDS)}")
    shown = selected(session.current, choice)
    if len(shown) == 0 and kind != "Picture":
        raise ValueError("No instance is shown, so there is nothing to save. Lower the score first.")
    suffix, write = KINDS[kind]
    path = Path(tempfile.mkdtemp(dir=folder)) / f"{session.name}-{suffix}"
    write(shown, path, choice)
    return path


def forget_old(folder: Path, seconds: float | int = WRITTEN_KEPT) -> None:
    """Remove what was written long ago; Gradio serves copies of its own, and sees to those itself.

    A folder is as old as the newest file in it: a long video is written into for many minutes.
    """
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - max(part.stat().st_mtime for part in (path, *path.rglob("*"))) > seconds:
                shutil.rmtree(path)


def _picture(shown: Instances, path: Path, choice: Choice) -> None:
    shown.plot(opacity=choice.opacity).save(path, compress_level=1)


def _label_map(shown: Instances, path: Path, choice: Choice) -> None:
    """0 is background, i the i-th instance of the JSON files; small ones over large ones, as in the picture."""
    Image.fromarray(shown.label_map()).save(path)


def _cutouts(shown: Instances, path: Path, choice: Choice) -> None:
    assert isinstance(shown.image, Path)
    pixels = read_image(shown.image)
    with zipfile.ZipFile(path, "w") as archive:  # PNG is compressed already
        for number, instance in enumerate(shown, start=1):
            with archive.open(f"{number:02d}-{instance.names[0].replace('/', '-')}.png", "w") as file:
                instance.cutouts(pixels)[0].save(file, format="PNG", compress_level=1)


def _coco(shown: Instances, path: Path, choice: Choice) -> None:
    """A COCO data set of one photograph, masks as run lengths."""
    codes, areas = shown.rles(), shown.areas
    segmentations = [{"segmentation": code} for code in codes]
    _write_json(path, {**_described(shown), "annotations": _annotations(shown, segmentations, areas)})


def _polygons(shown: Instances, path: Path, choice: Choice) -> None:
    """The same with polygons, as annotation tools read them."""
    rings = [[ring.round(2).ravel().tolist() for ring in outline] for outline in shown.polygons()]
    segmentations = [{"segmentation": corners} for corners in rings]
    _write_json(path, {**_described(shown), "annotations": _annotations(shown, segmentations, shown.areas)})


def _described(shown: Instances) -> dict[str, Any]:
    assert isinstance(shown.image, Path)
    height, width = shown.image_size
    categories = zip(shown.category_ids, shown.class_names, strict=True)
    return {
        "images": [{"id": 1, "file_name": shown.image.name, "width": width, "height": height}],
        "categories": [{"id": number, "name": name} for number, name in categories],
    }


def _annotations(shown: Instances, segmentations: list[dict[str, Any]], areas: np.ndarray) -> list[dict[str, Any]]:
    records = []
    for i, label in enumerate(shown.labels.tolist()):
        x1, y1, x2, y2 = shown.boxes[i].round(2).tolist()
        records.append(
            {
                "id": i + 1,
                "image_id": 1,
                "category_id": shown.category_ids[label],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(areas[i]),
                "iscrowd": 0,
                "score": float(shown.mask_scores[i]),
                **segmentations[i],
            }
        )
    return records


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))


KINDS: dict[str, tuple[str, Callable[[Instances, Path, Choice], None]]] = {
    "Picture": ("segmented.png", _picture),
    "Label map": ("labels.png", _label_map),
    "Cut-outs": ("cutouts.zip", _cutouts),
    "COCO": ("coco.json", _coco),
    "Polygons": ("polygons.json", _polygons),
}
"""By the name on its button: how its file's name ends, and what writes it."""
