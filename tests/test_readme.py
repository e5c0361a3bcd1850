"""What the README promises: its commands, its Python, and the weights behind them."""

import re
from pathlib import Path

import numpy as np
import pytest

import yolact
from locations import ROOT
from yolact import checkpoint
from yolact.data.source import Source
from yolact.evaluate import evaluate

README = (ROOT / "README.md").read_text()


def test_the_shipped_weights_are_small():
    weights = Path(checkpoint.__file__).parent / "weights" / f"{checkpoint.SHIPPED}.safetensors"
    assert weights.stat().st_size < 25e6


def test_the_shipped_weights_find_the_people_at_the_bar():
    result = yolact.load(device="cpu").predict(ROOT / "photos" / "000000475546.jpg", score_threshold=0.4)
    assert len(result) >= 4
    assert set(result.names) == {"person"}
    back = result[int(np.argmax(result.areas))]  # a man seen from behind, who fills the left
    x1, y1, x2, y2 = back.boxes[0]
    assert x1 < 10
    assert 90 < x2 < 110
    assert 90 < y1 < 125
    assert back.areas[0] > 0.6 * (x2 - x1) * (y2 - y1)


def test_the_shipped_weights_reach_what_their_card_says(shared: Path):
    folder = shared / "data" / "pennfudan"
    evaluation = evaluate(yolact.load(device="cpu"), Source(folder / "val", folder / "instances_val.json"))
    card = (ROOT / "src" / "yolact" / "weights" / "README.md").read_text()
    row = re.search(r"Penn-Fudan val, \d+ photographs \| ([\d.]+) \| ([\d.]+)", card)
    assert row is not None
    assert evaluation["mask"]["AP"] == pytest.approx(float(row[1]), abs=0.003)
    assert evaluation["mask"]["AP50"] == pytest.approx(float(row[2]), abs=0.003)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    (tmp_path / "photos").symlink_to(ROOT / "photos")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})
    assert (tmp_path / "segmented.jpg").stat().st_size > 10_000
    assert capsys.readouterr().out.count("people") == len(list((ROOT / "photos").glob("*.jpg")))


def test_linked_files_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link
