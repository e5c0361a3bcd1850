"""Masks as a photograph's user wants them, in standard operations: the reference of the CUDA kernel, and exportable.

A mask's value in a cell of the prototypes is sigmoid(sum_k c_k P_k) inside the instance's window and 0 outside. Between
cells it is interpolated, and the mask is where it is above one half.
"""

import torch
from jaxtyping import Float, Float32, Int, Int32, UInt8
from torch import Tensor

from yolact.detect.masks import assemble_masks

Pixels = int | torch.SymInt
"""Symbolic while a graph for photographs of any size is traced."""

ImageSize = tuple[Pixels, Pixels]
"""(height, width)."""

IN_A_GRAPH = 25
"""Instances worked on at once in an exported or compiled graph: fewer need less memory and more nodes."""

MARGIN = 0.1
"""By how much of its side a box is widened at each end, for all crops but the paper's."""

FADING = MARGIN / (1 + 2 * MARGIN)
"""The share of a window's side, less the cell that the paper leaves too at each end, in which a soft crop fades."""

EAGER_BYTES = 16 * 2**20
"""Of working memory when run as it stands. On CPUs a working set in the cache halves the time."""


def mask_bits_reference(
    prototypes: Float[Tensor, "B K Hp Wp"],
    coefficients: Float[Tensor, "B N K"],
    windows: Int32[Tensor, "B N 4"],
    image_size: ImageSize,
    fading: bool = False,
) -> UInt8[Tensor, "B N H W8"]:
    """The masks at the photograph's size, eight pixels a byte. It holds some instances' bytes in floats, not more.

    Args:
        windows: (x1, y1, x2, y2) in cells of the prototypes, x2 and y2 outside: where masks are not cut away.
        image_size: (height, width) of the photographs in pixels.
        fading: see `cropped_masks`.

    Returns:
        W8 = ceil(W / 8) bytes a row, the first pixel in the highest bit, as `numpy.packbits` does; 0 beyond the width.
    """
    height, width = image_size
    row_bytes = (width + 7) // 8
    rows = _taps(torch.arange(height, device=prototypes.device), prototypes.shape[2], height)
    # Columns 0, 8, 16, ... then 1, 9, 17, ...: each is one bit of all the bytes.
    pixels = torch.arange(8, device=prototypes.device)[:, None] + 8 * torch.arange(row_bytes, device=prototypes.device)
    bits = list(zip(*_taps(pixels, prototypes.shape[3], width), strict=True))
    if torch.compiler.is_compiling():
        at_once = IN_A_GRAPH
    else:
        floats = prototypes.shape[0] * height * row_bytes
        at_once = max(1, EAGER_BYTES // max(1, 4 * 4 * floats))  # four of them at a time, four bytes each
    pieces = []
    for first in range(0, max(1, coefficients.shape[1]), at_once):
        some = slice(first, first + at_once)
        masks = cropped_masks(prototypes, coefficients[:, some], windows[:, some], fading=fading)
        pieces.append(_pack(masks, rows, bits))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)


def region_masks(
    prototypes: Float[Tensor, "B K Hp Wp"],
    coefficients: Float[Tensor, "B N K"],
    windows: Int32[Tensor, "B N 4"],
    image_size: ImageSize,
    side: int,
    fading: bool = False,
) -> tuple[UInt8[Tensor, "B N S S"], Float32[Tensor, "B N 4"]]:
    """Each mask in its own region of the photograph, always `side` samples high and wide.

    The region is what the window spans; the enlarged mask is nowhere true outside it. Sample i lies at
    (i + 0.5) / side of the region's height or width.

    Args:
        windows: (x1, y1, x2, y2) in cells of the prototypes, x2 and y2 outside.
        image_size: (height, width) of the photographs in pixels.
        side: S, samples along each side.
        fading: see `cropped_masks`.

    Returns:
        The probabilities times 255, rounded; and the regions as (x1, y1, x2, y2) in pixels of the photograph, not
        rounded. An empty window has probabilities 0 and a region of zeros.
    """
    masks = cropped_masks(prototypes, coefficients, windows, fading=fading)
    x1, y1, x2, y2 = (edge[..., None].float() for edge in windows.unbind(-1))
    share = (torch.arange(side, device=windows.device) + 0.5) / side
    rows = _hats(y1 + (y2 - y1) * share - 0.5, masks.shape[2])
    columns = _hats(x1 + (x2 - x1) * share - 0.5, masks.shape[3])
    samples = rows @ masks @ columns.transpose(-1, -2)
    height, width = (_number(size, masks) for size in image_size)
    cells_down, cells_across = (_number(cells, masks) for cells in masks.shape[2:])
    regions = [x1 * width / cells_across, y1 * height / cells_down, x2 * width / cells_across, y2 * height / cells_down]
    return (samples * 255).round().to(torch.uint8), torch.cat(regions, dim=-1)


