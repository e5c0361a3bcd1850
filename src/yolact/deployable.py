"""From pixels to finished masks as one module: what is exported, and what a GPU runs without stopping."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import jaxtyping
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from yolact.config import DetectConfig, GraphCrop
from yolact.detect.mask_outputs import MARGIN, cropped_masks, region_masks
from yolact.detect.masks_cuda import mask_bits
from yolact.detect.postprocess import detect, to_outputs, windows_of
from yolact.model import Yolact
from yolact.model.deformable import DeformableConv2d
from yolact.pixels import normalize, to_network_input
from yolact.structures import Detections

MaskForm = Literal["bits", "soft", "regions"]
"""`bits`: at the photograph's size, eight pixels a byte. `soft`: probabilities at prototype scale. `regions`: each mask
on a grid of fixed size in its own region of the photograph."""

COMPACT = ("boxes", "scores", "mask_scores", "labels", "count", "coefficients", "windows", "prototypes")
"""The outputs that there always are, as `yolact.detect.postprocess.to_outputs` describes them."""

Operation = Literal["resize", "deformable"]
"""What can be written with simpler operators: the antialiased resize, and deformable convolution."""

SIDES = {0: Dim("batch"), 1: Dim("height", min=2), 2: Dim("width", min=9)}
"""Of photographs, what is open in a traced program. Rows of packed bits are traced for more than one byte."""


class Deployable(nn.Module):
    """The network with everything before and after it, in tensors of static shape and standard operations.

    Args:
        network: is put into evaluation mode. In half precision, what comes after it is float32 all the same.
        config: how its output is read.
        masks: the forms of masks that are added to the outputs; without any, users make them of the rest.
        region_size: samples along each side of `regions`.
        image_size: (height, width) of the network's input, instead of the configured one.
        crop: how the masks among the outputs are cut, see `yolact.detect.crop`.
        plain: operations to write with simpler operators, for runtimes that lack them or are slow at them.
    """

    def __init__(
        self,
        network: Yolact,
        config: DetectConfig,
        masks: Sequence[MaskForm] = (),
        *,
        region_size: int = 112,
        image_size: tuple[int, int] | None = None,
        crop: GraphCrop = "box",
        plain: Sequence[Operation] = (),
    ) -> None:
        super().__init__()
        network.eval()
        self.network = _with_plain_convolutions(network) if "deformable" in plain else network
        self.config = network.config if image_size is None else replace(network.config, image_size=image_size)
        self.detect, self.masks, self.region_size = config, tuple(masks), region_size
        self.crop: GraphCrop = crop
        self.plain_resize = "resize" in plain

    @property
    def output_names(self) -> tuple[str, ...]:
        """In the order of the outputs."""
        names = {"soft": ("soft_masks",), "bits": ("mask_bits",), "regions": ("region_masks", "region_boxes")}
        return (*COMPACT, *(name for form in names if form in self.masks for name in names[form]))

    def forward(self, photographs: UInt8[Tensor, "B H W 3"]) -> dict[str, Tensor]:
        """The outputs of `yolact.detect.postprocess.to_outputs`, and for the forms of masks that were asked for:

        - soft_masks: (B, N, Hp, Wp) float32, in 0..1, 0 outside the windows.
        - mask_bits: (B, N, H, ceil(W / 8)) uint8, the first of eight pixels in the highest bit.
        - region_masks: (B, N, S, S) uint8, probabilities times 255, and region_boxes: (B, N, 4) float32, see
          `yolact.detect.mask_outputs.region_masks`.
        """
        return self.finish(self.find(self.prepare(photographs)), (photographs.shape[1], photographs.shape[2]))

    def prepare(self, photographs: UInt8[Tensor, "B H W 3"]) -> Float32[Tensor, "B 3 h w"]:
        """The network's input: resized and normalized."""
        if self.plain_resize:
            return normalize(resize_plainly(photographs, self.config.image_size, self.config.antialias), self.config)
        return to_network_input(photographs.permute(0, 3, 1, 2), self.config)

    def find(self, images: Float32[Tensor, "B 3 h w"]) -> Detections:
        dtype = next(self.network.parameters()).dtype
        return detect(self.network(images.to(dtype)), self.detect, self.network.mask_rescoring)

    def finish(self, detections: Detections, image_size: tuple[int, int]) -> dict[str, Tensor]:
        """The outputs for photographs of this (height, width)."""
        outputs = to_outputs(detections, image_size, self.config.parity)
        windows = outputs["windows"] if self.crop == "box" else windows_of(detections, MARGIN)
        compact, fading = (outputs["prototypes"], outputs["coefficients"], windows), self.crop == "soft"
        if "soft" in self.masks:
            outputs["soft_masks"] = cropped_masks(*compact, fading=fading)
        if "bits" in self.masks:
            outputs["mask_bits"] = mask_bits(*compact, image_size, fading)
        if "regions" in self.masks:
            regions = region_masks(*compact, image_size, self.region_size, fading)
            outputs["region_masks"], outputs["region_boxes"] = regions
        return outputs


