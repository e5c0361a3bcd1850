"""Being asked to stop: by signals, which come at any moment, and by other threads."""

import signal
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import lightning
import pytest

from synthetic import write_dataset
from tiny import RECIPE, TINY, same
from yolact.training import resume, saving, train
from yolact.training.saving import SaveLast

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")


@pytest.fixture
def saver(tmp_path: Path) -> SaveLast:
    return SaveLast(tmp_path, None, 10, 1)


def agreeing(saver: SaveLast, meanwhile: Any = None) -> bool:
    """Whether it stops, after a talk with other processes during which something may happen."""

    def reduce(asked: bool, all: bool) -> bool:
        if meanwhile is not None:
            meanwhile()
        return asked

    trainer = Mock(spec=lightning.Trainer)
    trainer.strategy.reduce_boolean_decision = reduce
    saver._agree(trainer)
    return saver.stopping


def test_a_signal_that_comes_while_others_are_asked_is_not_lost(saver: SaveLast) -> None:
    assert not agreeing(saver, lambda: saver._interrupt(signal.SIGTERM, None))
    assert agreeing(saver)


def test_a_second_signal_stops_at_once_but_for_one_that_was_passed_on(
    saver: SaveLast, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver._interrupt(signal.SIGTERM, None)
    saver._interrupt(signal.SIGTERM, None)
    later = time.monotonic() + 2 * saving.AT_ONCE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    with pytest.raises(KeyboardInterrupt):
        saver._interrupt(signal.SIGTERM, None)


def test_another_thread_may_have_a_run_stop(tmp_path: Path) -> None:
    data_yaml = write_dataset(tmp_path / "data", images=4, size=(48, 64))
    data_yaml.write_text("train: {images: train, annotations: instances_train.json}\n")
    stop = threading.Event()
    whole = train(data_yaml, TINY, RECIPE, tmp_path / "whole", stop=stop)
    stop.set()
    with pytest.raises(KeyboardInterrupt, match="stopped after 1 steps; go on with: "):
        train(data_yaml, TINY, RECIPE, tmp_path / "parts", stop=stop)
    stop.clear()
    resume(tmp_path / "parts", stop=stop)
    assert same(whole / "last.safetensors", tmp_path / "parts/last.safetensors")