def cropped_masks(
    prototypes: Float[Tensor, "B K Hp Wp"],
    coefficients: Float[Tensor, "B N K"],
    windows: Int32[Tensor, "B N 4"],
    *,
    fading: bool = False,
) -> Float32[Tensor, "B N Hp Wp"]:
    """Probabilities at prototype scale, 0 outside the windows.

    Args:
        fading: the crop `soft`, see `yolact.detect.crop.fade`.
    """
    masks = assemble_masks(prototypes.float(), coefficients.float())
    x1, y1, x2, y2 = (edge[..., None] for edge in windows.unbind(-1))
    of_rows = _kept_along(y1, y2, masks.shape[2], fading)
    of_columns = _kept_along(x1, x2, masks.shape[3], fading)
    return masks * of_rows[..., :, None] * of_columns[..., None, :]


def _kept_along(
    start: Int32[Tensor, "B N 1"], stop: Int32[Tensor, "B N 1"], cells: int, fading: bool
) -> Float32[Tensor, "B N cells"]:
    """What is left of a mask in each row, or in each column."""
    place = torch.arange(cells, device=start.device)
    inside = ((place >= start) & (place < stop)).float()
    if not fading:
        return inside
    reach = 1 + (stop - start - 2).clamp(min=0) * FADING
    from_start = torch.where(start > 0, (place + 0.5 - start) / reach, 1.0)
    from_stop = torch.where(stop < cells, (stop - place - 0.5) / reach, 1.0)
    return inside * torch.minimum(from_start, from_stop).clamp(max=1)


Taps = tuple[Int[Tensor, "..."], Int[Tensor, "..."], Float32[Tensor, "..."], Float32[Tensor, "..."]]
"""For each pixel: the cell before it and the cell after it, and the weight of each."""


def _taps(pixels: Int[Tensor, "..."], cells: int, size: Pixels) -> Taps:
    """Half-pixel centers, as `interpolate(..., align_corners=False)`; no weight at all for pixels beyond `size`."""
    scale = _number(cells, pixels) / _number(size, pixels)
    position = ((pixels.float() + 0.5) * scale - 0.5).clamp(min=0)
    low = position.long().clamp(max=cells - 1)
    high = (low + 1).clamp(max=cells - 1)
    fraction, exists = position - low, (pixels < size).float()
    return low, high, (1 - fraction) * exists, fraction * exists


def _pack(masks: Float32[Tensor, "B N Hp Wp"], rows: Taps, bits: list[Taps]) -> UInt8[Tensor, "B N H W8"]:
    """Enlarge and threshold the pixels of one bit at a time, so that eight bits share one array of floats."""
    top, bottom, top_weight, bottom_weight = rows
    packed = None
    for left, right, left_weight, right_weight in bits:
        # Columns first: the gather along the memory's last dimension is the slow one, and here there are few rows.
        wide = masks.index_select(3, left) * left_weight + masks.index_select(3, right) * right_weight
        values = wide.index_select(2, top) * top_weight[:, None] + wide.index_select(2, bottom) * bottom_weight[:, None]
        bit = (values > 0.5).float()
        # In floats, which hold 0..255 exactly: few runtimes shift or add bytes.
        packed = bit if packed is None else packed * 2 + bit
    assert packed is not None
    return packed.to(torch.uint8)


def _hats(positions: Float32[Tensor, "B N S"], cells: int) -> Float32[Tensor, "B N S cells"]:
    """Weights of each cell for samples at `positions`, measured in cells from the first cell's center."""
    centers = torch.arange(cells, device=positions.device)
    return (1 - (positions.clamp(0, cells - 1)[..., None] - centers).abs()).clamp(min=0)


def _number(value: Pixels, like: Tensor) -> Float32[Tensor, "1"]:
    """For divisions: CUDA divides by a plain number by multiplying with its reciprocal, which rounds otherwise."""
    return torch.full((1,), value, dtype=torch.float32, device=like.device)
