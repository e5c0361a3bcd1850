"""The network in PyTorch: eager or compiled, on any device, in any precision that the device computes well."""

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from yolact.config import DetectConfig, ModelConfig
from yolact.detect.postprocess import detect as detect_in
from yolact.detect.postprocess import to_outputs
from yolact.device import choose_device
from yolact.model import Yolact
from yolact.model.folding import fold_batch_norms
from yolact.pixels import to_network_input
from yolact.runtimes import Precision
from yolact.structures import Detections, RawOutput

MOST_COMPILED = 64
"""Networks and shapes of photographs' batches compiled in one process; those beyond run eagerly."""

_COMPILING = threading.Lock()


class PyTorchRuntime:
    """Runs a network where and how it is told.

    Args:
        network: is moved to the device and put into evaluation mode.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`: a GPU if there is one.
        precision: of the network; what comes after it is always float32.
        compile: translate the network for this processor (`torch.compile`). The first photograph then takes half a
            minute, and so does the first of each other batch size or image size. On a CPU, it needs a C++ compiler.
        detect: how detections are made of what the network computes.
        folded: compute with a copy whose batch norms are folded into its convolutions. As with half precision, what is
            done to the network later does not reach the copy.

    Raises:
        ValueError: a device that torch does not know or this machine does not have.
    """

    name = "pytorch"

    def __init__(
        self,
        network: Yolact,
        device: str | torch.device = "auto",
        precision: Precision = "float32",
        compile: bool = False,
        detect: DetectConfig = DetectConfig(),  # noqa: B008
        folded: bool = False,
    ) -> None:
        self.device, self.precision, self.compiled, self.detect = choose_device(device), precision, compile, detect
        self.network = network.eval().to(self.device)
        self._dtype: torch.dtype = getattr(torch, precision)
        self._compute = self._prepare(folded)

    @property
    def config(self) -> ModelConfig:
        return self.network.config

    def describe(self) -> str:
        how = "compiled" if self.compiled else "eager"
        return f"PyTorch {torch.__version__}, {how}, {self.precision}, on {self.device}"

    def run(
        self,
        photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        detect: DetectConfig | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> list[dict[str, np.ndarray]]:
        """As `yolact.runtimes.Runtime.run`. Photographs of any sizes go through the network together."""
        images = self.prepare(photographs, image_size)
        raw = self.compute(images)
        return self.finish(raw, [photograph.shape[:2] for photograph in photographs], detect)

    @torch.inference_mode()
    def prepare(
        self, photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]], image_size: tuple[int, int] | None = None
    ) -> Float[Tensor, "B 3 h w"]:
        """The network's input: resized and normalized, on the device."""
        config = self.config if image_size is None else replace(self.config, image_size=tuple(image_size))
        inputs = [to_network_input(_to_tensor(pixels, self.device), config) for pixels in photographs]
        return torch.stack(inputs).to(self._dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def compute(self, images: Float[Tensor, "B 3 h w"]) -> RawOutput:
        """The network alone."""
        return self._compute(images)

    @torch.inference_mode()
    def finish(
        self, raw: RawOutput, sizes: Sequence[tuple[int, int]], detect: DetectConfig | None = None
    ) -> list[dict[str, np.ndarray]]:
        """Everything after the network, for photographs of these sizes (height, width)."""
        detections = detect_in(raw, detect or self.detect, self.network.mask_rescoring)
        outputs = []
        for i, size in enumerate(sizes):
            tensors = to_outputs(_only(detections, i), size, self.config.parity)
            if len(sizes) > 1:  # or the prototypes of one would keep those of all in memory
                tensors["prototypes"] = tensors["prototypes"].clone()
            outputs.append({name: tensor.cpu().numpy() for name, tensor in tensors.items()})
        return outputs

    def _prepare(self, folded: bool) -> Callable[[Tensor], RawOutput]:
        # The layout that convolutions like best on CPUs and GPUs alike: a quarter less time on a CPU.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network = self.network
        if folded or self.compiled or self._dtype != torch.float32:
            network = copy.deepcopy(network)
        if folded:
            fold_batch_norms(network)
        prepared = _Planar(network.to(self._dtype)).eval()
        if not self.compiled:
            return prepared
        if self.device.type == "cpu":
            return _freezing(torch.compile(prepared, dynamic=False))
        return torch.compile(prepared, dynamic=False, options={"triton.cudagraphs": True, "max_autotune": True})


class _Planar(nn.Module):
    """A network whose outputs are as what comes after wants them: in float32, and one prototype after the other.

    With channels last they come interleaved. Compiled, to write them differently costs next to nothing.
    """

    def __init__(self, network: Yolact) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "B 3 h w"]) -> RawOutput:
        raw = self.network(images)
        return replace(
            raw,
            class_logits=raw.class_logits.float(),
            box_deltas=raw.box_deltas.float(),
            coefficients=raw.coefficients.float(),
            prototypes=raw.prototypes.float().contiguous(),
        )


def _freezing(compiled: Callable[[Tensor], RawOutput]) -> Callable[[Tensor], RawOutput]:
    """Let it compile weights as constants: folded into each other and laid out as this processor reads them best."""
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    met: set[tuple[Any, ...]] = set()

    def compute(images: Tensor) -> RawOutput:
        key = (images.shape, images.stride(), torch.get_num_threads())  # for others of these it compiles again
        if key in met:
            return compiled(images)
        # Not as an option of torch.compile: it would hold for the second half of compiling only, which is too late.
        with _COMPILING, inductor.patch(freezing=True), dynamo.patch(recompile_limit=MOST_COMPILED):
            raw = compiled(images)
        met.add(key)
        return raw

    return compute


def _only(detections: Detections, i: int) -> Detections:
    """The detections of one image of the batch."""
    return Detections(**{name: getattr(detections, name)[i : i + 1] for name in Detections.__slots__})


def _to_tensor(pixels: UInt8[np.ndarray, "H W 3"], device: torch.device) -> UInt8[Tensor, "3 H W"]:
    return torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(device).permute(2, 0, 1)
