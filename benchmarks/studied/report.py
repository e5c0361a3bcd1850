"""Write tables and pictures into docs/studies.md from the results that are there. Prose is not touched."""

import re
from collections.abc import Callable
from pathlib import Path

from studied import RESULTS, crops, plots, stability_report, tables
from studied.runs import PEER, SEEDS, VARIANTS, Run
from studied.tables import PENDING, ByVariant
from studied.turns import read_result

ABLATIONS = {
    "no-semantic": "without the semantic loss",
    "no-crop": "without crop in the loss",
    "no-tanh": "coefficients without tanh",
}
RANKED = {f"prototypes-{k}": f"k = {k}" for k in (8, 16, 32, 64, 128)} | {"shipped": "shipped weights, k = 32"}


def by_variant(results: Path = RESULTS) -> ByVariant:
    """The results of the trainings, by variant, in the order of the seeds."""
    found = {variant: [read_result(Run(variant, seed).name, results) for seed in SEEDS] for variant in VARIANTS}
    found["shipped"] = [read_result("shipped", results)]
    return {variant: [result for result in of if result is not None] for variant, of in found.items()}


def blocks(results: Path = RESULTS) -> dict[str, list[str]]:
    """The tables by the name of their place in the page."""
    trained = by_variant(results)
    nms, times, translation = (read_result(name, results) for name in ("nms", "nms-times", "translation"))
    made: dict[str, Callable[[], list[str]]] = {
        "prototypes": lambda: tables.prototypes(trained),
        "redundancy": lambda: tables.redundancy(trained),
        "rank": lambda: tables.by_rank(trained, RANKED),
        "ablations": lambda: tables.ablations(trained, ABLATIONS),
        "crop": lambda: tables.crop(trained),
        "mask-rcnn": lambda: tables.peer(trained),
        "objects": lambda: tables.objects(trained),
    }
    if nms is not None:
        made["nms"] = lambda: tables.suppression(nms, trained)
    if times is not None:
        made["nms-times"] = lambda: tables.suppression_times(times)
    if translation is not None:
        made |= {
            "translation": lambda: tables.translation(translation),
            "padding-ap": lambda: tables.padding_ap(translation),
        }
    cut = read_result("crops", results)
    if cut is not None:
        made["crops"] = lambda: crops.rows(cut)
    if stability_report.results_of(PEER, results):
        made |= {
            "stability": lambda: stability_report.by_network(results),
            "stability-differences": lambda: stability_report.differences(results),
            "stability-nudges": lambda: stability_report.by_nudge(results),
        }
    return {name: make() for name, make in made.items()}


def fill(page: str, made: dict[str, list[str]]) -> str:
    """Replace what stands between `<!-- NAME -->` and `<!-- end -->`.

    Raises:
        ValueError: a table that has no place.
    """
    for name, lines in made.items():
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(page):
            raise ValueError(f"docs/studies.md has no place <!-- {name} -->; add it, with <!-- end --> after it")
        text = "\n".join(lines or [PENDING])
        page = place.sub(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page)
    return page


def draw(folder: Path, results: Path = RESULTS) -> None:
    """All pictures for which there are results; but those of single prototypes, see `studied.solid`."""
    trained = by_variant(results)
    if trained.get("prototypes-32"):
        plots.ap_by_prototypes(trained, folder / "studies-prototypes.svg")
        plots.spectra(trained, folder / "studies-spectra.svg")
        plots.correlation_matrices(trained, folder / "studies-correlations.png")
        plots.ap_by_iou(trained, folder / "studies-mask-rcnn.svg")
    if stability_report.results_of(PEER, results):
        stability_report.draw(folder / "studies-stability.svg", results)
    times, translation = read_result("nms-times", results), read_result("translation", results)
    if times is not None:
        plots.suppression_times(times["rows"], folder / "studies-nms.svg")
    if translation is not None:
        plots.fading(translation, folder / "studies-fading.svg")
