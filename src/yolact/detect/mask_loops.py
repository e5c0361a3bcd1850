"""The inner loops of `masks_cpu`, compiled by Numba: one pass over the rows of an instance's region.

Written for a compiler: loops over whole contiguous rows, without branches, which it turns into vector instructions.
"""

import numpy as np
from numba import types

from yolact.detect.compiled import inner, outer

LOG2_E = np.float32(1 / np.log(2))
TAYLOR = tuple(np.float32(np.log(2) ** k / np.prod(np.arange(1.0, k + 1))) for k in range(8))
"""Of 2^x at 0, exact to single precision for x in -0.5..0.5."""


@inner
def _assemble(prototypes, coefficients, window, bits, cells):
    """Fill `cells`, row after row of the window, with probabilities."""
    x1, y1, x2, y2 = window
    width, in_fours = x2 - x1, len(prototypes) // 4 * 4
    for row in range(y1, y2):
        sums = cells[(row - y1) * width : (row - y1 + 1) * width]
        sums[:] = 0
        for k in range(0, in_fours, 4):  # at once, so that the sums are read and written less often
            c0, c1, c2, c3 = coefficients[k], coefficients[k + 1], coefficients[k + 2], coefficients[k + 3]
            p0, p1 = prototypes[k, row, x1:x2], prototypes[k + 1, row, x1:x2]
            p2, p3 = prototypes[k + 2, row, x1:x2], prototypes[k + 3, row, x1:x2]
            for x in range(len(sums)):
                sums[x] += (c0 * p0[x] + c1 * p1[x]) + (c2 * p2[x] + c3 * p3[x])
        for k in range(in_fours, len(prototypes)):
            c0, p0 = coefficients[k], prototypes[k, row, x1:x2]
            for x in range(len(sums)):
                sums[x] += c0 * p0[x]
    size = (y2 - y1) * width
    _sigmoid(cells[:size], bits[:size], bits[:size].view(np.float32))


@inner
def _sigmoid(values, bits, scale):
    """In place, by an exponential of which compilers can do many at once. `scale` is `bits`, read as float32."""
    a0, a1, a2, a3, a4, a5, a6, a7 = TAYLOR
    for i in range(len(values)):
        power = min(max(values[i] * -LOG2_E, np.float32(-60)), np.float32(60))
        whole = np.floor(power + np.float32(0.5))
        values[i] = power - whole
        bits[i] = (np.int32(whole) + np.int32(127)) << np.int32(23)  # as a float32, this is 2^whole
    for i in range(len(values)):
        x = values[i]
        exponential = a0 + x * (a1 + x * (a2 + x * (a3 + x * (a4 + x * (a5 + x * (a6 + x * a7))))))
        values[i] = np.float32(1) / (np.float32(1) + exponential * scale[i])


@inner
def _begin(prototypes, coefficients, window, given, width):
    """The cells of an instance's window, and the memory with which `_enlarge_rows` enlarges them."""
    x1, y1, x2, y2 = window
    size = (y2 - y1) * (x2 - x1)
    cells, padded = np.empty(size, np.float32), np.zeros(prototypes.shape[2] + 1, np.float32)
    if len(given) > 0:
        cells[:] = given[:size]
    else:
        _assemble(prototypes, coefficients, window, np.empty(size, np.int32), cells)
    return cells, padded, np.full(2, -1), np.empty((2, width), np.float32)


@inner
def _enlarge_rows(first, last, window, across, fractions, cells, padded, held, lines):
    """Bring the cells of row `first` and of the next to the region's width: row r into lines[r % 2], where it stays."""
    x1, y1, x2, y2 = window
    for row in range(first, first + 2):
        if held[row & 1] == row:
            continue
        held[row & 1] = row
        line, source = lines[row & 1], min(row, last)  # beyond the last row comes the last row again
        if source < y1 or source >= y2:
            line[:] = 0
            continue
        padded[x1:x2] = cells[(source - y1) * (x2 - x1) : (source - y1 + 1) * (x2 - x1)]
        if x2 == len(padded) - 1:
            padded[x2] = padded[x2 - 1]  # and so for columns
        for x in range(len(line)):
            cell = across[x]
            low = padded[cell]
            line[x] = low + (padded[cell + np.uint32(1)] - low) * fractions[x]


