"""What the network finds in a few validation images, as a sheet of pictures after each measurement."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional

from yolact.data.coco import CocoDataset
from yolact.instances import Instances
from yolact.visualize import Style, draw
from yolact.whole_files import written_whole

TILE = 320
"""Width and height of a picture on the sheet, in pixels."""

COLUMNS = 4
MARGIN = 4

SHOWN_SCORE = 0.3
"""Instances below this score are not drawn."""


class Pictures:
    """Sheets in `out/pictures`: `truth.jpg` once, and `step_000123.jpg` for each measurement."""

    def __init__(self, dataset: CocoDataset, count: int, out: Path) -> None:
        """
        Args:
            count: the first so many images with objects are shown.
        """
        self.dataset, self.folder = dataset, out / "pictures"
        with_objects = (i for i, record in enumerate(dataset.records) if record.objects)
        self.places = {dataset.records[i].image_id: i for i, _ in zip(with_objects, range(count), strict=False)}
        self._found: dict[int, Image.Image] = {}

    def add(self, image_id: int, instances: Instances) -> None:
        """Draw what was found in an image, if it is one of those shown."""
        if image_id not in self.places:
            return
        try:
            image = self.dataset[self.places[image_id]].image.permute(1, 2, 0).numpy()
        except ValueError:  # its file is broken
            return
        self._found[image_id] = _tile(instances[instances.scores >= SHOWN_SCORE].plot(image))

    def taken(self) -> dict[int, Image.Image]:
        """What was added so far, by image id, for `join` of another process."""
        return dict(self._found)

    def join(self, taken: dict[int, Image.Image]) -> None:
        found = self._found | taken
        self._found = {image_id: found[image_id] for image_id in self.places if image_id in found}

    def forget(self) -> None:
        self._found = {}

    def save(self, step: int) -> Image.Image | None:
        """Write the sheet, and return it; None if nothing was added."""
        if not self._found:
            return None
        if not (self.folder / "truth.jpg").exists():
            self._write("truth", _sheet([_tile(self._truth(self.places[i])) for i in self._found]))
        sheet = _sheet(list(self._found.values()))
        self._write(f"step_{step:06d}", sheet)
        self._found = {}
        return sheet

    def _write(self, name: str, sheet: Image.Image) -> None:
        with written_whole(self.folder / f"{name}.jpg") as unfinished:
            sheet.save(unfinished, quality=88)

    def _truth(self, place: int) -> Image.Image:
        sample = self.dataset[place]
        height, width = sample.image.shape[1:]
        # Shrunk first: dozens of masks of a large photograph would take gigabytes.
        scale = min(TILE / max(height, width), 1.0)
        size = [max(round(side * scale), 1) for side in (height, width)]
        image = functional.interpolate(sample.image[None], size, mode="bilinear", antialias=True)[0]
        masks = [functional.interpolate(m[None, None].float(), size, mode="area")[0, 0] for m in sample.masks]
        return draw(
            image.permute(1, 2, 0).numpy(),
            torch.stack(masks).numpy() if masks else np.zeros((0, *size), np.float32),
            sample.boxes.numpy() * np.float32(scale),
            sample.labels.numpy(),
            np.ones(len(sample.labels), np.float32),
            self.dataset.classes,
            Style(scores=False),
        )


def _tile(picture: Image.Image) -> Image.Image:
    return ImageOps.pad(picture, (TILE, TILE), color=(255, 255, 255))


def _sheet(tiles: list[Image.Image]) -> Image.Image:
    columns = min(len(tiles), COLUMNS)
    rows = -(-len(tiles) // columns)
    step = TILE + MARGIN
    sheet = Image.new("RGB", (columns * step - MARGIN, rows * step - MARGIN), (255, 255, 255))
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % columns * step, i // columns * step))
    return sheet
