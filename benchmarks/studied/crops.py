"""What cuts a mask: the paper's box, a wider one, one that fades, or the connected region in the middle of the box."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from studied import HERE
from studied.tables import column, difference, paired, table
from yolact.config import CropKind
from yolact.data.source import DataConfig
from yolact.evaluate import evaluate

CROPS: tuple[CropKind, ...] = get_args(CropKind)


def measure(trained: Sequence[Path]) -> dict[str, Any]:
    """Figures by crop: of the shipped weights on two data sets, and of
    networks trained for these studies, one a seed."""
    import yolact

    walkers, people = (DataConfig.read(HERE.parent / name, needs="val") for name in ("people.yaml", "people_coco.yaml"))
    shipped = yolact.load(device="cpu")
    return {
        "shipped weights, Penn-Fudan val": [_by_crop(shipped, walkers, 0)],
        "shipped weights, people of coco-mini val": [_by_crop(shipped, people, 0)],
        "trained for these studies, Penn-Fudan val": [
            _by_crop(yolact.load(weights, device="cpu"), walkers, seed) for seed, weights in enumerate(trained)
        ],
    }


def _by_crop(predictor: Any, source: DataConfig, seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"seed": seed}
    for crop in CROPS:
        found = evaluate(predictor, source, crop=crop, progress=False)
        assert found.perfect_boxes is not None
        assert found.boundary is not None
        assert found.leakage is not None
        shares = found.leakage.masks
        figures[crop] = {
            "mask": found.mask["AP"],
            "perfect_boxes": found.perfect_boxes["AP"],
            "boundary": found.boundary["AP"],
            "boundary75": found.boundary["AP75"],
            "own": shares.own,
            "others": shares.others,
            "covered": found.leakage.covered,
        }
    return figures


def rows(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A row for each crop, network and data set; the difference is to the paper's box."""
    lines = []
    for name, results in measured.items():
        for crop in CROPS:
            of = [{**result[crop], "seed": result["seed"]} for result in results]
            to_box = paired(of, [{**result["box"], "seed": result["seed"]} for result in results], "mask")
            figures = [column(of, path) for path in ("mask", "perfect_boxes", "boundary", "own", "others", "covered")]
            gained = "" if crop == "box" else difference(to_box)
            lines.append([f"{name}: {crop}", figures[0], gained, *figures[1:]])
    header = ["", "mask AP", "Δ", "in perfect boxes", "boundary AP", "own, %", "others, %", "covered, %"]
    return table(header, lines)
