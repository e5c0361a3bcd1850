"""Two servers for all tests: one as it comes, with two models, and one that puts up with little."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from graphs import crowded
from served import Served
from yolact import checkpoint

TOKEN = "open-sesame"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    return checkpoint.save(tmp_path_factory.mktemp("served") / "small.safetensors", crowded())


@pytest.fixture(scope="session")
def _served(weights: Path) -> Iterator[Served]:
    for module in ("fastapi_offline", "prometheus_client", "uvicorn"):
        pytest.importorskip(module, reason="needs the extra yolact[serve]")
    server = Served(weights, f"other={weights}", "--most-together", "4", "--patience", "50")
    yield server
    assert server.stop() == 0


@pytest.fixture
def served(_served: Served) -> Served:
    _served.until_ready()
    return _served


@pytest.fixture(scope="session")
def _strict(weights: Path) -> Iterator[Served]:
    pytest.importorskip("fastapi_offline", reason="needs the extra yolact[serve]")
    limits = {"body-mb": 0.5, "megapixels": 0.1, "images": 2, "queue": 4, "held-mb": 0.9, "upload-seconds": 1}
    options = [f"--{name}={value}" for name, value in {**limits, "seconds": 3, "token": TOKEN}.items()]
    server = Served(weights, *options)
    yield server
    assert server.stop() == 0


@pytest.fixture
def strict(_strict: Served) -> Served:
    _strict.until_ready()
    return _strict
