"""Where and how photographs are predicted on with Ray: the options of `yolact predict --ray`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RayPredict:
    """A cluster of Ray, and how the work is cut for it."""

    address: str | None = None
    """Of the cluster: HOST:PORT, auto, or local for one of its own on this machine. None: RAY_ADDRESS, or the one that
    runs here, or one of its own."""

    workers: tuple[int, ...] = ()
    """Processes that predict: their number, or the least and the most of them, between which Ray adds and removes.
    None given: from one to as many as there is room for."""

    cpus: int = 1
    """Processor cores for each of them; so many threads compute in it."""

    gpus: float = 0.0
    """GPUs for each of them: 1, or a part such as 0.5 where several share one. 0: they compute on the processor."""

    chunk: int = 256
    """Photographs that are one piece of work and one file of the results. Of WebDataset it is always a shard, of
    Parquet at least a row group."""

    column: str | None = None
    """Of Parquet, the column with the bytes of the images. Of WebDataset, the extension, such as jpg. None: what can
    only be meant."""

    def check(self) -> None:
        """
        Raises:
            ValueError: an option out of range.
        """
        if len(self.workers) > 2 or any(count < 1 for count in self.workers) or [*self.workers] != sorted(self.workers):
            raise ValueError(
                f"ray.workers is {' '.join(map(str, self.workers))}; give their number, or the least and the most"
            )
        for field, least in (("cpus", 1), ("chunk", 1), ("gpus", 0)):
            if not getattr(self, field) >= least:
                raise ValueError(f"ray.{field} is {getattr(self, field)}; it must be at least {least}")

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"
