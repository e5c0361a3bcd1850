"""The example says what YOLACT is; so it has to compute what the package computes."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from locations import ROOT
from yolact import checkpoint
from yolact.config import DetectConfig
from yolact.deployable import Deployable
from yolact.instances import Instances
from yolact.model import Yolact, build_model
from yolact.presets import yolact_efficientnet_lite0

EXAMPLE = ROOT / "examples" / "yolact_in_50_lines.py"


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("yolact_in_50_lines", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_network(backbone: str = "tf_efficientnet_lite0", image_size: tuple[int, int] = (128, 160)) -> Yolact:
    """Weights that make detections, scores far enough apart, batch norm statistics that are not all 0 and 1."""
    torch.manual_seed(0)
    config = yolact_efficientnet_lite0(
        backbone=backbone, image_size=image_size, class_names=("person", "dog"), category_ids=(), width=32
    )
    network = build_model(config).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    with torch.no_grad():
        for output, scale in (
            (network.head.class_logits, 0.3),
            (network.head.box_deltas, 0.2),
            (network.head.coefficients, 0.3),
        ):
            output.weight *= scale
    return network


def photograph(height: int = 90, width: int = 140) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8))


def ours(network: Yolact, photo: torch.Tensor, score_threshold: float) -> Instances:
    with torch.inference_mode():
        outputs = Deployable(network, DetectConfig())(photo.permute(1, 2, 0)[None])
    size = (photo.shape[1], photo.shape[2])
    found = {name: output.numpy() for name, output in outputs.items()}
    return Instances.from_outputs(found, 0, size, network.config, score_threshold=score_threshold, crop="box")


# Lite2 is deeper and wider; the second size is not divisible by 32, where TensorFlow's padding changes sides.
@pytest.mark.parametrize(
    ("backbone", "image_size"), [("tf_efficientnet_lite0", (128, 160)), ("tf_efficientnet_lite2", (150, 131))]
)
def test_the_example_computes_what_the_package_computes(
    example: ModuleType, tmp_path: Path, backbone: str, image_size: tuple[int, int]
) -> None:
    network = random_network(backbone, image_size)
    example.load(checkpoint.save(tmp_path / "random.safetensors", network))
    photo = photograph()
    expected = ours(network, photo, score_threshold=0.15)
    boxes, scores, labels, masks = example.segment(photo, score_threshold=0.15)
    assert len(expected) > 20
    assert set(expected.labels) == {0, 1}
    np.testing.assert_array_equal(labels.numpy(), expected.labels)
    np.testing.assert_allclose(scores.numpy(), expected.scores, atol=1e-4)
    np.testing.assert_allclose(boxes.numpy(), expected.boxes, atol=0.01)
    assert 0.01 < expected.masks.mean() < 0.99
    assert (masks.numpy() != expected.masks).mean() < 1e-4


def test_it_finds_nothing_where_nothing_is_likely(example: ModuleType, tmp_path: Path) -> None:
    network = random_network()
    with torch.no_grad():
        network.state_dict()["head.class_logits.bias"].view(-1, 3)[:, 0] = 1000  # background everywhere
    example.load(checkpoint.save(tmp_path / "random.safetensors", network))
    boxes, scores, labels, masks = example.segment(photograph())
    assert boxes.shape == (0, 4)
    assert len(scores) == len(labels) == len(masks) == 0


def test_it_runs_as_its_documentation_says(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "WEIGHTS", checkpoint.save(tmp_path / "random.safetensors", random_network()))
    Image.fromarray(photograph().permute(1, 2, 0).numpy()).save(tmp_path / "photo.png")
    example.main(str(tmp_path / "photo.png"), str(tmp_path / "segmented.png"))
    drawn = np.asarray(Image.open(tmp_path / "segmented.png"))
    assert drawn.shape == (90, 140, 3)
    assert (drawn != photograph().permute(1, 2, 0).numpy()).any()


def test_it_needs_nothing_but_torch_and_torchvision() -> None:
    imports = [
        line.split()[1].split(".")[0]
        for line in EXAMPLE.read_text().splitlines()
        if line.startswith(("import", "from"))
    ]
    assert set(imports) == {"json", "sys", "pathlib", "torch", "torchvision"}