@inner
def _edges(prototypes, coefficients, window, given, y, y2, down, down_fractions, across, fractions):
    """Where a mask begins or ends, going down its region's columns: the x and the y of each, line by line."""
    cells, padded, held, lines = _begin(prototypes, coefficients, window, given, len(across))
    edges, count = np.empty((2, 1024), np.int32), 0
    was, changed = np.zeros(len(across), np.uint8), np.zeros((len(across) + 7) // 8 * 8, np.uint8)
    eights = changed.view(np.uint64)
    while y < y2:
        first = np.int64(down[y])
        _enlarge_rows(first, prototypes.shape[1] - 1, window, across, fractions, cells, padded, held, lines)
        low, high = lines[first & 1], lines[(first + 1) & 1]
        while y < y2 and down[y] == first:
            fraction = down_fractions[y]
            for x in range(len(was)):
                inside = np.uint8(low[x] + (high[x] - low[x]) * fraction > np.float32(0.5))
                changed[x] = inside ^ was[x]
                was[x] = inside
            if count + 2 * len(changed) > edges.shape[1]:  # room for this line, and for the last
                edges = _longer(edges, 2 * (count + 2 * len(changed)))
            count = _note(changed, eights, y, edges, count)
            y += 1
    changed[: len(was)] = was
    count = _note(changed, eights, y, edges, count)
    return edges[:, :count]


@inner
def _longer(edges, size):
    longer = np.empty((2, size), np.int32)
    longer[:, : edges.shape[1]] = edges
    return longer


@inner
def _note(changed, eights, y, edges, count):
    """Append the columns that changed; `eights` are eight of them at once."""
    for eight in range(len(eights)):
        if eights[eight]:
            for x in range(8 * eight, 8 * eight + 8):  # without a branch, which no processor could predict
                edges[0, count] = x
                edges[1, count] = y
                count += changed[x]
    return count


@inner
def _in_order(edges, x1, x2, height):
    """Edges by column, as numbers of the photograph's pixels, which are counted down its columns."""
    places = np.zeros(x2 - x1 + 1, np.int64)
    for n in range(edges.shape[1]):
        places[edges[0, n] + 1] += 1
    for x in range(x2 - x1):
        places[x + 1] += places[x]
    ordered = np.empty(edges.shape[1], np.int64)
    for n in range(edges.shape[1]):
        x, y = edges[0, n], edges[1, n]
        ordered[places[x]] = (x1 + x) * height + y
        places[x] += 1
    count = 0
    for n in range(len(ordered)):
        if count > 0 and ordered[count - 1] == ordered[n]:
            count -= 1  # from the foot of one column to the head of the next, the run goes on
        else:
            ordered[count] = ordered[n]
            count += 1
    return ordered[:count]


@inner
def _write_runs(positions, pixels, text, length):
    """Write COCO's compressed code: each run's length less that of the run before last, five bits a character."""
    start, one_ago, two_ago = 0, 0, 0
    for n in range(len(positions) + 1):
        stop = positions[n] if n < len(positions) else pixels
        run = stop - start
        if run == 0 and n == len(positions):
            break
        number, more = run - (two_ago if n > 2 else 0), True
        while more:
            digit = number & 31
            number >>= 5
            more = number != (-1 if digit & 16 else 0)
            text[length] = 48 + digit + (32 if more else 0)
            length += 1
        start, one_ago, two_ago = stop, run, one_ago
    return length


_Array = types.Array
_INPUTS = (
    _Array(types.float32, 3, "C", readonly=True),  # prototypes
    _Array(types.float32, 2, "C", readonly=True),  # coefficients
    _Array(types.int32, 2, "C", readonly=True),  # windows
    _Array(types.int64, 2, "C", readonly=True),  # regions
    _Array(types.float32, 1, "C", readonly=True),  # cells of all windows, one after the other; none: assemble
    _Array(types.int64, 1, "C", readonly=True),  # where the cells of each begin, and the last ones end
    *[_Array(types.uint32, 1, "C", readonly=True), _Array(types.float32, 1, "C", readonly=True)] * 2,  # taps
    types.int64[::1],  # which instances
)


@outer(types.void(*_INPUTS[:3], types.int64[::1], types.float32[::1]))
def assemble(prototypes, coefficients, windows, starts, cells):
    """Fill `cells` with the probabilities of each window, which begin at its `starts`."""
    for i in range(len(windows)):
        size = starts[i + 1] - starts[i]
        _assemble(prototypes, coefficients[i], windows[i], np.empty(size, np.int32), cells[starts[i] : starts[i + 1]])


@outer(types.void(*_INPUTS, types.boolean[:, :, ::1], types.int64, types.int64, types.boolean))
def fill(
    prototypes, coefficients, windows, regions, given, starts, down, down_fractions, across, across_fractions, chosen,
    masks, left, top, clear,
):  # fmt: skip
    """Write the regions of `chosen` into their masks, whose first pixel is (left, top) of the photograph."""
    for i in chosen:
        mask, window = masks[i], windows[i]
        if clear:
            mask[:] = False
        x1, y, x2, y2 = regions[i]
        columns, fractions = across[x1:x2], across_fractions[x1:x2]
        cells, padded, held, lines = _begin(
            prototypes, coefficients[i], window, given[starts[i] : starts[i + 1]], x2 - x1
        )
        while y < y2:
            first = np.int64(down[y])
            _enlarge_rows(first, prototypes.shape[1] - 1, window, columns, fractions, cells, padded, held, lines)
            low, high = lines[first & 1], lines[(first + 1) & 1]
            while y < y2 and down[y] == first:
                part, fraction = mask[y - top, x1 - left : x2 - left], down_fractions[y]
                for x in range(len(part)):
                    part[x] = low[x] + (high[x] - low[x]) * fraction > np.float32(0.5)
                y += 1


@outer(types.Tuple((types.uint8[::1], types.int64[::1], types.int64[::1]))(*_INPUTS, types.int64))
def encode(
    prototypes, coefficients, windows, regions, given, starts, down, down_fractions, across, across_fractions, chosen,
    height,
):  # fmt: skip
    """The run-length codes of `chosen`, one behind the other; where each ends; and how many pixels each mask covers."""
    text, length = np.empty(4096, np.uint8), 0
    ends, areas = np.empty(len(chosen), np.int64), np.empty(len(chosen), np.int64)
    for n in range(len(chosen)):
        i = chosen[n]
        x1, y1, x2, y2 = regions[i]
        edges = _edges(
            prototypes, coefficients[i], windows[i], given[starts[i] : starts[i + 1]], y1, y2,
            down, down_fractions, across[x1:x2], across_fractions[x1:x2],
        )  # fmt: skip
        positions = _in_order(edges, x1, x2, height)
        areas[n] = 0
        for m in range(0, len(positions), 2):
            areas[n] += positions[m + 1] - positions[m]
        if length + 8 * (len(positions) + 1) > len(text):
            longer = np.empty(2 * (length + 8 * (len(positions) + 1)), np.uint8)
            longer[:length] = text[:length]
            text = longer
        length = _write_runs(positions, len(across) * height, text, length)
        ends[n] = length
    return text[:length], ends, areas
