import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from synthetic import write_dataset
from yolact import checkpoint
from yolact.presets import yolact_mobilenetv4
from yolact.training import TrainConfig, resume, train
from yolact.training.callbacks import SaveLast

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")

TINY = yolact_mobilenetv4(image_size=(64, 64), width=16, num_prototypes=4)
RECIPE = TrainConfig(
    epochs=2, batch_size=2, workers=0, device="cpu", backbone_weights="none", learning_rate=0.01, warmup_steps=0
)


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", images=4, size=(48, 64))


def same(a: Path, b: Path) -> bool:
    left, right = checkpoint.load(a).state_dict(), checkpoint.load(b).state_dict()
    return all(torch.equal(left[name], right[name]) for name in left)


class TestResume:
    def test_an_interrupted_run_ends_like_an_uninterrupted_one(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole = train(data_yaml, TINY, RECIPE, tmp_path / "whole")
        before = SaveLast.on_train_batch_end

        def interrupt(self: SaveLast, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            before(self, trainer, *rest)

        assert threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGINT)
        with monkeypatch.context() as patch:
            patch.setattr(SaveLast, "on_train_batch_end", interrupt)
            out = train(data_yaml, TINY, RECIPE, tmp_path / "parts")
        assert signal.getsignal(signal.SIGINT) is handler
        assert "stopped after 3 steps; go on with: yolact train --resume" in capsys.readouterr().out
        assert torch.load(out / "last.ckpt", weights_only=False)["global_step"] == 3
        resume(out)
        assert torch.load(out / "last.ckpt", weights_only=False)["global_step"] == 4
        assert same(whole / "last.safetensors", out / "last.safetensors")

    def test_after_the_end_nothing_is_left_to_do(self, data_yaml: Path, tmp_path: Path) -> None:
        out = train(data_yaml, TINY, replace(RECIPE, steps=1), tmp_path / "run")
        before = (out / "last.safetensors").read_bytes()
        resume(out)
        assert (out / "last.safetensors").read_bytes() == before

    def test_a_folder_without_a_run(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"has no run\.json and last\.ckpt"):
            resume(tmp_path)
