import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from synthetic import write_dataset
from tiny import RECIPE, TINY
from yolact.training import train
from yolact.training.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")


class Eager(Progress):
    """Looks after every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.interval = -1.0


def eager_train(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolact.training.run.Progress", Eager)
    data_yaml = write_dataset(folder / "data", images=4, size=(48, 64))
    train(data_yaml, TINY, replace(RECIPE, pictures=0), folder / "run")


def test_a_log_has_lines_with_step_loss_and_ap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    eager_train(tmp_path, monkeypatch)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "/4 " in line]
    assert "\r" not in out
    assert [line.split("/4 ")[0][-1] for line in lines] == ["1", "2", "2", "2", "3", "4", "4", "4"]
    assert all(re.search(r"loss \d", line) for line in lines)
    assert "validation: batch 2 of 2" in lines[3]
    assert "mask_AP 0" in lines[4]


def test_a_terminal_has_one_line_that_is_wiped_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    eager_train(tmp_path, monkeypatch)
    out, err = capsys.readouterr()
    assert "/4 " not in out
    shown = err.split("\r")
    assert any("3/4 " in line and "mask_AP 0" in line for line in shown)
    assert not shown[-1].strip(), "the last thing it does is to blank its line"
    assert "\n" not in err
