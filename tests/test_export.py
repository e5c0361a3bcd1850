"""Exporting: what is written appears whole, is checked, and is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphs import PHOTOGRAPHS, crowded, photograph
from yolact import export as export_module
from yolact.config import DetectConfig
from yolact.export import Exported, check, export
from yolact.images import read_image
from yolact.instances import Instances
from yolact.runtimes.torch_export import TorchExportRuntime


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Exported:
    path = tmp_path_factory.mktemp("export") / "new" / "small.pt2"
    detect = DetectConfig(top_k=20)
    photographs = [photograph(0, 90, 120), read_image(PHOTOGRAPHS[0])]
    settings: Any = {"detect": detect, "masks": ("soft",), "image_size": (96, 128), "photographs": photographs}
    return export(crowded(), "torch", path, **settings)


def test_what_was_written_is_whole_and_checked(exported: Exported):
    assert [file.name for file in exported.path.parent.iterdir()] == ["small.pt2"]
    assert exported.files == (exported.path,)
    names = [difference.name for difference in exported.differences]
    assert names == ["1 of 120x90", "1 of 640x427", "2 of 81x67"]
    assert all(difference.detections for difference in exported.differences)
    lines = exported.report().splitlines()
    assert len(lines) == 5
    assert lines[0].split() == ["photographs", "detections", "unmatched", "score", "box,", "pixels", "lowest", "mask",
                                "IoU", "equal", "pixels"]  # fmt: skip
    assert lines[-1].startswith("written: ")
    assert "small.pt2 (" in lines[-1]


def test_the_file_says_what_it_was_made_with(exported: Exported):
    runtime = TorchExportRuntime(exported.path, "cpu")
    assert runtime.config.image_size == (96, 128)
    assert runtime.detect == DetectConfig(top_k=20)
    assert runtime.description.masks == ("soft",)


def test_a_file_that_differs_is_not_kept(exported: Exported, tmp_path: Path, monkeypatch):
    other = crowded()
    torch.nn.init.constant_(other.head.box_deltas.bias, 0.5)  # type: ignore[arg-type]  # what the file computes, and nobody asked for

    def write(deployable: Any, path: Path) -> Path:
        path.write_bytes(exported.path.read_bytes())
        return path

    kind = export_module._Kind(".pt2", write, TorchExportRuntime)
    monkeypatch.setitem(export_module.KINDS, "torch", kind)
    path = tmp_path / "wrong.pt2"
    path.write_text("an earlier one")
    with pytest.raises(ValueError, match="differs from PyTorch, so nothing was written") as refused:
        export(other, "torch", path, detect=DetectConfig(top_k=20), masks=("soft",), image_size=(96, 128))
    assert "lowest mask IoU" in str(refused.value)
    assert path.read_text() == "an earlier one"
    assert [file.name for file in tmp_path.iterdir()] == ["wrong.pt2"]
    assert (
        export(
            other, "torch", path, detect=DetectConfig(top_k=20), masks=("soft",), image_size=(96, 128), photographs=None
        )
        .report()
        .startswith("not checked")
    )


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch):
    def write(deployable: Any, path: Path) -> Path:
        path.write_text("half")
        raise OSError("no space left")

    monkeypatch.setitem(export_module.KINDS, "torch", export_module._Kind(".pt2", write, TorchExportRuntime))
    with pytest.raises(OSError, match="no space"):
        export(crowded(), "torch", tmp_path / "small.pt2", masks=())
    assert list(tmp_path.iterdir()) == []


def test_without_photographs_it_is_checked_on_made_ones(exported: Exported):
    from yolact.deployable import Deployable

    reference = Deployable(crowded(), DetectConfig(top_k=20), ("soft",), image_size=(96, 128))
    differences = check(TorchExportRuntime(exported.path, "cpu"), reference)
    assert [difference.name for difference in differences] == ["1 of 480x360", "1 of 321x427", "2 of 321x270"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "a.onnx"}, r"a\.onnx should end in \.pt2, as graphs for torch do"),
        ({"detect": DetectConfig(nms="traditional")}, "choose fast or cross-class"),
        ({"precision": "float16"}, "only TensorRT engines are built in float16"),
        ({"region_size": 0}, "region_size is 0"),
        ({"crop": "component"}, "crop is 'component'; a graph of standard operators has box, expand, soft"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str, tmp_path: Path):
    settings = {"path": "a.pt2", **options}
    with pytest.raises(ValueError, match=message):
        export(crowded(), "torch", tmp_path / settings.pop("path"), **settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("crop", ["expand", "soft"])
def test_the_masks_of_a_graph_are_cut_as_asked(crop: Any, tmp_path: Path):
    made = export(crowded(), "torch", tmp_path / "cut.pt2", masks=("soft",), crop=crop, image_size=(64, 96))
    batch = photograph(0, 90, 120)[None]
    found = TorchExportRuntime(made.path, "cpu").run_graph(batch)
    assert found["count"][0] > 3
    for i in range(3):
        one = Instances.from_outputs(found, 0, (90, 120), crowded().config, crop=crop)[i]
        np.testing.assert_allclose(one.soft_masks[0], found["soft_masks"][0, i], atol=1e-4)


def test_read_only_photographs_will_do(exported: Exported):
    from yolact.deployable import Deployable

    pixels = photograph(0, 90, 120)
    pixels.setflags(write=False)
    reference = Deployable(crowded(), DetectConfig(top_k=20), ("soft",), image_size=(96, 128))
    assert np.shares_memory(pixels, pixels)
    assert len(check(TorchExportRuntime(exported.path, "cpu"), reference, [pixels])) == 2
