"""What `benchmarks/peers.py` compares: one module a kind of contender, each run in a process of its own.

A module has `build(photographs, **options)`, which returns a `Contender`. Its imports are its own: two of the packages
are called `yolact`.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

TOP_K = 100
"""Detections kept for a photograph, by everybody."""

Times = dict[str, float]
"""Seconds of each stage: `preparation`, `network`, `detection`, `masks` and always `total`. `after` is everything after
the network. A stage that cannot be seen from outside is not there."""


OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "eager": ("PyTorch eager, float32", {}),
    "compiled": ("PyTorch compiled, float32", {"compile": True}),
    "compiled-bf16": ("PyTorch compiled, bfloat16", {"compile": True, "precision": "bfloat16"}),
    "openvino": ("OpenVINO, float32", {"runtime": "openvino"}),
    "openvino-bf16": ("OpenVINO, bfloat16", {"runtime": "openvino", "precision": "bfloat16"}),
    "openvino-int8": ("OpenVINO, INT8", {"runtime": "openvino", "int8": True}),
    "onnxruntime": ("ONNX Runtime, float32", {"runtime": "onnxruntime"}),
    "onnxruntime-int8": ("ONNX Runtime, INT8", {"runtime": "onnxruntime", "int8": True}),
}
"""This package in its variants: a name for the table, and the options of `contenders.ours.build`."""


@dataclass(frozen=True)
class Entry:
    """How to make a contender, in words that travel to another process."""

    key: str
    """Short, for the command line."""

    name: str
    """For the table."""

    module: str
    options: dict[str, Any] = field(default_factory=dict)
    is_ours: bool = False


@dataclass(frozen=True)
class Found:
    """What a contender found in one photograph, best first."""

    labels: np.ndarray
    """(N,) from 0."""

    scores: np.ndarray
    """(N,)"""

    boxes: np.ndarray
    """(N, 4) x1, y1, x2, y2 in pixels of the photograph."""

    masks: np.ndarray
    """(N, H, W) bool, at the photograph's size."""


class Contender(Protocol):
    def describe(self) -> str:
        """One line: versions, precision, anything that was done to make it comparable."""
        ...

    def measure(self, photograph: np.ndarray) -> Times:
        """Go from this photograph, RGB (H, W, 3) uint8 in memory, to finished masks at its size, and time it."""
        ...

    def find(self, photograph: np.ndarray) -> Found:
        """The same, for the result."""
        ...
