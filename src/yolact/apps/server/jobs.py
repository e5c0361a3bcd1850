"""What goes to a model's process, and what comes back."""

from dataclasses import dataclass
from typing import Literal

from yolact.config import CropKind

Form = Literal["rle", "polygons", "png", "picture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a request asks for, checked."""

    score_threshold: float
    top_k: int
    classes: tuple[str, ...] | None
    crop: CropKind | None
    form: Form
    tolerance: float
    most_pixels: int


@dataclass(frozen=True, slots=True)
class Job:
    """One photograph on its way to a model's process."""

    number: int
    """No other job of this server has it; the answer brings it back."""

    file: bytes
    wish: Wish


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a job."""

    number: int
    body: bytes
    """A JSON object, a PNG or a JPEG; the message where `refusal` says why there is none."""

    refusal: Literal["unreadable", "too_many_pixels", "failed"] | None = None
    batch: int = 1
    """Photographs that went through the network together."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The first thing that a process says."""

    class_names: tuple[str, ...]
    coco_ids: tuple[int, ...]
    runtime: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Or this: its model cannot be loaded."""

    reason: str
