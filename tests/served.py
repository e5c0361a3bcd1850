"""A real server on loopback, in a process of its own."""

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PATIENCE = 60


class Served:
    """`yolact serve` on a free port, until `stop`."""

    def __init__(self, *arguments: str | Path, **environment: str) -> None:
        command = [sys.executable, "-m", "yolact", "serve", *map(str, arguments), "--port", "0", "--device", "cpu"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        # Whatever happens to the tests, no server stays.
        self._killer = threading.Timer(60 * PATIENCE, self.process.kill)
        self._killer.daemon = True
        self._killer.start()
        self.said: list[str] = []
        self.complaints = ""
        """What it wrote to stderr, once it has stopped."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if found := re.match(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, address: str, body: Any = None, method: str | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers, lower case, of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), address, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def predict(self, body: Any, **options: Any) -> dict[str, Any]:
        """The one image's entry."""
        query = "&".join(f"{name}={value}" for name, value in {"score_threshold": 0, "top_k": 5, **options}.items())
        status, answer, _ = self.ask(f"/predict?{query}", body)
        assert status == 200, answer
        (image,) = json.loads(answer)["images"]
        return image

    def children(self) -> list[int]:
        """The processes of its models, and Python's own for cleaning up, by what they take of memory."""
        own = self.process.pid
        found = [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
        return sorted(found, key=lambda pid: -int(Path(f"/proc/{pid}/statm").read_text().split()[1]))

    def until_ready(self) -> None:
        over = time.monotonic() + PATIENCE
        while self.ask("/ready")[0] != 200:
            assert time.monotonic() < over
            time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE)
        self._killer.cancel()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.complaints = self.process.stderr.read()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        return code


def jpeg(seed: int, size: tuple[int, int] = (90, 120), format: str = "JPEG") -> bytes:
    """Blobs; (height, width)."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((size[1], size[0]), Image.Resampling.BICUBIC).save(file, format)
    return file.getvalue()


def multipart(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """A body and its content type."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="images"; filename="{name}"\r\n\r\n'.encode() + file + b"\r\n"
        for name, file in files
    ]
    return b"".join(parts) + b"--edge--\r\n", "multipart/form-data; boundary=edge"
