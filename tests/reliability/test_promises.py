"""The table of promises names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from locations import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()
NAMED = sorted(set(re.findall(r"(tests/[\w/]+\.py)((?:::\w+)+)", PAGE)))


@cache
def names_in(file: Path) -> frozenset[str]:
    """Tests of a file, those in classes with the class before them."""
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(f"::{node.name}")
        elif isinstance(node, ast.ClassDef):
            names |= {f"::{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return frozenset(names)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_test_is_there(file: str, test: str):
    assert (ROOT / file).is_file()
    assert test in names_in(ROOT / file)
    assert test.rpartition("::")[2].startswith("test_")


def test_every_promise_has_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith(("|---", "| what we"))]
    assert len(rows) > 40
    for row in rows:
        assert re.search(r"tests/[\w/]+\.py::test_|tests/[\w/]+\.py::Test\w+::test_", row), row


def test_files_of_tests_have_names_of_their_own():
    """pytest takes two files of one name for one."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name not in ("conftest.py", "__init__.py")]
    assert len(names) == len(set(names))
