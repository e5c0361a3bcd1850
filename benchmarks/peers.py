"""Side by side: this package, the original code, torchvision's Mask R-CNN and what else is there, on this machine.

    uv run --all-extras benchmarks/peers.py --original PATH_OF_A_CLONE
    uv run --all-extras benchmarks/peers.py --only eager openvino-int8 mask-rcnn --rounds 5 --json peers.json

Each contender has a process of its own. They compute in turn, A B A B ..., never two at a time, on the same photographs
in memory: photograph in, masks of 100 detections at the photograph's size out. The weights are the same for ours and
the original's, see `contenders/weights.py`; what both found is compared. A contender that cannot be built here is left
out, and named. Prints Markdown.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from contenders import OURS, Entry, Times
from contenders.standings import Summary, summarize, table, targets, with_agreement
from contenders.worker import Worker

ROOT = Path(__file__).parent.parent


def main() -> int:
    arguments = parse()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read by each worker as it starts
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["YOLACT_CACHE"] = str(folder.resolve())  # graphs that are only for this comparison
        photographs, facts = prepare(arguments, folder)
        entries = roster(arguments, folder)
        workers, left_out = start(entries, photographs, arguments.threads)
        try:
            times, failed = alternate(workers, arguments.rounds, arguments.pause)
            found = {key: worker.ask("find") for key, worker in workers.items() if key not in failed}
        finally:
            for worker in workers.values():
                worker.stop()
    summaries = {
        key: summarize(workers[key].entry.name, workers[key].description, rounds) for key, rounds in times.items()
    }
    summaries = with_agreement(summaries, found)
    print(report(summaries, facts, left_out | failed, arguments))
    if arguments.json is not None:
        rounds = {key: times[key] for key in summaries}
        content = {"facts": facts, "summaries": {k: asdict(s) for k, s in summaries.items()}, "rounds": rounds}
        arguments.json.write_text(json.dumps(content, indent=1))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, help="a clone of the original code")
    parser.add_argument("--configuration", default="yolact_resnet50", help="as the original calls it")
    parser.add_argument("--photographs", type=Path, nargs="*", default=[ROOT / "photos"], help="files and folders")
    parser.add_argument("--ultralytics", type=Path, nargs="*", default=[], help="weights of segmentation models")
    parser.add_argument("--only", nargs="*", help=f"of original, {', '.join(OURS)}, mask-rcnn, mask-rcnn-550, ...")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between turns, in which threads fall asleep")
    parser.add_argument("--keep", type=Path, help="a folder for the weights and graphs, which are used again")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def prepare(arguments: argparse.Namespace, folder: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """The photographs and the weights to compare on, made once for a folder; and what is to be known of them."""
    from contenders import weights

    from yolact.host import host_facts
    from yolact.images import read_image
    from yolact.sources import find_images

    kept = folder / f"{arguments.configuration}.json"
    photographs = [read_image(path) for source in arguments.photographs for path in find_images(source)]
    file = folder / f"{arguments.configuration}.pth"
    if kept.exists() and file.exists():
        fit = weights.Fit(**json.loads(kept.read_text()))
        photographs = [weights.with_contrast(p, c) for p, c in zip(photographs, fit.contrast, strict=True)]
    else:
        photographs, fit = weights.make(arguments.configuration, photographs, ROOT / "tests/data/parity", file)
        kept.write_text(json.dumps(asdict(fit)))
    return photographs, {"weights": asdict(fit), "host": host_facts(), "threads": arguments.threads}


def roster(arguments: argparse.Namespace, folder: Path) -> list[Entry]:
    """Everybody who may take part."""
    file = folder / f"{arguments.configuration}.pth"
    entries = []
    if arguments.original is not None:
        options = {"clone": arguments.original.resolve(), "configuration": arguments.configuration, "file": file}
        entries.append(Entry("original", "original, PyTorch float32", "contenders.original", options))
    for key, (name, options) in OURS.items():
        options = {"file": file, "folder": folder, "configuration": arguments.configuration, **options}
        entries.append(Entry(key, f"ours, {name}", "contenders.ours", options, is_ours=True))
    for size, suffix in ((None, ""), ((550, 550), "-550")):
        for precision, ending in (("float32", ""), ("bfloat16", "-bf16")):
            options = {"size": size, "precision": precision}
            name = f"Mask R-CNN, {'550x550' if size else 'default size'}, {precision}"
            entries.append(Entry(f"mask-rcnn{suffix}{ending}", name, "contenders.mask_rcnn", options))
    for weights in arguments.ultralytics:
        entries.append(Entry(weights.stem, weights.stem, "contenders.ultralytics_models", {"file": weights}))
    unknown = sorted(set(arguments.only or ()) - {entry.key for entry in entries})
    if unknown:
        sys.exit(f"peers: {', '.join(unknown)}: unknown here; there are {', '.join(entry.key for entry in entries)}")
    return [entry for entry in entries if not arguments.only or entry.key in arguments.only]


def start(
    entries: list[Entry], photographs: list[np.ndarray], threads: int
) -> tuple[dict[str, Worker], dict[str, str]]:
    """Build one contender after the other; those that cannot be built, and why."""
    workers, left_out = {}, {}
    for entry in entries:
        print(f"building {entry.name} ...", file=sys.stderr, flush=True)
        worker = Worker(entry, photographs, threads)
        try:
            worker.description = worker.receive()
        except RuntimeError as error:
            worker.stop()
            left_out[entry.key] = str(error)
        else:
            workers[entry.key] = worker
    return workers, left_out


def alternate(
    workers: dict[str, Worker], rounds: int, pause: float
) -> tuple[dict[str, list[list[Times]]], dict[str, str]]:
    """The times of every photograph in every round, one contender after the other in each."""
    times: dict[str, list[list[Times]]] = {key: [] for key in workers}
    failed: dict[str, str] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for key, worker in workers.items():
            if key in failed:
                continue
            time.sleep(pause)
            try:
                times[key].append(worker.ask("measure"))
            except RuntimeError as error:
                failed[key] = str(error)
    return {key: rounds for key, rounds in times.items() if rounds and key not in failed}, failed


def report(
    summaries: dict[str, Summary], facts: dict[str, Any], left_out: dict[str, str], arguments: argparse.Namespace
) -> str:
    """Markdown: the table, the targets, and what both depend on."""
    fit, host = facts["weights"], facts["host"]
    lines = [
        f"{arguments.configuration}, {arguments.rounds} rounds, {arguments.threads} threads, {host['processor']}"
        f" ({' '.join(host['instructions'])}), torch {host['torch']}",
        f"Anchors above 0.05: {', '.join(map(str, fit['passing']))}; boxes of the detections:"
        f" {100 * fit['mean_area']:.1f} % of the picture on average, median {100 * fit['median_area']:.1f} %",
        "",
        *table(summaries),
        "",
        *targets(summaries),
        "",
        *(f"- {summary.name}: {summary.description}" for summary in summaries.values()),
        *(f"- left out: {key}: {reason}" for key, reason in left_out.items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
