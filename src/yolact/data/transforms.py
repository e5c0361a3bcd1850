"""From an annotated photograph to what the network is trained on.

`ssd` is the paper's augmentation (Liu et al. 2016, section 2.2), `jitter` large-scale jitter (Ghiasi et al. 2021). Both
only choose a window, which may reach beyond the photograph. Image and masks are cut to it and resized once: a canvas of
four times the side with thirty masks on it is never made. `yolact.data.mixing` combines several photographs.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from yolact.config import ModelConfig
from yolact.data.augmentation import Augmentation
from yolact.data.coco import Sample, mask_bounds
from yolact.pixels import normalize, to_network_input
from yolact.structures import Target

SMALLEST_OBJECT = 1.0
"""Sides of a box, in pixels of the network input, below which an object is left out."""

SMALLEST_CROPPED = 4
"""Sides of an image, in pixels, below which it is not cropped: three tenths of it would be nothing."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a photograph that becomes the network input, in whole pixels of it; it may reach beyond its edges."""

    left: int
    top: int
    width: int
    height: int


class PhotometricDistort(v2.RandomPhotometricDistort):
    """SSD's distortion of brightness, contrast, saturation and hue, without its swapping of channels: YOLACT has none
    (original `utils/augmentations.py`)."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return super().make_params(flat_inputs) | {"channel_permutation": None}


def augment(
    sample: Sample, config: ModelConfig, augmentation: Augmentation, size: tuple[int, int] | None = None
) -> tuple[Float[Tensor, "3 h w"], Target]:
    """A random view of a photograph and its objects, normalized.

    Draws from torch's global random numbers. Objects whose center is cut off are left out (crowds, and objects under
    `jitter`, only when nothing of them is left), as are those of less than a pixel.

    Args:
        size: (height, width) of the view; None takes `config.image_size`.
    """
    size = size or config.image_size
    height, width = sample.image.shape[1:]
    window, is_kept = Window(0, 0, width, height), torch.ones(len(sample.labels), dtype=torch.bool)
    if augmentation.kind == "ssd":
        window, is_kept = choose_window(sample, augmentation.zoom_out)
    elif augmentation.kind == "jitter":
        window = choose_scale((height, width), augmentation.jitter_scales)
    if augmentation.kind == "none":
        image = to_network_input(sample.image, config, size)
    else:
        image = _view(sample.image, window, config, size)
    target = _target(sample, window, is_kept, size)
    if augmentation.kind != "none" and torch.rand(()) < 0.5:
        image, target = mirror(image, target)
    return image, target


def choose_scale(size: tuple[int, int], scales: tuple[float, float]) -> Window:
    """A window in which a photograph of `size` appears so many times as large, somewhere: in it, or around it.

    Scales are drawn evenly on a logarithmic axis, so that halving is as frequent as doubling.
    """
    low, high = (math.log(scale) for scale in scales)
    scale = math.exp(low + float(torch.rand(())) * (high - low))
    height, width = (max(round(side / scale), 1) for side in size)
    # What is left over on one side, or missing, is shared out at random between its two ends.
    left, top = (
        round((side - seen) * float(torch.rand(()))) for side, seen in zip(size[::-1], (width, height), strict=True)
    )
    return Window(left, top, width, height)


def choose_window(sample: Sample, zoom_out: float) -> tuple[Window, Bool[Tensor, " N"]]:
    """Zoom out (half of the time), then crop: where to look, and which objects remain."""
    height, width = sample.image.shape[1:]
    everything = torch.ones(len(sample.labels), dtype=torch.bool)
    left, top = 0, 0
    if zoom_out > 1 and torch.rand(()) < 0.5:
        zoom = v2.RandomZoomOut(side_range=(1.0, zoom_out))
        left, top, right, bottom = zoom.make_params([sample.image])["padding"]
        width, height = left + width + right, top + height + bottom
    # Crowds are nothing to aim at, unless there is nothing else.
    is_aim = ~sample.is_crowd if (~sample.is_crowd).any() else everything
    offset = torch.tensor([left, top, left, top])
    boxes = _boxes(sample.boxes[is_aim] + offset, (height, width))
    crop = v2.RandomIoUCrop().make_params([boxes]) if len(boxes) and min(height, width) >= SMALLEST_CROPPED else {}
    if not crop:
        return Window(-left, -top, width, height), everything
    is_kept = everything.clone()
    is_kept[is_aim] = crop["is_within_crop_area"]
    return Window(crop["left"] - left, crop["top"] - top, crop["width"], crop["height"]), is_kept


def mirror(image: Float[Tensor, "3 h w"], target: Target) -> tuple[Float[Tensor, "3 h w"], Target]:
    """Swap left and right."""
    flipped = Target(
        boxes=functional.horizontal_flip(_boxes(target.boxes, (1, 1))).as_subclass(Tensor),
        labels=target.labels,
        masks=functional.horizontal_flip(tv_tensors.Mask(target.masks)).as_subclass(Tensor),
        is_crowd=target.is_crowd,
    )
    return functional.horizontal_flip(image), flipped


def _boxes(boxes: Float[Tensor, "N 4"], canvas_size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=canvas_size)  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where the visible part of a photograph (rows, columns of it) comes to lie in the network input."""

    rows: slice
    columns: slice
    out_rows: slice
    out_columns: slice


