"""Does `yolact predict` on a video run as fast as the network alone, and does its memory stay the same?

    uv run --extra video benchmarks/video.py --frames FOLDER
    uv run --extra video --extra openvino benchmarks/video.py --frames FOLDER --runtime openvino
    uv run --extra video benchmarks/video.py --frames FOLDER --compile --precision bfloat16

Makes a clip of the photographs in FOLDER. In turns, the same frames, decoded beforehand, go through `predict` and
nothing else, and the clip becomes a video with masks and JSON lines. Then the clip and the same clip ten times over,
each in a process of its own, for the most memory that it takes. Prints a Markdown table.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from threading import Thread
from typing import Any

from yolact.images import read_image
from yolact.predictor import Predictor, load
from yolact.sources import find_images
from yolact.video.results import VideoResults
from yolact.video.sources import open_source
from yolact.video.stages import segment
from yolact.video.writing import VideoWriter

RATE = Fraction(24)
LOOPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, help="a folder of photographs of one size")
    parser.add_argument("--limit", type=int, default=90, help="frames of the clip")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights")
    parser.add_argument("--runtime")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--score-threshold", type=float, default=0.15)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--alone", type=Path, help="measure the memory of this clip, in this process")
    arguments = parser.parse_args()
    if arguments.alone is not None:
        with tempfile.TemporaryDirectory() as folder:
            write_results(_load(arguments), arguments.alone, Path(folder), arguments.score_threshold)
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")  # Linux counts in KiB
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(arguments.frames, Path(folder) / "clip.mp4", arguments.limit)
        rates(_load(arguments), clip, Path(folder), arguments.rounds, arguments.score_threshold)
        if not arguments.no_memory:
            longer = make_clip(arguments.frames, Path(folder) / "longer.mp4", arguments.limit, LOOPS)
            for path, name in ((clip, "the clip"), (longer, f"the clip {LOOPS} times over")):
                command = [sys.executable, *sys.argv, "--alone", str(path)]
                peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
                print(f"most memory for {name}: {peak} MB", flush=True)


def make_clip(frames: Path, path: Path, limit: int, loops: int = 1) -> Path:
    pictures = find_images(frames)[:limit]
    with VideoWriter(path, RATE) as writer:
        for number in range(loops * len(pictures)):
            writer.write(read_image(pictures[number % len(pictures)]), float(number / RATE))
    return path


def rates(predictor: Predictor, clip: Path, folder: Path, rounds: int, threshold: float) -> None:
    pixels = [frame.pixels for frame in open_source(str(clip))]

    def network() -> None:
        for each in pixels:
            predictor.predict(each, threshold)

    def in_a_thread() -> None:  # OpenMP's threads wait in another way for a program's second thread that computes
        thread = Thread(target=network)
        thread.start()
        thread.join()

    def unwritten() -> None:
        for _ in segment(predictor, str(clip), score_threshold=threshold):
            pass

    contenders: dict[str, Callable[[], None]] = {
        "network alone, in a thread, frames in memory": in_a_thread,
        "network alone, in the main thread": network,
        "decoded": unwritten,
        "`yolact predict`: decoded, drawn, encoded, JSON lines": lambda: write_results(
            predictor, clip, folder, threshold
        ),
    }
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    busy: dict[str, list[float]] = {name: [] for name in contenders}
    for name in contenders:  # the first time, things are compiled
        contenders[name]()
    for _ in range(rounds):
        for name, work in contenders.items():
            start, begun = time.perf_counter(), time.process_time()
            work()
            measured[name].append((time.perf_counter() - start) / len(pixels))
            busy[name].append((time.process_time() - begun) / len(pixels))
    alone = measured[next(iter(contenders))]
    print(f"{predictor.runtime.describe()}; {len(pixels)} frames of {pixels[0].shape[1]}x{pixels[0].shape[0]}\n")
    print("| | frames a second | share of the network's, median (least, most) | ms of processor a frame |")
    print("|---|---|---|---|")
    for name, seconds in measured.items():
        shares = [before / after for before, after in zip(alone, seconds, strict=True)]
        rate = 1 / statistics.median(seconds)
        share = f"{statistics.median(shares):.2f} ({min(shares):.2f}, {max(shares):.2f})"
        print(f"| {name} | {rate:.1f} | {share} | {1000 * statistics.median(busy[name]):.0f} |")
    print(flush=True)


def write_results(predictor: Predictor, clip: Path, folder: Path, threshold: float) -> None:
    """What the verb does."""
    source = open_source(str(clip))
    results = VideoResults(folder / "results", source, {})
    for result in segment(predictor, source, score_threshold=threshold):
        results.add(result, result.instances.plot())
    results.finish()


def _load(arguments: Any) -> Predictor:
    return load(arguments.weights, runtime=arguments.runtime, precision=arguments.precision, compile=arguments.compile)


if __name__ == "__main__":
    main()
