"""Train one network of the studies, where that has not been done yet."""

import json
import shutil
import time
from pathlib import Path

import torch
import yaml

from studied import DATA
from studied.runs import Run

WEIGHTS = "last.safetensors"


def train(run: Run, backbone_weights: str, folder: Path) -> Path:
    """The weights of a run; trained now, if `folder` does not have them.

    Args:
        folder: of all runs.
    """
    from yolact.training import train as start

    finished = folder / run.name / WEIGHTS
    if finished.exists():
        return finished
    unfinished = folder / f"{run.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    data = without_val(folder)
    began = time.time()
    start(data, run.model_config(("person",)), run.train_config(backbone_weights, folder / "decoded"), unfinished)
    facts = {"seconds": time.time() - began, "torch": torch.__version__, "threads": torch.get_num_threads()}
    (unfinished / "facts.json").write_text(json.dumps(facts))
    (unfinished / "last.ckpt").unlink()
    unfinished.rename(finished.parent)
    return finished


def without_val(folder: Path) -> Path:
    """The data set's training part alone: each network is measured once, at its end, and no epoch is chosen."""
    content = yaml.safe_load(DATA.read_text())
    part = {name: str((DATA.parent / path).resolve()) for name, path in content["train"].items()}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump({"train": part}))
    return file
