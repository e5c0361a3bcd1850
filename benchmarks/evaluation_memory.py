"""How memory and time of an evaluation grow with the images, the network left out.

    uv run benchmarks/evaluation_memory.py 1000 10000

Each number of images is a process of its own. Images are 640 by 480, have 8 objects of ten classes and 20 detections;
annotations are written to a folder that is removed at the end.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from yolact.evaluate import CocoEvaluator
from yolact.evaluate.result_files import ResultFiles
from yolact.instances import Instances
from yolact.presets import yolact_mobilenetv4

SIZE, CELLS, OBJECTS, DETECTIONS = (480, 640), (96, 128), 8, 20
CLASSES = tuple(f"class {i}" for i in range(10))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=int, nargs="+")
    parser.add_argument("--alone", action="store_true", help="measure in this process")
    arguments = parser.parse_args()
    if arguments.alone:
        print(measure(arguments.images[0]))
        return 0
    print(f"{'images':>8}{'MB before':>12}{'MB with annotations':>21}{'MB at most':>12}{'ms an image':>13}", flush=True)
    for images in arguments.images:
        subprocess.run([sys.executable, __file__, "--alone", str(images)], check=True)
    return 0


def measure(images: int) -> str:
    found = [detections(np.random.default_rng(i)) for i in range(50)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "truth.json"
        write_annotations(path, images, found)
        before = peak()
        with ResultFiles(Path(folder)) as results:
            evaluator = CocoEvaluator(path, config(), apart=True, pictures=True, results=results)
            read, start = peak(), time.perf_counter()
            for i in range(images):
                evaluator.update(i, found[i % len(found)])
            evaluator.compute()
            took = 1000 * (time.perf_counter() - start) / images
    return f"{images:>8}{before:>12.0f}{read:>21.0f}{peak():>12.0f}{took:>13.1f}"


def peak() -> float:
    """The most memory that this process has held so far, in MB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def config():
    return yolact_mobilenetv4(class_names=CLASSES, category_ids=())


def detections(random: np.random.Generator) -> Instances:
    """Ellipses, each a prototype of its own, in boxes that are off by some pixels."""
    rows, columns = np.mgrid[: CELLS[0], : CELLS[1]]
    centers, radii = random.uniform(10, 86, (DETECTIONS, 2)), random.uniform(4, 24, (DETECTIONS, 2))
    parts = zip(centers, radii, strict=True)
    shapes = [1 - ((rows - c[0]) / r[0]) ** 2 - ((columns - c[1]) / r[1]) ** 2 for c, r in parts]
    corners = np.concatenate([centers - radii, centers + radii], axis=1)[:, [1, 0, 3, 2]] * 5
    scores = np.sort(random.random(DETECTIONS).astype(np.float32))[::-1].copy()
    found = Instances(
        boxes=(corners + random.uniform(-8, 8, corners.shape)).astype(np.float32),
        scores=scores,
        mask_scores=scores,
        labels=random.integers(0, len(CLASSES), DETECTIONS),
        coefficients=np.eye(DETECTIONS, dtype=np.float32),
        windows=np.zeros((DETECTIONS, 4), np.int32),
        prototypes=np.stack(shapes).astype(np.float32) * 8,
        image_size=SIZE,
        class_names=CLASSES,
        category_ids=config().coco_ids,
        image=random.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
    )
    return replace(found, windows=found.recropped(found.boxes.astype(np.float64) - 1e-6).windows)


def write_annotations(path: Path, images: int, found: list[Instances]) -> None:
    """The first detections of each image are its objects, moved by some pixels."""
    objects = [each[:OBJECTS].polygons(tolerance=1) for each in found]
    with path.open("w") as file:
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
        sizes = [{"id": i, "height": SIZE[0], "width": SIZE[1], "file_name": f"{i}.jpg"} for i in range(images)]
        file.write(f'{{"categories": {json.dumps(categories)}, "images": {json.dumps(sizes)}, "annotations": [')
        for i in range(images):
            each, outlines = found[i % len(found)], objects[i % len(found)]
            for j, rings in enumerate(outlines):
                x1, y1, x2, y2 = each.boxes[j].tolist()
                annotation = {
                    "image_id": i,
                    "category_id": int(each.labels[j]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "segmentation": [(ring + 3).round(1).ravel().tolist() for ring in rings],
                }
                file.write((", " if i + j else "") + json.dumps(annotation))
        file.write("]}")


if __name__ == "__main__":
    sys.exit(main())
