"""Small pictures for inside a page: prototypes, sums of prototypes, probabilities."""

import base64

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from yolact.visualize import PALETTE

ADDS, TAKES = PALETTE[4], PALETTE[6]
"""Vermilion for what adds to a mask, blue for what takes away from it: apart for color-blind readers too."""

Pixels = UInt8[np.ndarray, "h w 3"]


def prototype(values: Float32[np.ndarray, "Hp Wp"], shape: tuple[int, int]) -> Pixels:
    """Black where the prototype is lowest, white where it is highest."""
    low, high = float(values.min()), float(values.max())
    gray = (values - low) / max(high - low, 1e-6)
    return _enlarged(np.repeat(gray[..., None], 3, axis=-1), shape)


def signed(values: Float32[np.ndarray, "Hp Wp"], shape: tuple[int, int]) -> Pixels:
    """White at 0, toward one color above and toward the other below, full at the 99th percentile of magnitudes."""
    strength = (np.abs(values) / max(float(np.percentile(np.abs(values), 99)), 1e-6)).clip(0, 1)[..., None]
    color = np.where((values > 0)[..., None], np.array(ADDS), np.array(TAKES)) / 255
    return _enlarged((1 - strength + strength * color).astype(np.float32), shape)


def probability(values: Float32[np.ndarray, "Hp Wp"], shape: tuple[int, int]) -> Pixels:
    """Black at 0, white at 1."""
    return _enlarged(np.repeat(values[..., None], 3, axis=-1).astype(np.float32), shape)


def sized(image_size: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) like a photograph's, the longer one `side` pixels."""
    scale = side / max(image_size)
    return max(round(image_size[0] * scale), 1), max(round(image_size[1] * scale), 1)


def as_address(picture: Pixels) -> str:
    """The picture as an address that an `<img>` can show without asking a server."""
    done, code = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 80])
    assert done
    return "data:image/webp;base64," + base64.b64encode(code.tobytes()).decode()


def _enlarged(values: Float32[np.ndarray, "Hp Wp 3"], shape: tuple[int, int]) -> Pixels:
    pixels = cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.rint(255 * pixels.clip(0, 1)).astype(np.uint8)
