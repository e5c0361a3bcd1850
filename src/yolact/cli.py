"""The command line: reads which verb, runs it, and exits with what came of it."""

import os
import re
import sys
from collections.abc import Sequence

import tyro

from yolact.verbs.benchmark import Benchmark
from yolact.verbs.convert import Convert
from yolact.verbs.data import Data
from yolact.verbs.evaluate import Evaluate
from yolact.verbs.export import Export
from yolact.verbs.predict import Predict
from yolact.verbs.train import Train
from yolact.verbs.wording import one_line

VERBS = {
    "predict": Predict,
    "train": Train,
    "evaluate": Evaluate,
    "export": Export,
    "benchmark": Benchmark,
    "convert": Convert,
    "data": Data,
}


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
    except KeyboardInterrupt as interruption:
        print(f"yolact: {str(interruption) or 'interrupted'}", file=sys.stderr)
        code = 130
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"yolact: {one_line(error)}", file=sys.stderr)
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
