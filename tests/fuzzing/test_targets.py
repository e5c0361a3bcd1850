"""What `benchmarks/fuzz.py` does for hours, for seconds; and everything that it ever found."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from locations import ROOT
from yolact import convert, weights_file
from yolact.apps.server import uploads

sys.path.insert(0, str(ROOT / "benchmarks"))
try:
    _target, changes = importlib.import_module("fuzzed.target"), importlib.import_module("fuzzed.changes")
    TARGETS: dict[str, Any] = importlib.import_module("fuzzed.targets").TARGETS
    outcome: Callable[[Any, Callable[[bytes], object], bytes], str] = _target.outcome
finally:
    sys.path.remove(str(ROOT / "benchmarks"))

# Pillow warns of what it cannot read of EXIF, and of large images; event loops end with the process.
pytestmark = pytest.mark.filterwarnings("ignore")

FOUND = sorted(path for path in (Path(__file__).parent / "found").rglob("*") if path.is_file())
SOUND = [name for name in TARGETS if name not in ("pt2",)]
"""Targets whose first seed is taken. Without its program, a .pt2 is checked here, and not run."""

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

EXAMPLES = {"masks": 60, "videos": 60, "safetensors": 60}


@pytest.fixture(scope="module", autouse=True)
def _put_back() -> Iterator[None]:
    """Targets set limits of other modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        patch.setattr(weights_file, "expected_tensors", convert.expected_tensors)
        patch.setattr(uploads, "DRAINED_FOR", uploads.DRAINED_FOR)
        yield


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Callable[[bytes], object]]:
    prepared: dict[str, Callable[[bytes], object]] = {}

    def reader(name: str) -> Callable[[bytes], object]:
        if name not in prepared:
            prepared[name] = TARGETS[name].prepare(tmp_path_factory.mktemp(name))
        return prepared[name]

    return reader


def broken(target: Any) -> st.SearchStrategy[bytes]:
    """Seeds with some bytes changed, taken out, repeated, or cut off, or with other values in their JSON."""
    seeds = st.sampled_from(target.seeds())
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=8)), max_size=5)
    by_bytes = st.builds(edited, seeds, edits)
    return st.one_of(st.builds(revalued, seeds, st.integers(0, 2**32)), by_bytes) if target.is_json else by_bytes


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for share, kind, new in edits:
        at = int(share * len(data))
        if kind == 0:
            data = data[:at] + new + data[at + len(new) :]
        elif kind == 1:
            data = data[:at] + data[at + len(new) :]
        elif kind == 2:
            data = data[:at] + new + data[at:]
        else:
            data = data[:at]
    return data


def revalued(data: bytes, seed: int) -> bytes:
    return changes.changed(data, 100_000, seed) or data


@pytest.mark.parametrize("name", TARGETS)
def test_broken_input_is_read_or_refused(readers: Callable[[str], Callable[[bytes], object]], name: str):
    target, read = TARGETS[name], readers(name)

    @settings(max_examples=EXAMPLES.get(name, 150), deadline=None, derandomize=True, suppress_health_check=SLOW)
    @given(broken(target))
    def go(data: bytes) -> None:
        outcome(target, read, data)

    go()


@pytest.mark.parametrize("name", SOUND)
def test_sound_input_is_read(readers: Callable[[str], Callable[[bytes], object]], name: str):
    """Or a target could refuse everything, and nobody would notice."""
    target = TARGETS[name]
    assert outcome(target, readers(name), target.seeds()[0]) == "accepted"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_stays_fixed(readers: Callable[[str], Callable[[bytes], object]], path: Path):
    name = path.parent.name
    outcome(TARGETS[name], readers(name), path.read_bytes())


def test_an_error_of_any_other_kind_is_a_finding():
    target = next(iter(TARGETS.values()))

    def fail(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(KeyError):
        outcome(target, fail, b"")


def test_a_change_of_values_leaves_json():
    data = TARGETS["coco"].seeds()[0]
    made = {changes.changed(data, 100_000, seed) for seed in range(50)}
    assert len(made - {None, data}) > 40
