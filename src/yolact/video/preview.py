"""The newest picture of a run, live in a browser on this machine.

Whoever watches gets the newest picture whenever the last one was delivered, so a slow browser sees fewer of them, and
none ever makes the run wait.
"""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

JPEG_QUALITY = 85

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>yolact</title>
<style>
  :root { color-scheme: light dark }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: GrayText;
         font: 1rem system-ui, sans-serif }
  img { display: block; max-width: 100vw; max-height: 100vh }
</style>
<img src="/stream" alt="The picture appears with the first frame.">
</html>
"""


class Preview:
    """A web page on loopback that shows pictures as they come. Use it in a `with` statement, or call `close`.

    Args:
        port: 0 takes one that is free.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int = 0) -> None:
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise OSError(f"port {port} cannot be listened on ({error}); choose another, or leave it out") from error
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="yolact-preview", daemon=True)
        self._thread.start()

    def show(self, picture: UInt8[np.ndarray, "H W 3"] | Image.Image) -> None:
        """Make this the newest picture (RGB). Takes no time: it is encoded when a browser asks for it."""
        self._server.latest.put(picture)

    def close(self) -> None:
        """Stop; open pages keep the last picture."""
        self._server.latest.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "Preview":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Latest:
    """The newest picture, as a JPEG that is made at most once."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._picture: UInt8[np.ndarray, "H W 3"] | Image.Image | None = None
        self._number, self._ended = 0, False
        self._encoded: tuple[int, bytes] = (0, b"")

    def put(self, picture: UInt8[np.ndarray, "H W 3"] | Image.Image | None) -> None:
        with self._changed:
            self._picture, self._ended = self._picture if picture is None else picture, picture is None
            self._number += picture is not None
            self._changed.notify_all()

    def after(self, number: int) -> tuple[int, bytes] | None:
        """Wait for a picture newer than this number; None if there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._ended)
            picture, newest = self._picture, self._number
            if newest <= number or picture is None:
                return None
            if self._encoded[0] == newest:
                return self._encoded
        pixels = cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR)
        encoded = (newest, cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes())
        with self._changed:
            self._encoded = max(self._encoded, encoded)
        return encoded


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a browser that does not read must not hold up the end

    def __init__(self, *arguments: object) -> None:
        self.latest = _Latest()
        super().__init__(*arguments)  # pyright: ignore[reportArgumentType]

    def handle_error(self, request: object, client_address: object) -> None:
        """A closed tab is no error."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    """Seconds that a browser may take to read; after that, its connection is given up."""

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):  # a page elsewhere, whose name was made to lead here
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._send("text/html; charset=utf-8", PAGE.encode())
        elif self.path == "/stream":
            self._stream()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        assert isinstance(self.server, _Server)
        self.wfile.write(b"--frame\r\n")
        number = 0
        while (newest := self.server.latest.after(number)) is not None:
            number, jpeg = newest
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            # With the next boundary: a browser shows a picture when it knows that it has all of it.
            self.wfile.write(head.encode() + jpeg + b"\r\n--frame\r\n")

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing: the terminal belongs to the run."""
