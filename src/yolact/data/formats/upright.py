"""Photographs that are stored turned (EXIF), in formats whose tools show and annotate them upright.

YOLO's and LabelMe's tools turn a photograph before they look at it. COCO's, Pascal VOC's and SBD's never do; there, and
in memory here, masks refer to the pixels as stored, unless only the turned photograph has the size of the annotation.
"""

from dataclasses import replace

import numpy as np
from PIL import Image

from yolact.data.annotations import ORIENTATION_TAG
from yolact.data.formats.image_files import image_file
from yolact.data.labeled import LabeledImage, from_mask
from yolact.images import UNREADABLE

_BACK = {6: 8, 8: 6}
"""The turn that undoes one, where that is another one."""


def upright_size(image: Image.Image) -> tuple[tuple[int, int], int]:
    """(height, width) of a photograph as a viewer shows it, and the EXIF orientation, 1 to 8, that leads there.

    From the pixels as Pillow reads them, which is what `stored` means here.
    """
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except UNREADABLE:  # PNG has EXIF behind its pixels, and these may be damaged
        orientation = 1
    # Pillow gives the size and the pixels of a TIFF upright by itself, unlike those of other files.
    orientation = orientation if orientation in range(1, 9) and image.format != "TIFF" else 1
    return ((image.width, image.height) if orientation >= 5 else (image.height, image.width)), orientation


def as_upright(image: LabeledImage) -> LabeledImage:
    """The same image with masks of the turned photograph."""
    with Image.open(image_file(image)) as opened:
        size, orientation = upright_size(opened)
        stored = (opened.height, opened.width)
    if orientation == 1 or (image.size == size and size != stored):
        return image
    return _turned(image, orientation)


def from_upright(image: LabeledImage, orientation: int) -> LabeledImage:
    """The image with masks as they are kept in memory, from one with masks of the turned photograph."""
    if orientation == 1 or (orientation >= 5 and image.size[0] != image.size[1]):
        return image
    return _turned(image, _BACK.get(orientation, orientation))


def _turned(image: LabeledImage, orientation: int) -> LabeledImage:
    objects = []
    for o in image.objects:
        turned = from_mask(o.name, turn(o.mask(), orientation), o.is_crowd)
        assert turned is not None
        objects.append(turned)
    size = image.size[::-1] if orientation >= 5 else image.size
    return replace(image, objects=tuple(objects), size=size)


def turn(mask: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels upright, as EXIF's orientation says."""
    if orientation in (5, 6, 7, 8):
        mask = mask.T
    if orientation in (2, 3, 6, 7):
        mask = mask[:, ::-1]
    if orientation in (3, 4, 7, 8):
        mask = mask[::-1]
    return mask