def to_program(module: nn.Module, image_size: tuple[int, int]) -> ExportedProgram:
    """Trace a `Deployable`, or a module around one, for photographs of any size and number.

    Args:
        image_size: (height, width) of the network's input.
    """
    photographs = torch.zeros(2, image_size[0] + 11, image_size[1] + 22, 3, dtype=torch.uint8)
    device = next(module.parameters()).device
    with torch.no_grad(), _without_shape_checks():
        module(photographs[:1].to(device))  # makes the anchors, which must not be made while tracing
        return torch.export.export(module, (photographs.to(device),), dynamic_shapes={"photographs": SIDES})


@contextmanager
def _without_shape_checks() -> Iterator[None]:
    """Where somebody has shapes checked as the code runs, as our tests do: that cannot be traced."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def resize_plainly(
    photographs: UInt8[Tensor, "B H W 3"], image_size: tuple[int, int], antialias: bool
) -> Float32[Tensor, "B 3 h w"]:
    """What `interpolate(..., mode="bilinear")` gives, of nothing but gathers and products."""
    pixels = photographs.float()
    rows, weights = _taps(pixels.shape[1], image_size[0], antialias, pixels.device)
    lines = pixels.flatten(2).index_select(1, rows.flatten()).unflatten(1, rows.shape)
    narrow = (weights[:, None] @ lines).squeeze(2).unflatten(2, (pixels.shape[2], 3))
    columns, weights = _taps(pixels.shape[2], image_size[1], antialias, pixels.device)
    lines = narrow.permute(0, 3, 2, 1).contiguous().index_select(2, columns.flatten()).unflatten(2, columns.shape)
    return (lines * weights[:, :, None]).sum(dim=3).transpose(2, 3)


def _taps(
    pixels: int | torch.SymInt, size: int, antialias: bool, device: torch.device
) -> tuple[Int[Tensor, "size t"], Float32[Tensor, "size t"]]:
    """For each of `size` new pixels, which old ones it mixes and by how much.

    The weights are a triangle as wide as two old pixels or, for antialiasing when there are more of these, two new.
    """
    old, new = (torch.full((1,), side, dtype=torch.float32, device=device) for side in (pixels, size))
    scale = old / new
    reach = scale.clamp(min=1) if antialias else torch.ones_like(scale)
    center = (torch.arange(size, device=device)[:, None] + 0.5) * scale
    count = torch.sym_max(2 * ((pixels + size - 1) // size) + 1, 3) if antialias else 3
    taps = (center - reach).floor() + torch.arange(count, device=device)
    weights = (1 - ((taps + 0.5 - center) / reach).abs()).clamp(min=0) * ((taps >= 0) & (taps < pixels))
    return taps.long().clamp(0, pixels - 1), weights / weights.sum(dim=-1, keepdim=True)


class PlainDeformableConv2d(nn.Module):
    """`DeformableConv2d` as one grid sample and one matrix product, which runtimes have that lack the original."""

    def __init__(self, original: DeformableConv2d) -> None:
        super().__init__()
        self.original = original

    def forward(self, input: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h2 w2"]:
        original = self.original
        height, width = input.shape[2:]
        offsets, modulation = torch.split(original.offset_mask(input), [18, 9], dim=1)
        down, across = offsets.float().unflatten(1, (9, 2)).unbind(2)  # (B, 9, h2, w2) each, tap by tap
        taps = torch.arange(9, device=input.device)[:, None, None]
        rows = torch.arange(down.shape[2], device=input.device)[:, None] * original.step[0] + taps // 3 - 1
        columns = torch.arange(down.shape[3], device=input.device) * original.step[1] + taps % 3 - 1
        # The centers of the first and the last pixel lie half a pixel within -1..1.
        grid = torch.stack([(2 * (across + columns) + 1) / width - 1, (2 * (down + rows) + 1) / height - 1], dim=-1)
        samples = functional.grid_sample(input, grid.flatten(1, 2).to(input.dtype), align_corners=False)
        samples = samples.unflatten(2, (9, -1)) * modulation.sigmoid()[:, None]
        mixed = original.weight.flatten(1) @ samples.flatten(3).flatten(1, 2)
        assert original.bias is not None
        return mixed.unflatten(2, down.shape[2:]) + original.bias[:, None, None]


def _with_plain_convolutions(network: Yolact) -> Yolact:
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, DeformableConv2d):
            network.set_submodule(name, PlainDeformableConv2d(module))
    return network
