"""The command line: reads which verb, runs it, and exits with what came of it."""

import os
import platform
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import tyro

from yolact.verbs.benchmark import Benchmark
from yolact.verbs.convert import Convert
from yolact.verbs.data import Data
from yolact.verbs.demo import Demo
from yolact.verbs.evaluate import Evaluate
from yolact.verbs.explain import Explain
from yolact.verbs.export import Export
from yolact.verbs.predict import Predict
from yolact.verbs.serve import Serve
from yolact.verbs.train import Train
from yolact.verbs.wording import one_line

VERBS = {
    "predict": Predict,
    "train": Train,
    "evaluate": Evaluate,
    "explain": Explain,
    "export": Export,
    "benchmark": Benchmark,
    "convert": Convert,
    "data": Data,
    "demo": Demo,
    "serve": Serve,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb and exit.

    0: done. 1: done but for files that were skipped. 2: refused, with one line that says why. 130: interrupted.
    141: nobody reads what is printed; results are complete. 143: terminated, by `kill` or a service manager; 129: the
    terminal was closed.
    """
    signals: list[int] = []
    try:
        with _heeding_termination() as signals:
            code = _run(arguments)
        print(end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains on its way out
        code = 141
    except KeyboardInterrupt as interruption:
        said = str(interruption) or ("terminated" if signals else "interrupted")
        print(f"yolact: {said}", file=sys.stderr)
        code = 128 + (signals[0] if signals else signal.SIGINT)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"yolact: {one_line(error)}", file=sys.stderr)
        code = 2
    except RuntimeError as error:  # neither torch, for the CPU's memory, nor pathlib has a type of its own
        if re.search(r"out of memory|(allocate|enough) memory", str(error)):
            said = "out of memory; try a smaller --image-size or --batch-size"
        elif "home directory" in str(error):
            said = "a path begins with ~ and the name of no user of this machine; write it in full"
        else:
            raise
        print(f"yolact: {said}", file=sys.stderr)
        code = 2
    sys.exit(code)


@contextmanager
def _heeding_termination() -> Iterator[list[int]]:
    """Within, `kill` and a closed terminal interrupt as Ctrl-C does, so that what that tidies up is tidied up.

    Yields:
        The numbers of such signals, as they come. Those that were ignored before (nohup) still are.
    """
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        heeded = []
    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield came
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)


def _run(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(_versions())
        return 0
    verb = tyro.extras.subcommand_cli_from_dict(
        VERBS,
        prog="yolact",
        description="Real-time instance segmentation, exact to the published YOLACT.",
        args=_spelled_out(arguments),
    )
    return verb.run()


def _versions() -> str:
    """What a report of an error should begin with."""
    from importlib.metadata import version

    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "numpy"))
    return f"yolact {version('yolact')} ({libraries}, Python {platform.python_version()} on {platform.system()})"


def _spelled_out(arguments: Sequence[str]) -> list[str]:
    """With the kind of tracker that `--track` alone stands for, since what follows may be a video."""
    kinds = ("mask", "coefficients", "bytetrack", "ocsort", "botsort", "None")
    spelled: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):  # of nothing, nothing
        spelled += [argument, "mask"] if argument == "--track" and following not in kinds else [argument]
    return spelled
