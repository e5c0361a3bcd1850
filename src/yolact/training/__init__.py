"""Training on COCO-format data: `train` starts a run in a folder of its own, `resume` goes on with one."""

from pathlib import Path
from threading import Event

from yolact.config import ModelConfig
from yolact.training.config import TrainConfig

__all__ = ["TrainConfig", "resume", "train"]


def train(
    data: Path | str,
    model: ModelConfig,
    config: TrainConfig | None = None,
    out: Path | str | None = None,
    *,
    stop: Event | None = None,
) -> Path:
    """Train a network on a data set, and keep its weights in a folder.

    Args:
        data: the data.yaml, see `yolact.data.source.DataConfig`.
        model: the network; its classes become those of the data set.
        config: the recipe.
        out: the folder; it must be new or empty. None: `runs/train`, or the first free of `runs/train-2`, ...
        stop: once another thread sets it, the run is saved and ends as on Ctrl-C.

    Returns:
        The folder: `best.safetensors` (by mask AP on the validation images), `last.safetensors`, `last.ckpt` for
        `resume`, `run.json`, `pictures`, and the logs for TensorBoard and as CSV.

    Raises:
        ValueError: what is wrong with the data set, the folder or the weights to start from, in one line.
        KeyboardInterrupt: Ctrl-C or SIGTERM, or `stop`; the state is saved, and the message says how to go on.
        ConnectionError: of processes that train together, another one is gone.
        ModuleNotFoundError: the extra `yolact[train]` is not installed.
    """
    _require_lightning()
    from yolact.training import run

    return run.start(Path(data), model, config or TrainConfig(), None if out is None else Path(out), stop)


def resume(folder: Path | str, *, stop: Event | None = None) -> Path:
    """Go on with a run that was interrupted, with its own data, network and recipe.

    Raises:
        ValueError: the folder holds no run to resume, or the data are no longer those that it was started with.
        KeyboardInterrupt, ConnectionError: as for `train`.
        ModuleNotFoundError: the extra `yolact[train]` is not installed.
    """
    _require_lightning()
    from yolact.training import run

    return run.resume(Path(folder), stop)


def _require_lightning() -> None:
    try:
        import lightning  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError("training needs Lightning; install it with: pip install 'yolact[train]'") from None
