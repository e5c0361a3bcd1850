"""What says how a network is built and trained: the config inside a file of weights, and a run's record."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fuzzed.target import Target, check


def model_seeds() -> list[bytes]:
    from yolact.presets import PRESETS

    return [json.dumps(PRESETS[name].build().to_dict()).encode() for name in sorted(PRESETS)]


def prepare_model(_: Path) -> Callable[[bytes], object]:
    from yolact.config import ModelConfig
    from yolact.weights_file import FORMAT, LARGEST_SIDE, _config_of

    def read(data: bytes) -> None:
        config = _config_of({"yolact_format": FORMAT, "config": data.decode("utf-8", "replace")})
        check(ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config, "it does not come back")
        check(max(config.image_size) <= LARGEST_SIDE, f"image_size {config.image_size}")
        check(config.anchors_per_location > 0, "no anchors")

    return read


def run_seeds() -> list[bytes]:
    from yolact.presets import PRESETS
    from yolact.training.config import TrainConfig

    record = {
        "data": "data.yaml",
        "model": PRESETS["yolact-resnet50"].build().to_dict(),
        "train": asdict(TrainConfig()),
    }
    record |= {"processes": 1, "environment": {"torch": "2.11"}, "fingerprints": {"train": "ab"}}
    return [json.dumps(record, default=str).encode()]


def prepare_run(folder: Path) -> Callable[[bytes], object]:
    from yolact.training.record import RECORD, Record

    def read(data: bytes) -> None:
        (folder / RECORD).write_bytes(data)
        Record.read(folder)

    return read


TARGETS = (
    Target("model-config", model_seeds, prepare_model, is_json=True, longest=16_000),
    Target("run-record", run_seeds, prepare_run, is_json=True, longest=8_000),
)
