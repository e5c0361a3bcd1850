"""What is wrong with a data set, before a training finds out: `check` looks, `sheet` shows."""

from yolact.config import ModelConfig
from yolact.data.annotations import category_names, read_json
from yolact.data.source import DataConfig
from yolact.doctor.balance import judge_classes, judge_sizes
from yolact.doctor.leaks import find_leaks
from yolact.doctor.report import Report
from yolact.doctor.survey import split_sources, survey
from yolact.doctor.tally import tally

__all__ = ["Report", "check", "class_names"]


def check(data: DataConfig, model: ModelConfig, name: str = "data set", progress: bool = True) -> Report:
    """Decode every photograph and every mask once, and say what is wrong.

    Args:
        model: the network that is to be trained; its input size and anchors count, its classes do not.
        name: what to call the data set in the report.
        progress: show a progress bar.

    Raises:
        ValueError: a file that is not COCO's layout, or a split without a single usable image.
    """
    classes = class_names(data)
    surveys = {
        split: survey(split, sources, classes, progress=progress) for split, sources in split_sources(data).items()
    }
    for split, found in surveys.items():
        if not found.records:
            raise ValueError(
                f"{name}: {split} has no usable image; {found.findings[0].line()}"
                if found.findings
                else f"{name}: {split} lists no image"
            )
    tallies = {split: tally(found, model) for split, found in surveys.items()}
    findings = [finding for found in surveys.values() for finding in found.findings]
    findings += find_leaks(list(surveys.values()))
    findings += judge_classes(data, surveys, tallies)
    for split, found in surveys.items():
        findings += judge_sizes(found, tallies[split], model)
    findings.sort(key=lambda finding: finding.severity != "error")  # a stable sort: errors first
    return Report(name, model, tuple(findings), tallies, surveys)


def class_names(data: DataConfig) -> tuple[str, ...]:
    """The classes of a data set in the order of their labels, as training has them.

    Raises:
        ValueError: a file that is not COCO's layout, or no category in any.
    """
    if data.classes is not None:
        return data.classes
    files = [source.annotations for source in data.train]
    names = dict.fromkeys(name for file in files for name in category_names(read_json(file), file).values())
    if not names:
        raise ValueError(f"{files[0]} lists no category; name the classes there")
    return tuple(names)
