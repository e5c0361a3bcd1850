"""Requests to Ray Serve are answered as `yolact serve` answers them."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sources_of_images import encoded

from test_predictor import small_network
from yolact import checkpoint, load
from yolact.apps.cluster.connection import connected
from yolact.images import decode_image
from yolact.predictor import Predictor

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return checkpoint.save(tmp_path_factory.mktemp("weights") / "small.safetensors", small_network())


@pytest.fixture(scope="module")
def address(weights: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with connected("local", cpus=2):
        from ray import serve

        from yolact.apps.cluster.serving import Arguments, build

        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(build(Arguments(weights=str(weights), batch_size=4)), route_prefix="/")
        yield f"http://127.0.0.1:{port}"
        serve.shutdown()


def ask(url: str, body: bytes | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def expected(predictor: Predictor, seed: int) -> list[dict[str, Any]]:
    found = predictor.predict(decode_image(encoded(seed), 10**8), score_threshold=0, top_k=3)
    return found.rles()


def test_each_request_gets_its_own_answer(address: str, weights: Path):
    predictor = load(weights, "cpu")
    seeds = [seed for seed in range(20) if seed % 7 != 3]
    with ThreadPoolExecutor(8) as clients:
        answers = list(
            clients.map(lambda seed: ask(f"{address}/predict?score_threshold=0&top_k=3", encoded(seed)), seeds)
        )
    for seed, (status, answer) in zip(seeds, answers, strict=True):
        assert status == 200
        [image] = answer["images"]
        assert (image["name"], image["width"], image["height"]) == (None, 64, 48)
        for instance, rle in zip(image["instances"], expected(predictor, seed), strict=True):
            difference = abs(instance["area"] - covered(rle))
            assert difference <= 0.02 * covered(rle) + 2  # batches round otherwise


def covered(rle: dict[str, Any]) -> int:
    from faster_coco_eval import mask

    return int(mask.area(rle))


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/predict", b"not an image", 422, "unreadable"),
        ("/predict?top_k=0", b"x", 400, "bad_option"),
        ("/predict?colour=red", b"x", 400, "bad_option"),
        ("/predict?classes=cow", b"x", 400, "bad_option"),
        ("/predict?format=png", b"x", 400, "bad_option"),
        ("/predict", b"", 400, "no_image"),
        ("/predict", b"x" * 33_000_000, 413, "too_large"),
    ],
)
def test_what_is_refused(address: str, path: str, body: bytes, status: int, code: str):
    got, answer = ask(address + path, body)
    assert (got, answer["error"]["code"]) == (status, code)


def test_health(address: str):
    assert ask(f"{address}/health") == (200, {"status": "up"})
