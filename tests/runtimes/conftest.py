"""Exported graphs: each is written once, for all processes of a test run."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from graphs import crowded, parity, plus
from yolact import checkpoint
from yolact.config import DetectConfig
from yolact.deployable import Deployable
from yolact.runtimes import onnxruntime, openvino, torch_export


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One for all processes."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


def written_once(path: Path, write: Callable[[Deployable, Path], object], deployable: Callable[[], Deployable]) -> Path:
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            write(deployable(), path)
    return path


@pytest.fixture(scope="session")
def crowded_onnx(folder: Path) -> Path:
    """`crowded()`, with every form of masks, for 25 detections."""
    detect = DetectConfig(top_k=25)  # more would make the graph, and the wait for it, larger
    return written_once(
        folder / "crowded.onnx",
        onnxruntime.write,
        lambda: Deployable(crowded(), detect, ("bits", "soft", "regions"), region_size=28),
    )


@pytest.fixture(scope="session")
def crowded_pt2(folder: Path) -> Path:
    """`crowded()`, with soft masks."""
    return written_once(
        folder / "crowded.pt2",
        torch_export.write,
        lambda: Deployable(crowded(), DetectConfig(), ("soft",), plain=torch_export.PLAIN),
    )


@pytest.fixture(scope="session")
def parity_onnx(folder: Path) -> Path:
    """`parity()`, with cross-class NMS, without masks."""
    detect = DetectConfig(nms="cross-class", top_k=30)
    return written_once(folder / "parity.onnx", onnxruntime.write, lambda: Deployable(parity(), detect))


@pytest.fixture(scope="session")
def plus_onnx(folder: Path) -> Path:
    """`plus()`, without masks."""
    return written_once(folder / "plus.onnx", onnxruntime.write, lambda: Deployable(plus(), DetectConfig()))


@pytest.fixture(scope="session")
def people_xml(folder: Path) -> Path:
    """The weights of the package, without masks."""
    return written_once(
        folder / "people.xml",
        openvino.write,
        lambda: Deployable(checkpoint.load(), DetectConfig(), plain=openvino.PLAIN),
    )
