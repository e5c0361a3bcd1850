"""Bodies of requests, read as far as limits allow, and taken apart."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yolact.apps.server.answers import RefusedError
from yolact.apps.server.limits import Limits

DRAINED_FOR = 2.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a request."""

    name: str | None
    file: bytes


class Uploads:
    """Reads bodies, and counts what all of them hold at the moment."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0
        """Bytes."""

    @contextmanager
    def holding(self) -> Iterator["Held"]:
        """What one request holds, until it is answered."""
        held = Held(self)
        try:
            yield held
        finally:
            self.held -= held.bytes

    async def read(self, request: Request, held: "Held") -> list[Upload]:
        """The photographs of a request.

        Raises:
            RefusedError: too large, too slow, too many, empty, packed, or not what its type says.
        """
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):  # a few kilobytes of gzip can hold a gigabyte
            message = f"a body in Content-Encoding {encoding[:20]!r} is not unpacked; send the image as it is"
            raise RefusedError(415, "packed", message, **{"Accept-Encoding": "identity"})
        most = self._limits.most_bytes
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.upload_seconds):
                async for chunk in request.stream():
                    held.take(len(chunk))
                    body += chunk
                    if len(body) > most:
                        raise self._too_large()
        except TimeoutError:
            raise RefusedError(
                408, "too_slow", f"the request did not arrive within {self._limits.upload_seconds:g} s; send it faster"
            ) from None
        except ClientDisconnect:
            raise RefusedError(400, "gone", "the client went away") from None
        kind = request.headers.get("content-type", "")
        uploads = [Upload(None, bytes(body))]
        if kind.partition(";")[0].strip().lower() == "multipart/form-data":
            uploads = await self._files(request, bytes(body))
        if len(uploads) > self._limits.most_images:
            raise self._too_many()
        if not uploads or (not uploads[0].file and len(uploads) == 1):
            raise RefusedError(
                400, "no_image", "there is no image; send one as the body, or several as multipart/form-data"
            )
        return uploads

    async def _files(self, request: Request, body: bytes) -> list[Upload]:
        async def whole() -> AsyncGenerator[bytes, None]:
            yield body

        # One file more than allowed is let through, so that its refusal can say how many are.
        parser = _InMemory(request.headers, whole(), max_files=self._limits.most_images + 1, max_fields=16)
        try:
            form = await parser.parse()
        except (MultiPartException, MultipartParseError, KeyError, ValueError, UnicodeError) as error:
            reason = getattr(error, "message", None) or str(error)
            if "Too many files" in reason:
                raise self._too_many() from None
            raise RefusedError(400, "bad_multipart", f"the multipart body cannot be read: {reason}") from None
        parts = [part for _, part in form.multi_items()]
        try:
            files = [Upload(part.filename, await part.read()) for part in parts if isinstance(part, UploadFile)]
        finally:
            await form.close()
        return files

    def _too_large(self) -> RefusedError:
        return RefusedError(
            413,
            "too_large",
            f"the request has more than {self._limits.most_bytes / 1e6:g} MB; send smaller images, or fewer",
            Connection="close",  # what else it sends would be taken for the next request
        )

    def _too_many(self) -> RefusedError:
        most = self._limits.most_images
        return RefusedError(413, "too_many_images", f"more than {most} images; send them in several requests")


class Held:
    """The bytes that one request holds."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads, self.bytes = uploads, 0

    def take(self, count: int) -> None:
        """
        Raises:
            RefusedError: all requests together would hold too much.
        """
        self.bytes += count
        self._uploads.held += count
        limits = self._uploads._limits
        if self._uploads.held > limits.held_mb * 1e6:
            raise RefusedError(
                503, "busy", "too many large requests at once; try again in a second", **{"Retry-After": "1"}
            )


class Drained:
    """Reads what is left of a body before it is refused, for a moment, and throws it away.

    Most clients look for an answer only after they have sent everything. To one whose connection was closed before,
    the answer is lost.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_over = scope["type"] != "http"

        async def receive_some() -> Message:
            nonlocal is_over
            message = await receive()
            is_over = is_over or message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def send_after_all(message: Message) -> None:
            if message["type"] == "http.response.start":
                with suppress(TimeoutError):
                    async with asyncio.timeout(DRAINED_FOR):
                        while not is_over:
                            await receive_some()
            await send(message)

        await self._app(scope, receive_some, send_after_all)


class _InMemory(MultiPartParser):
    """The body is in memory already, and within limits; files would be copied to the disk for nothing."""

    spool_max_size = 2**40
