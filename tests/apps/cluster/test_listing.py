"""A source becomes the same chunks each time, whatever kind it is."""

import os
import shutil
import uuid
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet
from sources_of_images import write_folder, write_parquet, write_shards

from yolact.apps.cluster.listing import list_source


def test_a_folder_is_cut_into_chunks_by_name(tmp_path: Path):
    write_folder(tmp_path / "photos", 10)
    (tmp_path / "photos" / "notes.txt").touch()
    (tmp_path / "photos" / ".hidden").mkdir()
    (tmp_path / "photos" / ".hidden" / "a.jpg").touch()
    listing = list_source(str(tmp_path / "photos"), chunk=4)
    names = [name for chunk in listing.chunks for name in chunk.names]
    assert names == sorted(names) == [f"{i % 3}/{i:03d}.jpg" for i in (0, 3, 6, 9, 1, 4, 7, 2, 5, 8)]
    assert [chunk.images for chunk in listing.chunks] == [4, 4, 2]
    assert (listing.kind, listing.images) == ("photographs", 10)
    assert list_source(str(tmp_path / "photos"), chunk=4) == listing


def test_a_folder_that_links_lead_to_again_counts_once(tmp_path: Path):
    write_folder(tmp_path / "photos", 3)
    (tmp_path / "photos" / "0" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "9").symlink_to(tmp_path / "photos" / "1")
    (tmp_path / "photos" / "nowhere.jpg").symlink_to(tmp_path / "none.jpg")
    names = [file.name for file in list_source(str(tmp_path / "photos"), chunk=4).files]
    assert names == ["0/000.jpg", "1/001.jpg", "2/002.jpg"]


def test_a_name_that_parquet_cannot_hold_is_refused(tmp_path: Path):
    write_folder(tmp_path / "photos", 2)
    (tmp_path / "photos" / "2").mkdir()
    odd = tmp_path / "photos" / "2" / os.fsdecode(b"\xff.jpg")
    try:
        odd.touch()
    except OSError:
        pytest.skip("this disk takes no such name")
    with pytest.raises(ValueError, match=r"holds 2/\S*\.jpg, whose name is not UTF-8; rename it") as refused:
        list_source(str(tmp_path / "photos"), chunk=4)
    str(refused.value).encode()  # may be printed
    assert list_source(f"{tmp_path}/photos/[01]/*.jpg", chunk=4).images == 2


@pytest.mark.parametrize(("pattern", "count"), [("*/00*.jpg", 10), ("**/*.jpg", 11), ("2/*[25].jpg", 2)])
def test_a_glob_chooses(tmp_path: Path, pattern: str, count: int):
    write_folder(tmp_path / "photos", 11)
    listing = list_source(f"{tmp_path}/photos/{pattern}", chunk=4)
    assert listing.images == count
    assert all((Path(listing.folder.path) / file.name).is_file() for file in listing.files)


def test_one_file(tmp_path: Path):
    write_folder(tmp_path, 1)
    assert list_source(f"{tmp_path}/0/000.jpg", chunk=4).chunks[0].names == ("000.jpg",)


def test_a_shard_is_a_chunk(tmp_path: Path):
    listing = list_source(str(write_shards(tmp_path, 6, shards=3)), chunk=4)
    assert [chunk.names for chunk in listing.chunks] == [("000.tar",), ("001.tar",), ("002.tar",)]
    assert (listing.kind, listing.images) == ("webdataset", None)


def test_row_groups_of_parquet_are_put_together(tmp_path: Path):
    write_parquet(tmp_path / "a.parquet", 10, group=3)
    write_parquet(tmp_path / "b.parquet", 2, nested=True)
    listing = list_source(str(tmp_path), chunk=7)
    assert [(c.names[0], c.first_group, c.groups, c.first_row, c.images) for c in listing.chunks] == [
        ("a.parquet", 0, 2, 0, 6),
        ("a.parquet", 2, 2, 6, 4),
        ("b.parquet", 0, 1, 0, 2),
    ]
    assert (listing.column, listing.images) == ("image", 12)


def test_a_store_that_only_fsspec_knows(tmp_path: Path):
    store, name = fsspec.filesystem("memory"), uuid.uuid4().hex
    store.put(str(write_folder(tmp_path / "photos", 5)), f"/{name}", recursive=True)
    listing = list_source(f"memory://{name}", chunk=4)
    assert [chunk.images for chunk in listing.chunks] == [4, 1]
    first = listing.files[0].name
    assert listing.folder.read(first) == (tmp_path / "photos" / first).read_bytes()
    assert list_source(f"memory://{name}/1/*.jpg", chunk=4).images == 2


def test_what_changes_changes_the_fingerprint(tmp_path: Path):
    photos = write_folder(tmp_path / "photos", 3)
    before = list_source(str(photos), chunk=4).fingerprint
    shutil.copy(photos / "0" / "000.jpg", photos / "1" / "001.jpg")
    assert list_source(str(photos), chunk=4).fingerprint != before


@pytest.mark.parametrize(
    ("source", "column", "part"),
    [
        ("nowhere", None, "nowhere does not exist"),
        ("empty", None, "no photographs, .tar shards or Parquet files"),
        ("nowhere/*.jpg", None, "nothing matches"),
        ("mixed", None, "2 of webdataset and 3 of photographs"),
        ("ftps://host/photos", None, "cannot open ftps://host/photos"),
        ("two.parquet", None, "2 columns with bytes; name the images' with --ray.column: a (binary), b (binary)"),
        ("two.parquet", "c", "no column 'c'"),
        ("text.parquet", None, "0 columns with bytes"),
        ("wrong.parquet", None, "cannot read wrong.parquet as Parquet"),
        ("mixed/photos", "jpg", "ray.column is 'jpg'"),
    ],
)
def test_what_is_refused(tmp_path: Path, source: str, column: str | None, part: str):
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "mixed" / "photos", 3)
    write_shards(tmp_path / "mixed", 2)
    parquet.write_table(pa.table({"a": [b"x"], "b": [b"x"]}), tmp_path / "two.parquet")
    parquet.write_table(pa.table({"a": ["x"]}), tmp_path / "text.parquet")
    (tmp_path / "wrong.parquet").write_bytes(b"PAR1, or not")
    with pytest.raises((ValueError, OSError)) as refused:
        list_source(source if "://" in source else f"{tmp_path}/{source}", 4, column)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)
