"""A run on a small cluster of Ray, while its workers are killed."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes_of_ray import kill
from pyarrow import parquet
from sources_of_images import write_folder

from test_predictor import small_network
from yolact import checkpoint
from yolact.apps.cluster.connection import connected
from yolact.apps.cluster.listing import list_source
from yolact.apps.cluster.model_files import ModelFiles, pack_model
from yolact.apps.cluster.pool import AnsweringWorker
from yolact.apps.cluster.storage import open_folder
from yolact.apps.cluster.worker import Work, Worker
from yolact.cli import main

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own
REQUEST = {"score_threshold": 0.0, "top_k": 3}
CHUNK = 4
WORKER = "ray::MapWorker"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    weights = tmp_path_factory.mktemp("weights") / "small.safetensors"
    return checkpoint.save(weights, small_network(image_size=(64, 64)))


@pytest.fixture(scope="module")
def model(weights: Path) -> ModelFiles:
    return pack_model(str(weights), None)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connected("local", cpus=2):
        yield


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def predict(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exited:
        main(["predict", "--ray", "--ray.address", "local", *map(str, arguments)])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def without_ray(photos: Path, out: Path, model: ModelFiles) -> dict[str, bytes]:
    """The files of the same work in this process, but for those that are not of a chunk."""
    folder, listing = open_folder(str(out)), list_source(str(photos), CHUNK)
    model.write(folder)
    work = Work(listing=listing, out=folder, model=model, request=REQUEST)
    worker = Worker(work)
    for chunk in listing.chunks:
        worker({"chunk": chunk.to_json()})
    return contents(out)


def test_a_cluster_that_is_not_there_is_said_at_once():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ConnectionError, match=f"no Ray cluster at {address}"), connected(address):
        pass


def test_workers_that_are_killed_lose_nothing(cluster, weights: Path, model: ModelFiles, tmp_path: Path, capsys):
    photos, out, killed = write_folder(tmp_path / "photos", 60), tmp_path / "out", list[int]()

    def kill_once() -> None:
        deadline = time.monotonic() + 120
        while not list((out / "attempts").glob("*")) and time.monotonic() < deadline:
            time.sleep(0.005)
        killed.extend(kill(os.getpid(), WORKER))

    killer = threading.Thread(target=kill_once)
    killer.start()
    given = (photos, "--out", out, "--weights", weights, "--top-k", 3, "--score-threshold", 0, "--ray.chunk", 4)
    assert predict(*given) == 1
    killer.join()
    assert killed
    assert "9 with an error; 153 instances; results in" in capsys.readouterr().out
    rows = parquet.read_table(out / "images").to_pylist()
    assert [row["image"] for row in rows] == sorted(f"{i % 3}/{i:03d}.jpg" for i in range(60))
    assert sum(row["instances"] for row in rows) == parquet.read_table(out / "instances").num_rows == 153
    before, plain = contents(out), without_ray(photos, tmp_path / "plain", model)
    assert {name: before[name] for name in plain} == plain
    assert before.keys() - plain.keys() == {"plan.json", "listing.parquet", "manifest.json"}
    manifest = json.loads(before["manifest.json"])
    assert manifest["images"] == sum(part["images"] for part in manifest["parts"]) == 60

    # What a run that was killed as a whole leaves behind: some parts, and what was under way.
    for name in ("manifest.json", "images/00000003.parquet", "images/00000007.parquet", "instances/00000007.parquet"):
        (out / name).unlink()
    (out / "instances" / f".{'0' * 32}.00000003.parquet").write_bytes(b"PAR1")
    (out / "attempts").mkdir()
    (out / "attempts" / "00000003-0.json").write_text("[]")
    assert predict(*given) == 1
    assert "60 photographs, 52 of them by an earlier run, in" in capsys.readouterr().out
    assert contents(out) == before
    assert predict(*given) == 1  # nothing to do
    assert "60 photographs, 60 of them by an earlier run, in" in capsys.readouterr().out
    assert predict(*given, "--nms", "cross-class") == 2
    assert "nms (fast then, cross-class now)" in capsys.readouterr().err
    assert contents(out) == before


def test_what_goes_wrong_in_a_worker_is_an_answer(model: ModelFiles, tmp_path: Path):
    photos = write_folder(tmp_path / "photos", 2)
    folder, listing = open_folder(str(tmp_path / "out")), list_source(str(photos), CHUNK)
    model.write(folder)
    (tmp_path / "out" / "attempts").write_text("in the way of a folder")
    worker = AnsweringWorker(Work(listing=listing, out=folder, model=model, request=REQUEST))
    failure = worker({"chunk": listing.chunks[0].to_json()})["failure"]
    assert failure.startswith("cannot write")
    assert "\n" not in failure


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("{tmp}/photos", "{tmp}/photos"), "--ray takes one source, not 2"),
        (("{tmp}/photos", "--cutouts"), "leave --cutouts"),
        (("{tmp}/photos", "--track", "mask"), "options of videos"),
        (("{tmp}/photos", "--device", "cpu"), "leave --device out"),
        (("{tmp}/photos", "--runtime", "auto"), "runtime is auto"),
        (("{tmp}/photos", "--out", "{tmp}/photos/out"), "lies within"),
        (("{tmp}/photos", "--top-k", "0"), "top_k is 0"),
        (("{tmp}/photos", "--ray.workers", "3", "2"), "ray.workers is 3 2"),
        (("{tmp}/nothing",), "does not exist"),
    ],
)
def test_what_the_verb_refuses(tmp_path: Path, weights: Path, capsys, arguments: tuple[str, ...], part: str):
    write_folder(tmp_path / "photos", 2)
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    given += [] if "--out" in given else ["--out", str(tmp_path / "out")]
    assert predict(*given, "--weights", weights) == 2
    printed = capsys.readouterr().err
    assert part in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()