def _place(window: Window, size: tuple[int, int], image_size: tuple[int, int]) -> _Placement:
    def along(start: int, length: int, side: int, out_side: int) -> tuple[slice, slice]:
        first, last = max(start, 0), min(start + length, side)
        out_first = min(round((first - start) * out_side / length), out_side - 1)
        out_last = max(round((last - start) * out_side / length), out_first + 1)
        return slice(first, last), slice(out_first, out_last)

    rows, out_rows = along(window.top, window.height, size[0], image_size[0])
    columns, out_columns = along(window.left, window.width, size[1], image_size[1])
    return _Placement(rows, columns, out_rows, out_columns)


def _length(span: slice) -> int:
    return span.stop - span.start


def _view(
    image: UInt8[Tensor, "3 H W"], window: Window, config: ModelConfig, size: tuple[int, int]
) -> Float[Tensor, "3 h w"]:
    """The window, distorted and normalized. The canvas around the photograph is the mean color, hence 0."""
    place = _place(window, (image.shape[1], image.shape[2]), size)
    part = tv_tensors.Image(image[:, place.rows, place.columns])
    seen = [_length(place.out_rows), _length(place.out_columns)]
    # Distorting after shrinking gives the same colors for a fraction of the work.
    part = PhotometricDistort()(functional.resize(part, seen, antialias=config.antialias))
    canvas = torch.zeros(3, *size)
    canvas[:, place.out_rows, place.out_columns] = normalize(part.as_subclass(Tensor).float(), config)
    return canvas


def _target(sample: Sample, window: Window, is_kept: Bool[Tensor, " N"], image_size: tuple[int, int]) -> Target:
    """The objects of the window. Boxes are measured on the masks before they shrink, so they keep their precision."""
    place = _place(window, (sample.image.shape[1], sample.image.shape[2]), image_size)
    masks = sample.masks[is_kept][:, place.rows, place.columns]
    scale_x = _length(place.out_columns) / _length(place.columns)
    scale_y = _length(place.out_rows) / _length(place.rows)
    out_origin = torch.tensor([place.out_columns.start, place.out_rows.start] * 2, dtype=torch.float32)
    boxes = mask_bounds(masks) * torch.tensor([scale_x, scale_y] * 2) + out_origin
    is_visible = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= SMALLEST_OBJECT
    canvas = torch.zeros(int(is_visible.sum()), *image_size, dtype=torch.bool)
    if len(canvas):
        size = [_length(place.out_rows), _length(place.out_columns)]
        canvas[:, place.out_rows, place.out_columns] = _resize_masks(masks[is_visible], size)
    has_pixels = canvas.view(torch.uint8).flatten(1).amax(dim=1) > 0
    index = torch.nonzero(is_kept)[:, 0][is_visible][has_pixels]
    height, width = image_size
    return Target(
        boxes=boxes[is_visible][has_pixels] / torch.tensor([width, height] * 2),
        labels=sample.labels[index],
        masks=canvas[has_pixels],
        is_crowd=sample.is_crowd[index],
    )


def _resize_masks(masks: Bool[Tensor, "N H W"], size: list[int]) -> Bool[Tensor, "N h w"]:
    """One half of a pixel has to be covered.

    By Pillow: torch takes longer, and OpenCV's threads do not survive a fork, so that a loader process which calls it
    may wait for them forever.
    """
    shades = masks.view(torch.uint8).numpy() * np.uint8(255)
    resized = [Image.fromarray(shade).resize(size[::-1], Image.Resampling.BILINEAR) for shade in shades]
    return torch.from_numpy(np.stack([np.asarray(image) for image in resized])) > 127
