"""What Ray costs and gives: overhead against the plain predictor, a second worker, many images with damaged ones.

    uv run --extra ray benchmarks/cluster.py overhead
    uv run --extra ray benchmarks/cluster.py scaling
    uv run --extra ray benchmarks/cluster.py many --images 20000

Each worker has one thread. Rates of Ray are those after its start, by the times of the result files: from the moment
that each worker has finished two chunks until the last chunk. Images are drawn, and written to a folder that is removed
at the end.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from yolact import checkpoint, load
from yolact.apps.cluster.listing import list_source
from yolact.apps.cluster.model_files import pack_model
from yolact.apps.cluster.storage import open_folder
from yolact.apps.cluster.worker import Work, Worker
from yolact.model import build_model
from yolact.presets import yolact_mobilenetv4

CORRUPT = 100
"""One image in so many is cut in half."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "scaling", "many"))
    parser.add_argument("--images", type=int)
    parser.add_argument("--chunk", type=int)
    parser.add_argument("--weights", help="of overhead and scaling; those in the package if not given")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        {"overhead": overhead, "scaling": scaling, "many": many}[given.what](Path(folder), given)
    return 0


def overhead(folder: Path, given: argparse.Namespace) -> None:
    """The same images through the predictor, through a worker without Ray, and on Ray."""
    photos = draw(folder / "photos", given.images or 240, (480, 640), corrupt=False)
    paths, chunk = sorted(photos.rglob("*.jpg")), given.chunk or 16
    predictor = load(given.weights, "cpu")
    predictor.predict(paths[0]).rles()
    start = time.perf_counter()
    for instances in predictor.predict(paths):
        instances.rles()
    report("Predictor.predict and RLE, no files written", len(paths) / (time.perf_counter() - start))
    model, out, listing = (
        pack_model(given.weights, None),
        open_folder(str(folder / "plain")),
        list_source(str(photos), chunk),
    )
    model.write(out)
    worker = Worker(Work(listing=listing, out=out, model=model.without_bytes(), request={}))
    start = time.perf_counter()
    for part in listing.chunks:
        worker({"chunk": part.to_json()})
    report("a worker without Ray", len(paths) / (time.perf_counter() - start))
    rate, seconds, _ = on_ray(photos, folder / "ray", 1, chunk, given.weights)
    report(f"one worker on Ray ({seconds:.0f} s from start to end)", rate)


def scaling(folder: Path, given: argparse.Namespace) -> None:
    photos = draw(folder / "photos", given.images or 240, (480, 640), corrupt=False)
    rates = [on_ray(photos, folder / f"{count}", count, given.chunk or 8, given.weights)[0] for count in (1, 2)]
    for count, rate in zip((1, 2), rates, strict=True):
        report(f"{count} worker{'s' * (count > 1)}", rate)
    print(f"two workers do {rates[1] / rates[0]:.2f} times the work of one")


def many(folder: Path, given: argparse.Namespace) -> None:
    """Counts, and rate and memory over time."""
    count = given.images or 20_000
    photos = draw(folder / "photos", count, (48, 64), corrupt=True)
    torch.manual_seed(0)
    network = build_model(yolact_mobilenetv4(image_size=(96, 96), class_names=("cat", "dog"), width=32)).eval()
    weights = str(checkpoint.save(folder / "small.safetensors", network))
    options = ("--score-threshold", "0", "--top-k", "5")
    rate, seconds, memory = on_ray(photos, folder / "out", 2, given.chunk or 256, weights, *options)
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    expected = {"images": count, "errors": len(range(0, count, CORRUPT))}
    print({name: manifest[name] for name in ("images", "errors", "instances")}, "expected", expected)
    assert {name: manifest[name] for name in expected} == expected
    report(f"two workers ({seconds:.0f} s from start to end)", rate)
    busy = memory[len(memory) // 5 :]  # behind the start
    for tenth in range(10):
        rows = busy[len(busy) * tenth // 10 : len(busy) * (tenth + 1) // 10] or busy[-1:]
        shown = ", ".join(f"{name} {np.mean([row.get(name, 0) for row in rows]):.0f}" for name in rows[-1])
        print(f"megabytes in tenth {tenth + 1}: {shown}")


def draw(folder: Path, count: int, size: tuple[int, int], corrupt: bool) -> Path:
    random = np.random.default_rng(0)
    for i in range(count):
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        file = io.BytesIO()
        noise.resize((size[1], size[0]), Image.Resampling.BICUBIC).save(file, "JPEG")
        content = file.getvalue()
        path.write_bytes(content[: len(content) // 2] if corrupt and i % CORRUPT == 0 else content)
    return folder


def on_ray(
    photos: Path, out: Path, workers: int, chunk: int, weights: str | None, *options: str
) -> tuple[float, float, list[dict[str, float]]]:
    """Images a second, seconds from start to end, and megabytes of each kind of process, each second."""
    command = [sys.executable, "-m", "yolact", "predict", str(photos), "--ray", "--ray.address", "local"]
    command += ["--out", str(out), "--ray.workers", str(workers), "--ray.chunk", str(chunk), *options]
    command += ["--weights", weights] if weights else []
    start, memory = time.perf_counter(), list[dict[str, float]]()
    process = subprocess.Popen(command)
    while process.poll() is None:
        memory.append(megabytes(process.pid))
        time.sleep(1)
    seconds = time.perf_counter() - start
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    done = sorted(path.stat().st_mtime for path in (out / "images").iterdir())
    parts = json.loads((out / "manifest.json").read_text())["parts"]
    first = 2 * workers
    images = sum(part["images"] for part in parts) * (len(done) - first) / len(done)
    return images / (done[-1] - done[first - 1]), seconds, memory


def megabytes(process: int) -> dict[str, float]:
    """Memory that is nobody else's, of the driver, the workers and the rest of Ray."""
    found = {"driver": 0.0, "workers": 0.0, "rest of Ray": 0.0}
    for number, command in [(process, "driver"), *descendants(process)]:
        name = "driver" if number == process else "workers" if "MapWorker" in command else "rest of Ray"
        try:
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended meanwhile
            continue
        private = [line for line in lines if line.startswith("Private_")]
        found[name] += sum(int(line.split()[1]) for line in private) / 1000
    return found


def descendants(process: int) -> Iterator[tuple[int, str]]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder.name))
    waiting = list(children.get(process, []))
    while waiting:
        number = waiting.pop()
        waiting += children.get(number, [])
        try:
            yield number, Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue


def report(what: str, rate: float) -> None:
    print(f"{rate:8.1f} images a second: {what}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
