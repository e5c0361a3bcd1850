"""`yolact predict`."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.config import NmsKind
from yolact.verbs.runtime_choice import RuntimeChoice
from yolact.verbs.wording import Several, one_line


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Find the instances in photographs; write pictures, predictions.json (COCO results) and images.json."""

    sources: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="SOURCE [SOURCE ...]")]
    """Images, folders and globs such as 'photos/**/*.jpg'."""

    out: Path = Path("runs/predict")
    """The folder for the results. Files of the same name in it are replaced."""

    score_threshold: float = 0.15
    """Keep what scores above this, in 0..1."""

    top_k: int = 100
    """Keep at most this many for a photograph."""

    classes: Annotated[tuple[str, ...], Several] = ()
    """Keep these classes only."""

    nms: NmsKind = "fast"
    """How overlapping detections are suppressed; `fast` is the paper's."""

    image_size: tuple[int, int] | None = None
    """Height and width that photographs are resized to for the network. None: what it was trained at."""

    batch_size: int = 1
    """Photographs that go through the network together."""

    pictures: bool = True
    """Write the photographs with the instances drawn on them."""

    cutouts: bool = False
    """Write each instance as a PNG with a transparent ground, into OUT/cutouts."""

    model: OmitArgPrefixes[RuntimeChoice] = field(default_factory=RuntimeChoice)

    def run(self) -> int:
        from tqdm import tqdm

        from yolact.results_folder import ResultsFolder
        from yolact.sources import find_images

        if not self.sources:
            raise ValueError("nothing to predict on; give images, folders or globs")
        photographs = list(dict.fromkeys(path for source in self.sources for path in find_images(source)))
        predictor = self.model.load()
        skipped: list[Exception] = []
        found = predictor.predict(
            photographs,
            self.score_threshold,
            self.top_k,
            nms=self.nms,
            classes=self.classes or None,
            image_size=self.image_size,
            batch_size=self.batch_size,
            on_error=lambda path, error: skipped.append(error),
        )
        results = ResultsFolder(self.out, photographs)
        start = time.perf_counter()
        watched = sys.stderr is not None and sys.stderr.isatty()  # in a log, a bar is noise
        bar = tqdm(total=len(photographs), unit="image", disable=not watched or len(photographs) < 2, leave=False)
        try:
            with bar:
                for instances in found:
                    assert isinstance(instances.image, Path)
                    results.add(instances.image, instances, self.pictures, self.cutouts)
                    bar.update()
        except KeyboardInterrupt:
            results.finish(predictor.config)  # of the pictures that are finished
            raise
        for error in skipped:
            print(f"skipped: {one_line(error)}", file=sys.stderr)
        results.finish(predictor.config)
        self._summarize(len(photographs), len(skipped), results.counts, results.replaced, time.perf_counter() - start)
        return 1 if skipped else 0

    def _summarize(self, total: int, skipped: int, counts: dict[str, int], replaced: int, seconds: float) -> None:
        ranked = sorted(counts.items(), key=lambda item: -item[1])
        by_class = [f"{count} {name}" for name, count in ranked[:5]] + ["..."] * (len(ranked) > 5)
        done = f"{total - skipped} photograph{'s' * (total - skipped != 1)} in {seconds:.1f} s"
        left_out = f", {skipped} skipped" if skipped else ""
        earlier = f" ({replaced} files of an earlier run replaced)" if replaced else ""
        print(f"{done}{left_out}; found {', '.join(by_class) or 'nothing'}; results in {self.out}{earlier}")
