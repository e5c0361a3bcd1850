"""Images as users keep them by the million: folders, tar shards, Parquet; some of them damaged."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from test_predictor import photograph


def encoded(seed: int, size: tuple[int, int] = (48, 64)) -> bytes:
    """A JPEG; every seventh is cut off."""
    file = io.BytesIO()
    Image.fromarray(photograph(seed, size)).save(file, "JPEG")
    content = file.getvalue()
    return content[: len(content) // 2] if seed % 7 == 3 else content


def write_folder(folder: Path, count: int) -> Path:
    for i in range(count):
        path = folder / f"{i % 3}" / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(i))
    return folder


def write_shards(folder: Path, count: int, shards: int = 2) -> Path:
    """As WebDataset has them: the files of a sample share a name up to the first dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:03d}.tar", "w") as archive:
            for i in range(shard, count, shards):
                for extension, content in (("jpg", encoded(i)), ("json", b"{}"), ("seg.png", encoded(i))):
                    member = tarfile.TarInfo(f"{i:04d}.{extension}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return folder


def write_parquet(path: Path, count: int, group: int = 4, nested: bool = False) -> Path:
    """Nested: as Hugging Face has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = [None if i == 5 else encoded(i) for i in range(count)]
    images = [content and {"bytes": content, "path": "x"} for content in contents] if nested else contents
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()}) if nested else pa.binary()
    table = pa.table({"caption": [str(i) for i in range(count)], "image": pa.array(images, kind)})
    parquet.write_table(table, path, row_group_size=group)
    return path
