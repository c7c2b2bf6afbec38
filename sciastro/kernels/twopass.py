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
from numba import njit

from sciastro.kernels.lanes import add_sums, filter_column, filter_row
from sciastro.kernels.warp import DO_NOT_USE, F0, NAN, NO_DATA_EDGE, PHASES, SATURATED, TAPS

__all__ = ["CELL", "padded_table", "two_pass"]

CELL = 16  # canvas pixels between nodes
BLOCK = 256  # columns done together: their interpolated rows stay in the second-level cache
NODES = BLOCK // CELL + 2
DEEPEST = 144  # interpolated rows of a block
CHUNK = 112  # output rows done from them, at most
LITTLE = 40  # phases; weights are interpolated up to here: wrong by 40**2 / 8 / PHASES**2 w'' = 0.0006
ONE, SHARE = np.float32(1.0), np.float32(1.0 / CELL)
CLEAR = np.uint16(0)
HS, HV, LOW, HIGH, USED, DROPPED = range(6)  # planes of interpolated rows
CLEAN, DIRTY, OUTSIDE = np.uint8(0), np.uint8(1), np.uint8(3)  # a cell of a row; OUTSIDE is not filled in
I1, I2, I3, I4, I5 = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4), np.uintp(5)
B1, B2, B3, B4, B5 = (np.uintp(k * BLOCK) for k in (1, 2, 3, 4, 5))


def padded_table(table: np.ndarray) -> np.ndarray:
    """Return a table of `kernels.warp.warp_table` as `two_pass` wants it: flat, eight numbers per phase."""
    out = np.zeros((PHASES, 8), np.float32)
    out[:, :TAPS] = table
    return out.ravel()


@njit(nogil=True, cache=True, error_model="numpy")
def _cross(nodes_x, nodes_y, y, i, k):
    """Return where output column node `i` crosses input row `y` [pixel]; node row `k` is where to look."""
    last = nodes_y.shape[0] - 2
    while k < last and nodes_y[k + 1, i] <= y:
        k += 1
    while k > 0 and nodes_y[k, i] > y:
        k -= 1
    t = (y - nodes_y[k, i]) / (nodes_y[k + 1, i] - nodes_y[k, i])
    return nodes_x[k, i] + t * (nodes_x[k + 1, i] - nodes_x[k, i]), k


@njit(nogil=True, cache=True, error_model="numpy")
def _fixed(position, window):
    """Return a frame position in 1 / PHASES pixel of the window; rounded first: the same for every window."""
    position = min(max(position, -1e6), 1e6)
    return np.int32(np.int64(np.floor(position * PHASES + 0.5)) - window * PHASES)


@njit(nogil=True, cache=True, error_model="numpy")
def _row_nodes(nodes_x, nodes_y, y, first, count, window_x0, near, out):
    """Write where column nodes cross input row `y`; `near` remembers the node rows."""
    k = min(near[first], nodes_y.shape[0] - 2)
    while k < nodes_y.shape[0] - 2 and nodes_y[k + 1, first] <= y:
        k += 1
    near[first] = k
    x0, x1 = nodes_x[k, first : first + count], nodes_x[k + 1, first : first + count]
    y0, y1 = nodes_y[k, first : first + count], nodes_y[k + 1, first : first + count]
    between = True
    for i in range(count):
        between &= (y0[i] <= y) & (y < y1[i])
    if between:  # nearly always: no search, and the loop vectorizes
        for i in range(count):
            x = x0[i] + (y - y0[i]) / (y1[i] - y0[i]) * (x1[i] - x0[i])
            out[i] = _fixed(x, window_x0)
        return
    for i in range(count):
        x, near[first + i] = _cross(nodes_x, nodes_y, y, first + i, near[first + i])
        out[i] = _fixed(x, window_x0)


@njit(nogil=True, cache=True, error_model="numpy")
def _pixel_nodes(nodes_y, row, first, count, window_y0, out):
    """Write the input y of the nodes of an output row; `row` counts from the node row that encloses it."""
    j = row // CELL + 1  # the nodes begin one row early
    t = (row - (j - 1) * CELL) / CELL
    for i in range(first, first + count):
        out[i - first] = _fixed(nodes_y[j, i] + t * (nodes_y[j + 1, i] - nodes_y[j, i]), window_y0)


