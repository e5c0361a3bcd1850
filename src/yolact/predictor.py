"""Photographs of any kind in, `Instances` out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np
import torch
from jaxtyping import UInt8

from yolact import checkpoint, runtimes, sources
from yolact.config import CropKind, ModelConfig, NmsKind
from yolact.device import choose_device
from yolact.instances import Instances
from yolact.model import Yolact
from yolact.request import Request
from yolact.runtimes import Precision, Runtime, RuntimeKind, UnfitPhotographError
from yolact.runtimes.pytorch import PyTorchRuntime
from yolact.sources import Loaded, Picture, Source, Unreadable, find_images, is_single

OnError = Callable[[Path, Exception], None]


class Options(TypedDict, total=False):
    """What `Predictor.predict` takes besides, by name."""

    nms: NmsKind
    crop: CropKind | None
    classes: Sequence[str] | None
    image_size: tuple[int, int] | None
    channel_order: Literal["rgb", "bgr"]
    batch_size: int
    on_error: OnError | None


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
        crop: str | None = None,
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
            crop: how masks are cut, see `yolact.detect.crop`: `box` (the paper's), `expand`, `soft` or `component`.
                None: the box for published models, `component` for others.
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
        request = Request.of(self.config, score_threshold, top_k, nms, classes, image_size, channel_order, crop)
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

    def _predict_many(
        self, pictures: Iterator[Source], request: Request, batch_size: int, on_error: OnError | None
    ) -> Iterator[Instances]:
        def read_batch() -> list[Loaded | Unreadable]:
            return [sources.try_load(picture, request.channel_order) for picture in islice(pictures, batch_size)]

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="yolact-read") as reader:
            batch = read_batch()
            while batch:
                upcoming = reader.submit(read_batch)
                readable = [item for item in batch if isinstance(item, Loaded)]
                results = iter(self._predict_each(readable, request))
                for item in batch:
                    found = next(results) if isinstance(item, Loaded) else item
                    if isinstance(found, Instances):
                        yield found
                    elif on_error is not None:
                        on_error(found.path, found.error)
                    else:
                        raise found.error
                batch = upcoming.result()

    def _predict_each(self, batch: Sequence[Loaded], request: Request) -> Sequence[Instances | Unreadable]:
        """The results of a batch; where the runtime cannot take a file, that instead."""
        try:
            return self._predict_batch(batch, request) if batch else ()
        except UnfitPhotographError as error:
            if len(batch) > 1:
                return [result for item in batch for result in self._predict_each([item], request)]
            if batch[0].path is None:
                raise
            return [Unreadable(batch[0].path, ValueError(f"{batch[0].path}: {error}"))]

    def _predict_batch(self, batch: Sequence[Loaded], request: Request) -> list[Instances]:
        found = self.predict_together([item.pixels for item in batch], [request] * len(batch))
        return [
            instances if item.path is None else replace(instances, image=item.path)
            for item, instances in zip(batch, found, strict=True)
        ]

    def predict_together(
        self, photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]], requests: Sequence[Request]
    ) -> list[Instances]:
        """One batch of photographs, for which different things may be asked.

        Args:
            photographs: RGB, 0..255; of any sizes.
            requests: one a photograph. What is done for all at once, `detect` and `image_size`, is taken from the
                first and must be the same in all.

        Raises:
            UnfitPhotographError: the runtime cannot take one of them.
        """
        shared = requests[0]
        if any((other.detect, other.image_size) != (shared.detect, shared.image_size) for other in requests):
            raise ValueError("requests that differ in detect or image_size cannot be one batch; make several")
        found = self.runtime.run(photographs, shared.detect, shared.image_size)
        results = []
        for pixels, request, outputs in zip(photographs, requests, found, strict=True):
            instances = Instances.from_outputs(
                outputs,
                0,
                (pixels.shape[0], pixels.shape[1]),
                self.config,
                score_threshold=request.score_threshold,
                image=pixels,
                crop=request.crop,
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
        if preset is not None or class_names is not None:
            raise ValueError(
                f"{source} is a graph, which knows its model and classes; leave preset and class_names out"
            )
        return Predictor(runtimes.open_runtime(source, runtime, device, precision, compile))
    if runtime in (None, "pytorch"):  # others have devices of their own
        device = choose_device(device)  # before minutes of reading and downloading
    network = checkpoint.load(source, preset=preset, class_names=class_names)
    return Predictor(runtimes.open_runtime(network, runtime, device, precision, compile))
