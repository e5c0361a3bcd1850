"""Reading photographs: whatever the file, upright RGB comes out, or one clear error."""

import contextlib
import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthetic import undecodable
from yolact.images import array_to_rgb, pil_to_rgb, read_image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def left_red_right_blue(width: int = 40, height: int = 20) -> Image.Image:
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("orientation", "size", "red_at"),
    [
        (1, (20, 40), (10, 2)),
        (2, (20, 40), (10, 37)),
        (3, (20, 40), (10, 37)),
        (6, (40, 20), (2, 10)),  # the camera's left is up
        (8, (40, 20), (37, 10)),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_orientation_is_honored(tmp_path: Path, orientation, size, red_at, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    left_red_right_blue().save(tmp_path / f"turned{suffix}", exif=exif, quality=95)
    pixels = read_image(tmp_path / f"turned{suffix}")
    assert pixels.shape == (*size, 3)
    assert np.abs(pixels[red_at].astype(int) - RED).max() < 20


@pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK", "YCbCr", "RGBA"])
def test_every_mode_becomes_rgb(mode: str):
    pixels = pil_to_rgb(left_red_right_blue().convert("L").convert("RGB").convert(mode))
    expected = np.asarray(left_red_right_blue().convert("L").convert(mode if mode == "1" else "L"))
    expected = expected.astype(np.uint8) * (255 if mode == "1" else 1)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected[..., None]).max() <= 2
    assert pixels.flags.writeable


def test_palette_keeps_its_colors(tmp_path: Path):
    left_red_right_blue().convert("P").save(tmp_path / "palette.png")
    assert (read_image(tmp_path / "palette.png") == np.asarray(left_red_right_blue())).all()


def test_cmyk_file(tmp_path: Path):
    left_red_right_blue().convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    pixels = read_image(tmp_path / "print.jpg").astype(int)
    assert np.abs(pixels[10, 2] - RED).max() < 20
    assert np.abs(pixels[10, 37] - BLUE).max() < 20


@pytest.mark.parametrize("convert_to", ["RGBA", "P"])
def test_transparency_lies_over_white(tmp_path: Path, convert_to: str):
    image = left_red_right_blue().convert("RGBA")
    alpha = np.full((20, 40), 255, dtype=np.uint8)
    alpha[:, :20] = 0
    image.putalpha(Image.fromarray(alpha))
    image.convert(convert_to).save(tmp_path / "cut.png")
    pixels = read_image(tmp_path / "cut.png")
    assert tuple(pixels[10, 2]) == WHITE
    assert tuple(pixels[10, 37]) == BLUE


def test_half_transparent_red_over_white_is_pink():
    pixels = array_to_rgb(np.array([[[255, 0, 0, 128]]], dtype=np.uint8))
    assert np.abs(pixels[0, 0].astype(int) - (255, 127, 127)).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_span_the_whole_range(tmp_path: Path, suffix: str):
    levels = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / f"deep{suffix}")
    assert read_image(tmp_path / f"deep{suffix}")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_arrays_in_either_order():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert (array_to_rgb(pixels) == pixels).all()
    assert np.shares_memory(array_to_rgb(pixels), pixels)
    assert (array_to_rgb(pixels, "bgr") == pixels[..., ::-1]).all()
    with_alpha = np.dstack([pixels, np.full((2, 4), 255, dtype=np.uint8)])
    assert (array_to_rgb(with_alpha, "bgr") == pixels[..., ::-1]).all()


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((3, 4, 5), dtype=np.uint8), "(3, 4, 5)"),
        (np.zeros((0, 4, 3), dtype=np.uint8), "(0, 4, 3)"),
        (np.zeros((1, 4, 4, 3), dtype=np.uint8), "(1, 4, 4, 3)"),
    ],
)
def test_other_arrays_are_refused(array, part):
    with pytest.raises(ValueError, match="image array") as raised:
        array_to_rgb(array)
    assert part in str(raised.value)


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "folder"])
def test_unreadable_files_are_named(tmp_path: Path, kind: str):
    path = tmp_path / "broken.jpg"
    if kind == "text":
        path.write_text("no image")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    else:
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cannot read .*broken\.jpg: ") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg does not exist"):
        read_image("nowhere.jpg")


def test_float_pixels_are_refused(tmp_path: Path):
    Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(ValueError, match=r"depth\.tif: float pixels"):
        read_image(tmp_path / "depth.tif")


def test_kinds_that_cannot_be_decoded(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(undecodable(40, 20))
    with pytest.raises(ValueError, match=r"cannot read .*a\.png: Unimplemented pixel format"):
        read_image(tmp_path / "a.png")


def test_a_png_that_claims_gigabytes(tmp_path: Path):
    """Its pixels are there, and the part that holds them says it goes on."""
    file = BytesIO()
    Image.new("L", (8, 6), 200).save(file, "PNG")
    data = file.getvalue()
    start = data.index(b"IDAT") - 4
    path = tmp_path / "a.png"
    path.write_bytes(data[:start] + (2_000_000_000).to_bytes(4, "big") + data[start + 4 :])
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_programs_that_draw_are_not_run(tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(%pipe%true) (w) file\n")
    with pytest.raises(ValueError, match=r"photo\.jpg: it is EPS, a program that draws; convert it to PNG"):
        read_image(path)
