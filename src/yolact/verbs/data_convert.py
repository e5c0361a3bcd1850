"""`yolact data convert`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from yolact.verbs.wording import one_line


@dataclass(frozen=True, kw_only=True)
class DataConvert:
    """Convert annotations from one format to another, without losing a pixel; what a format cannot hold is said.

    The formats are coco, yolo, voc, sbd (only read), labelme, masks (a PNG an object) and instance-ids (a PNG an
    image); `yolact data formats` says what each holds. Links to images are hard links, or copies where the file system
    has none. The source is never touched.
    """

    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    """A folder, or a file: a data.yaml, or one file of annotations."""

    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """A folder to write, new or empty."""

    to: Literal["coco", "yolo", "voc", "labelme", "masks", "instance-ids"]
    """The format to write."""

    from_: Annotated[
        Literal["coco", "yolo", "voc", "sbd", "labelme", "masks", "instance-ids"] | None,
        arg(name="from", metavar="FORMAT"),
    ] = None
    """The format to read. None: look at the files."""

    images: Literal["link", "copy", "none"] | None = None
    """How OUT gets its images; none refers to where they are. None: none for coco, link for others."""

    photos: Path | None = None
    """The folder of the images, where the source does not say."""

    masks: Literal["keep", "rle", "polygons"] = "keep"
    """How coco holds masks: as they came, or all in one way."""

    class_name: str | None = None
    """The class of masks, if they are all of one and no name says so."""

    val_share: float | None = None
    """Split a source that has no splits: this share of its images becomes val. Equal files stay together."""

    seed: int = 0
    """Of that choice."""

    def run(self) -> int:
        from yolact.data.convert import convert

        report = convert(
            self.source,
            self.out,
            self.to,
            self.from_,
            images=self.images,
            masks=self.masks,
            photos=self.photos,
            class_name=self.class_name,
            val_share=self.val_share,
            seed=self.seed,
        )
        for line in report.problems + report.losses:
            print(f"warning: {one_line(line)}", file=sys.stderr)
        parts = [f"{split} {images} images, {objects} objects" for split, (images, objects) in report.written.items()]
        parts += [f"{report.dropped} objects that {self.to} cannot hold, dropped"] if report.dropped else []
        print(f"{self.source} ({report.source_format}) → {self.out} ({report.destination_format}): {'; '.join(parts)}")
        return 0 if report.is_sound else 1
