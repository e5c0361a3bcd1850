"""The process of one model: decoding, computing and encoding at the same time, in threads.

What crosses from stage to stage keeps its job's number; nothing here knows of requests.
"""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NoReturn

from yolact.apps.server.jobs import Answer, Failed, Job, Ready, Wish

if TYPE_CHECKING:
    import numpy as np

    from yolact.instances import Instances
    from yolact.predictor import Predictor
    from yolact.request import Request

JPEG_SIDE = 65500
"""Pixels; libjpeg writes no larger ones."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Which model a process loads, and how it batches."""

    weights: str | None
    runtime: str | None = None
    precision: str = "float32"
    compile: bool = False
    device: str = "auto"
    most_together: int = 1
    """Photographs in one batch, at most."""

    patience: float = 0.005
    """Seconds that a photograph waits at most for others to share its batch."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    job: Job
    pixels: "np.ndarray"
    request: "Request"


def work(connection: Connection, recipe: Recipe) -> None:
    """Load the model, then answer jobs until nobody is left at the other end."""
    # Ctrl-C goes to all processes of a terminal, and SIGTERM to all of a container: the server says when it is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        predictor = _load(recipe)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        connection.send(Failed(str(error)))
        return
    config = predictor.config
    connection.send(Ready(config.class_names, config.coco_ids, predictor.runtime.describe()))
    from yolact.detect.threads import borrowed_threads

    stages = Stages(predictor, recipe, connection.send)
    threading.Thread(target=_listen, args=(connection, stages), name="yolact-listen", daemon=True).start()
    with borrowed_threads():
        stages.compute()


def _listen(connection: Connection, stages: "Stages") -> None:
    while True:
        try:
            stages.accept(connection.recv())
        except (EOFError, OSError):
            os._exit(0)  # whatever is still computed, nobody would read


class Stages:
    """Decoding, the network and encoding, each in threads of its own.

    Args:
        predictor: shared by all.
        recipe: how photographs are batched.
        answer: called from any thread, by one at a time.
    """

    def __init__(self, predictor: "Predictor", recipe: Recipe, answer: Callable[[Answer], object]) -> None:
        self._predictor, self._recipe, self._answer = predictor, recipe, answer
        self._decoded: queue.SimpleQueue[_Decoded] = queue.SimpleQueue()
        self._answering = threading.Lock()
        self._decoding = ThreadPoolExecutor(2, thread_name_prefix="yolact-decode")
        self._encoding = ThreadPoolExecutor(2, thread_name_prefix="yolact-encode")

    def accept(self, job: Job) -> None:
        self._decoding.submit(self._decode, job)

    def _decode(self, job: Job) -> None:
        from yolact.images import TooManyPixelsError, decode_image

        try:
            pixels = decode_image(job.file, job.wish.most_pixels)
            if job.wish.form == "picture" and max(pixels.shape) > JPEG_SIDE:
                height, width, _ = pixels.shape
                raise TooManyPixelsError(f"{width} x {height} is more than a JPEG holds; ask for format=png")
            self._decoded.put(_Decoded(job, pixels, _request(self._predictor, job.wish)))
        except TooManyPixelsError as error:
            self._send(Answer(job.number, str(error).encode(), "too_many_pixels"))
        except ValueError as error:
            self._send(Answer(job.number, str(error).encode(), "unreadable"))
        except Exception as error:
            self._fail(job, error)

    def compute(self) -> NoReturn:
        """Run the network on whatever comes."""
        left_over: _Decoded | None = None
        while True:
            batch, left_over = self._gather(left_over or self._decoded.get())
            try:
                found = self._predictor.predict_together([one.pixels for one in batch], [one.request for one in batch])
            except Exception as error:
                self._one_by_one(batch, error)
                continue
            for one, instances in zip(batch, found, strict=True):
                self._encoding.submit(self._encode, one.job, instances, len(batch))

    def _gather(self, first: _Decoded) -> tuple[list[_Decoded], _Decoded | None]:
        """A batch that begins with this one, and the first that does not fit into it."""
        batch, over = [first], time.monotonic() + self._recipe.patience
        while len(batch) < self._recipe.most_together:
            try:
                following = self._decoded.get(timeout=max(over - time.monotonic(), 0))
            except queue.Empty:
                break
            if following.request.detect != first.request.detect:
                return batch, following
            batch.append(following)
        return batch, None

    def _one_by_one(self, batch: list[_Decoded], error: Exception) -> None:
        """A photograph that the network cannot take must not cost its neighbors their answers."""
        if len(batch) == 1:
            self._fail(batch[0].job, error)
            return
        for one in batch:
            try:
                (instances,) = self._predictor.predict_together([one.pixels], [one.request])
            except Exception as own:
                self._fail(one.job, own)
            else:
                self._encoding.submit(self._encode, one.job, instances, 1)

    def _encode(self, job: Job, instances: "Instances", batch: int) -> None:
        from yolact.apps.server.encoding import encode

        try:
            self._send(Answer(job.number, encode(instances, job.wish), batch=batch))
        except Exception as error:
            self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())  # PyTorch's have many lines
        self._send(Answer(job.number, reason.encode(), "failed"))

    def _send(self, answer: Answer) -> None:
        with self._answering:
            try:
                self._answer(answer)
            except OSError:
                os._exit(0)


def _request(predictor: "Predictor", wish: Wish) -> "Request":
    from yolact.request import Request

    checked = (wish.score_threshold, wish.top_k, "fast", wish.classes, None, "rgb", wish.crop)
    return Request.of(predictor.config, *checked)


def _load(recipe: Recipe) -> "Predictor":
    import numpy as np
    from PIL import Image

    from yolact.predictor import load

    Image.MAX_IMAGE_PIXELS = None  # the limit is ours, and checked before anything is decoded
    options: dict[str, Any] = {"runtime": recipe.runtime, "precision": recipe.precision, "compile": recipe.compile}
    predictor = load(recipe.weights, recipe.device, **options)
    first = predictor.predict(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8), 0)
    first.rles()  # what is compiled or loaded at first use, is now
    return predictor
