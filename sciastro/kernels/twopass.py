"""Resample a frame along its rows first, then along the columns of the output: 12 weights, not 36.

For maps that hardly turn (Catmull & Smith 1980, Computer Graphics 14, 279). Each input row is interpolated
at the places where the output *columns* cross it; an output pixel is then interpolated along its column
among the six rows about it. Its kernel is that of `kernels.warp` sheared by the turn: the rows of the
kernel are shifted by the slope of the column times their distance from the pixel, 0.05 pixel at most for a
turn of one degree. Weights still sum to 1 per axis. Rows are shared by all output pixels of a column,
which saves most of the work.

Positions are rounded to 1 / PHASES pixel at nodes, every CELL canvas pixels. Between two nodes whose
phases differ little, weights are interpolated linearly (closer to the truth than the rounding is); elsewhere
positions are, and rounded. Loops run along the pixels and vectorize; pixels that touch missing input
are done again, one by one.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.lanes import add_sums, filter_column
from sciastro.kernels.mending import mend_column
from sciastro.kernels.twopass_columns import cell_of_column, count_sums
from sciastro.kernels.twopass_nodes import (
    BLOCK,
    CELL,
    CLEAN,
    DROPPED,
    HIGH,
    HS,
    HV,
    LOW,
    OUTSIDE,
    SHARE,
    USED,
    areas_of,
    is_smooth,
    padded_table,
    pixel_nodes,
    row_nodes_at,
    span_of_rows,
)
from sciastro.kernels.twopass_rows import along_row, cell_of_row
from sciastro.kernels.warp import DO_NOT_USE, F0, NAN, NO_DATA_EDGE, PHASES, TAPS

__all__ = ["CELL", "padded_table", "two_pass"]

NODES = BLOCK // CELL + 2
DEEPEST = 144  # interpolated rows of a block
CHUNK = 112  # output rows done from them, at most


@inner
def _aligned(rows, columns):
    """Return float32 (rows, columns) that begins with a cache line, so that vectors of 16 lie in one."""
    out = np.empty(rows * columns + 16, np.float32)
    first = (-(out.ctypes.data // 4)) % 16
    return out[first : first + rows * columns].reshape(rows, columns)


@njit(nogil=True, cache=True, error_model="numpy")
def two_pass(
    signal,
    variance,
    quality,
    window_y0,
    window_x0,
    nodes_x,
    nodes_y,
    skip_y,
    skip_x,
    rim,
    table,
    exclude,
    max_excluded,
    clamp,
    holds_flux,
    scale,
    pedestal,
    offset,
    out_signal,
    out_variance,
    out_quality,
    sums,
):
    """Resample a window of one frame onto a tile: ``out = (in - pedestal) * scale * J + offset``.

    Parameters
    ----------
    nodes_x, nodes_y : float64[ny + 2, nx]
        As in `kernels.warp.warp`, CELL pixels apart, with one more row of nodes at either end: input rows
        reach beyond the tile. Input y must grow along the columns.
    table : float32[8 * PHASES]
        From `padded_table`.
    signal, variance, quality, window_y0, window_x0, skip_y, skip_x, rim, exclude, max_excluded, clamp
        As in `kernels.warp.warp`; the planes contiguous.
    holds_flux, scale, pedestal, offset, out_signal, out_variance, out_quality, sums
        As in `kernels.warp.warp`.
    """
    # Long, as a call of an inner part would copy the description of every array (7 words each) each time.
    height, width = out_signal.shape
    h_in, w_in = signal.shape
    planes = _aligned(6, DEEPEST * BLOCK + 80)  # not whole pages apart, or they share cache lines
    hs, hv, low, high = planes[HS], planes[HV], planes[LOW], planes[HIGH]
    used, dropped = planes[USED], planes[DROPPED]
    bits, causes = np.empty(DEEPEST * BLOCK, np.uint16), np.empty(DEEPEST * BLOCK, np.uint16)
    touched, state = np.empty(DEEPEST * BLOCK, np.uint8), np.zeros((DEEPEST, NODES), np.uint8)
    crossings, q = np.empty((DEEPEST, NODES), np.int32), np.empty(NODES, np.int32)
    total, noise, ramp = np.empty(CELL, np.float32), np.empty(CELL, np.float32), np.empty(CELL, np.float32)
    for p in range(CELL):
        ramp[p] = np.float32(p) * SHARE
    bad, mark = np.empty(CELL + 8, np.uint8), np.empty(CELL, np.uint8)
    near = np.zeros(nodes_x.shape[1], np.int64)
    wx, wy = np.empty(TAPS, np.float32), np.empty(TAPS, np.float32)
    clamping, area = np.isfinite(clamp), areas_of(nodes_x, nodes_y, holds_flux)
    under, over, number = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32), 0
    flat_out, flat_spread, flat_flags = out_signal.ravel(), out_variance.ravel(), out_quality.ravel()
    x0 = np.int64(0)
    while x0 < width:
        node = (x0 + skip_x) // CELL
        shift = x0 + skip_x - node * CELL  # pixels of the first cell that lie before the block
        n, r0 = min(BLOCK - shift, width - x0), np.int64(0)
        cells = (shift + n + CELL - 1) // CELL
        while r0 < height:
            rows = min(CHUNK, height - r0)
            first, last = span_of_rows(nodes_y, skip_y, r0, rows, node, cells + 1, window_y0, q)
            while last - first >= DEEPEST and rows > 1:
                rows = (rows + 1) // 2
                first, last = span_of_rows(nodes_y, skip_y, r0, rows, node, cells + 1, window_y0, q)
            # Rows further out never meet a row of the frame under the same pixel.
            first, last = max(first, 1 - TAPS), min(last, first + DEEPEST - 1, h_in + TAPS - 2)
            for y in range(first, last + 1):
                row_nodes = crossings[y - first]
                row_nodes_at(nodes_x, nodes_y, y + window_y0, node, cells + 1, window_x0, near, row_nodes)
                along_row(
                    signal, variance, quality, exclude, table, y, row_nodes, cells, shift,
                    (y - first) * BLOCK, planes, bits, touched, causes, state[y - first], bad, ramp, wx, n,
                )  # fmt: skip
            for r in range(r0, r0 + rows):
                pixel_nodes(nodes_y, r + skip_y, node, cells + 1, window_y0, q)
                counted = rim <= r < height - rim
                for k in range(cells):
                    factor = scale * area[(r + skip_y) // CELL + 1, node + k]
                    begin, top = k * CELL - shift, (q[k] >> 10) - 2
                    level, smooth = top - first, is_smooth(q[k], q[k + 1], np.int32(0))
                    some, every = CLEAN, OUTSIDE
                    if smooth and level >= 0 and top + TAPS - 1 <= last:
                        for j in range(TAPS):
                            some |= state[level + j, k]
                            every &= state[level + j, k]
                    elif smooth and (top + TAPS <= 0 or top >= h_in):
                        some = OUTSIDE
                    else:
                        smooth, every = False, CLEAN
                    if every == OUTSIDE:
                        for p in range(max(begin, 0), min(begin + CELL, n)):
                            out_signal[r, x0 + p], out_variance[r, x0 + p] = NAN, NAN
                            out_quality[r, x0 + p] = NO_DATA_EDGE | DO_NOT_USE
                        continue
                    if some == OUTSIDE or not smooth:  # not smooth: the row may change within the cell
                        for j in range(max(level - 1, 0), min(level + TAPS + 1, last - first + 1)):
                            if state[j, k] == OUTSIDE:
                                state[j, k] = cell_of_row(
                                    signal, variance, quality, exclude, table, first + j, crossings[j], k,
                                    shift, j * BLOCK, planes, bits, touched, causes, bad, ramp, wx, n,
                                )  # fmt: skip
                    if not smooth or begin < 0 or begin + CELL > n:
                        number += cell_of_column(
                            variance, planes, bits, touched, causes, state, table, q, crossings, k, shift,
                            first, last, n, ramp, wy, total, noise, mark, max_excluded, clamp, clamping,
                            scale, factor, pedestal, offset, counted, rim - x0, width - rim - x0, under,
                            over, out_signal[r, x0:], out_variance[r, x0:], out_quality[r, x0:],
                        )  # fmt: skip
                        continue
                    a, at = q[k] & (PHASES - 1), r * width + x0 + begin
                    after, first_at = a + (q[k + 1] - q[k]), level * BLOCK + begin
                    if some:
                        mend_column(
                            hs, hv, low, high, used, dropped, bits, causes, touched, first_at, BLOCK,
                            state, level * NODES + k, NODES, table, a, after, max_excluded, clamp,
                            clamping, factor, pedestal, offset, flat_out, flat_spread, flat_flags, at, mark,
                        )  # fmt: skip
                    else:
                        filter_column(
                            hs, hv, low, high, bits, first_at, BLOCK, table, a, after, clamp, clamping,
                            factor, pedestal, offset, flat_out, flat_spread, flat_flags, at,
                        )  # fmt: skip
                    if not (counted and 0 <= top + 2 < h_in):
                        continue
                    x, x_next = crossings[level + 2, k], crossings[level + 2, k + 1]
                    left = x >> 10
                    inside = x0 + begin >= rim and x0 + begin + CELL <= width - rim
                    inside = inside and left >= 0 and left + CELL <= w_in
                    if inside and not some and is_smooth(x, x_next, np.int32(CELL * PHASES)):
                        add_sums(
                            variance, (top + 2) * w_in + left, flat_spread, at, scale, factor, under,
                            over, begin,
                        )  # fmt: skip
                        number += CELL
                    else:
                        if not some:
                            mark[:] = 0
                        number += count_sums(
                            variance[top + 2], crossings[level + 2], shift, factor, flat_spread[at:], mark,
                            scale, begin, max(rim - x0 - begin, 0), min(width - rim - x0 - begin, CELL),
                            under[begin:], over[begin:],
                        )  # fmt: skip
            r0 += rows
            for p in range(n):
                sums[0] += under[p]
                sums[1] += over[p]
            sums[2] += number
            under[:], over[:], number = F0, F0, 0
        x0 += n
