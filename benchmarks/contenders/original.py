"""The original code, from a clone, on any processor. The clone is not changed; what it lacks is put in from here.

It asks for a GPU when it is imported and moves constants to one, and YOLACT++ needs an extension that compiles for CUDA
only. So: `torch.cuda.current_device` answers, `Tensor.cuda` stays where it is, and a module `dcn_v2` is made of
torchvision's deformable convolution, which computes the same.

Timed is what its `eval.py` does with a photograph: from the BGR array that OpenCV reads to masks at the photograph's
size. Its masks are floats of 0 and 1; turning them into booleans is not charged to it.
"""

import importlib
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from contenders import Found, Times


class DeformableStandIn(nn.Module):
    """What `dcn_v2.DCN` is, with its parameters' names."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        padding: int,
        dilation: int = 1,
        deformable_groups: int = 1,
    ) -> None:
        super().__init__()
        taps = kernel_size * kernel_size
        self.weight = nn.Parameter(torch.zeros(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.conv_offset_mask = nn.Conv2d(in_channels, deformable_groups * 3 * taps, kernel_size, stride, padding)
        self.stride, self.padding, self.dilation = (stride, stride), (padding, padding), (dilation, dilation)

    def forward(self, x: Tensor) -> Tensor:
        from torchvision.ops import deform_conv2d

        first, second, modulation = torch.chunk(self.conv_offset_mask(x), 3, dim=1)
        offsets, modulation = torch.cat((first, second), dim=1), torch.sigmoid(modulation)
        return deform_conv2d(
            x, offsets, self.weight, self.bias, self.stride, self.padding, self.dilation, mask=modulation
        )


class Original:
    """The original's network with its own transformation, detection and post-processing."""

    def __init__(self, clone: Path, configuration: str, file: Path) -> None:
        modules = load_modules(clone)
        modules["data"].set_cfg(f"{configuration}_config")
        self.settings = modules["data"].cfg
        self.settings.mask_proto_debug = False
        self.settings.rescore_bbox = True  # as its eval.py does before it post-processes
        self.network = modules["yolact"].Yolact()
        self.network.load_weights(str(file))
        self.network.eval()
        self.network.detect.use_fast_nms = True
        self.network.detect.use_cross_class_nms = False
        self.transform = modules["utils.augmentations"].FastBaseTransform()
        self.postprocess = modules["layers.output_utils"].postprocess
        self.softmax_began = 0.0
        functional, softmax = modules["yolact"].F, modules["yolact"].F.softmax

        def noticed_softmax(*arguments: Any, **options: Any) -> Tensor:
            self.softmax_began = time.perf_counter()
            return softmax(*arguments, **options)

        functional.softmax = noticed_softmax  # the first thing after the network, inside its `forward`

    def describe(self) -> str:
        return f"the original code on PyTorch {torch.__version__}, float32"

    def measure(self, photograph: np.ndarray) -> Times:
        frame = bgr(photograph)
        start = time.perf_counter()
        batch = self.prepare(frame)
        prepared = time.perf_counter()
        detections = self.compute(batch)
        detected = time.perf_counter()
        self.finish(detections, frame)
        end = time.perf_counter()
        return {
            "preparation": prepared - start,
            "network": self.softmax_began - prepared,
            "detection": detected - self.softmax_began,
            "masks": end - detected,
            "after": end - self.softmax_began,
            "total": end - start,
        }

    def find(self, photograph: np.ndarray) -> Found:
        frame = bgr(photograph)
        labels, scores, boxes, masks = self.finish(self.compute(self.prepare(frame)), frame)
        return Found(labels.numpy(), scores.numpy(), boxes.numpy().astype(np.float32), masks.numpy() > 0.5)

    @torch.no_grad()
    def prepare(self, frame: np.ndarray) -> Tensor:
        return self.transform(torch.from_numpy(frame).float().unsqueeze(0))

    @torch.no_grad()
    def compute(self, batch: Tensor) -> Any:
        return self.network(batch)

    @torch.no_grad()
    def finish(self, detections: Any, frame: np.ndarray) -> Any:
        height, width = frame.shape[:2]
        return self.postprocess(detections, width, height)


def build(photographs: list[np.ndarray], clone: Path, configuration: str, file: Path) -> Original:
    return Original(clone, configuration, file)


def load_modules(clone: Path) -> dict[str, Any]:
    """The original's modules, with what they lack on a CPU put in."""
    if not (clone / "yolact.py").exists():
        raise FileNotFoundError(f"{clone} holds no yolact.py; give a clone of the original code")
    sys.path.insert(0, str(clone))  # before ours, which has the same name
    if not torch.cuda.is_available():
        torch.cuda.current_device = lambda: 0
        Tensor.cuda = lambda self, *arguments, **options: self  # type: ignore[method-assign]
    stand_in: Any = types.ModuleType("dcn_v2")
    stand_in.DCN = DeformableStandIn
    sys.modules["dcn_v2"] = stand_in
    names = ("data", "utils.augmentations", "layers.output_utils", "yolact")
    return {name: importlib.import_module(name) for name in names}


def bgr(photograph: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photograph[..., ::-1])
