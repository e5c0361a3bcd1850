"""A process a target, watched from outside: it is counted what it read, and a process that ends is replaced."""

import json
import mmap
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from fuzzed.target import Target, Violation, guarded, outcome

SLOWEST = 10
"""Seconds for one input, after which it counts as hanging."""

COUNTS = struct.Struct("<QQQdQ")
"""Read, accepted, findings, slowest in seconds, most memory in bytes beyond that of the empty reader."""

NOTABLE = 32 << 20
"""Bytes."""

COMPILED = ("yolact.painting_loop", "yolact.detect.nms_cpu", "yolact.detect.mask_loops")
"""By numba, which cannot compile what atheris adds."""

COMPARING_ARRAYS = ("yolact.polygons",)
"""Where atheris watches a comparison, the result is never freed: for the outlines of large masks, a gigabyte."""

MOST_RESTARTS = 50


@dataclass
class Tally:
    """What became of the inputs of one target."""

    name: str
    cases: int = 0
    accepted: int = 0
    findings: int = 0
    slowest: float = 0.0
    memory: int = 0
    seconds: float = 0.0
    ended: list[str] = field(default_factory=list)
    """How processes ended that should not have."""

    def row(self) -> str:
        share = 100 * self.accepted / max(1, self.cases)
        return (
            f"| {self.name} | {self.cases:,} | {share:.1f} % | {self.findings + len(self.ended)} |"
            f" {1e3 * self.slowest:.0f} | {self.memory / 1e6:.0f} | {self.cases / max(self.seconds, 1e-9):,.0f} |"
        )


HEADER = "| target | cases | accepted | findings | slowest, ms | memory, MB | cases/s |\n|---|---|---|---|---|---|---|"


