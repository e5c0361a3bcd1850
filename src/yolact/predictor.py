"""Photographs of any kind in, `Instances` out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np
import torch

from yolact import checkpoint, runtimes, sources
from yolact.config import DetectConfig, ModelConfig, NmsKind
from yolact.device import choose_device
from yolact.instances import Instances
from yolact.model import Yolact
from yolact.runtimes import Precision, Runtime, RuntimeKind
from yolact.runtimes.pytorch import PyTorchRuntime
from yolact.sources import Loaded, Picture, Source, Unreadable, find_images, is_single
from yolact.weights_file import LARGEST_SIDE

OnError = Callable[[Path, Exception], None]


class Options(TypedDict, total=False):
    """What `Predictor.predict` takes besides, by name."""

    nms: NmsKind
    classes: Sequence[str] | None
    image_size: tuple[int, int] | None
    channel_order: Literal["rgb", "bgr"]
    batch_size: int
    on_error: OnError | None


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What a call of `predict` asks for, checked."""

    detect: DetectConfig
    image_size: tuple[int, int] | None
    score_threshold: float | int
    top_k: int
    labels: tuple[int, ...] | None
    channel_order: str


class Predictor:
    """A network that takes photographs. Calls do not change it, so that threads may share it.

    Args:
        network: a network, which then runs in PyTorch, or a runtime.
        device: of a network: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`: a GPU if there is one.

    Raises:
        ValueError: a device that torch does not know or this machine does not have.
    """

    def __init__(self, network: Yolact | Runtime, device: str | torch.device = "auto") -> None:
        self.runtime: Runtime = PyTorchRuntime(network, device) if isinstance(network, Yolact) else network

    @property
    def config(self) -> ModelConfig:
        return self.runtime.config

    @property
    def network(self) -> Yolact:
        """The PyTorch network.

        Raises:
            ValueError: it runs elsewhere, as an exported graph.
        """
        if not isinstance(self.runtime, PyTorchRuntime):
            raise ValueError(f"{self.runtime.describe()} has no PyTorch network; load the weights it was made from")
        return self.runtime.network

    def __repr__(self) -> str:
        return f"Predictor({self.config.name}, {self.config.num_classes} classes, {self.runtime.describe()})"

    @overload
    def predict(
        self, source: Picture, score_threshold: float | int = ..., top_k: int = ..., **options: Unpack[Options]
    ) -> Instances: ...

    @overload
    def predict(
        self,
        source: Sequence[Source] | Iterator[Source],
        score_threshold: float | int = ...,
        top_k: int = ...,
        **options: Unpack[Options],
    ) -> Iterator[Instances]: ...

    @overload
    def predict(
        self, source: str | Path, score_threshold: float | int = ..., top_k: int = ..., **options: Unpack[Options]
    ) -> Any: ...

    def predict(
        self,
        source: Source | Iterable[Source],
        score_threshold: float | int = 0.15,
        top_k: int = 100,
        *,
        nms: NmsKind = "fast",
        classes: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        channel_order: str = "rgb",
        batch_size: int = 1,
        on_error: OnError | None = None,
    ) -> Instances | Iterator[Instances]:
        """Find the instances in one photograph or in many.

        Args:
            source: a file; a Pillow image; an array (H, W, 3), (H, W, 4) or (H, W) of uint8 in 0..255 or uint16 in
                0..65535; a tensor (3, H, W) or (1, H, W) of uint8 in 0..255 or float in 0..1, RGB. For many: a
                folder, a glob, or a list or an iterator of all these.
            score_threshold: keep what scores above this, in 0..1. With 0 everything is kept that NMS keeps, and that
                are candidates above 0.05 only, as in the original.
            top_k: keep at most this many for a photograph.
            nms: `fast` (the paper's), `cross-class` or `traditional`.
            classes: names of those to keep; None keeps all.
            image_size: (height, width) that photographs are resized to for the network, instead of the configured one.
            channel_order: of arrays: `rgb`, or `bgr` as OpenCV reads files.
            batch_size: photographs that go through the network together.
            on_error: called with the file and the error when a file cannot be read, which is then skipped. Without it,
                the error is raised.

        Returns:
            `Instances` for one photograph; for many, an iterator of them, in order, that reads ahead by one batch.

        Raises:
            FileNotFoundError: a path that does not exist.
            ValueError: an option out of range, a class unknown to the model, an empty folder, a file that is not a
                photograph, an array or tensor of another kind. The message says which.
        """
        request = self._request(score_threshold, top_k, nms, classes, image_size, channel_order)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        if isinstance(source, Picture) or (isinstance(source, str | Path) and is_single(source)):
            return self._predict_batch([sources.load(source, channel_order)], request)[0]
        if isinstance(source, str | Path):
            source = find_images(source)
        elif not isinstance(source, Iterable) or isinstance(source, bytes | Mapping):
            kind = type(source).__name__
            raise ValueError(f"cannot predict on a {kind}; give a path, an image, an array or a tensor")
        pictures = sources.expand(source)
        if isinstance(source, Sequence):
            pictures = iter(list(pictures))  # a path that does not exist is an error now, not when its turn comes
        return self._predict_many(pictures, request, batch_size, on_error)

    def _request(
        self,
        score_threshold: float | int,
        top_k: int,
        nms: NmsKind,
        classes: Sequence[str] | None,
        image_size: tuple[int, int] | None,
        channel_order: str,
    ) -> _Request:
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold is {score_threshold}; it must lie between 0 and 1")
        if channel_order not in ("rgb", "bgr"):
            raise ValueError(f"channel_order is {channel_order!r}; choose rgb or bgr")
        _check_size(image_size)
        config = DetectConfig(nms=nms, top_k=top_k)
        if classes is not None:  # others must not take their places among the best
            config = replace(config, top_k=max(top_k, config.candidates))
        return _Request(
            detect=config,
            image_size=image_size and (image_size[0], image_size[1]),
            score_threshold=score_threshold,
            top_k=top_k,
            labels=None if classes is None else self._labels(classes),
            channel_order=channel_order,
        )

    def _labels(self, classes: Sequence[str]) -> tuple[int, ...]:
        names = [classes] if isinstance(classes, str) else list(classes)
        unknown = [name for name in names if name not in self.config.class_names]
        if unknown:
            raise ValueError(f"classes {unknown} are not among this model's: {', '.join(self.config.class_names)}")
        return tuple(self.config.class_names.index(name) for name in names)

    def _predict_many(
        self, pictures: Iterator[Source], request: _Request, batch_size: int, on_error: OnError | None
    ) -> Iterator[Instances]:
        def read_batch() -> list[Loaded | Unreadable]:
            return [sources.try_load(picture, request.channel_order) for picture in islice(pictures, batch_size)]

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="yolact-read") as reader:
            batch = read_batch()
            while batch:
                upcoming = reader.submit(read_batch)
                readable = [item for item in batch if isinstance(item, Loaded)]
                results = iter(self._predict_batch(readable, request) if readable else ())
                for item in batch:
                    if isinstance(item, Loaded):
                        yield next(results)
                    elif on_error is not None:
                        on_error(item.path, item.error)
                    else:
                        raise item.error
                batch = upcoming.result()

    def _predict_batch(self, batch: Sequence[Loaded], request: _Request) -> list[Instances]:
        found = self.runtime.run([item.pixels for item in batch], request.detect, request.image_size)
        results = []
        for item, outputs in zip(batch, found, strict=True):
            instances = Instances.from_outputs(
                outputs,
                0,
                (item.pixels.shape[0], item.pixels.shape[1]),
                self.config,
                score_threshold=request.score_threshold,
                image=item.pixels if item.path is None else item.path,
            )
            if request.labels is not None:
                instances = instances[np.isin(instances.labels, request.labels)]
            results.append(instances[: request.top_k])
        return results


