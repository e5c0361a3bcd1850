"""SBD, the Semantic Boundaries Dataset (Hariharan et al. 2011): 11355 images of Pascal VOC with instance masks.

As published: img/ID.jpg, inst/ID.mat, train.txt and val.txt, in the folder `dataset` of the archive. It is only read.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from yolact.data.annotations import Problems, annotated_size
from yolact.data.formats.request import Reading
from yolact.data.formats.text_lists import read_lines
from yolact.data.formats.voc import PASCAL_CLASSES
from yolact.data.labeled import LabeledData, LabeledImage, LabeledObject, from_mask
from yolact.images import UNREADABLE


def read(source: Path, request: Reading) -> LabeledData:
    """
    Raises:
        ValueError: a folder without this layout.
        ImportError: without SciPy, which opens the files of masks.
    """
    try:
        import scipy.io
    except ImportError:
        raise ImportError("reading SBD needs SciPy: pip install 'yolact[data]'") from None
    root = root_of(source)
    if root is None:
        raise ValueError(f"{source} has no folders inst and img; name the folder benchmark_RELEASE or its dataset")
    lists = [path for path in (root / "train.txt", root / "val.txt") if path.is_file()]
    if not lists:
        raise ValueError(f"{root} has no train.txt or val.txt, which list the images")
    data = LabeledData({}, dict.fromkeys(PASCAL_CLASSES))
    for path in lists:
        problems = Problems(path)
        images = []
        for number in map(str.strip, read_lines(path)):
            try:
                images.append(_read_image(root, number, problems, scipy.io.loadmat))
            except ValueError as error:
                problems.add(f"{error}, dropped", number[:40])
        data.splits[path.stem] = images
        data.problems.append(problems)
    return data


def root_of(source: Path) -> Path | None:
    """The folder that has inst and img: this one, or `dataset` in the unpacked archive."""
    candidates = [source, source / "dataset", source / "benchmark_RELEASE" / "dataset"]
    return next((folder for folder in candidates if all((folder / part).is_dir() for part in ("inst", "img"))), None)


def _read_image(root: Path, number: str, problems: Problems, loadmat: Any) -> LabeledImage:
    """
    Raises:
        ValueError: the image cannot be used; the message says why.
    """
    if not re.fullmatch(r"\w+", number):
        raise ValueError("line that names no image")
    path = root / "img" / f"{number}.jpg"
    numbers, classes = _masks(root / "inst" / f"{number}.mat", loadmat)
    try:
        size = annotated_size(path, *numbers.shape)
    except FileNotFoundError:
        raise ValueError("missing image file") from None
    except UNREADABLE as error:
        raise ValueError(str(error).split(" (")[0].replace(str(path), "image")) from None
    objects: list[LabeledObject] = []
    for index, label in enumerate(classes, start=1):
        if not 1 <= label <= len(PASCAL_CLASSES):
            problems.add(f"label {label}, which has no name, dropped", path.name)
            continue
        found = from_mask(PASCAL_CLASSES[label - 1], numbers == index)
        if found is None:
            problems.add("object without pixels, dropped", path.name)
        else:
            objects.append(found)
    return LabeledImage(path.name, path, size, tuple(objects))


def _masks(file: Path, loadmat: Any) -> tuple[np.ndarray, list[int]]:
    """The number of each pixel's object, 0 for none, and the label of each object, from 1."""
    if not file.is_file():
        raise ValueError("missing file of masks")
    try:
        truth = loadmat(file)["GTinst"][0, 0]
        numbers, classes = np.asarray(truth["Segmentation"]), np.asarray(truth["Categories"]).astype(np.int64).ravel()
    except Exception:  # SciPy has a type for each way in which a file may be damaged, and lets those of zlib through
        raise ValueError("file of masks that cannot be read") from None
    if numbers.ndim != 2:
        raise ValueError("file of masks that cannot be read")
    return numbers, classes.tolist()
