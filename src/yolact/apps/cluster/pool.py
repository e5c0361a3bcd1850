"""Workers on a cluster of Ray, as many as it has room for, and chunks for them."""

from collections.abc import Iterator
from typing import Any

from yolact.apps.cluster.listing import Chunk
from yolact.apps.cluster.options import RayPredict
from yolact.apps.cluster.parts import COUNTS, one_line
from yolact.apps.cluster.worker import Work, Worker


def on_workers(chunks: list[Chunk], work: Work, options: RayPredict) -> Iterator[dict[str, Any]]:
    """Have workers do the chunks; the counts of each, as they are done.

    Raises:
        ValueError: the cluster has no such GPUs.
        OSError: a store cannot be reached or written into, or the cluster was lost.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    context = DataContext.get_current()
    context.enable_progress_bars = False
    room = ray.cluster_resources()
    most = max(int(room.get("CPU", 1) // options.cpus), 1)
    if options.gpus:
        most = min(most, max(int(room.get("GPU", 0) // options.gpus), 0))
        if not most:
            raise ValueError(
                f"ray.gpus is {options.gpus}, and the cluster has {room.get('GPU', 0):g} GPUs; leave it out"
            )
    bounds = (options.workers[0], options.workers[-1]) if options.workers else (1, most)
    bounds = tuple(min(bound, len(chunks)) for bound in bounds)
    rows = [{"chunk": chunk.to_json()} for chunk in chunks]
    results = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        AnsweringWorker,  # pyright: ignore[reportArgumentType]: Ray says what it calls, not what it constructs
        fn_constructor_args=(work,),
        compute=ActorPoolStrategy(min_size=bounds[0], max_size=bounds[1]),
        num_cpus=options.cpus,
        num_gpus=options.gpus,
    )
    try:
        for row in results.iter_rows():
            if row["failure"]:
                raise OSError(row["failure"])
            yield row
    except RayError as error:
        message = one_line(str(error))[:200]
        raise ConnectionError(f"the work on Ray broke off ({message}); the same command goes on with it") from error


class AnsweringWorker(Worker):
    """What goes wrong is an answer: as an exception, it would reach the driver as pages of Ray's."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {**super().__call__(row), "failure": ""}
        except Exception as error:
            return {**dict.fromkeys(COUNTS, 0), "failure": one_line(error)}