def load(
    source: str | Path | None = None,
    device: str | torch.device = "auto",
    *,
    preset: str | None = None,
    class_names: Sequence[str] | None = None,
    runtime: RuntimeKind | None = None,
    precision: Precision = "float32",
    compile: bool = False,
) -> Predictor:
    """A network with its weights, ready to predict.

    Args:
        source: as of `yolact.checkpoint.load`, or a graph that `yolact export` wrote (`.onnx`, `.xml`, ...).
        device: see `Predictor`.
        preset: of a `.pth` file, the model it is, where its tensors cannot tell.
        class_names: of a `.pth` file, its classes in the order of their labels.
        runtime, precision, compile: what computes, and how, see `yolact.runtimes.open_runtime`.

    Raises:
        FileNotFoundError, ValueError: as `yolact.checkpoint.load`, `yolact.runtimes.open_runtime` and `Predictor` say.
    """
    if source is not None and runtimes.is_graph(source):
        return Predictor(runtimes.open_runtime(source, runtime, device, precision, compile))
    device = choose_device(device)  # before minutes of reading and downloading
    network = checkpoint.load(source, preset=preset, class_names=class_names)
    return Predictor(runtimes.open_runtime(network, runtime, device, precision, compile))


def _check_size(image_size: Any) -> None:
    if image_size is None:
        return
    whole = isinstance(image_size, Sequence) and all(isinstance(side, Integral) for side in image_size)
    if not whole or len(image_size) != 2 or max(image_size) > LARGEST_SIDE:
        raise ValueError(f"image_size is {image_size!r}; it is (height, width), each at most {LARGEST_SIDE} pixels")
