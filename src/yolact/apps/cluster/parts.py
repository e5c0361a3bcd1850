"""The files of a result. Of each chunk there are two, whose bytes depend on nothing but the images and the network:

OUT/instances/00000007.parquet   one row an instance
OUT/images/00000007.parquet      one row an image: whether it could be read, and how many instances it has

The second is written last, and says of the first what it must be: a chunk whose images are there is done.
"""

import hashlib
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from yolact.apps.cluster.storage import Folder
from yolact.instances import Instances

IMAGES = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("instances", pa.int32(), nullable=False),
    ]
)

INSTANCES = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            ("image", pa.string()),
            ("label", pa.int32()),
            ("name", pa.string()),
            ("category_id", pa.int32()),
            ("score", pa.float32()),
            ("mask_score", pa.float32()),
            ("x1", pa.float32()),
            ("y1", pa.float32()),
            ("x2", pa.float32()),
            ("y2", pa.float32()),
            ("area", pa.int64()),
            ("rle", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
        )
    ]
)

ROWS = 4096
"""Of instances to a row group: what is held as Python objects at a time."""

COUNTS = ("images", "errors", "instances")


class Part:
    """The results of one chunk, in memory until it is whole."""

    def __init__(self, number: int) -> None:
        self.name = f"{number:08d}.parquet"
        self.counts: dict[str, int] = dict.fromkeys(COUNTS, 0)
        self._images: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._buffer = pa.BufferOutputStream()
        self._writer = parquet.ParquetWriter(self._buffer, INSTANCES, compression="zstd")

    def add(self, key: str, found: Instances | Exception) -> None:
        failed = isinstance(found, Exception)
        height, width = (None, None) if isinstance(found, Exception) else found.image_size
        count = 0 if isinstance(found, Exception) else len(found)
        row = {"image": key, "status": "error" if failed else "ok", "error": one_line(found) if failed else None}
        self._images.append(row | {"width": width, "height": height, "instances": count})
        self.counts["images"] += 1
        self.counts["errors"] += failed
        self.counts["instances"] += count
        if isinstance(found, Instances) and count:
            self._rows += _rows_of(key, found)
        if len(self._rows) >= ROWS:
            self._flush()

    def write(self, out: Folder) -> None:
        """Write both files.

        Raises:
            OSError: they cannot be written.
        """
        if self._rows:
            self._flush()
        self._writer.close()
        content = self._buffer.getvalue()
        facts = {name: str(count) for name, count in self.counts.items()}
        facts |= {"instances_bytes": str(content.size), "instances_sha256": hashlib.sha256(content).hexdigest()}
        images = pa.Table.from_pylist(self._images, IMAGES.with_metadata(facts))
        buffer = pa.BufferOutputStream()
        parquet.write_table(images, buffer, compression="zstd")
        out.write(f"instances/{self.name}", content)
        out.write(f"images/{self.name}", buffer.getvalue())

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, INSTANCES))
        self._rows = []


def one_line(said: object) -> str:
    """A text, or what an error says; with its name, if it was not raised to be read by users."""
    line, name = " ".join(str(said).split()), type(said).__name__
    return line if line and isinstance(said, str | OSError | ValueError) else f"{name}: {line}" if line else name


def _rows_of(key: str, found: Instances) -> list[dict[str, Any]]:
    height, width = found.image_size
    columns = {
        "label": found.labels.tolist(),
        "name": found.names,
        "category_id": [found.category_ids[label] for label in found.labels],
        "score": found.scores.tolist(),
        "mask_score": found.mask_scores.tolist(),
        "box": found.boxes.tolist(),
        "area": found.areas.tolist(),
        "rle": [code["counts"] for code in found.rles()],
    }
    rows = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        row |= dict(zip(("x1", "y1", "x2", "y2"), row.pop("box"), strict=True))
        rows.append(row | {"image": key, "width": width, "height": height})
    return rows
