"""What `yolact predict` leaves behind: a picture a photograph, cut-outs, and COCO files.

out/street.jpg               the photograph with its instances; PNG unless the photograph is a JPEG
out/street-2.jpg             another photograph called street.jpg, from another folder
out/cutouts/street-01-person.png
out/predictions.json         COCO results, each record with the `file_name` of its photograph besides
out/images.json              `images` (id, file_name, width, height, picture) and `categories`, as in COCO
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from yolact.config import ModelConfig
from yolact.images import read_image
from yolact.instances import Instances
from yolact.whole_files import shortened, written_whole

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")


class ResultsFolder:
    """Collects the results of photographs that are known beforehand. Files appear complete or not at all.

    Args:
        out: is made if it is missing.
        photographs: the files, in the order of their ids. If all their names are different numbers, as in COCO, these
            are the ids; or else they count from 1.

    Raises:
        ValueError: `out` holds photographs: pictures would replace them, or they are the pictures of an earlier run.
        OSError: `out` cannot be written into.
    """

    def __init__(self, out: Path, photographs: Sequence[Path]) -> None:
        self.out = out
        self.names = dict(zip(photographs, _picture_names(photographs), strict=True))
        self.ids = dict(zip(photographs, _image_ids(photographs), strict=True))
        own = {out.resolve(), (out / "cutouts").resolve()}
        inside = next((path for path in photographs if path.absolute().parent.resolve() in own), None)
        if inside is not None:
            raise ValueError(f"--out {out} holds {inside}, which is to be predicted on; choose another folder")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"cannot write into --out {out} ({error.strerror}); choose another folder") from error
        self.replaced = 0
        """How many files of an earlier run were written anew."""

        self.counts: Counter[str] = Counter()
        """Instances by class name."""

        self._records: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []

    def add(self, path: Path, instances: Instances, pictures: bool = True, cutouts: bool = False) -> None:
        """Write what belongs to one photograph, and remember its records."""
        height, width = instances.image_size
        self._images.append({"id": self.ids[path], "file_name": path.as_posix(), "width": width, "height": height})
        self._records += [record | {"file_name": path.as_posix()} for record in instances.to_coco(self.ids[path])]
        self.counts.update(instances.names)
        name = Path(self.names[path])
        if pictures:
            self._images[-1]["picture"] = str(name)
            self._write(self.out / name, _saver(instances.plot()))
        if cutouts:
            (self.out / "cutouts").mkdir(exist_ok=True)
            pixels = read_image(instances.image) if isinstance(instances.image, Path) else instances.image
            for number, instance in enumerate(instances, start=1):  # one at a time: a hundred may be a gigabyte
                safe = shortened(re.sub(r"[^\w-]+", "-", instance.names[0]), 60)
                file = f"{shortened(name.stem, 150)}-{number:02d}-{safe}.png"
                self._write(self.out / "cutouts" / file, _saver(instance.cutouts(pixels)[0]))

    def finish(self, config: ModelConfig) -> None:
        """Write `predictions.json` and `images.json`."""
        categories = [{"id": i, "name": name} for i, name in zip(config.coco_ids, config.class_names, strict=True)]
        for name, content in (
            ("predictions.json", self._records),
            ("images.json", {"images": self._images, "categories": categories}),
        ):
            text = json.dumps(content)
            self._write(self.out / name, lambda file, text=text: file.write_text(text))

    def _write(self, path: Path, write: Callable[[Path], object]) -> None:
        self.replaced += path.exists()
        with written_whole(path) as unfinished:
            write(unfinished)


def _saver(picture: Image.Image) -> Callable[[Path], object]:
    """JPEG without color subsampling, which would smear the outlines; PNG at the quickest setting."""
    return lambda file: picture.save(file, quality=92, subsampling=0, compress_level=1)


def _picture_names(photographs: Sequence[Path]) -> list[str]:
    """A name for each photograph's picture, like its own; a number is added to those that are taken."""
    taken: set[str] = set()
    names = []
    for path in photographs:
        suffix = path.suffix if path.suffix.lower() in JPEG_SUFFIXES else ".png"
        stem = own = shortened(path.stem, 240)
        number = 1
        while stem.lower() in taken:
            number += 1
            stem = f"{own}-{number}"
        taken.add(stem.lower())
        names.append(stem + suffix)
    return names


def _image_ids(photographs: Sequence[Path]) -> list[int]:
    numbers = [int(path.stem) for path in photographs if path.stem.isascii() and path.stem.isdigit()]
    exact = max(numbers, default=0) < 2**53  # other readers of JSON know no larger numbers
    return numbers if exact and len(set(numbers)) == len(photographs) else list(range(1, len(photographs) + 1))
