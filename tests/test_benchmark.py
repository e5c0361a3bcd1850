"""What `yolact benchmark` and the scripts beside it make of the times they measure."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from locations import ROOT
from yolact import benchmark, checkpoint
from yolact.benchmark import STAGES, Distribution, Report, measure, read_photographs, stages, synthesize
from yolact.config import DetectConfig
from yolact.host import PeakMemory, host_facts
from yolact.predictor import Predictor

SIZES = [(120, 160), (90, 200)]


class Clock:
    """Each reading is one second after the last, so that every stage takes as many seconds as it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class Graph:
    """A runtime that nobody can look into, such as TensorRT's."""

    name = "graph"

    def __init__(self, predictor: Predictor) -> None:
        self._inner = predictor.runtime
        self.config, self.detect = self._inner.config, self._inner.detect

    def describe(self) -> str:
        return "a graph"

    def run(
        self,
        photographs: list[np.ndarray],
        detect: DetectConfig | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> list[dict[str, np.ndarray]]:
        return self._inner.run(photographs, detect, image_size)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(checkpoint.load(), "cpu")


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    return [synthesize(width, height) for height, width in SIZES]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the scripts, from which their modules can be imported."""
    folder = ROOT / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] in ("contenders", "peers", "growth", "gpu")]:
        del sys.modules[name]


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_distribution() -> None:
    seconds = [i / 1000 for i in range(101)]
    assert Distribution.of(seconds) == Distribution(median=50.0, p90=90.0, p99=99.0, best=0.0)


def test_one_stage_after_the_other(predictor: Predictor, photographs: list[np.ndarray]) -> None:
    report = measure(predictor, photographs, rounds=3, warm_up=1, clock=Clock())
    assert list(report.stages) == ["preparation", "network", "detection", "masks", "total"]
    assert all(each == Distribution(1000.0, 1000.0, 1000.0, 1000.0) for each in report.stages.values())
    assert report.images_per_second == 1.0
    assert report.photographs == SIZES
    assert report.notes == ()


def test_what_does_not_count(predictor: Predictor, photographs: list[np.ndarray]) -> None:
    """The first rounds, in which the clock goes slowly."""

    class Slow(Clock):
        def __call__(self) -> float:
            self.now += 100.0 if self.now < 1400 else 1.0
            return self.now

    measured = measure(predictor, photographs[:1], rounds=2, warm_up=2, clock=Slow())
    assert measured.stages["total"].p99 == 1000.0
    assert measure(predictor, photographs[:1], rounds=2, warm_up=0, clock=Slow()).stages["total"].p99 > 1000.0


def test_a_graph_shows_no_stages(predictor: Predictor, photographs: list[np.ndarray]) -> None:
    report = measure(Predictor(Graph(predictor)), photographs, rounds=1, warm_up=0, clock=Clock())  # type: ignore[arg-type]
    assert list(report.stages) == ["graph", "masks", "total"]
    assert "cannot be seen" in report.notes[0]


def test_a_graph_behind_the_resize(predictor: Predictor, photographs: list[np.ndarray]) -> None:
    from yolact.runtimes.exported import CutGraphRuntime, Description

    class Cut(CutGraphRuntime):
        name = "cut"

        def __init__(self) -> None:
            super().__init__(Description(config=predictor.config, detect=DetectConfig()))

        def prepare(self, photographs: list[np.ndarray]) -> list[np.ndarray]:  # type: ignore[override]
            return photographs

        def compute(self, images: list[np.ndarray]) -> list[np.ndarray]:  # type: ignore[override]
            return images

        def finish(self, outputs: list[np.ndarray], sizes: object, detect: object = None) -> list[dict]:  # type: ignore[override]
            return predictor.runtime.run(outputs)

    found = stages(Predictor(Cut()), photographs, clock=Clock())  # type: ignore[arg-type]
    assert found == {"preparation": 1.0, "graph": 2.0, "masks": 1.0}


def test_batches_are_full(predictor: Predictor, photographs: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def noticed(predictor: Predictor, batch: list[np.ndarray], *others: object) -> dict[str, float]:
        seen.append(len(batch))
        return {"network": 2.0}

    monkeypatch.setattr(benchmark, "stages", noticed)
    report = measure(predictor, [*photographs, photographs[0]], rounds=2, warm_up=0, batch_size=2, clock=Clock())
    assert seen == [2, 2, 2, 2]
    assert report.images_per_second == 2.0
    assert report.stages["network"].median == 2000.0


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"batch_size": 0}])
def test_refuses(predictor: Predictor, photographs: list[np.ndarray], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: 0"):
        measure(predictor, photographs, **wrong)
    with pytest.raises(ValueError, match="photographs: 0"):
        measure(predictor, [])


def test_report(predictor: Predictor, photographs: list[np.ndarray]) -> None:
    report = measure(predictor, photographs, rounds=2, warm_up=1, score_threshold=0.3)
    table, content = report.table().splitlines(), json.loads(json.dumps(report.to_dict()))
    rows = [line for line in table if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows[1:]] == list(report.stages)
    assert len({row.count("|") for row in rows}) == 1
    assert "yolact-efficientnet-lite0 at 448x448, PyTorch" in table[0]
    assert "160x120" in table[1]
    assert "Only what scores above 0.3 got masks." in table
    assert content.keys() == Report.__dataclass_fields__.keys()
    assert content["stages"].keys() == report.stages.keys() <= STAGES.keys()
    assert content["stages"]["total"].keys() == {"median", "p90", "p99", "best"}
    assert content["host"]["threads"] == torch.get_num_threads()
    assert content["accuracy"] is None
    total = report.stages["total"]
    assert 0 < total.best <= total.median <= total.p90 <= total.p99


def test_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, origin = read_photographs([])
    assert len(found) == len(list((ROOT / "photos").glob("*.jpg")))
    assert origin.endswith("photos")
    monkeypatch.setattr(benchmark, "PHOTOGRAPHS", tmp_path / "none")
    (made,), origin = read_photographs([])
    assert made.shape == (480, 640, 3)
    assert "made" in origin
    np.testing.assert_array_equal(made, synthesize())
    with pytest.raises(FileNotFoundError):
        read_photographs([str(tmp_path / "none.jpg")])


def test_host() -> None:
    facts = host_facts()
    assert facts["processor"]
    assert facts["torch"] == torch.__version__
    json.dumps(facts)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells")
def test_peak_memory() -> None:
    used = PeakMemory()
    np.ones(100_000_000, np.uint8)  # freed at once
    peak, _ = used.stop()
    assert peak is not None
    assert 80 < peak < 300


# benchmarks/peers.py and what belongs to it


@pytest.mark.parametrize("script", ["peers", "growth"])
def test_scripts_explain_themselves(scripts: Path, script: str) -> None:
    command = [sys.executable, scripts / f"{script}.py", "--help"]
    assert f"benchmarks/{script}.py" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_a_gpu(scripts: Path) -> None:
    result = subprocess.run([sys.executable, scripts / "gpu.py"], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "GPU" in result.stderr


def test_background_margins_are_the_threshold(scripts: Path) -> None:
    weights = module("contenders.weights")
    logits = torch.randn(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    margins = weights.background_margins(logits)
    for shift in (-1.0, 0.0, 2.0):
        moved = torch.cat([logits[:, :1] + shift, logits[:, 1:]], dim=1)
        passes = moved.softmax(-1)[:, 1:].amax(-1) > 0.05
        assert torch.equal(passes, margins > shift)


def test_background_shift_lets_as_many_pass(scripts: Path) -> None:
    weights = module("contenders.weights")
    random = torch.Generator().manual_seed(1)
    logits = [torch.randn(2000, 6, generator=random) + torch.arange(6) * scale for scale in (0.1, 0.3, 0.5)]
    shift = weights.background_shift(logits, passing=300)
    passing = [int((weights.background_margins(each) > shift).sum()) for each in logits]
    assert sorted(passing)[1] == 300


def test_mask_rcnn_shift_lets_as_many_pass(scripts: Path) -> None:
    logits = torch.randn(1000, 91, generator=torch.Generator().manual_seed(0)) * 1.5
    shift = module("contenders.mask_rcnn").background_shift(logits)
    moved = torch.cat([logits[:, :1] + shift, logits[:, 1:]], dim=1)
    assert abs(int((moved.softmax(-1)[:, 1:] > 0.05).sum()) - 300) <= 1


def test_contrast(scripts: Path) -> None:
    weights = module("contenders.weights")
    photograph = synthesize(64, 64)
    assert weights.with_contrast(photograph, 1.0) is photograph
    flat, strong = weights.with_contrast(photograph, 0.5), weights.with_contrast(photograph, 2.0)
    assert flat.dtype == strong.dtype == np.uint8
    assert flat.std() < photograph.std() < strong.std()


def test_adjusted_weights_give_what_was_fitted(scripts: Path) -> None:
    from yolact.model import build_model
    from yolact.presets import PRESETS

    weights = module("contenders.weights")
    torch.manual_seed(0)
    network = build_model(PRESETS["yolact-mobilenetv4"].build(class_names=("a", "b"))).eval()
    photograph = synthesize()
    expected = weights.shifted(weights.look(network, photograph), 0.7, 1.5, 0.3)
    weights.adjust(network, 0.7, 1.5, 0.3)
    found = weights.look(network, photograph)
    for name in ("class_logits", "box_deltas"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-4)


def test_summary_and_tables(scripts: Path) -> None:
    module("contenders")
    standings = module("contenders.standings")
    rounds = [[{"total": 0.4, "after": 0.1}, {"total": 0.6, "after": 0.1}], [{"total": 0.2, "after": 0.1}] * 2]
    original = standings.summarize("original", "as it is", rounds)
    assert original.medians == {"after": pytest.approx(100), "total": pytest.approx(300)}
    assert original.best_round == pytest.approx(5)
    quick = [[{"preparation": 0.01, "graph": 0.01, "masks": 0.01, "total": 0.02}]]
    slow = [[{"network": 0.2, "after": 0.004, "total": 0.204}]]
    summaries = {
        "original": original,
        "openvino-int8": standings.summarize("ours, INT8", "a graph", quick),
        "eager": standings.summarize("ours, eager", "PyTorch", slow),
    }
    lines = standings.table(summaries)
    assert len({line.count("|") for line in lines if not line.startswith("|--")}) == 1
    assert "| 15.00 | 50.0 |" in lines[3]
    verdicts = {line.split(" | ")[0][2:]: line for line in standings.targets(summaries)[2:]}
    assert "| 15.00 | 12 | reached |" in verdicts["INT8"]
    assert "| 25.00 | 20 | reached |" in verdicts["detection and masks alone"]
    assert "| 1.47 | 1.5 | missed |" in verdicts["PyTorch float32, the better of eager and compiled"]
    assert "| 50.0 | 15 | reached |" in verdicts["INT8, images a second in the best round"]
    assert not [name for name in verdicts if "Mask R-CNN" in name or "bfloat16" in name]


def test_agreement(scripts: Path) -> None:
    contenders, agreement = module("contenders"), module("contenders.agreement")
    masks = np.zeros((3, 10, 10), bool)
    masks[0, :5], masks[1, 5:] = True, True
    found = contenders.Found(np.array([1, 2, 2]), np.array([0.9, 0.8, 0.7]), np.zeros((3, 4)), masks)
    assert agreement.agree(found, found) == agreement.Agreement(1.0, 1.0, 1.0, 1.0 - 0.0)
    swapped = contenders.Found(found.labels[[1, 0, 2]], found.scores, found.boxes, masks[[1, 0, 2]])
    other = agreement.agree(swapped, found)
    assert other.in_order == pytest.approx(1 / 3)
    assert other.matched == 1.0
    half = masks.copy()
    half[0, :4] = False
    worse = agreement.agree(contenders.Found(found.labels, found.scores, found.boxes, half), found)
    assert worse.smallest_overlap == pytest.approx(0.2)
    assert worse.matched == pytest.approx(2 / 3)
    assert "same labels in order, mask IoU" in agreement.worst([worse])
    assert "33 % of labels in place, 100 %" in agreement.worst([other])


def test_stand_in_for_the_deformable_convolution(scripts: Path) -> None:
    from yolact.model.deformable import DeformableConv2d

    torch.manual_seed(0)
    ours, theirs = DeformableConv2d(4, 2), module("contenders.original").DeformableStandIn(4, 4, 3, 2, 1)
    torch.nn.init.normal_(ours.offset_mask.weight, std=0.3)
    names = {name.replace("offset_mask", "conv_offset_mask"): value for name, value in ours.state_dict().items()}
    theirs.load_state_dict(names)
    image = torch.randn(1, 4, 9, 11)
    torch.testing.assert_close(theirs(image), ours(image))


@pytest.mark.slow
def test_side_by_side(scripts: Path, tmp_path: Path) -> None:
    photograph = next(iter(sorted((ROOT / "photos").glob("*.jpg"))))
    command = [sys.executable, scripts / "peers.py", "--only", "eager", "mask-rcnn-550", "--rounds", "1"]
    command += ["--photographs", photograph, "--json", tmp_path / "peers.json", "--original", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| float32 against Mask R-CNN, 550 |" in result.stdout
    content = json.loads((tmp_path / "peers.json").read_text())
    assert content["summaries"].keys() == {"eager", "mask-rcnn-550"}
    assert 200 <= content["facts"]["weights"]["passing"][0] <= 400
    assert content["facts"]["weights"]["mean_area"] == pytest.approx(0.057, rel=0.25)


def test_growth_tables(scripts: Path, tmp_path: Path) -> None:
    growth = module("growth")
    rows = [{"batch": 1, "total": 20.0}, {"batch": 2, "total": 30.123456}]
    curve = growth.Curve("batch", "A light network", "batch", rows)
    assert growth.table(curve)[-1] == "| 2 | 30.12 |"
    growth.write(curve, tmp_path)
    assert (tmp_path / "growth-batch.csv").read_text().splitlines()[0] == "batch,total"
    assert json.loads((tmp_path / "growth-batch.json").read_text())["rows"] == rows
    assert growth.medians({"nothing": lambda: None}, 3, share=2)["nothing"] >= 0


def test_gpu_targets(scripts: Path) -> None:
    gpu = module("gpu")

    def row(preset: str, batch: int, latency: float, speed: float) -> object:
        return gpu.Row(preset, "float16", batch, latency, latency, latency, speed, 100.0, 1.0, 1.0)

    rows = [
        row("yolact-resnet50", 1, 1.9, 520),
        row("yolact-resnet50", 64, 30.0, 2100),
        row("yolact-resnet101", 64, 50, 1200),
    ]
    goals = gpu.targets(rows, {"kernel, objects as in COCO": 0.1})
    assert [goal.reached for goal in goals] == [True, True, False, True]
    assert "missed" in gpu.target_table(goals)[4]
    windows = gpu.object_windows(2000, 138)
    shares = (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1]) / 138**2
    assert 0.04 < float(shares.float().mean()) < 0.08
    assert int(windows.min()) >= 0
    assert int(windows.max()) <= 138


def test_gpu_comparison(scripts: Path) -> None:
    gpu = module("gpu")
    bits = torch.tensor([[[[255], [0]], [[15], [240]]]], dtype=torch.uint8)
    expected = {"labels": torch.tensor([[1, 2]]), "mask_bits": bits}
    assert gpu.compare(expected, expected) == (1.0, 1.0)
    changed = {"labels": torch.tensor([[1, 3]]), "mask_bits": bits ^ torch.tensor(3, dtype=torch.uint8)}
    assert gpu.compare(changed, expected) == (0.5, 1 - 2 / 8)
    assert gpu.compare({**changed, "labels": torch.tensor([[5, 3]])}, expected) == (0.0, 0.0)
