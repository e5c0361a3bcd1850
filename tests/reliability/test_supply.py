"""What this package consists of: pinned, and listed with its licenses."""

import importlib
import re
import sys

import pytest

from locations import ROOT


@pytest.fixture(scope="module")
def locked() -> dict[str, list[dict[str, str]]]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    return importlib.import_module("supply").locked()


def test_everything_is_pinned_with_its_hash(locked: dict[str, list[dict[str, str]]]):
    assert len(locked) > 100
    for name, files in locked.items():
        assert files, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file.get("hash", "")) for file in files), name


def test_every_license_is_listed(locked: dict[str, list[dict[str, str]]]):
    """If not: uv run --all-extras --all-groups benchmarks/supply.py --no-audit --write docs/licenses.md."""
    rows = re.findall(r"^\| ([a-z0-9-]+) \| ([a-z]+) \| (.+) \|$", (ROOT / "docs" / "licenses.md").read_text(), re.M)
    assert {name for name, _, _ in rows} == set(locked)
    assert not [name for name, _, license in rows if license == "UNKNOWN"]


def test_what_is_not_permissive_is_explained():
    text = (ROOT / "docs" / "licenses.md").read_text()
    about, _, table = text.partition("## Known vulnerabilities")
    for name, needed, license in re.findall(r"^\| ([a-z0-9-]+) \| ([a-z]+) \| (.+) \|$", table, re.M):
        if re.search("GPL|MPL|Mozilla|roprietary", license) and needed != "development":
            assert name in about or name.startswith("nvidia-"), f"{name} ({license})"
