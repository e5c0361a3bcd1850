"""Full-size binary masks for whoever wants all of them at once, by the fastest means at hand."""

from importlib.util import find_spec

import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor

from yolact.detect.mask_outputs import ImageSize, mask_bits_reference

HAS_TRITON = find_spec("triton") is not None


def mask_bits(
    prototypes: Float[Tensor, "B K Hp Wp"],
    coefficients: Float[Tensor, "B N K"],
    windows: Int32[Tensor, "B N 4"],
    image_size: ImageSize,
    fading: bool = False,
) -> UInt8[Tensor, "B N H W8"]:
    """The masks at the photograph's size, eight pixels a byte: on CUDA by one kernel, elsewhere by PyTorch's own.

    A mask is true where the probability, interpolated bilinearly between the prototypes' cells, is above one half.
    The kernel and PyTorch add up in different orders: pixels within about 1e-5 of one half may differ. The kernel does
    not wait for the device, and it can be compiled and captured in a CUDA graph. It needs Triton, and a photograph at
    least a quarter as wide as the prototypes; PyTorch does the others. What is exported is always PyTorch's.

    Args:
        windows: (x1, y1, x2, y2) in cells of the prototypes, x2 and y2 outside: where masks are not cut away.
        image_size: (height, width) of the photographs in pixels.
        fading: the crop `soft`, see `yolact.detect.mask_outputs.cropped_masks`; by PyTorch.

    Returns:
        W8 = ceil(W / 8) bytes a row, the first pixel in the highest bit, as `numpy.packbits` does; 0 beyond the width.
    """
    if prototypes.is_cuda and HAS_TRITON and not fading and not torch.compiler.is_exporting():
        from yolact.detect.mask_kernel import mask_bits_triton, tile_size

        if tile_size((prototypes.shape[2], prototypes.shape[3]), image_size)[1] > 0:
            return mask_bits_triton(prototypes, coefficients, windows, *image_size)
    return mask_bits_reference(prototypes, coefficients, windows, image_size, fading)
