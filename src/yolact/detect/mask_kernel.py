"""Binary masks on CUDA, from coefficients to bits in one kernel: nothing in between leaves the multiprocessor.

A program makes one tile of one instance's mask: it assembles the few cells of the prototypes that the tile lies on,
enlarges them first down and then across, sixteen rows at a time, and packs the bits. A tile that the instance's window
does not touch is only cleared.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch.library import triton_op, wrap_triton

from yolact.detect.mask_outputs import ImageSize

CELL_ROWS, CELL_COLUMNS = 16, 32
"""The cells that a tile may lie on. As wide as a warp, so that one shuffle fetches a cell for each of 32 pixels."""

TILE_BYTES = 16
"""Across a tile, so that a warp works on two bits of each byte. 32 cells reach for 15 bytes of a 550 pixel mask."""

MOST_ROWS = 128
"""Down a tile, in passes of `CELL_ROWS`."""

WARPS = 2
"""A program. Compiled for sm_90, a tile of 48x120 pixels takes 5,000 instructions then, and 5,800 with four warps."""


def tile_size(cells: ImageSize, image_size: ImageSize) -> ImageSize:
    """Rows and bytes of the largest tile that never lies on more cells than there is room for.

    A photograph that is more than four times narrower than the prototypes has no room for a byte: (rows, 0).

    Args:
        cells: (Hp, Wp) of the prototypes.
        image_size: (height, width) of the photograph in pixels.
    """
    rows = min(MOST_ROWS, _fitting(CELL_ROWS, cells[0], image_size[0]))
    columns = min(8 * TILE_BYTES, _fitting(CELL_COLUMNS, cells[1], image_size[1]))
    return rows if rows < CELL_ROWS else rows // CELL_ROWS * CELL_ROWS, columns // 8


@no_type_check
def _fitting(room, cells, pixels):
    """How many neighboring pixels lie on at most `room` cells, wherever they begin.

    The first and the last are (n - 1) * cells / pixels apart, and each has a cell before and after it. Rounding moves a
    pixel by far less than the 1/64 of a cell that is kept free.
    """
    return 1 + (64 * (room - 2) - 1) * pixels // (64 * cells)


# What tests insert to check types would hide a kernel's source from Triton, hence no_type_check.
@triton.jit
@no_type_check
def _taps(pixels, cells, size):
    """The cells before and after each pixel, and how far it is from the first to the second."""
    scale = tl.div_rn(tl.full((), cells, tl.float32), size.to(tl.float32))
    # Adding nothing keeps the compiler from merging the product with the difference, which would round otherwise.
    position = tl.maximum(tl.fma(pixels.to(tl.float32) + 0.5, scale, 0.0) - 0.5, 0.0)
    low = tl.minimum(position.to(tl.int32), cells - 1)
    return low, tl.minimum(low + 1, cells - 1), position - low.to(tl.float32)


@triton.jit
@no_type_check
def _interpolate(values, pixels, first_cell, cells, size, axis: tl.constexpr):
    """As many values as there are, at pixels along an axis of which `values` are the cells from `first_cell` on."""
    low, high, fraction = _taps(pixels, cells, size)
    # Pixels beyond the tile are not stored, but must not be fetched from beyond the values.
    low = tl.expand_dims(tl.minimum(low - first_cell, values.shape[axis] - 1), 1 - axis).broadcast_to(values.shape)
    high = tl.expand_dims(tl.minimum(high - first_cell, values.shape[axis] - 1), 1 - axis).broadcast_to(values.shape)
    fraction = tl.expand_dims(fraction, 1 - axis)
    return tl.gather(values, low, axis) * (1.0 - fraction) + tl.gather(values, high, axis) * fraction


@triton.jit
@no_type_check
def _assemble(prototypes, coefficients, inside, num_prototypes: tl.constexpr, plane: tl.constexpr):
    """sigmoid(sum_k c_k P_k) in float32 where `inside`, 0 elsewhere."""
    sums = tl.zeros(inside.shape, tl.float32)
    for k in tl.range(0, num_prototypes, loop_unroll_factor=8):
        coefficient = tl.load(coefficients + k).to(tl.float32)
        prototype = tl.load(prototypes + k * plane, inside, other=0.0).to(tl.float32)
        sums = tl.fma(prototype, coefficient, sums)
    return tl.where(inside, tl.sigmoid(sums), 0.0)


@triton.jit
@no_type_check
def _pack(values, byte, first_cell, cells, width, num_bytes: tl.constexpr):
    """Enlarge each row to `num_bytes` bytes of pixels: at a time, as many bits of each byte as fill a row of values."""
    bits: tl.constexpr = values.shape[1] // num_bytes
    place = tl.arange(0, values.shape[1])
    packed = tl.zeros(values.shape, tl.int32)
    for some in tl.static_range(8 // bits):
        bit = some * bits + place // num_bytes
        pixel = 8 * (byte + place % num_bytes) + bit
        enlarged = _interpolate(values, pixel, first_cell, cells, width, 1)
        packed += tl.where((enlarged > 0.5) & (pixel < width)[None, :], (128 >> bit)[None, :], 0)
    return tl.sum(packed.reshape((values.shape[0], bits, num_bytes)), axis=1).to(tl.uint8)


# Compiled once for all photographs, not anew for sizes that happen to be multiples of 16, or 1.
@triton.jit(do_not_specialize=["instances", "height", "width", "tile_rows", "tile_bytes"])
@no_type_check
def mask_bits_kernel(
    bits,
    prototypes,
    coefficients,
    windows,
    instances,
    height,
    width,
    tile_rows,
    tile_bytes,
    num_prototypes: tl.constexpr,
    cells_down: tl.constexpr,
    cells_across: tl.constexpr,
    cell_rows: tl.constexpr,
    cell_columns: tl.constexpr,
    num_bytes: tl.constexpr,
):
    row_bytes = (width + 7) // 8
    instance = tl.program_id(0).to(tl.int64)  # all masks together may have more than 2^31 bytes
    row, byte = tl.program_id(1) * tile_rows, tl.program_id(2) * tile_bytes
    end_row, end_byte = tl.minimum(row + tile_rows, height), tl.minimum(byte + tile_bytes, row_bytes)
    top, _, _ = _taps(row, cells_down, height)
    _, bottom, _ = _taps(end_row - 1, cells_down, height)
    left, _, _ = _taps(8 * byte, cells_across, width)
    _, right, _ = _taps(8 * end_byte - 1, cells_across, width)
    x1 = tl.load(windows + 4 * instance)
    y1 = tl.load(windows + 4 * instance + 1)
    x2 = tl.minimum(tl.load(windows + 4 * instance + 2), right + 1)
    y2 = tl.minimum(tl.load(windows + 4 * instance + 3), bottom + 1)

    bits += instance * height * row_bytes
    columns = byte + tl.arange(0, num_bytes)[None, :]
    if (tl.maximum(x1, left) < x2) & (tl.maximum(y1, top) < y2):
        cell_row, cell_column = top + tl.arange(0, cell_rows)[:, None], left + tl.arange(0, cell_columns)[None, :]
        inside = (cell_row >= y1) & (cell_row < y2) & (cell_column >= x1) & (cell_column < x2)
        plane: tl.constexpr = cells_down * cells_across
        cells = prototypes + instance // instances * num_prototypes * plane + cell_row * cells_across + cell_column
        masks = _assemble(cells, coefficients + instance * num_prototypes, inside, num_prototypes, plane)
        for start in range(row, end_row, cell_rows):
            rows = start + tl.arange(0, cell_rows)
            wide = _interpolate(masks, rows, top, cells_down, height, 0)
            packed = _pack(wide, byte, left, cells_across, width, num_bytes)
            stored = (rows < end_row)[:, None] & (columns < end_byte)
            tl.store(bits + rows[:, None].to(tl.int64) * row_bytes + columns, packed, stored)
    else:
        for start in range(row, end_row, cell_rows):
            rows = start + tl.arange(0, cell_rows)
            stored = (rows < end_row)[:, None] & (columns < end_byte)
            nothing = tl.zeros((cell_rows, num_bytes), tl.uint8)
            tl.store(bits + rows[:, None].to(tl.int64) * row_bytes + columns, nothing, stored)


@triton_op("yolact::mask_bits", mutates_args={})
@no_type_check
def mask_bits_triton(
    prototypes: torch.Tensor, coefficients: torch.Tensor, windows: torch.Tensor, height: int, width: int
) -> torch.Tensor:
    """What `yolact.detect.masks_cuda.mask_bits` gives, for photographs for which `tile_size` finds room for a byte."""
    batch, instances, num_prototypes = coefficients.shape
    cells_down, cells_across = prototypes.shape[2:]
    row_bytes = (width + 7) // 8
    bits = torch.empty((batch, instances, height, row_bytes), dtype=torch.uint8, device=prototypes.device)
    if bits.numel() == 0:
        return bits
    tile_rows, tile_bytes = tile_size((cells_down, cells_across), (height, width))
    # Instances first: that dimension of a grid reaches to 2^31, the others to 65535.
    grid = (batch * instances, triton.cdiv(height, tile_rows), triton.cdiv(row_bytes, tile_bytes))
    wrap_triton(mask_bits_kernel)[grid](
        bits,
        prototypes.contiguous(),
        coefficients.contiguous(),
        windows.contiguous(),
        instances,
        height,
        width,
        tile_rows,
        tile_bytes,
        num_prototypes=num_prototypes,
        cells_down=cells_down,
        cells_across=cells_across,
        cell_rows=CELL_ROWS,
        cell_columns=CELL_COLUMNS,
        num_bytes=TILE_BYTES,
        num_warps=WARPS,
    )
    return bits
