"""The command, in processes of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from locations import ROOT

GUARDED = """
import sys
from pathlib import Path
sys.path.insert(0, "benchmarks")
from fuzzed.target import Violation, guarded
try:
    with guarded(Path(sys.argv[1])):
        exec(sys.argv[2])
except Violation as found:
    print("found", found)
"""


def guarded(folder: Path, code: str) -> str:
    command = [sys.executable, "-c", GUARDED, str(folder), code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.create_connection(('127.0.0.1', 9), timeout=0.1)",
        "open('/etc/hostname').read()",
        "open('/usr/written', 'w')",
        "import os; os.remove('/nowhere')",
    ],
)
def test_what_no_reader_does_is_found(tmp_path: Path, code: str):
    assert guarded(tmp_path, code).startswith("found")


def test_what_readers_do_is_not(tmp_path: Path):
    code = "import colorsys; p = Path(sys.argv[1]) / 'a'; p.write_text('b'); p.read_text(); p.unlink(); print('done')"
    assert guarded(tmp_path, code) == "done\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="atheris is for Linux")
def test_a_short_campaign(tmp_path: Path):
    pytest.importorskip("atheris")
    command = [sys.executable, "benchmarks/fuzz.py", "data-yaml", "--cases", "400", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| data-yaml | 400 |" in done.stdout
    assert len(list((tmp_path / "data-yaml" / "corpus").iterdir())) > 10  # it found its way into the reader


def test_a_target_that_does_not_exist_is_said():
    command = [sys.executable, "benchmarks/fuzz.py", "coc"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "invalid choice: 'coc'" in done.stderr
