"""Work runs off, one after the other, and go on where an earlier time was interrupted."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from studied import RESULTS
from studied.runs import PEER, Run

Work = Callable[[Run], dict[str, Any]]


def work_off(runs: Iterable[Run], work: Work, results: Path = RESULTS) -> Iterator[tuple[Run, bool]]:
    """Do what has no result yet; each run is given when it has one, and whether that was made now."""
    for run in runs:
        is_new = not result_file(run.name, results).exists()
        if is_new:
            write_result(run.name, {"variant": run.variant, "seed": run.seed, **work(run)}, results)
        yield run, is_new


def train_and_measure(run: Run, backbone_weights: str | None, folder: Path) -> dict[str, Any]:
    """A run's figures. Weights that lie in `folder` are used as they are.

    Raises:
        ValueError: there are none, and nothing to start from.
    """
    from studied import measuring

    weights = trained_weights(run, backbone_weights, folder)
    measure = measuring.measure_peer if run.variant == PEER else measuring.measure_run
    return {**json.loads((weights.parent / "facts.json").read_text()), **measure(run, weights)}


def trained_weights(run: Run, backbone_weights: str | None, folder: Path) -> Path:
    """The weights of a run, trained now if `folder` does not have them.

    Raises:
        ValueError: there are none, and nothing to start from.
    """
    from studied import peer, training

    trainer = peer if run.variant == PEER else training
    weights = folder / run.name / trainer.WEIGHTS
    if weights.exists():
        return weights
    if backbone_weights is None:
        raise ValueError(f"{weights} does not exist; give --backbone-weights to train it")
    return trainer.train(run, backbone_weights, folder)


def result_file(name: str, results: Path = RESULTS) -> Path:
    return results / f"{name}.json"


def write_result(name: str, content: dict[str, Any], results: Path = RESULTS) -> None:
    """Complete or not at all."""
    results.mkdir(parents=True, exist_ok=True)
    unfinished = results / f".{name}.unfinished"
    unfinished.write_text(json.dumps(_rounded(content), indent=1) + "\n")
    unfinished.replace(result_file(name, results))


def read_result(name: str, results: Path = RESULTS) -> dict[str, Any] | None:
    """None: not measured yet."""
    file = result_file(name, results)
    return json.loads(file.read_text()) if file.exists() else None


def _rounded(value: Any) -> Any:
    """Five digits say all that there is to say, and keep the files small."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if value == value else None
    return value
