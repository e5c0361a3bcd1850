"""`yolact predict --ray`: every image of a source once, whatever dies in between.

The source is listed and cut into numbered chunks, and the plan of it is written before anything else. Each chunk's
results are files of their own, which appear whole and have the same bytes whoever computes them, and however often. So
nothing needs to be remembered but what is in the folder: what dies is done again, by Ray or by the next run.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from yolact.apps.cluster.connection import connected
from yolact.apps.cluster.listing import Listing, list_source
from yolact.apps.cluster.manifest import MANIFEST, counts_of, finished_chunks, read_totals, write_manifest
from yolact.apps.cluster.model_files import ModelFiles
from yolact.apps.cluster.options import RayPredict
from yolact.apps.cluster.plan import Plan
from yolact.apps.cluster.pool import on_workers
from yolact.apps.cluster.progress import Progress
from yolact.apps.cluster.storage import Folder, open_folder
from yolact.apps.cluster.worker import Work


@dataclass(frozen=True)
class Outcome:
    images: int
    errors: int
    instances: int
    earlier: int
    """Of the images, those of earlier runs."""


def predict_on_ray(
    source: str, out: str, model: ModelFiles, request: Mapping[str, Any], batch_size: int, options: RayPredict
) -> Outcome:
    """Predict on all images of a source, or go on with it.

    Args:
        source: see `yolact.apps.cluster.listing.list_source`.
        out: the folder for the results, or its address in an object store.
        request: what `Predictor.predict` takes, by name.
        batch_size: neighbors that go through the network together.

    Raises:
        FileNotFoundError, ValueError: nothing to predict on, an option out of range, or `out` has other results.
        OSError: results cannot be written, or a store or the cluster cannot be reached.
        KeyboardInterrupt: with how far it came.
    """
    options.check()
    model.load("auto" if options.gpus else "cpu").predict([], batch_size=batch_size, **request)  # refuses options
    listing, folder = list_source(source, options.chunk, options.column), open_folder(out)
    _refuse_inside(listing.folder, folder, source, out)
    decisive = {**request, "batch_size": batch_size, "chunk": options.chunk, "device": options.device}
    decisive |= {"cpus": options.cpus, "runtime": model.runtime, "precision": model.precision}
    plan = Plan.of(listing, model.fingerprint, decisive | {"compile": model.compile})
    finished = finished_chunks(folder) if plan.agree_with(folder) else set()
    if finished:
        print(f"{len(finished)} of {len(listing.chunks)} chunks were done before", file=sys.stderr, flush=True)
    earlier = counts_of(folder, sorted(finished))["images"]
    if len(finished) < len(listing.chunks):
        model.write(folder)
        _run(
            Work(
                listing=replace(listing, files=(), chunks=()),
                out=folder,
                model=model.without_bytes(),
                request=request,
                batch_size=batch_size,
                device=options.device,
                cpus=options.cpus,
            ),
            listing,
            finished,
            earlier,
            options,
        )
        folder.remove(MANIFEST)  # that of a run whose parts have been removed since
    if not folder.has(MANIFEST):
        write_manifest(folder, len(listing.chunks), listing.images, plan.facts)
    return Outcome(**read_totals(folder), earlier=earlier)


def _run(work: Work, listing: Listing, finished: set[int], earlier: int, options: RayPredict) -> None:
    """Do the chunks that are not finished, and show how far it is."""
    in_images = listing.images is not None
    total, done = (listing.images or 0, earlier) if in_images else (len(listing.chunks), len(finished))
    progress, chunks = Progress(total, done, "image" if in_images else "shard"), len(finished)
    try:
        with connected(options.address):
            for counts in on_workers([c for c in listing.chunks if c.number not in finished], work, options):
                chunks += 1
                progress.add(counts["images"] if in_images else 1)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {chunks} of {len(listing.chunks)} chunks are done, and the same command does the others"
        ) from None
    finally:
        progress.close()


def _refuse_inside(source: Folder, folder: Folder, given: str, out: str) -> None:
    if folder.files.equals(source.files) and f"{folder.path}/".startswith(f"{source.path}/"):
        raise ValueError(f"--out {out} lies within {given}, and would be taken for a part of it; choose another folder")
