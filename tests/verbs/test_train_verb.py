"""`yolact train`: the options that decide on the data set and on the network."""

import json
from pathlib import Path

import pytest

from synthetic import write_dataset, write_published
from yolact import checkpoint, training
from yolact.config import ModelConfig
from yolact.data.source import DataConfig
from yolact.presets import COCO_CATEGORY_IDS, COCO_CLASSES
from yolact.training.config import TrainConfig
from yolact.verbs.train import Train

SHORT = TrainConfig(steps=1, batch_size=1, workers=0, device="cpu", backbone_weights="none", ema_decay=0.0)


def test_coco_2017_by_name(tmp_path: Path):
    root = write_published(tmp_path, "coco2017")
    out = tmp_path / "run"
    command = Train(
        data=Path("coco2017"), root=root, preset="yolact-resnet18", image_size=(64, 64), width=32, out=out, recipe=SHORT
    )
    assert command.run() == 0
    model = checkpoint.load(out / "last.safetensors").config
    assert model.class_names == COCO_CLASSES
    assert model.category_ids == COCO_CATEGORY_IDS
    record = json.loads((out / "run.json").read_text())
    assert record["data"] == str(root / "coco2017.yaml")
    assert not (root / "coco2017.yaml").exists()
    assert DataConfig.read(Path(record["data"])) == DataConfig.read("coco2017", root)  # as resuming will read it


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ModelConfig]:
    """The networks that trainings were asked for."""
    models: list[ModelConfig] = []
    monkeypatch.setattr(training, "train", lambda data, model, recipe, out: models.append(model))
    return models


def test_anchors_of_ones_own(tmp_path: Path, asked: list[ModelConfig]):
    data = write_dataset(tmp_path, images=1, size=(32, 32))
    Train(data=data, preset="yolact-resnet50").run()
    Train(data=data, preset="yolact-resnet50", anchor_scales=(10.0, 20.0, 30.0, 40.0, 50.5)).run()
    Train(
        data=data,
        preset="yolact-resnet50",
        anchor_scales=tuple(float(i) for i in range(1, 11)),
        anchor_ratios=(1.0, 0.25),
    ).run()
    Train(data=data, preset="yolact-resnet50", anchor_ratios=(0.3,)).run()
    assert [model.square_anchors for model in asked] == [True, False, False, False]
    assert asked[1].anchor_scales == ((10,), (20,), (30,), (40,), (50.5,))
    assert asked[1].anchor_ratios == (1.0, 0.5, 2.0)
    assert asked[2].anchor_scales == ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
    assert asked[2].anchors_per_location == 4
    assert asked[3].anchor_scales == asked[0].anchor_scales


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anchor_scales": (1.0, 2.0, 3.0)}, "--anchor-scales has 3 numbers; give as many for each of P3 to P7"),
        ({"anchor_scales": (1.0, 2.0, 3.0, 4.0, 0.0)}, "each side must be above 0"),
        ({"anchor_ratios": (1.0, -1.0)}, "anchor_ratios is .* each above 0"),
        ({"anchor_ratios": (float("nan"),)}, "anchor_ratios is .* each above 0"),
        ({"root": Path("nowhere")}, "is for coco2017, sbd"),
    ],
)
def test_mistakes(settings: dict, message: str, tmp_path: Path, asked: list[ModelConfig]):
    data = write_dataset(tmp_path, images=1, size=(32, 32))
    with pytest.raises(ValueError, match=message):
        Train(data=data, **settings).run()
    assert asked == []
