"""Several processes train as one does."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from synthetic import write_dataset
from yolact import checkpoint

STEPS = 20


def run(data_yaml: Path, out: Path, processes: int, batch_size: int) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The losses of all steps and the last weights."""
    launcher = ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"] if processes > 1 else []
    recipe = {
        "preset": "yolact-mobilenetv4",
        "image-size": "64 64",
        "width": "16",
        "num-prototypes": "4",
        "steps": str(STEPS),
        "batch-size": str(batch_size),
        "batchnorm": "frozen",
        "augment": "jitter",
        "multi-scale": "0.5",
        "copy-paste": "0.5",
        "learning-rate": "0.001",
        "gradient-clip": "2",
        "workers": "0",
        "device": "cpu",
        "backbone-weights": "none",
        "ema-decay": "0",
    }
    options = [word for name, value in recipe.items() for word in (f"--{name}", *value.split())]
    command = [sys.executable, "-m", *launcher, "yolact", "train", str(data_yaml), "--out", str(out), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": "0"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    rows = [row for file in out.glob("csv/*/metrics.csv") for row in csv.DictReader(file.read_text().splitlines())]
    losses = [float(row["loss"]) for row in rows if row.get("loss")]
    return losses, checkpoint.load(out / "last.safetensors").state_dict()


def test_two_processes_with_half_the_batch_are_one(tmp_path: Path) -> None:
    """Gradients are clipped, as without it the random network is chaotic: the seventh digit soon reaches the fourth."""
    data_yaml = write_dataset(tmp_path / "data", images=4, size=(48, 64))
    data_yaml.write_text("train: {images: train, annotations: instances_train.json}\n")
    losses, weights = run(data_yaml, tmp_path / "one", 1, 4)
    shared_losses, shared_weights = run(data_yaml, tmp_path / "two", 2, 2)
    assert len(losses) == STEPS
    assert shared_losses == pytest.approx(losses, rel=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(shared_weights[name], value, rtol=0, atol=1e-5)
