"""`yolact benchmark`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.verbs.runtime_choice import RuntimeChoice


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measure time and memory, and with --data accuracy, of any weights in any runtime on this machine."""

    source: Annotated[Positional[str | None], tyro.conf.arg(metavar="WEIGHTS")] = None
    """As --weights: a preset, a .safetensors or .pth file, a hub repository, or a graph that `yolact export` wrote."""

    photographs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOURCE [SOURCE ...]")] = ()
    """Images, folders and globs to measure on. None: those of the repository, or a made one of 640x480."""

    data: Path | None = None
    """A data.yaml: the average precision of the same runtime is measured too."""

    split: Literal["train", "val"] = "val"
    """The images of the data.yaml to measure on."""

    rounds: int = 20
    """How often each photograph goes through."""

    warm_up: int = 3
    """Rounds before, which do not count."""

    batch_size: int = 1
    """Photographs that go through the network together."""

    score_threshold: float = 0.0
    """Make masks of what scores above this. 0: of all detections, as papers time it."""

    top_k: int = 100
    """Keep at most this many detections for a photograph."""

    out: Path | None = None
    """A JSON file for everything that was measured."""

    model: OmitArgPrefixes[RuntimeChoice] = field(default_factory=RuntimeChoice)

    def run(self) -> int:
        import json

        from yolact.benchmark import measure, read_photographs
        from yolact.data.source import DataConfig
        from yolact.evaluate import annotated_source, evaluate
        from yolact.whole_files import written_whole

        if self.source is not None and self.model.weights is not None:
            raise ValueError(f"weights are given twice: {self.source} and --weights {self.model.weights}; give one")
        data = DataConfig.read(self.data) if self.data is not None else None  # refused before minutes of measuring
        if data is not None:
            annotated_source(data, self.split)
        if self.out is not None and self.out.is_dir():
            raise ValueError(f"{self.out} is a folder; name a file for --out")
        photographs, origin = read_photographs(self.photographs)
        predictor = replace(self.model, weights=self.source or self.model.weights).load()
        report = measure(
            predictor,
            photographs,
            rounds=self.rounds,
            warm_up=self.warm_up,
            batch_size=self.batch_size,
            score_threshold=self.score_threshold,
            top_k=self.top_k,
        )
        report = replace(report, notes=(*report.notes, f"Photographs: {origin}."))
        if data is not None:
            found = evaluate(predictor, data, split=self.split)
            accuracy = {f"{kind} {name}": found[kind][name] for kind in ("box", "mask") for name in ("AP", "AP50")}
            report = replace(report, accuracy=accuracy)
        print(report.table())
        if self.out is not None:
            with written_whole(self.out) as unfinished:
                unfinished.write_text(json.dumps(report.to_dict(), indent=2))
        return 0
