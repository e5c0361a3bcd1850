"""The rules of the house that a machine can hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from locations import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_imports_only_go_downwards():
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, yolact; print(sorted({'torch', 'numpy', 'cv2', 'timm', 'lightning'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_files_and_functions_are_short(path: Path):
    text = path.read_text()
    assert text.count("\n") <= 260, f"{path.name} is too long to read at once"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= 60, f"{path.name}: {node.name} does not fit on a screen"  # type: ignore[operator]


def test_names_say_what_is_inside():
    vague = re.compile(r"utils?|misc|common|helpers?|base|core")
    assert not [path for path in SOURCES if vague.fullmatch(path.stem) or vague.fullmatch(path.parent.name)]
