import csv
import json
import os
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from synthetic import write_dataset, write_published
from tiny import RECIPE, TINY, same
from yolact.data.source import locate
from yolact.training import resume, train
from yolact.training.saving import SaveLast
from yolact.training.validation import Validation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), images=4, size=(48, 64))


@pytest.fixture(scope="module")
def whole(data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without interruption. Beside it, `killed`: its folder as it was after the first of its two epochs."""
    folder = tmp_path_factory.mktemp("runs")
    before = SaveLast.on_train_epoch_end

    def copy(self: SaveLast, trainer: Any, *rest: Any) -> None:
        before(self, trainer, *rest)
        if trainer.global_step == 2:
            shutil.copytree(self.out, folder / "killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SaveLast, "on_train_epoch_end", copy)
        return train(data_yaml, TINY, RECIPE, folder / "whole")


def validated(run: Path) -> int:
    """How often AP was measured."""
    logs = (path.read_text().splitlines() for path in run.glob("csv/*/metrics.csv"))
    return sum(bool(row.get("val/mask_AP")) for lines in logs for row in csv.DictReader(lines))


class TestResume:
    @pytest.mark.parametrize(("number", "step"), [(signal.SIGINT, 3), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
    def test_an_interrupted_run_ends_like_an_uninterrupted_one(
        self,
        data_yaml: Path,
        whole: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        number: signal.Signals,
        step: int,
    ) -> None:
        before = SaveLast.on_train_batch_end

        def interrupt(self: SaveLast, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == step:
                os.kill(os.getpid(), number)
            before(self, trainer, *rest)

        assert threading.current_thread() is threading.main_thread()
        handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        with monkeypatch.context() as patch:
            patch.setattr(SaveLast, "on_train_batch_end", interrupt)
            with pytest.raises(KeyboardInterrupt, match=f"stopped after {step} steps; go on with: "):
                train(data_yaml, TINY, RECIPE, tmp_path / "parts")
        out = tmp_path / "parts"
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
        assert torch.load(out / "last.ckpt", weights_only=False)["global_step"] == step
        resume(out)
        assert torch.load(out / "last.ckpt", weights_only=False)["global_step"] == 4
        assert same(whole / "last.safetensors", out / "last.safetensors")
        assert validated(out) == 2

    @pytest.mark.parametrize("step", [2, 3, 4])
    def test_measurements_keep_their_steps(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """Also at the end of an epoch, where Lightning's count of epochs goes wrong."""
        before, recipe = SaveLast.on_train_batch_end, replace(RECIPE, epochs=4, validate_every=2, pictures=0)

        def interrupt(self: SaveLast, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == step:
                os.kill(os.getpid(), signal.SIGINT)
            before(self, trainer, *rest)

        measured: list[int] = []
        compare = Validation._compare
        monkeypatch.setattr(Validation, "_compare", lambda *a: measured.append(a[2].global_step) or compare(*a))
        with monkeypatch.context() as patch:
            patch.setattr(SaveLast, "on_train_batch_end", interrupt)
            with pytest.raises(KeyboardInterrupt):
                train(data_yaml, TINY, recipe, tmp_path / "run")
        resume(tmp_path / "run")
        assert measured == [4, 8]

    def test_a_killed_run_goes_on_after_its_last_whole_epoch(self, whole: Path) -> None:
        killed = resume(whole.parent / "killed")
        assert same(whole / "last.safetensors", killed / "last.safetensors")
        assert same(whole / "best.safetensors", killed / "best.safetensors")
        assert validated(killed) == 2

    def test_a_run_on_a_published_data_set_whose_description_is_the_packages(self, tmp_path: Path) -> None:
        data = locate("sbd", write_published(tmp_path, "sbd"))
        whole = train(data, TINY, replace(RECIPE, steps=2, pictures=0), tmp_path / "whole")
        again = shutil.copytree(whole, tmp_path / "again")
        (again / "last.ckpt").unlink()  # as if killed before the first state
        resume(again)
        assert same(whole / "last.safetensors", again / "last.safetensors")

    def test_a_damaged_state(self, whole: Path, tmp_path: Path) -> None:
        shutil.copytree(whole, tmp_path / "run")
        (tmp_path / "run/last.ckpt").write_bytes(b"half of it")
        with pytest.raises(ValueError, match=r"last\.ckpt cannot be read: "):
            resume(tmp_path / "run")

    def test_data_that_went_missing_and_other_processes_are_refused(self, whole: Path, tmp_path: Path) -> None:
        shutil.copytree(whole, tmp_path / "run")
        record = json.loads((whole / "run.json").read_text())
        (tmp_path / "run/run.json").write_text(json.dumps(record | {"processes": 2}))
        with pytest.raises(ValueError, match="started with 2 processes, now there are 1"):
            resume(tmp_path / "run")
        (tmp_path / "run/run.json").write_text(json.dumps(record | {"data": str(tmp_path / "moved.yaml")}))
        with pytest.raises(ValueError, match=r"moved\.yaml, which .* does not exist; .* write .*run\.json"):
            resume(tmp_path / "run")
        prints = record["fingerprints"] | {"test": "0"}
        (tmp_path / "run/run.json").write_text(json.dumps(record | {"fingerprints": prints}))
        with pytest.raises(ValueError, match=r"the test data of .* are not those"):
            resume(tmp_path / "run")

    def test_after_the_end_nothing_is_left_to_do(self, whole: Path, tmp_path: Path) -> None:
        out = shutil.copytree(whole, tmp_path / "run")
        before = (out / "last.safetensors").read_bytes()
        resume(out)
        assert (out / "last.safetensors").read_bytes() == before

    def test_a_folder_without_a_run(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"has no run\.json; name the folder of a run"):
            resume(tmp_path)
