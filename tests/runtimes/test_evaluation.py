"""Exported graphs are evaluated by the same command, and as the network they were made from."""

from pathlib import Path

import pytest

from graphs import CLASSES, crowded
from synthetic import write_dataset
from yolact.cli import main
from yolact.data.source import DataConfig
from yolact.evaluate import FIGURES, evaluate
from yolact.predictor import Predictor, load


def test_a_graph_is_evaluated_as_its_network(crowded_pt2: Path, tmp_path: Path) -> None:
    exported = load(crowded_pt2)
    data = DataConfig.read(write_dataset(tmp_path, images=3, size=(160, 160), classes=CLASSES))
    options = {"progress": False, "score_threshold": 0.0}
    found, expected = (evaluate(p, data, **options) for p in (exported, Predictor(crowded(), "cpu")))
    assert found.leakage is not None
    assert expected.leakage is not None
    assert found.leakage.pairs == expected.leakage.pairs > 0
    for kind in ("box", "mask", "perfect_boxes", "boundary"):
        assert [found[kind][name] for name in FIGURES] == pytest.approx(list(expected[kind].values()), abs=0.02)
    assert found.leakage.masks.own == pytest.approx(expected.leakage.masks.own, abs=0.01)
    assert found.leakage.masks != found.leakage.perfect_boxes


def test_the_command_takes_a_graph(crowded_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_dataset(tmp_path, images=2, size=(96, 128), classes=CLASSES)
    with pytest.raises(SystemExit) as exited:
        main(["evaluate", str(data), "--weights", str(crowded_onnx), "--out", str(tmp_path / "out")])
    assert exited.value.code == 0
    assert "in perfect boxes" in capsys.readouterr().out
    assert (tmp_path / "out/errors.html").stat().st_size > 10_000