@njit(nogil=True, cache=True, error_model="numpy")
def _is_smooth(qa, qb, rise):
    """Return whether the weights between two nodes are interpolated; `rise` is a whole cell, or 0."""
    change = qb - qa - rise
    after = (qa & (PHASES - 1)) + change
    return -LITTLE <= change <= LITTLE and 0 <= after < PHASES


@njit(nogil=True, cache=True, error_model="numpy")
def _position(qa, qb, inside):
    """Return the position of a pixel between two nodes; exact where they are a whole cell apart."""
    return qa + (((qb - qa) * np.int32(inside) + np.int32(CELL // 2)) >> 4)


@njit(nogil=True, cache=True, error_model="numpy")
def _weights_of(table, qa, qb, rise, inside, weights):
    """Write the six weights of one pixel between two nodes and return the input pixel below its position."""
    if _is_smooth(qa, qb, rise):
        a = qa & (PHASES - 1)
        b, t = a + (qb - qa - rise), np.float32(inside) * SHARE
        for k in range(TAPS):
            wa = table[8 * a + k]
            weights[k] = wa + (table[8 * b + k] - wa) * t
        return (qa >> 10) + (inside if rise else 0)
    q = _position(qa, qb, inside)
    for k in range(TAPS):
        weights[k] = table[8 * (q & (PHASES - 1)) + k]
    return q >> 10


@njit(nogil=True, cache=True, error_model="numpy")
def _run(q, k, cells, offset, start, n, rise):
    """Return where the run that begins at pixel `start` of cell `k` ends: pixel, cell, and if one phase.

    A run falls on consecutive input columns (`rise` a whole cell) or on one input row (`rise` 0).
    """
    begin = k * CELL - offset
    if not _is_smooth(q[k], q[k + 1], rise):
        stop = min(begin + CELL, n)
        step = 1 if rise else 0
        first = _position(q[k], q[k + 1], start - begin) >> 10
        p = start + 1
        while p < stop and (_position(q[k], q[k + 1], p - begin) >> 10) == first + (p - start) * step:
            p += 1
        return p, (k + 1 if p == stop else k), False
    level = q[k + 1] - q[k] == rise
    e = k + 1
    while e < cells:
        flat = q[e + 1] - q[e] == rise
        if flat != level or not _is_smooth(q[e], q[e + 1], rise):
            break
        if (q[e] >> 10) != (q[k] >> 10) + (e - k) * (rise >> 10):
            break
        if level and (q[e] & (PHASES - 1)) != (q[k] & (PHASES - 1)):
            break
        e += 1
    return min(e * CELL - offset, n), e, level


@njit(nogil=True, cache=True, error_model="numpy")
def _cells_of_row(s, v, table, q, k, offset, start, stop, ramp, hs, hv):
    """Interpolate the pixels of a run of one row, cell by cell.

    `s` and `v` begin at the first input of pixel `start`, `hs` and `hv` at that pixel. Indices are unsigned:
    signed ones might be negative, which stops the vector loop; slices would cost more than the work.
    """
    at, rise = 0, np.int32(CELL * PHASES)
    while start + at < stop:
        begin = k * CELL - offset
        inside, n = start + at - begin, min(begin + CELL, stop) - start - at
        a, b = q[k] & (PHASES - 1), 0
        if _is_smooth(q[k], q[k + 1], rise):
            b = a + (q[k + 1] - q[k] - rise)
        else:  # pixel by pixel, each at its rounded phase
            a = _position(q[k], q[k + 1], inside) & (PHASES - 1)
            b, n = a, 1
        w, e = table[8 * a : 8 * a + TAPS], table[8 * b : 8 * b + TAPS]
        w0, w1, w2, w3, w4, w5 = w[0], w[1], w[2], w[3], w[4], w[5]
        d0, d1, d2, d3, d4, d5 = e[0] - w0, e[1] - w1, e[2] - w2, e[3] - w3, e[4] - w4, e[5] - w5
        first, phase = np.uintp(at), np.uintp(inside)
        for p in range(np.uintp(n)):
            t, i = ramp[phase + p], first + p
            a0, a1, a2, a3, a4, a5 = (
                w0 + d0 * t,
                w1 + d1 * t,
                w2 + d2 * t,
                w3 + d3 * t,
                w4 + d4 * t,
                w5 + d5 * t,
            )
            hs[i] = (
                a0 * s[i] + a1 * s[i + I1] + a2 * s[i + I2] + a3 * s[i + I3] + a4 * s[i + I4] + a5 * s[i + I5]
            )
            a0, a1, a2, a3, a4, a5 = a0 * a0, a1 * a1, a2 * a2, a3 * a3, a4 * a4, a5 * a5
            hv[i] = (
                a0 * v[i] + a1 * v[i + I1] + a2 * v[i + I2] + a3 * v[i + I3] + a4 * v[i + I4] + a5 * v[i + I5]
            )
        at += n
        k += 1 if start + at >= begin + CELL else 0


@njit(nogil=True, cache=True, error_model="numpy")
def _cells_of_column(hs, hv, base, table, q, k, offset, start, stop, ramp, total, noise):
    """Interpolate the pixels of a run among their six rows, which begin at `base` of the flat planes."""
    at, rise = 0, np.int32(0)
    while start + at < stop:
        begin = k * CELL - offset
        inside, n = start + at - begin, min(begin + CELL, stop) - start - at
        a, b = q[k] & (PHASES - 1), 0
        if _is_smooth(q[k], q[k + 1], rise):
            b = a + (q[k + 1] - q[k])
        else:
            a = _position(q[k], q[k + 1], inside) & (PHASES - 1)
            b, n = a, 1
        w, e = table[8 * a : 8 * a + TAPS], table[8 * b : 8 * b + TAPS]
        w0, w1, w2, w3, w4, w5 = w[0], w[1], w[2], w[3], w[4], w[5]
        d0, d1, d2, d3, d4, d5 = e[0] - w0, e[1] - w1, e[2] - w2, e[3] - w3, e[4] - w4, e[5] - w5
        first, out, phase = np.uintp(base + at), np.uintp(at), np.uintp(inside)
        for p in range(np.uintp(n)):
            t, i = ramp[phase + p], first + p
            a0, a1, a2, a3, a4, a5 = (
                w0 + d0 * t,
                w1 + d1 * t,
                w2 + d2 * t,
                w3 + d3 * t,
                w4 + d4 * t,
                w5 + d5 * t,
            )
            total[out + p] = (
                a0 * hs[i]
                + a1 * hs[i + B1]
                + a2 * hs[i + B2]
                + a3 * hs[i + B3]
                + a4 * hs[i + B4]
                + a5 * hs[i + B5]
            )
            a0, a1, a2, a3, a4, a5 = a0 * a0, a1 * a1, a2 * a2, a3 * a3, a4 * a4, a5 * a5
            noise[out + p] = (
                a0 * hv[i]
                + a1 * hv[i + B1]
                + a2 * hv[i + B2]
                + a3 * hv[i + B3]
                + a4 * hv[i + B4]
                + a5 * hv[i + B5]
            )
        at += n
        k += 1 if start + at >= begin + CELL else 0


@njit(nogil=True, cache=True, error_model="numpy")
def _extremes_of_row(s, low, high, n):
    """Write lowest and highest of the central four inputs of each pixel."""
    for p in range(n):
        a = s[p + 1] if s[p + 1] < s[p + 2] else s[p + 2]
        b = s[p + 3] if s[p + 3] < s[p + 4] else s[p + 4]
        low[p] = a if a < b else b
    for p in range(n):
        a = s[p + 1] if s[p + 1] > s[p + 2] else s[p + 2]
        b = s[p + 3] if s[p + 3] > s[p + 4] else s[p + 4]
        high[p] = a if a > b else b


@njit(nogil=True, cache=True, error_model="numpy")
def _is_bad(s, v, q, exclude):
    """Return whether a pixel must not be used: not finite, a negative variance, or an excluded bit."""
    # s - s and v - v are 0 for finite numbers, NaN otherwise.
    return not ((s - s == F0) & (v - v == F0) & (v >= F0) & ((q & exclude) == CLEAR))


@njit(nogil=True, cache=True, error_model="numpy")
def _look_over(s, v, q, n):
    """Return whether any of n pixels has an unusable number, and the OR of their quality bits."""
    unfit, bits = np.int32(0), CLEAR
    for p in range(n):
        fine = (s[p] - s[p] == F0) & (v[p] - v[p] == F0) & (v[p] >= F0)
        unfit |= np.int32(0) if fine else np.int32(1)
    for p in range(n):
        bits |= q[p]
    return unfit != 0, bits


@njit(nogil=True, cache=True, error_model="numpy")
def _mark(s, v, q, exclude, bad, touched, n):
    """Mark the pixels whose six inputs hold a bad one."""
    for p in range(n + TAPS - 1):
        bad[p] = 1 if _is_bad(s[p], v[p], q[p], exclude) else 0
    for p in range(n):
        touched[p] = bad[p] | bad[p + 1] | bad[p + 2] | bad[p + 3] | bad[p + 4] | bad[p + 5]


@njit(nogil=True, cache=True, error_model="numpy")
def _lift(low, high, base, clamp, bits, any_bits, total, noise, n):
    """Lift values below the lowest of the central 4 x 4 inputs by more than the tolerance."""
    g, h = low[base + BLOCK :], high[base + BLOCK :]
    for p in range(n):  # two loops: the compiler gives up on many arrays in one
        a = g[p] if g[p] < g[BLOCK + p] else g[BLOCK + p]
        b = g[2 * BLOCK + p] if g[2 * BLOCK + p] < g[3 * BLOCK + p] else g[3 * BLOCK + p]
        lowest = a if a < b else b
        a = h[p] if h[p] > h[BLOCK + p] else h[BLOCK + p]
        b = h[2 * BLOCK + p] if h[2 * BLOCK + p] > h[3 * BLOCK + p] else h[3 * BLOCK + p]
        highest = a if a > b else b
        floor = lowest - clamp * (highest - lowest) - np.sqrt(noise[p])
        total[p] = floor if total[p] < floor else total[p]
    if not any_bits:
        return
    for p in range(n):
        if bits[p] & SATURATED:
            lowest = min(g[p], g[BLOCK + p], g[2 * BLOCK + p], g[3 * BLOCK + p])
            floor = lowest - np.sqrt(noise[p])
            total[p] = floor if total[p] < floor else total[p]


@njit(nogil=True, cache=True, error_model="numpy")
def _patch(signal, variance, quality, exclude, table, row, qa, qb, inside, wx, i, planes, bits, causes):
    """Interpolate one pixel `i` of a row from what it has: the rest of its weight is dropped, and summed."""
    height, width = signal.shape
    left = _weights_of(table, qa, qb, np.int32(CELL * PHASES), inside, wx) - 2
    h, hv, used, dropped, why, seen = F0, F0, F0, F0, CLEAR, CLEAR
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    for j in range(TAPS):
        x, w = left + j, wx[j]
        if w == F0:
            continue
        if row < 0 or row >= height or x < 0 or x >= width:
            dropped += abs(w)
            why |= NO_DATA_EDGE
        elif _is_bad(signal[row, x], variance[row, x], quality[row, x], exclude):
            dropped += abs(w)
            why |= quality[row, x]
        else:
            h += w * signal[row, x]
            hv += w * w * variance[row, x]
            used += w
            if 1 <= j <= 4:
                lowest, highest = min(lowest, signal[row, x]), max(highest, signal[row, x])
                seen |= quality[row, x]
    planes[HS, i], planes[HV, i], planes[LOW, i], planes[HIGH, i] = h, hv, lowest, highest
    planes[USED, i], planes[DROPPED, i] = used, dropped
    bits[i], causes[i] = seen, why


@njit(nogil=True, cache=True, error_model="numpy")
def _patch_run(
    signal, variance, quality, exclude, table, row, q, offset, start, stop, wx, base, planes, bits, touched,
    causes,
):  # fmt: skip
    """Do the pixels of a run again that touch missing input; all where the whole run may be outside."""
    for p in range(start, stop):
        if touched[base + p]:
            cell = (p + offset) // CELL
            inside = p + offset - cell * CELL
            _patch(
                signal, variance, quality, exclude, table, row, q[cell], q[cell + 1], inside, wx, base + p,
                planes, bits, causes,
            )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _along_row(
    signal, variance, quality, flat_signal, flat_variance, flat_quality, exclude, table, row, q, cells,
    offset, base, planes, hs, hv, low, high, bits, touched, causes, state, bad, ramp, wx, n,
):  # fmt: skip
    """Interpolate one input row at the nodes `q`, and write the state of its cells."""
    width, rise = signal.shape[1], np.int32(CELL * PHASES)
    inside = 0 <= row < signal.shape[0]
    for k in range(cells):
        begin, left = k * CELL - offset, (q[k] >> 10) - 2
        smooth = _is_smooth(q[k], q[k + 1], rise)
        if not inside or (smooth and (left + CELL + TAPS - 1 <= 0 or left >= width)):
            state[k] = OUTSIDE
            continue
        if smooth and begin >= 0 and left >= 0 and left + CELL + TAPS - 1 <= width:
            a = q[k] & (PHASES - 1)
            state[k] = CLEAN
            if not filter_row(
                flat_signal, flat_variance, flat_quality, row * width + left, table, a,
                a + (q[k + 1] - q[k] - rise), exclude, hs, hv, low, high, bits, base + begin,
            ):  # fmt: skip
                continue
        state[k] = _cell_of_row(
            signal, variance, quality, exclude, table, row, q, k, offset, base, planes, bits, touched,
            causes, bad, ramp, wx, n,
        )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _cell_of_row(
    signal, variance, quality, exclude, table, row, q, k, offset,
    base, planes, bits, touched, causes, bad, ramp, wx, n,
):  # fmt: skip
    """Interpolate a cell of any kind of an input row, with its bits and marks; return its state."""
    width, rise, state = signal.shape[1], np.int32(CELL * PHASES), CLEAN
    start, end = max(k * CELL - offset, 0), min((k + 1) * CELL - offset, n)
    bits[base + start : base + end] = 0
    touched[base + start : base + end] = 0
    if not 0 <= row < signal.shape[0]:
        touched[base + start : base + end] = 1
        _patch_run(
            signal, variance, quality, exclude, table, row, q, offset, start, end, wx, base, planes, bits,
            touched, causes,
        )  # fmt: skip
        return DIRTY
    s, v, flags = signal[row], variance[row], quality[row]
    while start < end:
        inside = start - (k * CELL - offset)
        left = (_position(q[k], q[k + 1], inside) >> 10) - 2
        if _is_smooth(q[k], q[k + 1], rise):
            left = (q[k] >> 10) + inside - 2
        stop, _, _ = _run(q, k, k + 1, offset, start, end, rise)
        a = min(start + max(-left, 0), stop)
        z = max(min(stop, start + width - TAPS + 1 - left), a)
        at, m, outside = base + a, z - a, a > start or z < stop
        unfit, found = False, CLEAR
        if m > 0:
            left += a - start
            part, far, marks = s[left:], v[left:], flags[left:]
            _cells_of_row(part, far, table, q, k, offset, a, z, ramp, planes[HS, at:], planes[HV, at:])
            _extremes_of_row(part, planes[LOW, at:], planes[HIGH, at:], m)
            unfit, found = _look_over(part, far, marks, m + TAPS - 1)
            if found:
                b = bits[at:]
                for p in range(m):
                    b[p] = marks[p + 1] | marks[p + 2] | marks[p + 3] | marks[p + 4]
        if outside or unfit or found & exclude:
            state = DIRTY
            touched[base + start : base + stop] = 1
            if m > 0:
                _mark(part, far, marks, exclude, bad, touched[at:], m)
            _patch_run(
                signal, variance, quality, exclude, table, row, q, offset, start, stop, wx, base, planes,
                bits, touched, causes,
            )  # fmt: skip
        start = stop
    return state


@njit(nogil=True, cache=True, error_model="numpy")
def _mend(
    planes, touched, causes, state, mark, table, q, shift, start, level, max_excluded, wy, total, noise, oq, n
):
    """Renormalize the marked pixels by the weight that they used; too much missing: NaN and the causes."""
    for p in range(n):
        if not mark[p]:
            continue
        cell = (start + p + shift) // CELL
        inside = start + p + shift - cell * CELL
        _weights_of(table, q[cell], q[cell + 1], np.int32(0), inside, wy)
        used, dropped, why = F0, F0, CLEAR
        for k in range(TAPS):
            i = (level + k) * BLOCK + start + p
            if wy[k] == F0 or not (state[level + k, cell] and touched[i]):
                used += wy[k]
                continue
            used += wy[k] * planes[USED, i]
            dropped += abs(wy[k]) * planes[DROPPED, i]
            why |= causes[i]
        if dropped == F0:
            mark[p] = 0
        elif not dropped <= max_excluded * (abs(used) + dropped) or used <= F0:
            total[p], noise[p], oq[p] = NAN, NAN, why | DO_NOT_USE
        else:
            total[p], noise[p] = total[p] / used, noise[p] / (used * used)


@njit(nogil=True, cache=True, error_model="numpy")
def _span(nodes_y, skip_y, r, rows, first, count, window_y0, q):
    """Return the first and last input row that a block of output rows needs."""
    low, high = np.int32(1 << 30), np.int32(-(1 << 30))
    for edge in (r, r + rows - 1):
        _pixel_nodes(nodes_y, edge + skip_y, first, count, window_y0, q)
        for i in range(count):
            low, high = min(low, q[i]), max(high, q[i])
    return (low >> 10) - 2, (high >> 10) + 3


@njit(nogil=True, cache=True, error_model="numpy")
def _areas(nodes_x, nodes_y, holds_flux):
    """Return the Jacobian of the map in the middle of every cell; 1 for surface brightness."""
    area = np.ones((nodes_x.shape[0] - 1, nodes_x.shape[1] - 1), np.float32)
    for j in range(area.shape[0] if holds_flux else 0):
        for i in range(area.shape[1]):
            xu = nodes_x[j, i + 1] - nodes_x[j, i] + nodes_x[j + 1, i + 1] - nodes_x[j + 1, i]
            yu = nodes_y[j, i + 1] - nodes_y[j, i] + nodes_y[j + 1, i + 1] - nodes_y[j + 1, i]
            xv = nodes_x[j + 1, i] - nodes_x[j, i] + nodes_x[j + 1, i + 1] - nodes_x[j, i + 1]
            yv = nodes_y[j + 1, i] - nodes_y[j, i] + nodes_y[j + 1, i + 1] - nodes_y[j, i + 1]
            area[j, i] = abs(xu * yv - xv * yu) / (4 * CELL * CELL)
    return area


@njit(nogil=True, cache=True, error_model="numpy")
def _write(total, noise, factor, pedestal, offset, out, out_variance, n):
    for p in range(n):
        out[p] = (total[p] - pedestal) * factor + offset
    for p in range(n):
        out_variance[p] = noise[p] * factor * factor


@njit(nogil=True, cache=True, error_model="numpy")
def _gather_bits(bits, base, quality, n):
    """OR the bits of the central four rows."""
    for k in range(1, TAPS - 1):
        for p in range(n):
            quality[p] |= bits[base + k * BLOCK + p]


@njit(nogil=True, cache=True, error_model="numpy")
def _gather_marks(touched, state, cell, base, level, mark, n):
    """OR the marks of the six rows that have any."""
    mark[:n] = 0
    for k in range(TAPS):
        if state[level + k, cell]:
            for p in range(n):
                mark[p] |= touched[base + k * BLOCK + p]


@njit(nogil=True, cache=True, error_model="numpy")
def _count(below, crossing, shift, factor, variance, mark, scale, start, first, last, under, over):
    """Add clean pixels to the sums: input variance times scale**2 J, output variance; return their number.

    `below` is the variance of the input row below the pixels, `crossing` where the columns cross it.
    """
    p, number, rise = first, 0, np.int32(CELL * PHASES)
    while p < last:
        cell = (start + p + shift) // CELL
        begin = cell * CELL - shift - start
        qa, qb, n = crossing[cell], crossing[cell + 1], min(begin + CELL, last) - p
        x = (qa >> 10) + p - begin
        if not _is_smooth(qa, qb, rise):
            x, n = _position(qa, qb, p - begin) >> 10, 1
        if x < 0:  # outside of the window; the pixels after that many are not
            p += min(-x, n)
            continue
        inside = min(n, below.size - x)
        if inside > 0:
            a, b = np.uintp(p), np.uintp(x)
            for i in range(np.uintp(inside)):
                under[a + i] += scale * factor * below[b + i] if mark[a + i] == 0 else F0
        p += n
    for i in range(last):
        over[i] += variance[i] if (i >= first) & (mark[i] == 0) else F0
    for i in range(first, last):
        number += 1 - mark[i]
    return number


@njit(nogil=True, cache=True, error_model="numpy")
def _cell_of_column(
    variance, planes, bits, touched, causes, state, table, q, crossings, cell, shift, first, last, n,
    ramp, wy, total, noise, mark, max_excluded, clamp, clamping, scale, factor, pedestal, offset,
    counted, x_first, x_last, under, over, o, ov, oq,
):  # fmt: skip
    """Interpolate a cell of any kind of an output row; return the number of clean pixels that entered sums.

    `o`, `ov` and `oq` begin at the block; `x_first` and `x_last` bound what is counted.
    """
    rows, number, none = variance.shape[0], 0, np.int32(0)
    start, end = max(cell * CELL - shift, 0), min((cell + 1) * CELL - shift, n)
    while start < end:
        stop, _, _ = _run(q, cell, cell + 1, shift, start, end, none)
        top = (q[cell] >> 10) - 2
        if not _is_smooth(q[cell], q[cell + 1], none):
            top = (_position(q[cell], q[cell + 1], start - (cell * CELL - shift)) >> 10) - 2
        m, level, missing = stop - start, top - first, NO_DATA_EDGE | DO_NOT_USE
        out, spread, flags = o[start:stop], ov[start:stop], oq[start:stop]
        # Wholly outside, or on a map that folds back: nothing to go by.
        if top + TAPS <= 0 or top >= rows or level < 0 or top + TAPS - 1 > last:
            out[:], spread[:], flags[:] = NAN, NAN, missing
            start = stop
            continue
        base, some = level * BLOCK + start, CLEAN
        for j in range(level, level + TAPS):
            some |= state[j, cell]
        _cells_of_column(planes[HS], planes[HV], base, table, q, cell, shift, start, stop, ramp, total, noise)
        flags[:] = CLEAR
        _gather_bits(bits, base, flags, m)
        mark[:m] = 0
        if some:
            _gather_marks(touched, state, cell, base, level, mark, m)
            _mend(
                planes, touched, causes, state, mark, table, q, shift, start, level, max_excluded, wy, total,
                noise, flags, m,
            )  # fmt: skip
        if clamping:
            _lift(planes[LOW], planes[HIGH], base, clamp, flags, True, total, noise, m)
        _write(total, noise, factor, pedestal, offset, out, spread, m)
        if counted and 0 <= top + 2 < rows:
            number += _count(
                variance[top + 2], crossings[level + 2], shift, factor, spread, mark, scale, start,
                max(x_first - start, 0), min(x_last - start, m), under[start:], over[start:],
            )  # fmt: skip
        start = stop
    return number


@njit(nogil=True, cache=True, error_model="numpy")
def _mend_cell(
    planes, touched, causes, state, table, q, shift, cell, start, level, max_excluded, clamp, clamping,
    factor, pedestal, offset, wy, total, noise, mark, out, spread, quality,
):  # fmt: skip
    """Write those pixels of a whole cell again that touch missing input; the others are written.

    `total` and `noise` are the sums before normalization; `out`, `spread` and `quality` begin at the cell.
    """
    _gather_marks(touched, state, cell, level * BLOCK + start, level, mark, CELL)
    _mend(
        planes, touched, causes, state, mark, table, q, shift, start, level, max_excluded, wy, total, noise,
        quality, CELL,
    )  # fmt: skip
    for p in range(CELL):
        if not mark[p]:
            continue
        lowest, highest = np.float32(np.inf), np.float32(-np.inf)
        for k in range(1, TAPS - 1):
            i = (level + k) * BLOCK + start + p
            lowest, highest = min(lowest, planes[LOW, i]), max(highest, planes[HIGH, i])
        floor = lowest - clamp * (highest - lowest) - np.sqrt(noise[p])
        if clamping and total[p] < floor:
            total[p] = floor
        floor = lowest - np.sqrt(noise[p])
        if clamping and quality[p] & SATURATED and total[p] < floor:
            total[p] = floor
        out[p] = (total[p] - pedestal) * factor + offset
        spread[p] = noise[p] * factor * factor


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
        As in `kernels.warp.warp`.
    holds_flux, scale, pedestal, offset, out_signal, out_variance, out_quality, sums
        As in `kernels.warp.warp`.
    """
    height, width = out_signal.shape
    h_in, w_in = signal.shape
    planes = np.empty(
        (6, DEEPEST * BLOCK + 80), np.float32
    )  # not whole pages apart, or they share cache lines
    hs, hv, low, high = planes[HS], planes[HV], planes[LOW], planes[HIGH]
    bits, causes = np.empty(DEEPEST * BLOCK, np.uint16), np.empty(DEEPEST * BLOCK, np.uint16)
    touched, state = np.empty(DEEPEST * BLOCK, np.uint8), np.zeros((DEEPEST, NODES), np.uint8)
    crossings, q = np.empty((DEEPEST, NODES), np.int32), np.empty(NODES, np.int32)
    total, noise, ramp = np.empty(CELL, np.float32), np.empty(CELL, np.float32), np.empty(CELL, np.float32)
    for p in range(CELL):
        ramp[p] = np.float32(p) * SHARE
    bad, mark = np.empty(CELL + 8, np.uint8), np.empty(CELL, np.uint8)
    near = np.zeros(nodes_x.shape[1], np.int64)
    wx, wy = np.empty(TAPS, np.float32), np.empty(TAPS, np.float32)
    clamping, area = np.isfinite(clamp), _areas(nodes_x, nodes_y, holds_flux)
    under, over, number = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32), 0
    flat_signal, flat_variance, flat_quality = signal.ravel(), variance.ravel(), quality.ravel()
    flat_out, flat_spread, flat_flags = out_signal.ravel(), out_variance.ravel(), out_quality.ravel()
    flags = np.empty(CELL, np.uint16)
    x0 = 0
    while x0 < width:
        node = (x0 + skip_x) // CELL
        shift = x0 + skip_x - node * CELL  # pixels of the first cell that lie before the block
        n, r0 = min(BLOCK - shift, width - x0), 0
        cells = (shift + n + CELL - 1) // CELL
        while r0 < height:
            rows = min(CHUNK, height - r0)
            first, last = _span(nodes_y, skip_y, r0, rows, node, cells + 1, window_y0, q)
            while last - first >= DEEPEST and rows > 1:
                rows = (rows + 1) // 2
                first, last = _span(nodes_y, skip_y, r0, rows, node, cells + 1, window_y0, q)
            # Rows further out never meet a row of the frame under the same pixel.
            first, last = max(first, 1 - TAPS), min(last, first + DEEPEST - 1, h_in + TAPS - 2)
            for y in range(first, last + 1):
                row_nodes = crossings[y - first]
                _row_nodes(nodes_x, nodes_y, y + window_y0, node, cells + 1, window_x0, near, row_nodes)
                _along_row(
                    signal, variance, quality, flat_signal, flat_variance, flat_quality, exclude, table, y,
                    row_nodes, cells, shift, (y - first) * BLOCK, planes, hs, hv, low, high, bits, touched,
                    causes, state[y - first], bad, ramp, wx, n,
                )  # fmt: skip
            for r in range(r0, r0 + rows):
                _pixel_nodes(nodes_y, r + skip_y, node, cells + 1, window_y0, q)
                counted = rim <= r < height - rim
                for k in range(cells):
                    factor = scale * area[(r + skip_y) // CELL + 1, node + k]
                    begin, top = k * CELL - shift, (q[k] >> 10) - 2
                    level, smooth = top - first, _is_smooth(q[k], q[k + 1], np.int32(0))
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
                                state[j, k] = _cell_of_row(
                                    signal, variance, quality, exclude, table, first + j, crossings[j], k,
                                    shift, j * BLOCK, planes, bits, touched, causes, bad, ramp, wx, n,
                                )  # fmt: skip
                    if not smooth or begin < 0 or begin + CELL > n:
                        number += _cell_of_column(
                            variance, planes, bits, touched, causes, state, table, q, crossings, k, shift,
                            first, last, n, ramp, wy, total, noise, mark, max_excluded, clamp, clamping,
                            scale, factor, pedestal, offset, counted, rim - x0, width - rim - x0, under,
                            over, out_signal[r, x0:], out_variance[r, x0:], out_quality[r, x0:],
                        )  # fmt: skip
                        continue
                    a, at = q[k] & (PHASES - 1), r * width + x0 + begin
                    after, high_end = a + (q[k + 1] - q[k]), level * BLOCK + begin
                    filter_column(
                        hs, hv, low, high, bits, high_end, BLOCK, table, a, after, clamp, clamping, factor,
                        pedestal, offset, flat_out, flat_spread, flat_flags, at,
                    )  # fmt: skip
                    if some:
                        filter_column(
                            hs, hv, low, high, bits, high_end, BLOCK, table, a, after, clamp, False, ONE, F0,
                            F0, total, noise, flags, 0,
                        )  # fmt: skip
                        _mend_cell(
                            planes, touched, causes, state, table, q, shift, k, begin, level, max_excluded,
                            clamp, clamping, factor, pedestal, offset, wy, total, noise, mark,
                            flat_out[at:], flat_spread[at:], flat_flags[at:],
                        )  # fmt: skip
                    if not (counted and 0 <= top + 2 < h_in):
                        continue
                    x, x_next = crossings[level + 2, k], crossings[level + 2, k + 1]
                    left = x >> 10
                    inside = x0 + begin >= rim and x0 + begin + CELL <= width - rim
                    inside = inside and left >= 0 and left + CELL <= w_in
                    if inside and not some and _is_smooth(x, x_next, np.int32(CELL * PHASES)):
                        add_sums(
                            flat_variance, (top + 2) * w_in + left, flat_spread, at, scale, factor, under,
                            over, begin,
                        )  # fmt: skip
                        number += CELL
                    else:
                        if not some:
                            mark[:] = 0
                        number += _count(
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
