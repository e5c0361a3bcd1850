"""The verbs of the command line, each a thin call. Heavy imports wait until a verb runs, so that `--help` is quick."""

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from yolact.config import NmsKind
from yolact.training.config import TrainConfig

Several = tyro.conf.arg(metavar="NAME [NAME ...]")


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Find the instances in photographs; write pictures, predictions.json (COCO results) and images.json."""

    sources: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="SOURCE [SOURCE ...]")]
    """Images, folders and globs such as 'photos/**/*.jpg'."""

    out: Path = Path("runs/predict")
    """The folder for the results. Files of the same name in it are replaced."""

    weights: str | None = None
    """A preset, a .safetensors or .pth file, or a hub repository. None: the weights that come with the package."""

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

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ... or mps."""

    batch_size: int = 1
    """Photographs that go through the network together."""

    pictures: bool = True
    """Write the photographs with the instances drawn on them."""

    cutouts: bool = False
    """Write each instance as a PNG with a transparent ground, into OUT/cutouts."""

    def run(self) -> int:
        from tqdm import tqdm

        from yolact.predictor import load
        from yolact.results_folder import ResultsFolder
        from yolact.sources import find_images

        if not self.sources:
            raise ValueError("nothing to predict on; give images, folders or globs")
        photographs = list(dict.fromkeys(path for source in self.sources for path in find_images(source)))
        predictor = load(self.weights, self.device)
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
            print(f"skipped: {_one_line(error)}", file=sys.stderr)
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


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train on a COCO-format data set; the folder of the run holds best.safetensors, last.safetensors and the logs."""

    data: Annotated[Positional[Path | None], tyro.conf.arg(metavar="DATA.YAML")] = None
    """A data.yaml with `train: {images: FOLDER, annotations: FILE}`, and perhaps `val` and `classes`."""

    preset: str = "yolact-resnet18"
    """The network."""

    out: Path | None = None
    """The folder of the run, new or empty. None: runs/train, or the first free of runs/train-2, ..."""

    resume: Path | None = None
    """The folder of an interrupted run to go on with; nothing else is needed."""

    image_size: tuple[int, int] | None = None
    """Height and width of the network's input. None: the preset's."""

    num_prototypes: int | None = None
    """k of the paper. None: the preset's."""

    width: int | None = None
    """Channels of the feature pyramid, the prototype network and the head. None: the preset's."""

    recipe: OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)

    def run(self) -> int:
        from yolact import training
        from yolact.presets import PRESETS

        if self.resume is not None:
            if self != Train(resume=self.resume):
                raise ValueError(
                    f"--resume {self.resume} goes on with that run's own data and recipe; give nothing else"
                )
            training.resume(self.resume)
            return 0
        if self.data is None:
            raise ValueError("no data set; give a data.yaml, or --resume with the folder of a run")
        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset!r} is unknown; choose one of {', '.join(PRESETS)}")
        wanted = {name: getattr(self, name) for name in ("image_size", "num_prototypes", "width")}
        changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        changes["parity"] = False  # what following the original costs in training, nobody has to pay
        training.train(self.data, replace(PRESETS[self.preset].build(), **changes), self.recipe, self.out)
        return 0


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure COCO's average precision of boxes and masks on an annotated data set."""

    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA.YAML")]
    """A data.yaml, as for training."""

    weights: str | None = None
    """As in `yolact predict`."""

    split: Literal["train", "val"] = "val"
    """The images of the data.yaml to measure on."""

    out: Path | None = None
    """A folder for box_results.json, mask_results.json and evaluation.json."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ... or mps."""

    def run(self) -> int:
        from yolact.data.source import DataConfig
        from yolact.evaluate import evaluate
        from yolact.predictor import load

        data = DataConfig.read(self.data)
        evaluation = evaluate(load(self.weights, self.device), data, split=self.split, out=self.out)
        print(evaluation.table())
        return 1 if evaluation.unreadable else 0


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Turn a checkpoint of the original code into a .safetensors file with its config and class names inside."""

    file: Positional[Path]
    """A .pth file of the original code."""

    out: Path | None = None
    """The file to write. None: beside the .pth, under its name."""

    preset: str | None = None
    """Which model it is, where its tensors cannot tell."""

    class_names: Annotated[tuple[str, ...], Several] = ()
    """Its classes in the order of their labels, where its tensors cannot tell."""

    def run(self) -> int:
        from yolact.checkpoint import convert_file

        convert_file(self.file, self.out, self.preset, self.class_names or None)
        return 0


VERBS = {"predict": Predict, "train": Train, "evaluate": Evaluate, "convert": Convert}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit.

    0: done. 1: done but for files that were skipped. 2: refused, with one line that says why. 130: interrupted.
    141: nobody reads what is printed; results are complete.
    """
    try:
        code = _run(arguments)
        print(end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains on its way out
        code = 141
    except KeyboardInterrupt:
        print("yolact: interrupted", file=sys.stderr)
        code = 130
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"yolact: {_one_line(error)}", file=sys.stderr)
        code = 2
    except RuntimeError as error:  # torch has no type of its own for the CPU's memory
        if not re.search(r"out of memory|(allocate|enough) memory", str(error)):
            raise
        print("yolact: out of memory; try a smaller --image-size or --batch-size", file=sys.stderr)
        code = 2
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    verb = tyro.extras.subcommand_cli_from_dict(
        VERBS,
        prog="yolact",
        description="Real-time instance segmentation, exact to the published YOLACT.",
        args=None if arguments is None else list(arguments),
    )
    return verb.run()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
