import csv
import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from synthetic import write_dataset
from tiny import RECIPE, TINY, same
from yolact import checkpoint
from yolact.config import ModelConfig
from yolact.data.coco import CocoDataset
from yolact.model import build_model
from yolact.training import TrainConfig, batch_size, resume, run, train, trainer, validation
from yolact.training.module import TrainingModule
from yolact.training.pictures import MARGIN, TILE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:lightning.*", "ignore:.*LeafSpec.*")


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", images=4, size=(48, 64))


def without_val(data_yaml: Path) -> None:
    data_yaml.write_text("train: {images: train, annotations: instances_train.json}\n")


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def fresh_weights(path: Path) -> Path:
    checkpoint.save(path, build_model(TINY.with_classes(("disk", "box"))))
    return path


def test_more_workers_than_processors_are_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    with trainer.quiet():
        DataLoader(TensorDataset(torch.zeros(2)), num_workers=(os.cpu_count() or 1) + 1)
    assert capsys.readouterr().err == ""


def rows(run: Path) -> list[dict[str, str]]:
    return [
        row for path in sorted(run.glob("csv/*/metrics.csv")) for row in csv.DictReader(path.read_text().splitlines())
    ]


def annotations(data_yaml: Path, change: Any, split: str = "train") -> None:
    path = data_yaml.parent / f"instances_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


class TestRun:
    def test_leaves_weights_logs_and_the_recipe(self, data_yaml: Path, tmp_path: Path) -> None:
        out = train(data_yaml, TINY, RECIPE, tmp_path / "run")
        names = {path.name for path in out.iterdir()}
        assert {"best.safetensors", "last.safetensors", "last.ckpt", "run.json", "csv", "tensorboard"} <= names
        assert list((out / "tensorboard").rglob("events.out.*"))
        for name in ("best", "last"):
            network = checkpoint.load(out / f"{name}.safetensors")
            assert network.config.class_names == ("disk", "box")
            assert network.config.category_ids == (3, 7)
        logged = rows(out)
        assert [int(row["step"]) for row in logged if row["val/mask_AP"]] == [1, 3]
        assert sum(name.startswith("val/") for name in logged[0]) == 24
        losses = [row for row in logged if row["train/box"]]
        assert len(losses) == 2
        assert all(float(row[f"train/{part}"]) > 0 for row in losses for part in ("box", "class", "mask", "semantic"))

    def test_the_same_seed_gives_the_same_weights(self, data_yaml: Path, tmp_path: Path) -> None:
        without_val(data_yaml)
        outs = [
            train(data_yaml, TINY, replace(RECIPE, steps=2, seed=s), tmp_path / f"{i}") for i, s in enumerate((1, 1, 2))
        ]
        assert same(outs[0] / "last.safetensors", outs[1] / "last.safetensors")
        assert not same(outs[0] / "last.safetensors", outs[2] / "last.safetensors")

    def test_steps_that_end_within_an_epoch_are_validated_too(self, data_yaml: Path, tmp_path: Path) -> None:
        out = train(data_yaml, TINY, replace(RECIPE, steps=1, validate_every=5), tmp_path / "run")
        assert (out / "best.safetensors").is_file()
        assert same(out / "best.safetensors", out / "last.safetensors")

    def test_without_validation_images(self, data_yaml: Path, tmp_path: Path) -> None:
        without_val(data_yaml)
        out = train(data_yaml, TINY, replace(RECIPE, steps=1), tmp_path / "run")
        assert (out / "last.safetensors").is_file()
        assert not (out / "best.safetensors").exists()

    @pytest.mark.parametrize(
        "change",
        [
            {"precision": "bf16", "channels_last": True},
            {"optimizer": "adamw", "schedule": "cosine", "gradient_clip": 1.0},
            {"ema_decay": 0.0, "batchnorm": "trained"},
            {"augment": "none"},
            {"augment": "jitter", "multi_scale": 0.5, "mosaic": 0.5, "copy_paste": 0.5, "batch_size": 2},
            {"accumulate": 2, "freeze": ("backbone", "fpn")},
            {"semantic_weight": 0.0, "crop_masks": False},
        ],
        ids=str,
    )
    def test_other_recipes(self, data_yaml: Path, tmp_path: Path, change: dict[str, Any]) -> None:
        without_val(data_yaml)
        out = train(data_yaml, TINY, replace(RECIPE, steps=1, **change), tmp_path / "run")
        state = checkpoint.load(out / "last.safetensors").state_dict()
        assert all(value.isfinite().all() for value in state.values())

    def test_saved_weights_are_the_average(self, data_yaml: Path, tmp_path: Path) -> None:
        out = train(data_yaml, TINY, replace(RECIPE, steps=3, ema_decay=0.9), tmp_path / "run")
        content = torch.load(out / "last.ckpt", weights_only=False)
        saved = checkpoint.load(out / "last.safetensors").state_dict()
        key = "head.shared.weight"
        assert torch.equal(saved[key], content["state_dict"][f"network.{key}"])
        assert not torch.equal(saved[key], content["current_model_state"][f"network.{key}"])

    def test_mask_rescoring_is_trained(self, data_yaml: Path, tmp_path: Path) -> None:
        model = replace(TINY, mask_rescoring=True, image_size=(256, 256))
        out = train(data_yaml, model, replace(RECIPE, steps=1), tmp_path / "run")
        assert any(row.get("train/mask_iou") for row in rows(out))


