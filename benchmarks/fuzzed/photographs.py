"""The bytes of photographs, as the server gets them and as lie in a folder."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fuzzed.target import Target, check

MOST_PIXELS = 1_000_000


def seeds() -> list[bytes]:
    chance = np.random.default_rng(0)
    color = Image.fromarray(chance.integers(0, 256, (13, 17, 3), dtype=np.uint8))
    gray = color.convert("L")
    deep = Image.fromarray(chance.integers(0, 65536, (5, 7), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    files = [_saved(color, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF", "AVIF")]
    files += [
        _saved(image, "PNG") for image in (gray, deep, color.convert("P"), color.convert("RGBA"), gray.convert("1"))
    ]
    files += [_saved(color, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
    files += [_saved(color.convert("CMYK"), "JPEG"), _saved(color, "JPEG", exif=turned, progressive=True)]
    files += [_saved(color.convert("P"), "GIF", save_all=True, append_images=[gray.convert("P")], transparency=3)]
    files += [_saved(color.convert("RGBA"), "WEBP", lossless=True), _saved(deep, "TIFF"), _saved(deep, "PPM")]
    return [*files, _saved(gray.convert("LA"), "PNG"), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def check_pixels(pixels: np.ndarray, most: int = MOST_PIXELS) -> None:
    check(pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, f"{pixels.dtype} {pixels.shape}")
    check(0 < pixels.shape[0] * pixels.shape[1] <= most, f"{pixels.shape} are more than {most} pixels, or none")


def prepare_bytes(_: Path) -> Callable[[bytes], object]:
    from yolact.images import decode_image

    return lambda data: check_pixels(decode_image(data, MOST_PIXELS))


def prepare_file(folder: Path) -> Callable[[bytes], object]:
    from yolact.images import read_image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow refuses twice as many

    def read(data: bytes) -> None:
        path = folder / "photo.jpg"
        path.write_bytes(data)
        check_pixels(read_image(path))

    return read


TARGETS = (Target("photographs", seeds, prepare_bytes), Target("photographs-in-files", seeds, prepare_file))
