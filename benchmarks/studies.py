"""The claims of the paper, tested on data that fit a laptop: docs/studies.md has the results and what they say.

    uv run --all-extras --with matplotlib benchmarks/studies.py nms
    uv run --all-extras --with matplotlib benchmarks/studies.py prototypes --backbone-weights FILE
    uv run --all-extras --with matplotlib benchmarks/studies.py ablations --backbone-weights FILE
    uv run --all-extras --with matplotlib benchmarks/studies.py mask-rcnn --backbone-weights FILE
    uv run --all-extras benchmarks/studies.py mask-rcnn-rate --backbone-weights FILE    (which learning rate is best)
    uv run --all-extras --with matplotlib benchmarks/studies.py translation
    uv run --all-extras --with matplotlib benchmarks/studies.py crops
    uv run --all-extras --with matplotlib benchmarks/studies.py stability --backbone-weights FILE
    uv run --all-extras --with matplotlib benchmarks/studies.py all --backbone-weights FILE
    uv run --all-extras --with matplotlib benchmarks/studies.py report

Each training has a fixed seed and budget (`studied/runs.py`). What has been measured lies in `studied/results`, a file
a run, and is not measured again: an interrupted study goes on where it was. Each command ends with `report`, which
writes tables and pictures into docs/. FILE: ImageNet weights of EfficientNet-Lite0, see src/yolact/weights/README.md.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from studied import RESULTS, crops, peer, report, solid, stability, suppression
from studied.measuring import measure_weights
from studied.runs import BASELINE, PEER, SEEDS, VARIANTS, Run, all_runs
from studied.turns import result_file, train_and_measure, work_off, write_result

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "studies.md"
PICTURES = ROOT / "docs" / "pictures"
TRAININGS = {
    "prototypes": tuple(variant for variant in VARIANTS if variant.startswith("prototypes-")),
    "ablations": (BASELINE, "no-crop", "no-semantic", "no-tanh"),
    "mask-rcnn": (BASELINE, PEER),
    "all": tuple(VARIANTS),
}
"""Which variants a study trains."""


def main() -> int:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    try:
        study(arguments)
    except ValueError as error:
        print(f"studies: {error}", file=sys.stderr)
        return 2
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "study", choices=("nms", *TRAININGS, "mask-rcnn-rate", "translation", "crops", "stability", "report")
    )
    parser.add_argument("--backbone-weights", help="ImageNet weights that trainings start from")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "studies", help="where trained weights are kept")
    parser.add_argument("--threads", type=int, default=1, help="for each training, and for what is timed")
    parser.add_argument("--again", action="store_true", help="measure what trains nothing although it has been")
    return parser.parse_args()


def study(arguments: argparse.Namespace) -> None:
    """
    Raises:
        ValueError: weights that are missing.
    """
    name, runs = arguments.study, arguments.runs.resolve()
    if name == "mask-rcnn-rate":
        if arguments.backbone_weights is None:
            raise ValueError("mask-rcnn-rate trains; give --backbone-weights")
        print("\n".join(f"{rate:g}: loss {loss:.3f}" for rate, loss in peer.tune(arguments.backbone_weights).items()))
        return
    if name in TRAININGS:
        began = time.time()
        for run, is_new in work_off(
            all_runs(TRAININGS[name]), lambda run: train_and_measure(run, arguments.backbone_weights, runs)
        ):
            print(f"{run.name}: {f'{time.time() - began:.0f} s since the start' if is_new else 'measured'}", flush=True)
    if name in ("prototypes", "all") and not result_file("shipped").exists():
        write_result("shipped", measure_weights(None))
    trained = [file for seed in SEEDS if (file := runs / Run(BASELINE, seed).name / "last.safetensors").exists()]
    if name in ("nms", "all") and (arguments.again or not result_file("nms").exists()):
        write_result("nms", suppression.measure())
    if name in ("nms", "all") and (arguments.again or not result_file("nms-times").exists()):
        torch.set_num_threads(1)
        write_result("nms-times", suppression.times())
    if name in ("translation", "all") and (arguments.again or not result_file("translation").exists()):
        write_result("translation", solid.measure(trained[0] if trained else None))
        solid.draw(PICTURES / "studies-solid.png")
    if name in ("crops", "all") and (arguments.again or not result_file("crops").exists()):
        write_result("crops", crops.measure(trained))
    if name in ("stability", "all"):
        for measured, is_new in stability.measure_all(arguments.backbone_weights, runs, arguments.again):
            print(f"{measured}: {'measured now' if is_new else 'measured'}", flush=True)
    PAGE.write_text(report.fill(PAGE.read_text(), report.blocks(RESULTS)))
    report.draw(PICTURES)


if __name__ == "__main__":
    sys.exit(main())
