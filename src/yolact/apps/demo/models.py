"""The networks of the page, which look at one picture at a time, and photographs as they can be trusted with."""

import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from yolact.apps.demo.limits import LARGEST_PHOTOGRAPH, SHOWN_SIDE
from yolact.apps.demo.session import Session, numbered
from yolact.config import CropKind, DetectConfig, ModelConfig
from yolact.images import UNREADABLE, read_image
from yolact.instances import Instances
from yolact.predictor import Predictor
from yolact.runtimes import Runtime


class Models:
    """The model of the page, and those to compare it with.

    Args:
        main: what the page explains.
        others: by the names that the page shows.
    """

    def __init__(self, main: Predictor, others: dict[str, Predictor] | None = None) -> None:
        turn = threading.Lock()
        self.main = Predictor(_TakingTurns(main.runtime, turn))
        self.others = {name: Predictor(_TakingTurns(other.runtime, turn)) for name, other in (others or {}).items()}

    def warm_up(self) -> None:
        """Look at nothing once: what is compiled at first use would keep the first visitor waiting."""
        blank = np.zeros((64, 64, 3), dtype=np.uint8)
        for predictor in (self.main, *self.others.values()):
            predictor.predict(blank).plot()

    @property
    def name(self) -> str:
        return self.main.config.name

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.main.config.class_names

    @property
    def default_crop(self) -> CropKind:
        return self.main.config.default_crop

    def open(self, path: Path) -> Session:
        """A new session about a photograph.

        Raises:
            ValueError: the file is no photograph, or too large a one; the message is for the visitor.
        """
        check_photograph(path)
        try:
            pixels = read_image(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path.name} cannot be read: the file is damaged or cut off.") from error
        # The session knows its photograph by its file: the pixels of all visitors would be gigabytes.
        found = numbered(replace(self.main.predict(pixels, score_threshold=0), image=path))
        return Session(name=path.stem, shown=at_page_size(pixels), found=found)

    def compare(self, session: Session, other: str) -> Instances:
        """What another model finds in the session's photograph; the network runs at the first call only."""
        if other not in session.others:
            path = session.found.image
            assert isinstance(path, Path)
            session.others[other] = numbered(self.others[other].predict(path, score_threshold=0))
        return session.others[other]


def check_photograph(path: Path) -> None:
    """Look at a file's first bytes before all of it is decoded.

    Raises:
        ValueError: it is no photograph, or too large a one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        width, height = LARGEST_PHOTOGRAPH, 2
    except UNREADABLE as error:
        raise ValueError(f"{path.name} is not a photograph that can be read. JPEG, PNG and WebP are.") from error
    if width * height > LARGEST_PHOTOGRAPH:
        limit = LARGEST_PHOTOGRAPH // 1_000_000
        raise ValueError(f"{path.name} is too large for this page: it takes photographs up to {limit} megapixels.")


def at_page_size(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph as large as the page shows it. Small ones are enlarged, so that outlines and names are sharp."""
    height, width = pixels.shape[:2]
    scale = min(SHOWN_SIDE / max(height, width), 4)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC).astype(np.uint8)


class _TakingTurns:
    """A runtime that looks at one picture at a time, whoever asks: together they would only wait for each other."""

    def __init__(self, runtime: Runtime, turn: threading.Lock) -> None:
        self.name, self._runtime, self._turn = runtime.name, runtime, turn

    @property
    def config(self) -> ModelConfig:
        return self._runtime.config

    @property
    def detect(self) -> DetectConfig:
        return self._runtime.detect

    def describe(self) -> str:
        return self._runtime.describe()

    def run(self, photographs: Sequence[Any], *options: Any, **named: Any) -> list[dict[str, np.ndarray]]:
        with self._turn:
            return self._runtime.run(photographs, *options, **named)
