"""What comes over a connection to the server: the bytes of requests, through the parser that it runs with."""

import asyncio
import json
import logging
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fuzzed.photographs import seeds as photographs
from fuzzed.target import Target, check

PATIENCE = 5.0
"""Seconds."""

STATUSES = frozenset((100, 200, 304, 307, 400, 404, 405, 408, 413, 415, 422, 503))


def seeds() -> list[bytes]:
    jpeg, png = photographs()[:2]
    parts = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="images"; filename="%d.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%s\r\n" % (i, photo)
        for i, photo in enumerate((jpeg, png))
    )
    kind = b"Content-Type: multipart/form-data; boundary=edge\r\n"
    halves = [b"%x\r\n%s\r\n" % (len(half), half) for half in (png[: len(png) // 2], png[len(png) // 2 :])]
    return [
        _post(b"/predict?score_threshold=0.4&top_k=3&format=rle", jpeg),
        _post(b"/predict?format=polygons&tolerance=1", parts + b"--edge--\r\n", kind),
        _post(b"/models/small/predict?classes=cat&classes=dog&crop=soft&format=png", png),
        b"POST /predict?format=picture HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(halves)
        + b"0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\nGET /models HTTP/1.1\r\n\r\n",
        b"GET /docs HTTP/1.1\r\n\r\nGET /static-offline-docs/../../x HTTP/1.1\r\n\r\n",
    ]


def _post(address: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s" % (address, more, len(body), body)


def stand_in() -> Any:
    """A model without a process: decodes as it would, and finds one square in every photograph."""
    from yolact.apps.server.dispatch import Model
    from yolact.apps.server.jobs import Answer, Ready

    class StandIn(Model):
        length = 0  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

        def __init__(self) -> None:
            self.name, self.facts = "small", Ready(("cat", "dog"), (1, 2), "none")
            self.ready = self.facts

        def ask(self, files: list[bytes], wish: Any) -> list[asyncio.Future[Answer]]:
            loop = asyncio.get_running_loop()
            futures = [loop.create_future() for _ in files]
            for future, file in zip(futures, files, strict=True):
                future.set_result(_answer(file, wish))
            return futures

    return StandIn()


def _answer(file: bytes, wish: Any) -> Any:
    from yolact.apps.server.encoding import encode
    from yolact.apps.server.jobs import Answer
    from yolact.images import TooManyPixelsError, decode_image

    try:
        pixels = decode_image(file, wish.most_pixels)
    except TooManyPixelsError as error:
        return Answer(0, str(error).encode(), "too_many_pixels")
    except ValueError as error:
        return Answer(0, str(error).encode(), "unreadable")
    return Answer(0, encode(_square(pixels, wish.crop or "box"), wish))


def _square(pixels: np.ndarray, crop: Any) -> Any:
    from yolact.instances import Instances

    height, width = pixels.shape[:2]
    return Instances(
        coefficients=np.ones((1, 1), np.float32),
        windows=np.array([[1, 1, 3, 3]], np.int32),
        prototypes=np.full((1, 4, 4), 3, np.float32),
        image_size=(height, width),
        boxes=np.array([[0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]], np.float32),
        scores=np.ones(1, np.float32),
        mask_scores=np.ones(1, np.float32),
        labels=np.zeros(1, np.int64),
        class_names=("cat", "dog"),
        category_ids=(1, 2),
        image=pixels,
        crop=crop,
    )


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self._closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 9)}.get(name, default)

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...


class _Kept(logging.Handler):
    """The error behind a 500."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = self.format(record)


def prepare(_: Path) -> Callable[[bytes], object]:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.server import ServerState

    from yolact.apps.server import uploads
    from yolact.apps.server.app import Service, build
    from yolact.apps.server.limits import Limits
    from yolact.apps.server.metrics import Metrics

    uploads.DRAINED_FOR = 0.0
    limits = Limits(body_mb=0.02, megapixels=1.0, images=3)
    service = Service({"small": stand_in()}, limits, Metrics())
    config = uvicorn.Config(build(service), log_level="error", access_log=False, lifespan="off", http="h11")
    loop, kept = asyncio.new_event_loop(), _Kept()
    logging.getLogger("uvicorn.error").addHandler(kept)

    async def talk(data: bytes) -> bytes:
        transport, state = _Transport(), ServerState()
        protocol = H11Protocol(config, state, {}, _loop=loop)
        protocol.connection_made(transport)
        middle = len(data) // 2
        for part in (data[:middle], data[middle:]):
            if part and not transport.is_closing():  # a socket brings no nothing; to h11 it is the end
                protocol.data_received(part)
            await asyncio.sleep(0)
        over = loop.time() + PATIENCE
        while state.tasks and protocol.cycle is not None and not protocol.cycle.more_body and loop.time() < over:
            await asyncio.wait(state.tasks, timeout=PATIENCE)  # a pipelined request begins when the first is answered
        protocol.connection_lost(None)
        if state.tasks:
            _, late = await asyncio.wait(state.tasks, timeout=PATIENCE)
            check(not late, "a request without an end")
        return bytes(transport.sent)

    def read(data: bytes) -> None:
        kept.last = ""
        sent = loop.run_until_complete(talk(data))
        check(service.uploads.held == 0, f"{service.uploads.held} bytes are still held")
        _check_answers(sent, kept.last)

    weakref.finalize(read, loop.close)
    return read


def _check_answers(sent: bytes, why: str) -> None:
    """Each is one of ours, says its length, and says of a refusal why."""
    while sent:
        head, _, rest = sent.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        check(found, f"no answer: {head[:100]!r}")
        assert found is not None
        check(int(found[1]) in STATUSES, f"status {int(found[1])}: {why[-1500:]}")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if length is None:
            return
        body, sent = rest[: int(length[1])], rest[int(length[1]) :]
        if body and b"application/json" in head.lower():
            json.loads(body)


TARGETS = (Target("requests", seeds, prepare, longest=30_000),)
