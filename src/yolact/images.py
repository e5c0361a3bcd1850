"""Photographs as the rest of the package sees them: upright RGB arrays in 0..255."""

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""What counts as a photograph in a folder. A file that is named directly is tried whatever its name."""

UNREADABLE = (OSError, RuntimeError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow's decoders raise for files that are no images, damaged ones, and ones of a kind that it cannot decode."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow may take the bytes of strangers for. Among its other formats are some that start other programs."""

SIXTEEN_TO_EIGHT_BITS = 257
"""65535 / 255."""


def read_image(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """Read a photograph as upright RGB.

    EXIF orientation is applied. Transparency is composited over white, as a viewer on a page shows it. 16-bit gray is
    divided by 257, so that its full range becomes the full range of 8 bits. Of an animation, the first frame is read.

    Returns:
        RGB, 0..255, (height, width, 3).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a photograph that can be read; the message names it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give an image, a folder or a glob")
    if path.is_file() and path.stat().st_size == 0:
        raise ValueError(f"cannot read {path}: the file is empty")
    try:
        with opened(path.read_bytes()) as image:
            return pil_to_rgb(image)
    except Image.UnidentifiedImageError:
        raise ValueError(f"cannot read {path}: it is not an image in a known format") from None
    except UNREADABLE as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def opened(content: bytes) -> Image.Image:
    """What Pillow takes a whole file for; nothing is decoded yet.

    From a file on the disk, Pillow would allocate the gigabytes that a damaged part of a PNG may claim to have. In
    bytes, there is what there is.

    Raises:
        ValueError: EPS, which is a program, and which Pillow gives to Ghostscript to run.
        Exception: one of `UNREADABLE`.
    """
    image = Image.open(BytesIO(content))
    if image.format == "EPS":
        raise ValueError("it is EPS, a program that draws; convert it to PNG")
    return image


class TooManyPixelsError(ValueError):
    """A photograph whose decoding would take more memory than it may."""


def decode_image(data: bytes, most_pixels: int) -> UInt8[np.ndarray, "H W 3"]:
    """Read the bytes of a stranger's file as `read_image` reads a file, but for formats that are rare on the network.

    Args:
        data: of the whole file.
        most_pixels: height times width; more are refused before anything is decoded.

    Raises:
        TooManyPixelsError: the header promises more.
        ValueError: it is not a photograph that can be read.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > most_pixels:
                raise TooManyPixelsError(f"{width} x {height} are more than {most_pixels} pixels; send a smaller image")
            return pil_to_rgb(image)
    except TooManyPixelsError:
        raise
    except Image.DecompressionBombError:
        raise TooManyPixelsError(f"it has more than {most_pixels} pixels; send a smaller image") from None
    except Image.UnidentifiedImageError:
        raise ValueError("it is not an image in a known format; send JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF") from None
    except UNREADABLE as error:
        raise ValueError(f"it cannot be read: {error}") from error


def to_rgb(image: np.ndarray | Image.Image | Path | str) -> UInt8[np.ndarray, "H W 3"]:
    """A file's pixels, a Pillow image's, or an array's, whose channels are RGB; see the functions for each."""
    if isinstance(image, str | Path):
        return read_image(image)
    return array_to_rgb(image) if isinstance(image, np.ndarray) else pil_to_rgb(image)


def pil_to_rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """Turn a Pillow image of any mode upright and into RGB, as `read_image` describes.

    Raises:
        ValueError: 32-bit float pixels, whose range nobody knows.
    """
    if image.mode == "F":
        raise ValueError("float pixels have no known range; convert the image to 8 or 16 bits")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return array_to_rgb(np.asarray(image).clip(0, 65535).astype(np.uint16))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def array_to_rgb(pixels: np.ndarray, channel_order: str = "rgb") -> UInt8[np.ndarray, "H W 3"]:
    """Turn an array of pixels into RGB, sharing memory where it can.

    Args:
        pixels: (H, W) gray, or (H, W, 1), (H, W, 3) or (H, W, 4); uint8 in 0..255, or uint16 in 0..65535.
        channel_order: `rgb`, or `bgr` as OpenCV reads files. A fourth channel is alpha in both.

    Raises:
        ValueError: another shape, type or channel order.
    """
    if channel_order not in ("rgb", "bgr"):
        raise ValueError(f"channel_order is {channel_order!r}; choose rgb or bgr")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4) or 0 in pixels.shape:
        raise ValueError(f"an image array has shape {pixels.shape}; it needs (H, W), (H, W, 3) or (H, W, 4)")
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + SIXTEEN_TO_EIGHT_BITS // 2) // SIXTEEN_TO_EIGHT_BITS).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(f"an image array is {pixels.dtype}; it needs uint8 in 0..255 or uint16 in 0..65535")
    if pixels.shape[-1] == 1:
        return np.repeat(pixels, 3, axis=-1)
    color = pixels[..., :3] if channel_order == "rgb" else pixels[..., 2::-1]
    if pixels.shape[-1] == 3:
        return color
    alpha = pixels[..., 3:].astype(np.uint16)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
