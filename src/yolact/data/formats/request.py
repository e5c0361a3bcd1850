"""What is asked of the reading and the writing of a format."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from yolact.data.annotations import Problems
from yolact.data.formats.image_files import Placing

Masks = Literal["keep", "rle", "polygons"]
"""How COCO files hold masks: as they came, all as RLE, or all as polygons that hold exactly the same pixels. Crowds are
always RLE, as COCO's are."""


@dataclass(frozen=True, slots=True)
class Reading:
    photos: Path | None = None
    """Where the images are, if the source does not say."""

    class_name: str | None = None
    """The class of masks that have none."""


@dataclass(frozen=True, slots=True)
class Writing:
    destination: Path
    """What the folder that is written will be called in the end."""

    images: Placing
    masks: Masks
    losses: Problems
    """What the format cannot hold of single images."""

    notes: list[str] = field(default_factory=list)
    """What it cannot hold of the data set as a whole, a line each."""
