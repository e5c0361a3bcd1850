"""What computes: the options that predict, evaluate and benchmark have in common."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from yolact.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """Which weights, and what runs them."""

    weights: str | None = None
    """A preset, a .safetensors or .pth file, a hub repository, or a graph that `yolact export` wrote. None: the weights
    that come with the package."""

    runtime: Literal["auto", "pytorch", "onnxruntime", "openvino", "tensorrt"] | None = None
    """What computes. `auto`: what is fastest on this machine. None: PyTorch, or what a graph was written for."""

    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the network, where the runtime has a choice."""

    compile: bool = False
    """Let PyTorch translate the network for this processor first: half a minute, then faster."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ... or mps."""

    def load(self) -> "Predictor":
        """Ready to predict. What was chosen is said on stderr, if there was a choice."""
        from yolact.predictor import load

        predictor = load(
            self.weights, self.device, runtime=self.runtime, precision=self.precision, compile=self.compile
        )
        if self.runtime == "auto":
            print(f"runtime: {predictor.runtime.describe()}", file=sys.stderr)
        return predictor
