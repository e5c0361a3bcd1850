"""What lies behind an http address, as a file: read on where the connection dropped, and given up from any thread."""

import http.client
import io
import os
import re
import socket
import threading
import time
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before the first attempt to come back, and before the last ones; each pause is twice the one before."""

SHORT_WAY = 1 << 18
"""Bytes up to which skipping ahead reads on, instead of asking anew."""


class RemoteFile(io.RawIOBase):
    """Bytes from a server. With a length it is a file: it can be searched, and survives dropped connections."""

    def __init__(self, address: str, *, timeout: float, patience: float) -> None:
        """Ask for it.

        Args:
            address: http:// or https://, also with user:password@.
            timeout: seconds without an answer after which a connection counts as dropped.
            patience: seconds for which a connection that dropped is sought again.

        Raises:
            OSError: no answer, or one that refuses it.
        """
        self.address, self.name = address, address  # libav looks at the name
        self.shown = without_password(address)
        self.ended = False
        """The server said itself that this is all."""
        self.was_interrupted = False
        """By Ctrl-C while it was read."""
        self._timeout, self._patience = timeout, patience
        self._closed = threading.Event()
        self._reading = threading.RLock()
        self._position = 0
        self._opener, self._plain_address = _opener(address)
        self._response: http.client.HTTPResponse | None = None  # for `close`, which Python calls if nobody answers
        self._response = self._ask(0)
        headers = self._response.headers
        length = headers.get("Content-Length", "")
        self.kind = headers.get_content_type()
        """Its MIME type, as the server says."""
        self.length = int(length) if length.isdigit() and not self.kind.startswith("multipart/") else None
        """In bytes; None where it has no end that anyone knows."""
        self._has_ranges = self.length is not None and headers.get("Accept-Ranges", "").lower() == "bytes"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._has_ranges

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        target = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.length or 0}[whence]
        ahead = target - self._position
        if ahead and self._response is not None:
            if 0 < ahead < SHORT_WAY:
                while self._position < target and self.read(target - self._position):
                    pass
            else:
                self._drop()
        self._position = target
        return target

    def read(self, size: int = -1, /) -> bytes:
        """What is there, at most `size` bytes; nothing at the end.

        Raises:
            ConnectionError: the connection dropped, and did not come back in time.
            ValueError: it came back with another file.
        """
        try:
            with self._reading:
                return self._read(size)
        except KeyboardInterrupt:  # libav, from which this is called, would swallow it
            self.was_interrupted = True
            self._closed.set()
            return b""

    def _read(self, size: int) -> bytes:
        gone_since = None
        pause = FIRST_PAUSE
        while not self._closed.is_set() and (self.length is None or self._position < self.length):
            try:
                if self._response is None:
                    self._response = self._ask(self._position)
                data = self._response.read1(size)
                self._position += len(data)
                if data or self.length is None:
                    self.ended = not data and bool(getattr(self._response, "chunked", False))
                    return data
                reason = "the connection was closed"
            except HTTPError as error:
                if error.code < 500:
                    raise
                reason = str(error.reason)
            except (OSError, http.client.HTTPException) as error:
                reason = _reason(error)
            if self.length is None:
                raise ConnectionError(f"{self.shown}: {reason}")
            self._drop()
            gone_since = gone_since or time.monotonic()
            if time.monotonic() + pause - gone_since > self._patience:
                raise ConnectionError(f"{self.shown}: {reason}; no answer for {self._patience:g} s")
            self._closed.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self.ended = not self._closed.is_set()
        return b""

    def close(self) -> None:
        """Stop, from any thread; whoever waits for data gets none."""
        self._closed.set()
        response = self._response
        try:
            if response is not None and not response.isclosed():
                # Closing would not wake the thread that waits for data, and clash with it.
                with socket.socket(fileno=os.dup(response.fileno())) as connection:
                    connection.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError, AttributeError):
            pass  # it ended by itself meanwhile
        if self._reading.acquire(timeout=1.0):
            try:
                self._drop()
            finally:
                self._reading.release()

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response = None

    def _ask(self, position: int) -> http.client.HTTPResponse:
        asked = request.Request(self._plain_address, headers={"User-Agent": "yolact", "Accept": "*/*"})
        if position:
            asked.add_header("Range", f"bytes={position}-")
        try:
            response = self._opener.open(asked, timeout=self._timeout)
        except HTTPError as error:
            error.close()
            refusal = f"the server answers {error.code} ({error.reason})"
            raise error if position and error.code >= 500 else OSError(f"{self.shown}: {refusal}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ConnectionError(f"cannot reach {self.shown}: {_reason(error)}") from None
        if position:
            self._check_place(response, position)
        return response

    def _check_place(self, response: http.client.HTTPResponse, position: int) -> None:
        """Bring the answer to the place that was asked for; it must be the same file."""
        place = re.match(rf"bytes {position}-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        length = response.headers.get("Content-Length") if response.status == 200 else place and place[1]
        if length not in ("*", str(self.length)):
            response.close()
            raise ValueError(f"{self.shown} changed while it was read")
        while response.status == 200 and position > 0:  # without ranges it starts at the front
            skipped = response.read(min(position, SHORT_WAY))
            if not skipped:
                raise ConnectionError("the connection was closed")
            position -= len(skipped)


def without_password(address: str) -> str:
    """An address as people and logs may see it."""
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", address)


def _opener(address: str) -> tuple[request.OpenerDirector, str]:
    """What asks servers, and goes where they point, but by http and https alone; and the address without user."""
    parts = urlsplit(address)
    opener = request.OpenerDirector()
    passwords = request.HTTPPasswordMgrWithPriorAuth()
    host = parts.netloc.rpartition("@")[2]
    plain = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        passwords.add_password(None, plain, user, password, is_authenticated=False)
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPRedirectHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPBasicAuthHandler(passwords),
        request.HTTPDigestAuthHandler(passwords),
    ):
        opener.add_handler(handler)
    return opener, plain


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    if isinstance(inner, OSError):
        return inner.strerror or str(inner) or "the connection failed"
    return str(inner) or type(inner).__name__
