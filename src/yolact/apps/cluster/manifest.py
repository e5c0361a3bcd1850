"""What is done, by the files that are there; and the account of a run that is finished."""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from yolact.apps.cluster.attempts import FOLDER
from yolact.apps.cluster.parts import COUNTS
from yolact.apps.cluster.storage import Folder

MANIFEST = "manifest.json"

READERS = 16


def finished_chunks(out: Folder) -> set[int]:
    """The numbers of the chunks whose two files are there."""
    found = {"images": set[str](), "instances": set[str]()}
    for file in out.entries():
        folder, _, name = file.name.partition("/")
        if folder in found:
            found[folder].add(name)
    return {int(name.removesuffix(".parquet")) for name in found["images"] & found["instances"]}


def counts_of(out: Folder, numbers: list[int]) -> dict[str, int]:
    """How many images, errors and instances these chunks have."""
    totals: dict[str, int] = dict.fromkeys(COUNTS, 0)
    for part in _parts(out, numbers):
        totals = {name: totals[name] + part[name] for name in COUNTS}
    return totals


def write_manifest(out: Folder, chunks: int, images: int | None, plan: dict[str, Any]) -> None:
    """Count what all parts say, and write it beside them.

    Args:
        images: how many there should be, where that is known.

    Raises:
        RuntimeError: a part is missing, or counts differ: something else was at work in the folder.
    """
    out.remove_unfinished()
    out.remove_folder(FOLDER)
    totals: dict[str, int] = dict.fromkeys(COUNTS, 0)
    parts: list[dict[str, Any]] = []
    for part in _parts(out, list(range(chunks))):
        totals = {name: totals[name] + part[name] for name in COUNTS}
        parts.append(part)
    if images is not None and totals["images"] != images:
        raise RuntimeError(f"{out.text} has {totals['images']} images of {images}; its files were changed from outside")
    content = {**totals, "source": plan["source"], "weights": plan["weights"], "options": plan["options"]}
    lines = ",\n  ".join(json.dumps(part) for part in parts)
    text = json.dumps(content, indent=1).removesuffix("\n}") + f',\n "parts": [\n  {lines}\n ]\n}}\n'
    out.write(MANIFEST, text.encode())


def read_totals(out: Folder) -> dict[str, int]:
    """The counts of a run that is finished."""
    content = json.loads(out.read(MANIFEST))
    return {name: content[name] for name in COUNTS}


def _parts(out: Folder, numbers: list[int]) -> Iterator[dict[str, Any]]:
    """What each chunk's file of images says, in order."""

    def read(number: int) -> dict[str, Any]:
        name = f"{number:08d}.parquet"
        content = out.read(f"images/{name}")
        try:
            facts = parquet.read_schema(io.BytesIO(content)).metadata
            counts = {count: int(facts[count.encode()]) for count in COUNTS}
        except (pa.ArrowInvalid, KeyError, TypeError) as error:
            raise ValueError(
                f"{out.text}/images/{name} is damaged ({error}); remove it, and the same command makes it again"
            ) from error
        hashes = {"images_sha256": hashlib.sha256(content).hexdigest()}
        return {"part": name, **counts, **hashes, "instances_sha256": facts[b"instances_sha256"].decode()}

    with ThreadPoolExecutor(READERS) as readers:
        for first in range(0, len(numbers), 1024):  # not all at once: there may be a million
            yield from readers.map(read, numbers[first : first + 1024])
