"""One worker without a cluster: what it writes of each kind of source, and that it is the same each time."""

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import mask as coco_mask
from PIL import Image
from pyarrow import parquet
from sources_of_images import encoded, write_folder, write_parquet, write_shards

from test_predictor import small_network
from yolact import checkpoint
from yolact.apps.cluster.attempts import Attempt
from yolact.apps.cluster.contents import decode
from yolact.apps.cluster.listing import list_source
from yolact.apps.cluster.manifest import finished_chunks
from yolact.apps.cluster.model_files import ModelFiles, pack_model
from yolact.apps.cluster.storage import open_folder
from yolact.apps.cluster.worker import Work, Worker
from yolact.predictor import Predictor

REQUEST = {"score_threshold": 0.0, "top_k": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ModelFiles:
    weights = tmp_path_factory.mktemp("weights") / "small.safetensors"
    return pack_model(str(checkpoint.save(weights, small_network(image_size=(64, 64)))), None)


def predict(source: Path, out: Path, model: ModelFiles, chunk: int = 4, **changes) -> list[dict]:
    """What `predict_on_ray` has its workers do, one chunk after the other: the counts of each."""
    listing, folder = list_source(str(source), chunk, changes.pop("column", None)), open_folder(str(out))
    model.write(folder)
    work = Work(listing=listing, out=folder, model=model.without_bytes(), request=REQUEST, **changes)
    worker = Worker(work)
    return [worker({"chunk": chunk.to_json()}) for chunk in listing.chunks]


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_rows_are_what_the_predictor_gives(tmp_path: Path, model):
    counts = predict(write_folder(tmp_path / "photos", 10), tmp_path / "out", model)
    assert counts == [
        {"images": 4, "errors": 1, "instances": 9},
        {"images": 4, "errors": 0, "instances": 12},
        {"images": 2, "errors": 0, "instances": 6},
    ]
    images = parquet.read_table(tmp_path / "out" / "images").to_pylist()
    assert [row["image"] for row in images] == [file.name for file in list_source(str(tmp_path / "photos"), 4).files]
    bad = [row for row in images if row["status"] == "error"]
    assert [row["image"] for row in bad] == ["0/003.jpg"]
    assert "cannot read 0/003.jpg" in bad[0]["error"]
    assert {**bad[0], "error": None} == {**images[1], "width": None, "error": None, "height": None, "instances": 0}
    instances = parquet.read_table(tmp_path / "out" / "instances").to_pylist()
    rows = [row for row in instances if row["image"] == "1/004.jpg"]
    found = model.load("cpu").predict(tmp_path / "photos" / "1" / "004.jpg", **REQUEST)
    boxes = np.array([[row[corner] for corner in ("x1", "y1", "x2", "y2")] for row in rows])
    assert np.array_equal(boxes.astype(np.float32), found.boxes)
    assert [row["name"] for row in rows] == found.names
    assert [row["category_id"] for row in rows] == [17 + row["label"] for row in rows]
    for row, rle in zip(rows, found.rles(), strict=True):
        size = [row["height"], row["width"]]
        assert {"size": size, "counts": row["rle"]} == rle
        assert coco_mask.decode({"size": size, "counts": row["rle"]}).sum() == row["area"]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_same_bytes_each_time(tmp_path: Path, model, batch_size: int):
    photos = write_folder(tmp_path / "photos", 9)
    for out in ("once", "again"):
        predict(photos, tmp_path / out, model, batch_size=batch_size)
    assert contents(tmp_path / "once") == contents(tmp_path / "again")
    assert len(contents(tmp_path / "once")) == 7  # of three chunks, and the model; no traces of attempts


def test_shards_and_parquet_give_the_images_of_a_folder(tmp_path: Path, model):
    predict(write_folder(tmp_path / "photos", 9), tmp_path / "a", model)
    predict(write_shards(tmp_path / "shards", 9), tmp_path / "b", model, column="jpg")
    predict(write_parquet(tmp_path / "tables" / "t.parquet", 9), tmp_path / "c", model)
    predict(write_parquet(tmp_path / "nested" / "t.parquet", 9, nested=True), tmp_path / "d", model)

    def by_number(out: str, key) -> dict[int, list]:
        rows = [(key(row.pop("image")), row) for row in parquet.read_table(tmp_path / out / "instances").to_pylist()]
        return {number: [row for of, row in rows if of == number] for number, _ in rows}

    expected = by_number("a", lambda image: int(image[2:5]))
    assert by_number("b", lambda image: int(image[8:12])) == expected
    del expected[5]  # that row is null
    assert by_number("c", lambda image: int(image.partition("#")[2])) == expected
    assert by_number("d", lambda image: int(image.partition("#")[2])) == expected
    errors = [row["error"] for row in parquet.read_table(tmp_path / "c" / "images").to_pylist() if row["error"]]
    assert [error.partition(":")[0] for error in errors] == ["cannot read t.parquet#3", "t.parquet#5 has no bytes"]


def test_members_of_the_same_name_are_images_of_their_own(tmp_path: Path, model):
    (tmp_path / "a.jpg").write_bytes(encoded(1))
    with tarfile.open(tmp_path / "twice.tar", "w") as archive:
        for _ in range(2):
            archive.add(tmp_path / "a.jpg", "./a.jpg")
    predict(tmp_path / "twice.tar", tmp_path / "out", model)
    images = parquet.read_table(tmp_path / "out" / "images").to_pylist()
    assert [row["image"] for row in images] == ["twice.tar/a.jpg", "twice.tar/a.jpg#2"]


@pytest.mark.parametrize("damage", ["cut", "zeros", "not a tar"])
def test_a_damaged_shard_gives_what_lies_before_the_damage(tmp_path: Path, model, damage: str):
    [shard] = write_shards(tmp_path / "shards", 4, shards=1).iterdir()
    content = shard.read_bytes()
    middle = content.index(b"0002.jpg")
    shard.write_bytes(
        {"cut": content[: middle + 700], "zeros": content[: middle + 30] + b"\1" * 600, "not a tar": b"x" * 99}[damage]
    )
    [counts] = predict(tmp_path / "shards", tmp_path / "out", model, column="jpg")
    assert counts["images"] - counts["errors"] == (0 if damage == "not a tar" else 2)
    last = parquet.read_table(tmp_path / "out" / "images").to_pylist()[-1]
    assert last["image"] == "000.tar"
    assert "cut off or damaged" in last["error"]


def test_a_file_that_went_away_is_a_row(tmp_path: Path, model):
    photos = write_folder(tmp_path / "photos", 2)
    listing = list_source(str(photos), 4)
    (photos / "0" / "000.jpg").unlink()
    folder = open_folder(str(tmp_path / "out"))
    model.write(folder)
    worker = Worker(Work(listing=listing, out=folder, model=model.without_bytes(), request=REQUEST))
    assert worker({"chunk": listing.chunks[0].to_json()}) == {"images": 2, "errors": 1, "instances": 3}


def test_a_chunk_is_done_when_both_files_are_there(tmp_path: Path, model):
    predict(write_folder(tmp_path / "photos", 9), tmp_path / "out", model)
    folder = open_folder(str(tmp_path / "out"))
    assert finished_chunks(folder) == {0, 1, 2}
    (tmp_path / "out" / "images" / "00000001.parquet").unlink()
    (tmp_path / "out" / "instances" / "00000002.parquet").unlink()
    (tmp_path / "out" / "images" / f".{'0' * 32}.00000001.parquet").touch()
    assert finished_chunks(folder) == {0}


def test_each_part_says_what_its_instances_must_be(tmp_path: Path, model):
    predict(write_folder(tmp_path / "photos", 2), tmp_path / "out", model)
    said = parquet.read_schema(tmp_path / "out" / "images" / "00000000.parquet").metadata
    content = (tmp_path / "out" / "instances" / "00000000.parquet").read_bytes()
    assert said[b"instances_sha256"].decode() == hashlib.sha256(content).hexdigest()
    assert said[b"instances"] == b"6"


def test_an_image_that_kills_is_left_out_in_the_end(tmp_path: Path, model, monkeypatch):
    class Killed(BaseException):
        pass

    def fatal(key: str, content: bytes):
        if key == "1/001.jpg":
            raise Killed
        return decode(key, content)

    photos = write_folder(tmp_path / "photos", 3)
    monkeypatch.setattr("yolact.apps.cluster.worker.decode", fatal)
    deaths = 0
    while True:
        try:
            [counts] = predict(photos, tmp_path / "out", model)
            break
        except Killed:
            deaths += 1
            assert deaths < 6
    assert (deaths, counts["images"], counts["errors"]) == (4, 3, 1)
    images = parquet.read_table(tmp_path / "out" / "images").to_pylist()
    assert "ended the processes" in images[1]["error"]
    assert not any((tmp_path / "out" / "attempts").iterdir())


@pytest.fixture
def breaks_at_white(monkeypatch) -> list[int]:
    """A network that fails, in a way nobody foresaw, where a photograph has a white corner. Once for each number in
    this list, it fails at any."""
    also: list[int] = []

    def fragile(self: Predictor, photographs, **options):
        pictures = photographs if isinstance(photographs, list) else [photographs]
        if any(picture[0, 0].min() == 255 for picture in pictures) or (also and also.pop()):
            raise RuntimeError("no kernel\nfor this")
        return whole(self, photographs, **options)

    whole = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", fragile)
    return also


def test_what_nobody_foresaw_of_one_image_is_a_row(tmp_path: Path, model, breaks_at_white):
    photos = write_folder(tmp_path / "photos", 6)
    predict(photos, tmp_path / "whole", model, batch_size=2)
    Image.new("RGB", (40, 30), "white").save(photos / "1" / "004.jpg")
    [first, second] = predict(photos, tmp_path / "out", model, batch_size=2)
    assert (first["errors"], second["errors"]) == (2, 0)
    rows = [parquet.read_table(tmp_path / out / "images").to_pylist() for out in ("whole", "out")]
    [changed] = [of_broken for of_whole, of_broken in zip(*rows, strict=True) if of_whole != of_broken]
    assert (changed["image"], changed["error"]) == ("1/004.jpg", "RuntimeError: no kernel for this")


def test_a_network_that_broke_down_is_not_blamed_on_images(tmp_path: Path, model, breaks_at_white):
    breaks_at_white += [1, 1]
    with pytest.raises(RuntimeError, match="no kernel"):
        predict(write_folder(tmp_path / "photos", 6), tmp_path / "out", model)
    assert not (tmp_path / "out" / "images").exists()


def test_attempts_that_were_merely_cut_off_leave_nothing_out(tmp_path: Path, model):
    photos = write_folder(tmp_path / "photos", 5)
    predict(photos, tmp_path / "whole", model, batch_size=2)
    folder = open_folder(str(tmp_path / "out"))
    for _ in range(4):
        Attempt(folder, 0)
    predict(photos, tmp_path / "out", model, batch_size=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_batch_that_kills_is_taken_apart(tmp_path: Path, model):
    photos = write_folder(tmp_path / "photos", 3)
    folder = open_folder(str(tmp_path / "out"))
    for ordinal in range(4):
        folder.write(f"attempts/00000000-{ordinal}.json", json.dumps(["0/000.jpg", "1/001.jpg"]).encode())
    [counts] = predict(photos, tmp_path / "out", model, batch_size=2)
    assert counts == {"images": 3, "errors": 0, "instances": 9}
