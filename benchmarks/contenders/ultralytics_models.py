"""Segmentation models of the package `ultralytics`, where a user has installed it and has their weights.

Their input sizes are multiples of 32: 550 becomes 576. Kept are 100 detections, however unsure, with masks at the
photograph's size, as for everybody.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from contenders import TOP_K, Found, Times


class Ultralytics:
    def __init__(self, file: Path, side: int) -> None:
        import ultralytics  # type: ignore[import-not-found]

        if not file.exists():
            raise FileNotFoundError(f"{file} does not exist; give weights that are there, nothing is downloaded")
        self.version, self.file = ultralytics.__version__, file
        self.side = -(-side // 32) * 32
        self.model = ultralytics.YOLO(str(file))

    def describe(self) -> str:
        return f"ultralytics {self.version}, {self.file.name}, {self.side}x{self.side}, float32"

    def measure(self, photograph: np.ndarray) -> Times:
        frame = np.ascontiguousarray(photograph[..., ::-1])  # it takes arrays as OpenCV reads them
        start = time.perf_counter()
        self._masks(frame)
        return {"total": time.perf_counter() - start}

    def find(self, photograph: np.ndarray) -> Found:
        found, masks = self._masks(np.ascontiguousarray(photograph[..., ::-1]))
        labels, scores = found.boxes.cls.numpy().astype(np.int64), found.boxes.conf.numpy()
        return Found(labels, scores, found.boxes.xyxy.numpy(), masks)

    def _masks(self, frame: np.ndarray) -> tuple[Any, np.ndarray]:
        found = self.model.predict(
            frame, imgsz=(self.side, self.side), conf=0.001, max_det=TOP_K, retina_masks=True, device="cpu",
            rect=False, verbose=False,
        )[0]  # fmt: skip
        empty = np.zeros((0, *frame.shape[:2]), dtype=bool)
        return found, empty if found.masks is None else found.masks.data.numpy() > 0.5


def build(photographs: list[np.ndarray], file: Path, side: int = 550) -> Ultralytics:
    return Ultralytics(file, side)
