"""Runs verbs in processes that meet a fault at a chosen moment: at the k-th time that they touch a folder.

Started as a program, it imports everything once, reads one case a line (JSON), and forks a process for each. A moment
is an event that Python tells its auditors: a file opened for writing, a name given, changed or removed.
"""

import ctypes
import errno
import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}
REFUSED = {"ENOSPC": {"open", "os.mkdir", "os.link"}, "EROFS": CHANGES | {"open"}}
"""What a full disk and one that has become read-only refuse, from the moment on."""

UNABLE = 77
"""The code of a child that this machine does not let take something away from itself."""

LONGEST = 60
"""Seconds that a case may take."""


class Nursery:
    """Hands cases to such a program. Use it in a `with` statement."""

    def __init__(self, *preparation: str) -> None:
        self.preparation = preparation

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "ignore", __file__, *self.preparation]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # a pool of threads does not outlive a fork
        self.process = subprocess.Popen(command, env=alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=LONGEST)
        self.process.stdout.close()

    def run(self, arguments: list[Any], folder: Path, fault: str = "", at: int = 0, **clock: float) -> dict[str, Any]:
        """Run a verb.

        Args:
            arguments: of the command line.
            folder: whose changes are counted.
            fault: `SIGKILL`, `SIGTERM`, `SIGINT`, `ENOSPC` or `EROFS`; or, from the start and by the system itself,
                `denied`: permissions count, as they do not for root; `mounted`: the folder is mounted read-only.
            at: which change it comes with, from 1.
            clock: `jump`: seconds by which `time.time` goes wrong at that moment.

        Returns:
            `code`, `moments` (how many changes there were), `refused` (how many of them were), `out` and `err`.
        """
        case = {"arguments": [str(a) for a in arguments], "folder": str(folder), "fault": fault, "at": at, **clock}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the nursery has died"
        return json.loads(line)


class Auditor:
    """Counts changes of a folder, and lets the fault happen."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.moments, self.refused, self.jumped = case, 0, 0, False

    def __call__(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = details
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
            paths: tuple[Any, ...] = (path,)
        elif event in CHANGES:
            paths = details[:2]
        else:
            return
        if not any(isinstance(p, str | os.PathLike) and str(p).startswith(self.case["folder"]) for p in paths):
            return
        self.moments += 1
        fault, at = self.case["fault"], self.case["at"]
        if self.case.get("jump") and self.moments == at:
            self.jumped = True
        if fault in REFUSED and self.moments >= at and event in REFUSED[fault]:
            number = getattr(errno, fault)
            self.refused += 1
            raise OSError(number, os.strerror(number), str(paths[0]))
        if self.moments == at and fault.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, fault))


def _take_away(fault: str, folder: str) -> None:
    """Of this process alone.

    Raises:
        OSError: it may not.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: Any) -> None:
        if getattr(libc, name)(*arguments):
            raise OSError(ctypes.get_errno(), name)

    if fault == "denied":
        words = ctypes.c_uint32 * 6
        header, held = words(0x20080522, 0), words()
        call("capget", header, held)
        for word in (0, 1, 2):  # effective, permitted, inheritable: what lets root pass, CAP_DAC_*
            held[word] &= ~0b110
        call("capset", header, held)
    else:
        place, private, bound, anew = folder.encode(), 1 << 14 | 1 << 18, 1 << 12, 1 << 12 | 1 << 5 | 1
        call("unshare", 0x20000)
        call("mount", b"none", b"/", None, private, None)
        call("mount", place, place, None, bound, None)
        call("mount", b"none", place, None, anew, None)


def _child(case: dict[str, Any], files: dict[str, Path]) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(files[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if case["fault"] in ("denied", "mounted"):
        try:
            _take_away(case["fault"], case["folder"])
        except OSError:
            os._exit(UNABLE)
    auditor = Auditor(case)
    if "jump" in case:
        true = time.time
        time.time = lambda: true() + case["jump"] * auditor.jumped
    sys.addaudithook(auditor)
    faulthandler.dump_traceback_later(LONGEST - 10)
    code = 70
    try:
        from yolact.cli import main

        main(case["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 71
    except BaseException:
        import traceback

        traceback.print_exc()
    auditor.case = {**case, "fault": "", "folder": "\0"}
    files["moments"].write_text(str(auditor.moments))
    files["refused"].write_text(str(auditor.refused))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait(child: int) -> int:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 124


def _serve() -> None:
    import tempfile

    from yolact.cli import main

    folder = Path(tempfile.mkdtemp())
    files = {name: folder / name for name in ("out", "err", "moments", "refused")}
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        main(sys.argv[1:])  # imports and compiles what forks then have
    except SystemExit:
        os.dup2(ours, 1)
    for line in sys.stdin:
        case = json.loads(line)
        for file in files.values():
            file.write_text("0" if file.name in ("moments", "refused") else "")
        child = os.fork()
        if child == 0:
            _child(case, files)
        code = _wait(child)
        texts = {name: files[name].read_text(errors="replace") for name in ("out", "err")}
        numbers = {name: int(files[name].read_text()) for name in ("moments", "refused")}
        answer = {"code": code, **numbers, **texts}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2] / "src"))
    _serve()
