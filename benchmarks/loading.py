"""How quickly training samples come: decoding, augmenting, caching, and loader processes; and what annotations weigh.

    uv run --extra train benchmarks/loading.py ../shared/data/coco-mini

The folder has `train/` and `instances_train.json`. Each figure is the median of several epochs, taken in turns.
"""

import argparse
import gc
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from yolact.data.augmentation import Augmentation
from yolact.data.cache import PixelCache
from yolact.data.coco import CocoDataset
from yolact.data.loader import EpochBatches, Share, TrainingSamples, training_loader
from yolact.data.packed import Packed
from yolact.data.source import Source
from yolact.host import host_facts
from yolact.presets import yolact_resnet50

VARIANTS = {
    "ssd (the paper's)": Augmentation(),
    "jitter": Augmentation("jitter"),
    "jitter, copy-paste 0.5": Augmentation("jitter", copy_paste=0.5),
    "ssd, mosaic 0.5": Augmentation(mosaic=0.5),
    "resize only": Augmentation("none"),
}

OUTLINES = 860_001
"""Annotations of COCO 2017's training images."""


def rate(dataset: CocoDataset, augmentation: Augmentation, workers: int, epoch: int) -> float:
    """Samples a second over one epoch, the start of the processes included in none of them."""
    config = yolact_resnet50().with_classes(dataset.classes)
    samples = TrainingSamples(dataset, config, seed=0, augmentation=augmentation)
    done = epoch * len(dataset) // 8
    batches = EpochBatches(len(dataset), 0, Share(8), config.image_size, lambda: done)
    iterator = iter(training_loader(samples, batches, workers))
    next(iterator)
    started, count = time.perf_counter(), 0
    for images, _ in iterator:
        count += len(images)
    return count / (time.perf_counter() - started)


def compare(folder: Path, rounds: int, workers: tuple[int, ...]) -> None:
    source = (Source(folder / "train", folder / "instances_train.json"),)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        datasets = {"": CocoDataset(source), ", cached": CocoDataset(source, cache=PixelCache(Path(cache)))}
        cases = list(itertools.product(VARIANTS, workers, datasets))
        found: dict[tuple[str, int, str], list[float]] = {case: [] for case in cases}
        for epoch in range(rounds):
            for name, count, stored in cases:
                found[name, count, stored].append(rate(datasets[stored], VARIANTS[name], count, epoch))
    print(f"\nsamples a second at 550 x 550, {len(datasets[''])} photographs, median of {rounds} epochs\n")
    print(f"| augmentation | {' | '.join(f'{n} processes{s}' for n in workers for s in datasets)} |")
    print(f"|---|{'---|' * (len(workers) * len(datasets))}")
    for name in VARIANTS:
        figures = (statistics.median(found[name, n, s]) for n in workers for s in datasets)
        print(f"| {name} | {' | '.join(f'{figure:.0f}' for figure in figures)} |")


def weigh() -> None:
    """What outlines such as COCO's take in memory: as Python's lists, and as they are kept."""
    random = np.random.default_rng(0)
    lengths = 2 * random.integers(10, 50, OUTLINES // 20)  # a twentieth of them is enough to measure
    gc.collect()
    before = resident()
    outlines = [[round(float(x), 2) for x in random.uniform(0, 640, n)] for n in lengths]
    as_lists = resident() - before
    packed = Packed(outlines).nbytes
    print(
        f"\n{OUTLINES:,} outlines: {20 * as_lists / 1e9:.2f} GB as lists, {20 * packed / 1e9:.2f} GB as they are kept"
    )


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print(", ".join(f"{name}: {value}" for name, value in host_facts().items()))
    weigh()
    compare(options.folder, options.rounds, tuple(options.workers))


if __name__ == "__main__":
    main()
