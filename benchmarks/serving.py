"""Does `yolact serve` keep up with the network, stay within its memory, and never mix answers up?

    uv run --extra serve benchmarks/serving.py
    uv run --extra serve --extra openvino benchmarks/serving.py --runtime openvino

Starts a server on loopback. In turns, `yolact benchmark` measures batches of the same photographs, and clients, each
with a connection of its own, ask the server without pause; every answer is compared with the one that its own
photograph got before, when nobody else asked. Then the model's process is killed in the middle; and at last more
clients come than the queue has places for. Prints Markdown. Linux only.
"""

import argparse
import asyncio
import io
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

PHOTOGRAPHS = Path(__file__).parents[1] / "photos"
THRESHOLD = 0.15


@dataclass
class Load:
    """What clients saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Of right answers."""

    statuses: Counter[int] = field(default_factory=Counter)
    refusals: list[float] = field(default_factory=list)
    """Seconds that refusals took."""

    wrong: int = 0
    """Answers that belong to another photograph, or to none."""

    memory: list[float] = field(default_factory=list)
    """MB of the server and its processes, once a second."""

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.latencies, share)) if self.latencies else float("nan")

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def row(self, name: str) -> str:
        first, last = (statistics.median(part) for part in (self.memory[:5], self.memory[-5:]))
        return (
            f"| {name} | {self.rate:.1f} | {self.percentile(50):.2f} | {self.percentile(99):.2f} |"
            f" {self.percentile(99) / self.percentile(50):.1f} | {self.wrong} |"
            f" {sum(count for status, count in self.statuses.items() if status != 200)} | {first:.0f} | {last:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=2, help="of benchmark and load, in turns")
    parser.add_argument("--weights")
    parser.add_argument("--runtime")
    parser.add_argument("--precision")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--batch-size", type=int, default=8, help="of yolact benchmark")
    parser.add_argument("--only", choices=("load", "kill", "overload"))
    arguments = parser.parse_args()
    model = [f"--{name}={value}" for name in ("runtime", "precision") if (value := getattr(arguments, name))]
    model += ["--compile"] if arguments.compile else []
    with tempfile.TemporaryDirectory() as folder:
        files = variants(Path(folder))
        if arguments.only in (None, "load"):
            measure_load(arguments, model, files, Path(folder))
        if arguments.only in (None, "kill"):
            measure_kill(arguments, model, files)
        if arguments.only in (None, "overload"):
            measure_overload(arguments, model, files)


def variants(folder: Path) -> list[bytes]:
    """JPEG files, no two of which have the same answer."""
    files = []
    for path in sorted(PHOTOGRAPHS.glob("*.jpg")):
        photograph = Image.open(path)
        width, height = photograph.size
        for mirrored in (photograph, ImageOps.mirror(photograph)):
            for left in (0, 12, 24, 36):
                file = io.BytesIO()
                mirrored.crop((left, 0, width, height)).save(file, "JPEG", quality=90)
                files.append(file.getvalue())
                (folder / f"{len(files):03d}.jpg").write_bytes(file.getvalue())
    return files


def measure_load(arguments: argparse.Namespace, model: list[str], files: list[bytes], folder: Path) -> None:
    shares = []
    print("| | images a second | p50, s | p99, s | p99 / p50 | wrong | failed | MB, first | MB, last |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for number in range(arguments.rounds):
        network = network_rate(arguments, model, folder)
        with Server(arguments, model) as server:
            load = asyncio.run(server.load(files, arguments.clients, arguments.seconds))
        shares.append(load.rate / network)
        print(f"| `yolact benchmark`, {number + 1} | {network:.1f} | | | | | | | |")
        print(load.row(f"{arguments.clients} clients, {number + 1}"), flush=True)
    print(f"\nthe server's share of the network's rate: {', '.join(f'{share:.2f}' for share in shares)}\n", flush=True)


def measure_kill(arguments: argparse.Namespace, model: list[str], files: list[bytes]) -> None:
    """The model's process ends by SIGKILL twice, while it has requests of all clients."""
    with Server(arguments, model) as server:
        load = asyncio.run(server.load(files, arguments.clients, max(arguments.seconds, 40), kill_at=(5, 20)))
    print(
        f"process killed twice: {len(load.latencies)} right, {load.wrong} wrong,"
        f" {dict(load.statuses)}; slowest {max(load.latencies):.1f} s\n",
        flush=True,
    )


def measure_overload(arguments: argparse.Namespace, model: list[str], files: list[bytes]) -> None:
    clients, places = 4 * arguments.clients, arguments.clients // 2
    with Server(arguments, model, f"--queue={places}") as server:
        load = asyncio.run(server.load(files, clients, arguments.seconds / 3))
    slow = float(np.percentile(load.refusals, 99)) if load.refusals else float("nan")
    print(
        f"{clients} clients for {places} places: {load.rate:.1f} answers a second, p99 {load.percentile(99):.2f} s;"
        f" {len(load.refusals)} refused, p99 {1000 * slow:.0f} ms; {load.wrong} wrong, {dict(load.statuses)}"
    )


def network_rate(arguments: argparse.Namespace, model: list[str], folder: Path) -> float:
    """Images a second by `yolact benchmark`, from photographs in memory to masks."""
    command = [sys.executable, "-m", "yolact", "benchmark", "--photographs", str(folder), *model]
    command += ["--weights", arguments.weights] if arguments.weights else []
    command += [f"--batch-size={arguments.batch_size}", f"--score-threshold={THRESHOLD}", "--rounds=3", "--warm-up=1"]
    with tempfile.TemporaryDirectory() as results:
        subprocess.run([*command, "--out", f"{results}/report.json"], check=True, stdout=subprocess.DEVNULL)
        return json.loads(Path(results, "report.json").read_text())["images_per_second"]


class Server:
    """`yolact serve` on a free port of loopback."""

    def __init__(self, arguments: argparse.Namespace, model: list[str], *options: str) -> None:
        command = [sys.executable, "-m", "yolact", "serve", *filter(None, [arguments.weights])]
        self._process = subprocess.Popen([*command, "--port=0", *model, *options], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.match(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise SystemExit("the server did not start")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        if code := self._process.wait(60):
            raise SystemExit(f"the server ended with {code}")

    def processes(self) -> list[int]:
        """Itself, and those that it started."""
        own = self._process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *map(int, children)]

    def memory(self) -> float:
        total = 0.0
        for process in self.processes():
            try:
                pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            except OSError:
                continue
            total += pages * os.sysconf("SC_PAGESIZE") / 1e6
        return total

    def model_process(self) -> int:
        """The one that takes most memory."""
        return max(self.processes()[1:], key=lambda pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]))

    async def load(self, files: list[bytes], clients: int, seconds: float, kill_at: tuple[float, ...] = ()) -> Load:
        load = Load()
        first = Client(self.port)
        expected = [(await first.ask(file))[1] for file in files]
        assert len(set(expected)) == len(files)
        began = time.monotonic()
        ending = began + seconds

        async def ask_on(client: Client, number: int) -> None:
            while time.monotonic() < ending:
                number += 1
                start = time.monotonic()
                status, body = await client.ask(files[number % len(files)])
                took = time.monotonic() - start
                load.statuses[status] += 1
                if status != 200:
                    load.refusals.append(took)
                    await asyncio.sleep(0.1)  # Retry-After says a second or more
                elif alike(body, expected[number % len(files)]):
                    load.latencies.append(took)
                else:
                    load.wrong += 1

        async def watch() -> None:
            pending = sorted(kill_at)
            while True:
                load.memory.append(self.memory())
                if pending and time.monotonic() - began > pending[0]:
                    os.kill(self.model_process(), signal.SIGKILL)
                    pending.pop(0)
                await asyncio.sleep(1)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(ask_on(Client(self.port), 7 * number) for number in range(clients)))
        watching.cancel()
        load.seconds = time.monotonic() - began
        return load


class Client:
    """One connection that stays open; as little work as possible, since it shares the processors with the server."""

    def __init__(self, port: int) -> None:
        self._port, self._streams = port, None

    async def ask(self, file: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(file))
        writer.write(file)
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert found is not None
        body = await reader.readexactly(int(found[1]))
        if b"connection: close" in head.lower():
            writer.close()
            self._streams = None
        return int(head.split(b" ", 2)[1]), body


def alike(body: bytes, expected: bytes) -> bool:
    """Equal, but for the rounding that comes with another batch."""
    if body == expected:
        return True
    ours, theirs = (json.loads(text)["images"][0] for text in (body, expected))
    if (ours["width"], ours["height"]) != (theirs["width"], theirs["height"]):
        return False
    best = [[one for one in found["instances"] if one["score"] > 2 * THRESHOLD] for found in (ours, theirs)]
    return abs(len(best[0]) - len(best[1])) <= 1 and all(
        np.allclose(one["bbox"], other["bbox"], atol=1) for one, other in zip(*best, strict=False)
    )


if __name__ == "__main__":
    main()
