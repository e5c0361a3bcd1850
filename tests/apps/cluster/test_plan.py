"""A folder of results is gone on with only by what began it."""

import json
import os
from pathlib import Path

import pytest
from sources_of_images import encoded, write_folder

from yolact.apps.cluster.listing import list_source
from yolact.apps.cluster.plan import Plan
from yolact.apps.cluster.storage import open_folder

OPTIONS = {"top_k": 100, "classes": ("dog",)}


def agree(tmp_path: Path, weights: str = "abcdefghij", options: dict = OPTIONS, chunk: int = 4) -> bool:
    listing = list_source(str(tmp_path / "photos"), chunk)
    return Plan.of(listing, weights, {**options, "chunk": chunk}).agree_with(open_folder(str(tmp_path / "out")))


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    write_folder(tmp_path / "photos", 6)
    assert agree(tmp_path) is False
    return tmp_path


def test_the_same_goes_on(begun: Path):
    assert agree(begun) is True


def test_the_folder_may_move(begun: Path):
    (begun / "out").rename(begun / "elsewhere")
    (begun / "elsewhere").rename(begun / "out")
    assert agree(begun) is True


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"weights": "klmnopqrst"}, "the weights (abcdefgh then, klmnopqr now)"),
        ({"options": {**OPTIONS, "top_k": 5}}, "top_k (100 then, 5 now)"),
        ({"options": {"top_k": 100, "classes": None}}, "classes (['dog'] then, none now)"),
        ({"chunk": 3}, "chunk (4 then, 3 now)"),
    ],
)
def test_what_differs_is_named(begun: Path, change: dict, part: str):
    with pytest.raises(ValueError, match="holds the results of another run") as refused:
        agree(begun, **change)
    assert part in str(refused.value)
    assert refused.value.args[0].count("then") == 1


@pytest.mark.parametrize("kind", ["gone", "new", "changed"])
def test_files_that_differ_are_named(begun: Path, kind: str):
    path = begun / "photos" / "0" / "000.jpg"
    if kind == "gone":
        path.unlink()
    elif kind == "new":
        path = path.with_name("009.jpg")
        path.write_bytes(encoded(1))
    else:
        os.utime(path, (1, 1))
    with pytest.raises(ValueError, match=rf"the source's files \(1 {kind}, such as 0/{path.name}\)"):
        agree(begun)


def test_another_version_is_named(begun: Path):
    plan = json.loads((begun / "out" / "plan.json").read_text())
    plan["versions"]["pyarrow"] = "1.0"
    (begun / "out" / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match=r"pyarrow \(1\.0 then, "):
        agree(begun)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 2}'])
def test_a_damaged_plan_is_refused(begun: Path, content: str):
    (begun / "out" / "plan.json").write_text(content)
    with pytest.raises(ValueError, match=r"plan\.json is damaged|the format"):
        agree(begun)


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    write_folder(tmp_path / "photos", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds thesis\.tex, which is not of such a run"):
        agree(tmp_path)
    assert len(list((tmp_path / "out").iterdir())) == 1