def run(target: Target, cases: int, seconds: float, folder: Path, seed: int) -> Tally:
    """Try a target in processes of its own, until there are so many cases, or the time is over.

    Args:
        folder: gets `corpus`, with the inputs that reached new code, and `findings`, a file an input and one with its
            traceback.
    """
    tally, began = Tally(target.name), time.monotonic()
    for name in ("corpus", "findings", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    counts = folder / "counts"
    while tally.cases < cases and (left := seconds - (time.monotonic() - began)) > 1:
        counts.write_bytes(bytes(COUNTS.size))
        shutil.rmtree(folder / "scratch")
        (folder / "scratch").mkdir()
        code, said = _one_process(target, cases - tally.cases, left, folder, seed + len(tally.ended))
        _add(tally, counts)
        if code == 0:
            break
        tally.ended.append(said)
        if len(tally.ended) >= MOST_RESTARTS:
            break
    tally.seconds = time.monotonic() - began
    return tally


def _one_process(target: Target, cases: int, seconds: float, folder: Path, seed: int) -> tuple[int, str]:
    script = Path(__file__).parents[1] / "fuzz.py"
    command = [sys.executable, str(script), target.name, "--folder", str(folder), "--inside"]
    command += ["--cases", str(cases), "--seconds", str(int(seconds)), "--seed", str(seed)]
    log = folder / f"log-{seed}.txt"
    with log.open("wb") as file:
        try:
            code = subprocess.run(command, stdout=file, stderr=file, timeout=seconds + 120).returncode
        except subprocess.TimeoutExpired:
            code = -1
    text = log.read_bytes().decode(errors="replace")
    interesting = [line for line in text.splitlines() if "ERROR" in line or "Error" in line]
    return code, f"code {code}: {(interesting or text.splitlines() or ['without a word'])[-1][:200]}"


def _add(tally: Tally, counts: Path) -> None:
    read, accepted, findings, slowest, memory = COUNTS.unpack(counts.read_bytes()[: COUNTS.size])
    tally.cases += read
    tally.accepted += accepted
    tally.findings += findings
    tally.slowest, tally.memory = max(tally.slowest, slowest), max(tally.memory, memory)


def work(target: Target, cases: int, seconds: float, folder: Path, seed: int) -> None:
    """Inside of such a process: try inputs until it ends, which atheris does by itself."""
    import atheris
    from atheris.import_hook import instrument_imports

    from fuzzed import changes

    with instrument_imports(include=["yolact"], exclude=[*COMPILED, *COMPARING_ARRAYS], enable_loader_override=False):
        seeds, read = target.seeds(), target.prepare(folder / "scratch")
        for data in seeds:  # loads all that is loaded at first use
            _first(target, read, data)
    for data in seeds:
        (folder / "corpus" / sha256(data).hexdigest()[:16]).write_bytes(data)
    trial = _Trial(target, read, folder)

    def change(data: bytes, longest: int, number: int) -> bytes:
        made = changes.changed(data, longest, number) if target.is_json and number % 2 else None
        return atheris.Mutate(data, longest) if made is None else made

    options = [f"-runs={cases}", f"-max_total_time={int(seconds)}", f"-timeout={SLOWEST}", f"-seed={seed + 1}"]
    options += [f"-rss_limit_mb={_resident() // 2**20 + target.memory // 2**20}", f"-max_len={target.longest}"]
    options += [f"-artifact_prefix={folder / 'findings'}/", "-print_final_stats=0", "-verbosity=0", "-len_control=20"]
    atheris.Setup(["fuzz", *options, str(folder / "corpus")], trial, custom_mutator=change)
    _bound_memory(target.memory)
    atheris.Fuzz()


def _first(target: Target, read: Any, data: bytes) -> None:
    """A finding in a seed is found again, with its traceback, when it is tried."""
    try:
        outcome(target, read, data)
    except Exception as error:
        print(f"a seed of {target.name}: {error!r}", file=sys.stderr)


def _bound_memory(more: int) -> None:
    """From now on, asking for more than this raises MemoryError, a finding."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + more, resource.RLIM_INFINITY))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Trial:
    """Called with each input; counts where the parent sees it, even if this process ends at once."""

    def __init__(self, target: Target, read: Any, folder: Path) -> None:
        self._target, self._read = target, read
        self._scratch, self._findings = folder / "scratch", folder / "findings"
        with (folder / "counts").open("r+b") as file:
            self._counts = mmap.mmap(file.fileno(), COUNTS.size)
        self._known: set[str] = set()
        self._empty, self._values = _resident(), [0, 0, 0, 0.0, 0]

    def __call__(self, data: bytes) -> None:
        began = time.perf_counter()
        self._values[0] += 1
        self._write()
        try:
            with guarded(self._scratch, self._target.may_read):
                self._values[1] += outcome(self._target, self._read, data) == "accepted"
        except Exception as error:
            self._keep(data, error)
        self._note(data, time.perf_counter() - began, _resident() - self._empty)
        self._write()

    def _note(self, data: bytes, seconds: float, memory: int) -> None:
        """Keep the input that took longest, and the last one that clearly needed more memory than all before."""
        if seconds > self._values[3]:
            self._values[3] = seconds
            (self._findings.parent / "slowest.input").write_bytes(data)
        if memory > self._values[4] + NOTABLE:
            (self._findings.parent / "largest.input").write_bytes(data)
        self._values[4] = max(self._values[4], memory)

    def _write(self) -> None:
        self._counts[:] = COUNTS.pack(*self._values)

    def _keep(self, data: bytes, error: Exception) -> None:
        """Once for each place that it comes from."""
        frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-3:]
        what = f"{type(error).__name__} {'' if not isinstance(error, Violation) else str(error)[:30]} {frames}"
        if what in self._known:
            return
        self._known.add(what)
        self._values[2] += 1
        name = sha256(what.encode()).hexdigest()[:12]
        (self._findings / f"{name}.input").write_bytes(data)
        (self._findings / f"{name}.txt").write_text("".join(traceback.format_exception(error)), errors="replace")


def findings_of(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "findings").glob("*.txt")):
        yield f"{path.with_suffix('.input')}: {path.read_text().strip().splitlines()[-1][:200]}"


def keep(tallies: list[Tally], file: Path) -> None:
    file.write_text(json.dumps([vars(tally) for tally in tallies], indent=1) + "\n")