class TestLearning:
    def test_the_loss_falls(self, data_yaml: Path, tmp_path: Path) -> None:
        without_val(data_yaml)
        recipe = replace(RECIPE, epochs=12, batch_size=4, augment="none", optimizer="adamw")
        out = train(data_yaml, TINY, recipe, tmp_path / "run")
        losses = [
            sum(float(row[f"train/{p}"]) for p in ("box", "class", "mask")) for row in rows(out) if row["train/box"]
        ]
        assert min(losses[-3:]) < 0.6 * losses[0]


class TestFolder:
    def test_an_existing_run_is_never_overwritten(self, data_yaml: Path, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "notes.txt").write_text("mine")
        with pytest.raises(ValueError, match="exists already; name another folder"):
            train(data_yaml, TINY, RECIPE, tmp_path / "run")
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]

    def test_default_folders_are_numbered(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "runs" / "train").mkdir(parents=True)
        assert train(data_yaml, TINY, replace(RECIPE, steps=1)) == Path("runs/train-2")


class TestEarlyStopping:
    def test_patience_ends_the_run_and_resuming_does_not_go_on(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The mask AP is 0.5 after the second epoch, and never better."""
        aps = iter([0.4, 0.5, 0.5, 0.2, 0.9])
        before = validation.CocoEvaluator.compute

        def scripted(self: validation.CocoEvaluator) -> Any:
            figures = before(self)
            figures.mask["AP"] = next(aps)
            return figures

        monkeypatch.setattr(validation.CocoEvaluator, "compute", scripted)
        out = train(data_yaml, TINY, replace(RECIPE, epochs=9, patience=2, learning_rate=1e-4), tmp_path / "run")
        summary = "8 steps, stopped as 2 measurements brought no better mask AP; best mask AP 50.0"
        assert summary in capsys.readouterr().out
        last = (out / "last.safetensors").read_bytes()
        resume(out)
        assert summary in capsys.readouterr().out
        assert (out / "last.safetensors").read_bytes() == last

    def test_a_first_ap_of_0_is_the_best_so_far(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        train(data_yaml, TINY, replace(RECIPE, epochs=4, patience=1, learning_rate=1e-9), tmp_path / "run")
        assert (
            "4 steps, stopped as 1 measurement brought no better mask AP; best mask AP 0.0" in capsys.readouterr().out
        )

    def test_without_anything_to_measure_on_it_is_refused_or_never_runs_out(
        self, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        annotations(data_yaml, lambda content: content["annotations"].clear(), "val")
        train(data_yaml, TINY, replace(RECIPE, epochs=3, patience=1), tmp_path / "run")
        assert re.search(r"^6 steps.*; weights: ", capsys.readouterr().out, re.MULTILINE)
        without_val(data_yaml)
        with pytest.raises(ValueError, match=r"patience is 1, but .*data\.yaml has no val to measure on"):
            train(data_yaml, TINY, replace(RECIPE, patience=1), tmp_path / "other")


class TestSlivers:
    def test_a_validation_image_without_a_mask_has_a_picture(self, data_yaml: Path, tmp_path: Path) -> None:
        """Its objects pass all checks of their outlines, and cover no pixel's center."""

        def thin(content: dict[str, Any]) -> None:
            for annotation in content["annotations"][:2]:
                annotation["segmentation"] = [[5.6, 5.0, 5.9, 5.0, 5.9, 20.0, 5.6, 20.0]]

        annotations(data_yaml, thin, "val")
        out = train(data_yaml, TINY, replace(RECIPE, steps=1), tmp_path / "run")
        assert (out / "pictures/truth.jpg").is_file()


class TestFreeze:
    def test_frozen_parts_stay_and_others_move(self, data_yaml: Path, tmp_path: Path) -> None:
        without_val(data_yaml)
        start = fresh_weights(tmp_path / "start.safetensors")
        recipe = replace(RECIPE, steps=2, init=start, batchnorm="trained", freeze=("backbone", "fpn.lateral"))
        out = train(data_yaml, TINY, recipe, tmp_path / "run")
        first, last = (checkpoint.load(file).state_dict() for file in (start, out / "last.safetensors"))
        moved = {name for name in first if not torch.equal(first[name], last[name])}
        assert not [name for name in moved if name.startswith(("backbone.", "fpn.lateral."))]
        assert {"fpn.output.0.weight", "protonet.prototypes.weight", "head.shared.weight"} <= moved

    @pytest.mark.parametrize(
        ("freeze", "message"),
        [
            (("backbon",), "freeze names 'backbon', which is no part of the network; it has backbone, backbone"),
            (("backbone", "fpn", "protonet", "head", "semantic"), "nothing is left to train"),
        ],
    )
    def test_mistakes(self, data_yaml: Path, tmp_path: Path, freeze: tuple[str, ...], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            train(data_yaml, TINY, replace(RECIPE, freeze=freeze), tmp_path / "run")
        assert not (tmp_path / "run").exists()


class TestRecord:
    def test_says_where_and_on_which_data(self, data_yaml: Path, tmp_path: Path) -> None:
        out = train(data_yaml, TINY, replace(RECIPE, steps=1), tmp_path / "run")
        record = json.loads((out / "run.json").read_text())
        assert record["environment"]["torch"] == torch.__version__
        assert {"processor", "lightning", "yolact"} <= record["environment"].keys()
        assert record["fingerprints"].keys() == {"train", "val"}
        assert TrainConfig.from_dict(record["train"]) == replace(RECIPE, steps=1)

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_other_data_are_refused(self, data_yaml: Path, tmp_path: Path, split: str) -> None:
        out = train(data_yaml, TINY, replace(RECIPE, steps=1), tmp_path / "run")
        annotations(data_yaml, lambda content: content["annotations"].pop(), split)
        with pytest.raises(ValueError, match=f"the {split} data of .*data.yaml are not those that the run"):
            resume(out)

    def test_shows_validation_images_over_time(self, data_yaml: Path, tmp_path: Path) -> None:
        out = train(data_yaml, TINY, replace(RECIPE, pictures=3), tmp_path / "run")
        pictures = {path.name: size_of(path) for path in (out / "pictures").iterdir()}
        size = (3 * TILE + 2 * MARGIN, TILE)
        assert pictures == {"truth.jpg": size, "step_000002.jpg": size, "step_000004.jpg": size}
        none = train(data_yaml, TINY, replace(RECIPE, steps=1, pictures=0), tmp_path / "none")
        assert not (none / "pictures").exists()

    def test_says_how_long_it_waited(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = CocoDataset.__getitem__

        def slow(self: CocoDataset, index: int) -> Any:
            time.sleep(2)
            return before(self, index)

        without_val(data_yaml)
        monkeypatch.setattr(CocoDataset, "__getitem__", slow)
        train(data_yaml, TINY, replace(RECIPE, steps=2), tmp_path / "run")
        (share,) = re.findall(r"(\d+)% of the time of training went by waiting for data; more", capsys.readouterr().out)
        assert int(share) > 50


class TestLoggers:
    def test_an_unknown_one(self, data_yaml: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"logger 'wandb' is unknown; choose csv, tensorboard, .*WandbLogger"):
            train(data_yaml, TINY, replace(RECIPE, loggers=("wandb",)), tmp_path / "run")

    def test_one_whose_package_is_missing(self, data_yaml: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="logger WandbLogger cannot be made"):
            train(data_yaml, TINY, replace(RECIPE, loggers=("csv", "WandbLogger")), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_none(self, data_yaml: Path, tmp_path: Path) -> None:
        out = train(data_yaml, TINY, replace(RECIPE, steps=1, loggers=()), tmp_path / "run")
        assert not (out / "csv").exists()
        assert not (out / "tensorboard").exists()


class TestBatchSize:
    @pytest.mark.parametrize(("free", "expected"), [(1e12, 8), (0.0, 1), (None, 8)])
    def test_auto_takes_what_memory_holds(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float | None, expected: int
    ) -> None:
        monkeypatch.setattr(batch_size, "_free_memory", lambda _: free)
        out = train(data_yaml, TINY, replace(RECIPE, steps=1, batch_size="auto"), tmp_path / "run")
        assert json.loads((out / "run.json").read_text())["train"]["batch_size"] == expected

    def test_memory_for_a_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """1 GB for the first image, half a GB for each more; 70 % of 4 GB hold 4.6 of them."""
        monkeypatch.setattr(batch_size, "_free_memory", lambda _: 4e9)
        monkeypatch.setattr(batch_size, "_peak", lambda *arguments: 0.5e9 + 0.5e9 * arguments[-1])
        network, cpu = build_model(TINY), torch.device("cpu")
        assert batch_size.decide(network, replace(RECIPE, batch_size="auto"), cpu).batch_size == 4


class TestDifficultData:
    def test_bad_annotations_survive(self, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        def spoil(content: dict[str, Any]) -> None:
            objects = content["annotations"]
            objects[0]["bbox"] = [3, 3, 0, 0]
            objects[1]["category_id"] = 1000
            objects[2]["segmentation"] = []
            objects[4]["iscrowd"] = objects[5]["iscrowd"] = 1
            content["images"].append({"id": 9, "file_name": "nowhere.jpg", "width": 5, "height": 5})

        annotations(data_yaml, spoil)
        out = train(data_yaml, TINY, RECIPE, tmp_path / "run")
        printed = capsys.readouterr().out
        for problem in ("box without area", "unknown category 1000", "no segmentation", "only crowds", "missing image"):
            assert sum(problem in line for line in printed.splitlines()) == 1
        assert "4 training images, 3 objects, 2 classes; 4 validation images" in printed
        assert float(rows(out)[-1]["val/mask_AP"] or rows(out)[-2]["val/mask_AP"]) >= 0

    def test_batches_without_objects(self, data_yaml: Path, tmp_path: Path) -> None:
        def keep_one(content: dict[str, Any]) -> None:
            content["annotations"] = content["annotations"][:1]

        annotations(data_yaml, keep_one)
        out = train(data_yaml, TINY, RECIPE, tmp_path / "run")
        assert all(float(row["skipped_steps"]) == 0 for row in rows(out) if row["skipped_steps"])
        state = checkpoint.load(out / "last.safetensors").state_dict()
        assert all(value.isfinite().all() for value in state.values())

    def test_no_object_at_all(self, data_yaml: Path, tmp_path: Path) -> None:
        annotations(data_yaml, lambda content: content.update(annotations=[]))
        with pytest.raises(ValueError, match="no usable object of disk, box"):
            train(data_yaml, TINY, RECIPE, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    @pytest.mark.filterwarnings("default:.*cannot be used")
    def test_a_flawed_validation_file_is_survived(
        self, data_yaml: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Also by the code that measures AP, which reads the file a second time."""

        def spoil(content: dict[str, Any]) -> None:
            objects = content["annotations"]
            objects[0]["segmentation"] = [["1"] * 6]
            objects[1]["segmentation"] = {"size": [48, 64], "counts": "~~~"}
            objects[2]["bbox"] = ["a"] * 4
            objects[3]["category_id"] = objects[4]["id"] = objects[5]["image_id"] = [1]
            objects[6]["segmentation"] = {"size": None, "counts": [1]}
            content["annotations"].append(None)
            content["images"] += [None, {"id": "a", "file_name": "x"}, {"id": 7, "file_name": 3}]
            content["images"].append({**content["images"][0], "height": 3})

        annotations(data_yaml, spoil, "val")
        path = data_yaml.parent / "train" / "train001.png"
        path.write_bytes(path.read_bytes()[:500])
        out = train(data_yaml, TINY, replace(RECIPE, epochs=1, batch_size=4), tmp_path / "run")
        assert (out / "best.safetensors").is_file()
        noise = [line for line in capfd.readouterr().err.splitlines() if line and "it/s" not in line]
        assert any("train001.png cannot be used: image file is truncated" in line for line in noise)
        assert not any("Warning" in line or "deprecated" in line for line in noise)

    def test_validation_without_objects_has_no_best(
        self, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        annotations(data_yaml, lambda content: content.update(annotations=[]), "val")
        out = train(data_yaml, TINY, replace(RECIPE, steps=1), tmp_path / "run")
        assert not (out / "best.safetensors").exists()
        printed = capsys.readouterr().out
        assert "instances_val.json: no object to find" in printed
        assert "1 steps; weights: " in printed

    def test_validation_of_other_classes_is_refused_before_the_first_step(
        self, data_yaml: Path, tmp_path: Path
    ) -> None:
        def rename(content: dict[str, Any]) -> None:
            content["categories"] = [{"id": i, "name": f"other{i}"} for i in (3, 7)]

        annotations(data_yaml, rename, "val")
        with pytest.raises(ValueError, match=r"instances_val\.json has the classes other3, other7"):
            train(data_yaml, TINY, RECIPE, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_loss_that_is_not_finite_is_skipped_and_counted(
        self, data_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = TrainingModule.training_step

        def poisoned(self: TrainingModule, batch: Any, batch_idx: int) -> torch.Tensor:
            if self.trainer.global_step == 1:
                batch[0][0, 0, 0, 0] = float("inf")
            return before(self, batch, batch_idx)

        monkeypatch.setattr(TrainingModule, "training_step", poisoned)
        recipe = replace(RECIPE, steps=3, batchnorm="frozen")
        out = train(data_yaml, TINY, recipe, tmp_path / "run")
        assert "3 steps, 1 of them skipped for a loss that was not finite" in capsys.readouterr().out
        state = checkpoint.load(out / "last.safetensors").state_dict()
        assert all(value.isfinite().all() for value in state.values())


class TestFrozenBatchnorm:
    def weights(self, file: Path) -> dict[str, torch.Tensor]:
        state = checkpoint.load(file).state_dict()
        return {name: value for name, value in state.items() if "bn1" in name and value.is_floating_point()}

    @pytest.mark.parametrize(("batchnorm", "moves"), [("frozen", False), ("auto", False), ("trained", True)])
    def test_only_what_is_asked_for_moves(self, data_yaml: Path, tmp_path: Path, batchnorm: Any, moves: bool) -> None:
        without_val(data_yaml)
        start = fresh_weights(tmp_path / "start.safetensors")
        recipe = replace(RECIPE, steps=1, init=start, batchnorm=batchnorm)
        out = train(data_yaml, TINY, recipe, tmp_path / "run")
        first, second = self.weights(start), self.weights(out / "last.safetensors")
        assert first
        assert any(not torch.equal(first[name], second[name]) for name in first) == moves


def test_missing_extra(data_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightning", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'yolact\[train\]'"):
        train(data_yaml, TINY)


def test_fine_tuning_for_other_classes_names_what_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = fresh_weights(tmp_path / "first.safetensors")
    other = write_dataset(tmp_path / "other", images=2, classes=("disk", "box", "star"))
    train(other, TINY, replace(RECIPE, steps=1, init=first), tmp_path / "second")
    assert "except for head.class_logits, semantic" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_device_does_not_leave_a_folder(data_yaml: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device cuda is not on this machine"):
        train(data_yaml, TINY, replace(RECIPE, device="cuda"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_processes_of_further_devices_join_the_folder_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "train").mkdir(parents=True)
    (tmp_path / "runs" / "train" / "run.json").write_text("{}")
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert run._new_folder(Path("runs/train")) == run._new_folder(None) == Path("runs/train")


def test_a_mistaken_model_does_not_leave_a_folder(data_yaml: Path, tmp_path: Path) -> None:
    model = ModelConfig(name="x", backbone="resnet999", class_names=("a",))
    with pytest.raises(ValueError, match="resnet999"):
        train(data_yaml, model, RECIPE, tmp_path / "run")
    assert not (tmp_path / "run").exists()
