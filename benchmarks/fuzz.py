"""Give readers millions of broken inputs, and see whether one crashes, hangs, or takes the memory.

    uv run --all-extras --group fuzz benchmarks/fuzz.py all --cases 100000
    uv run --all-extras --group fuzz benchmarks/fuzz.py coco videos --cases 20000 --seconds 600
    uv run --all-extras --group fuzz benchmarks/fuzz.py coco --again FILE

Inputs come from atheris, which follows which lines of this package they reach. Each target (`benchmarks/fuzzed`) runs
in a process of its own, with bounded memory. A finding is whatever is neither an answer that holds nor a refusal in one
line; programs that are started, connections, and files outside of the target's folder count, too. Prints a Markdown
table; code 1 if there is a finding.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

from fuzzed import campaign
from fuzzed.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", choices=["all", *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--cases", type=int, default=10_000, help="of each target")
    parser.add_argument("--seconds", type=float, default=3600, help="at most, of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/fuzzing"), help="for findings and what led to new code"
    )
    parser.add_argument("--again", type=Path, metavar="FILE", help="read one input, with its traceback")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = list(TARGETS) if "all" in arguments.targets else arguments.targets
    if arguments.again is not None:
        return again(names, arguments.again)
    bounds = (arguments.cases, arguments.seconds)
    if arguments.inside:
        campaign.work(TARGETS[names[0]], *bounds, arguments.folder, arguments.seed)
        return 0
    print(campaign.HEADER, flush=True)
    tallies = []
    for name in names:
        tallies.append(campaign.run(TARGETS[name], *bounds, arguments.folder.resolve() / name, arguments.seed))
        print(tallies[-1].row(), flush=True)
    print(f"\n{sum(tally.cases for tally in tallies):,} cases")
    for tally in tallies:
        for line in [*tally.ended, *campaign.findings_of(arguments.folder / tally.name)]:
            print(f"{tally.name}: {line}")
    return int(any(tally.findings or tally.ended for tally in tallies))


def again(names: list[str], file: Path) -> int:
    """What an input does, without anything around it."""
    from fuzzed.target import guarded, outcome

    for name in names:
        with TemporaryDirectory() as folder:
            read = TARGETS[name].prepare(Path(folder))
            with guarded(Path(folder), TARGETS[name].may_read):
                print(f"{name}: {outcome(TARGETS[name], read, file.read_bytes())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
