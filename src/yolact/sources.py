"""What `predict` takes: files, folders, globs, images, arrays and tensors, and how each becomes RGB pixels."""

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from yolact.images import SUFFIXES, array_to_rgb, pil_to_rgb, read_image

Picture = Image.Image | np.ndarray | Tensor
Source = str | Path | Picture


@dataclass(frozen=True, slots=True)
class Loaded:
    pixels: UInt8[np.ndarray, "H W 3"]
    """RGB, 0..255."""

    path: Path | None
    """The file it came from, if it came from one."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    path: Path
    error: Exception


def load(source: Source, channel_order: str) -> Loaded:
    """Bring one photograph to RGB.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: a file that is not a photograph, an array or tensor of another kind, or something else.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return Loaded(read_image(path), path)
    if isinstance(source, Image.Image):
        return Loaded(pil_to_rgb(source), None)
    if isinstance(source, Tensor):
        return Loaded(tensor_to_rgb(source), None)
    if isinstance(source, np.ndarray):
        return Loaded(array_to_rgb(source, channel_order), None)
    raise ValueError(f"cannot predict on a {type(source).__name__}; give a path, an image, an array or a tensor")


def try_load(source: Source, channel_order: str) -> Loaded | Unreadable:
    """`load`, with the error as a result if a file is to blame."""
    try:
        return load(source, channel_order)
    except (OSError, ValueError) as error:
        if isinstance(source, str | Path):
            return Unreadable(Path(source), error)
        raise


def tensor_to_rgb(image: Tensor) -> UInt8[np.ndarray, "H W 3"]:
    """Turn a tensor (3, H, W) or (1, H, W) of uint8 in 0..255 or float in 0..1 into RGB; floats are rounded to 1/255.

    Raises:
        ValueError: another shape, type or range.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"an image tensor has shape {tuple(image.shape)}; it needs (3, H, W), or a list of such")
    image = image.detach()
    if image.is_floating_point():
        low, high = (float(value) for value in image.aminmax()) if image.numel() else (0.0, 0.0)
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise ValueError(
                f"a float image tensor reaches from {low:.3g} to {high:.3g}; it needs 0..1, not normalized"
            )
        image = (image * 255).round().clamp(0, 255).to(torch.uint8)
    if image.dtype != torch.uint8:
        raise ValueError(f"an image tensor is {image.dtype}; it needs uint8 in 0..255 or float in 0..1")
    return array_to_rgb(image.cpu().permute(1, 2, 0).numpy())


def expand(sources: Iterable[Source]) -> Iterator[Source]:
    """Folders and globs become their photographs."""
    for source in sources:
        if isinstance(source, str | Path):
            yield from find_images(source)
        else:
            yield source


def find_images(source: str | Path) -> list[Path]:
    """The photographs that a file, a folder or a glob such as `photos/**/*.jpg` names, sorted.

    Of a folder and a glob, only files that end in one of `SUFFIXES` count; hidden files do not, nor do subfolders.
    Links that lead nowhere do, so that whoever reads them reports them.

    Raises:
        FileNotFoundError: there is no such file, or nothing matches.
        ValueError: a folder without photographs.
    """
    if not str(source):
        raise FileNotFoundError("'' names no photograph; give an image, a folder or a glob")
    path = Path(source).expanduser()
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if _is_photograph(file))
        if not found:
            raise ValueError(f"no photographs in the folder {path}; for those in subfolders, give '{path}/**/*'")
        return found
    if path.exists() or path.is_symlink():
        return [path]
    if not is_pattern(source):
        raise FileNotFoundError(f"{path} does not exist; give an image, a folder or a glob")
    # pathlib's own glob takes no absolute pattern.
    matches = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
    found = sorted(file for file in matches if _is_photograph(file))
    if not found:
        raise FileNotFoundError(f"no photograph matches {str(source)!r}")
    return found


def is_pattern(source: str | Path) -> bool:
    """Whether this is a glob, not the name of a file that is there."""
    return glob.has_magic(str(source)) and not Path(source).expanduser().exists()


def _is_photograph(file: Path) -> bool:
    is_named_so = file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    return is_named_so and (file.is_file() or (file.is_symlink() and not file.exists()))


def is_single(source: str | Path) -> bool:
    """Whether this names one photograph, not a folder or a glob."""
    return not Path(source).expanduser().is_dir() and not is_pattern(source)
