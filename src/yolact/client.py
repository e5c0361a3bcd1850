"""Asks a server that `yolact serve` started. Needs httpx, Pillow and NumPy only, and not torch.

from yolact.client import Client

with Client("http://127.0.0.1:8000") as client:
    for found in client.predict("street.jpg", score_threshold=0.4).instances:
        print(found.category_name, found.score, found.mask().sum())
"""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import httpx
import numpy as np
from PIL import Image, ImageOps

Picture = str | Path | bytes | np.ndarray | Image.Image
"""A file, the bytes of one, an array (H, W, 3) of uint8, RGB, or a Pillow image."""


class ServerError(Exception):
    """The server refused; the text is its message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP: 413, 422, 503, ..., see docs/serving.md."""
        self.code = code
        """For programs: `too_large`, `unreadable`, `busy`, ..."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One object."""

    category_id: int
    category_name: str
    score: float
    """Class probability, 0..1."""

    mask_score: float
    """`score`, times the predicted quality of the mask where the model predicts one."""

    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels."""

    area: int
    """Pixels of the mask."""

    segmentation: dict[str, Any] | list[list[float]]
    """COCO's run-length code, or polygons as x, y, x, y, ..."""

    def mask(self) -> np.ndarray:
        """(H, W), True on the object.

        Raises:
            ValueError: the server was asked for polygons.
            ImportError: neither faster-coco-eval nor pycocotools is installed.
        """
        if not isinstance(self.segmentation, dict):
            raise ValueError("polygons do not know how large their image is; ask for format='rle'")
        try:
            from faster_coco_eval import mask as codes
        except ImportError:
            try:
                from pycocotools import mask as codes
            except ImportError:
                raise ImportError("masks need faster-coco-eval: pip install faster-coco-eval") from None
        code: Any = self.segmentation
        return codes.decode(code).astype(bool)


@dataclass(frozen=True, slots=True)
class Found:
    """What is in one photograph."""

    name: str | None
    width: int
    height: int
    instances: tuple[Instance, ...]
    """Best first."""


@dataclass(frozen=True, slots=True)
class Described:
    """A model of the server."""

    name: str
    ready: bool
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    runtime: str


class Client:
    """A connection that stays open. Threads may share it.

    Args:
        address: of the server.
        token: what it was started with.
        model: which of its models to ask; None: the first.
        timeout: seconds without a byte, while it connects, sends or waits.
        patience: seconds to go on trying while the server is busy; it says itself when to come back.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        model: str | None = None,
        timeout: float | int = 60,
        patience: float | int = 0,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout)
        self._address = "/predict" if model is None else f"/models/{model}/predict"
        self._patience = patience

    def predict(self, picture: Picture, **options: Any) -> Found:
        """What is in one photograph.

        Args:
            options: score_threshold, top_k, classes, crop, tolerance, and format: `rle` or `polygons`.

        Raises:
            ServerError: it refused.
            httpx.HTTPError: it cannot be reached.
            OSError: the file cannot be read.
            ValueError: another format: that is what `render` is for.
        """
        _require_instances(options)
        answer = self._ask(options, content=_bytes(picture)).json()
        return _found(answer["images"][0])

    def predict_batch(self, pictures: Sequence[Picture], **options: Any) -> list[Found | ServerError]:
        """What is in several, in their order, with one request; a `ServerError` in the place of a bad one."""
        _require_instances(options)
        names = [
            Path(picture).name if isinstance(picture, str | Path) else f"{i}" for i, picture in enumerate(pictures)
        ]
        files = [("images", (name, _bytes(picture))) for name, picture in zip(names, pictures, strict=True)]
        entries = self._ask(options, files=files).json()["images"]
        return [
            ServerError(200, entry["error"]["code"], entry["error"]["message"]) if "error" in entry else _found(entry)
            for entry in entries
        ]

    def render(self, picture: Picture, format: Literal["png", "picture"] = "picture", **options: Any) -> Image.Image:
        """The photograph with its masks drawn in, or (`png`) a label map: 0 is background, i the i-th instance."""
        answer = self._ask({**options, "format": format}, content=_bytes(picture))
        return Image.open(io.BytesIO(answer.content))

    def models(self) -> list[Described]:
        """What can be asked."""
        described = self._checked(self._http.get("/models")).json()
        return [
            Described(**{**one, "class_names": tuple(one["class_names"]), "category_ids": tuple(one["category_ids"])})
            for one in described
        ]

    def is_ready(self) -> bool:
        """Whether all models answer now; False as well if the server cannot be reached."""
        try:
            return self._http.get("/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, options: dict[str, Any], **body: Any) -> httpx.Response:
        over = time.monotonic() + self._patience
        while True:
            asked = {name: value for name, value in options.items() if value is not None}
            answer = self._http.post(self._address, params=asked, **body)
            pause = _seconds(answer.headers.get("Retry-After", ""))
            if answer.status_code != 503 or time.monotonic() + pause > over:
                return self._checked(answer)
            time.sleep(pause)

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        try:
            error = answer.json()["error"]
            code, message = error["code"], error["message"]
        except (ValueError, KeyError, TypeError):  # a proxy's, perhaps
            code, message = "unknown", f"{answer.status_code} {answer.reason_phrase}"
        raise ServerError(answer.status_code, code, message)


def _require_instances(options: dict[str, Any]) -> None:
    if options.get("format") in ("png", "picture"):
        raise ValueError(f"format={options['format']!r} is a picture, without instances; ask render for it")


def _seconds(text: str) -> float:
    """Of Retry-After; a proxy may write a date there."""
    return float(text) if text.isdecimal() else 1.0


def _bytes(picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        return Path(picture).read_bytes()
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image = ImageOps.exif_transpose(image)  # a PNG would be written without its orientation
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):  # which PNG does not know
        image = image.convert("RGB")
    file = io.BytesIO()
    # Nothing may be lost on the way, and quick is more than small.
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _found(entry: dict[str, Any]) -> Found:
    instances = tuple(Instance(**{**one, "bbox": tuple(one["bbox"])}) for one in entry["instances"])
    return Found(entry["name"], entry["width"], entry["height"], instances)
