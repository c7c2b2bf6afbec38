"""The first pass of `kernels.twopass`: input rows, interpolated where output columns cross them."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.lanes import filter_row
from sciastro.kernels.mending import mend_row
from sciastro.kernels.twopass_nodes import (
    BLOCK,
    CELL,
    CLEAN,
    CLEAR,
    DIRTY,
    DROPPED,
    HIGH,
    HS,
    HV,
    LOW,
    OUTSIDE,
    USED,
    is_smooth,
    position_of,
    run_of,
    weights_of,
)
from sciastro.kernels.warp import F0, NAN, NO_DATA_EDGE, PHASES, TAPS

__all__ = ["INPUTS", "along_row", "cell_of_row"]

INPUTS = CELL + TAPS - 1  # of a cell of a row

I1, I2, I3, I4, I5 = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4), np.uintp(5)


@inner
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
        if is_smooth(q[k], q[k + 1], rise):
            b = a + (q[k + 1] - q[k] - rise)
        else:  # pixel by pixel, each at its rounded phase
            a = position_of(q[k], q[k + 1], inside) & (PHASES - 1)
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


@inner
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


@inner
def _is_bad(s, v, q, exclude):
    """Return whether a pixel must not be used: not finite, a negative variance, or an excluded bit."""
    # s - s and v - v are 0 for finite numbers, NaN otherwise.
    return not ((s - s == F0) & (v - v == F0) & (v >= F0) & ((q & exclude) == CLEAR))


@inner
def _look_over(s, v, q, n):
    """Return whether any of n pixels has an unusable number, and the OR of their quality bits."""
    unfit, bits = np.int32(0), CLEAR
    for p in range(n):
        fine = (s[p] - s[p] == F0) & (v[p] - v[p] == F0) & (v[p] >= F0)
        unfit |= np.int32(0) if fine else np.int32(1)
    for p in range(n):
        bits |= q[p]
    return unfit != 0, bits


@inner
def _mark(s, v, q, exclude, bad, touched, n):
    """Mark the pixels whose six inputs hold a bad one."""
    for p in range(n + TAPS - 1):
        bad[p] = 1 if _is_bad(s[p], v[p], q[p], exclude) else 0
    for p in range(n):
        touched[p] = bad[p] | bad[p + 1] | bad[p + 2] | bad[p + 3] | bad[p + 4] | bad[p + 5]


@inner
def _patch(signal, variance, quality, exclude, table, row, qa, qb, inside, wx, i, planes, bits, causes):
    """Interpolate one pixel `i` of a row from what it has: the rest of its weight is dropped, and summed."""
    height, width = signal.shape
    left = weights_of(table, qa, qb, np.int32(CELL * PHASES), inside, wx) - 2
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


@inner
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


@inner
def _mend_edge(signal, variance, quality, exclude, table, row, left, a, b, planes, bits, causes, touched, at):
    """Interpolate a cell whose inputs from `left` on are not all in the window: those beyond are missing."""
    s, v, q = np.empty(INPUTS, np.float32), np.empty(INPUTS, np.float32), np.empty(INPUTS, np.uint16)
    inside = 0 <= row < signal.shape[0]
    for j in range(INPUTS):
        x = left + j
        if inside and 0 <= x < signal.shape[1]:
            s[j], v[j], q[j] = signal[row, x], variance[row, x], quality[row, x]
        else:
            s[j], v[j], q[j] = NAN, F0, NO_DATA_EDGE
    mend_row(s, v, q, 0, table, a, b, exclude, planes, planes.shape[1], bits, causes, touched, at)


@inner
def along_row(
    signal, variance, quality, exclude, table, row, q, cells, offset, base, planes, bits, touched, causes,
    state, bad, ramp, wx, n,
):  # fmt: skip
    """Interpolate one input row at the nodes `q`, and write the state of its cells.

    All arrays are contiguous. Few of them: a call copies the description of each.
    """
    width, rise = signal.shape[1], np.int32(CELL * PHASES)
    inside = 0 <= row < signal.shape[0]
    for k in range(cells):
        begin, left = k * CELL - offset, (q[k] >> 10) - 2
        smooth = is_smooth(q[k], q[k + 1], rise)
        if not inside or (smooth and (left + CELL + TAPS - 1 <= 0 or left >= width)):
            state[k] = OUTSIDE
            continue
        if smooth and begin >= 0 and left >= 0 and left + CELL + TAPS - 1 <= width:
            a = q[k] & (PHASES - 1)
            state[k] = CLEAN
            if not filter_row(
                signal, variance, quality, row * width + left, table, a, a + (q[k + 1] - q[k] - rise),
                exclude, planes, planes.shape[1], bits, base + begin,
            ):  # fmt: skip
                continue
        state[k] = cell_of_row(
            signal, variance, quality, exclude, table, row, q, k, offset, base, planes, bits, touched,
            causes, bad, ramp, wx, n,
        )  # fmt: skip


@inner
def cell_of_row(
    signal, variance, quality, exclude, table, row, q, k, offset,
    base, planes, bits, touched, causes, bad, ramp, wx, n,
):  # fmt: skip
    """Interpolate a cell of any kind of an input row, with its bits and marks; return its state."""
    width, rise, state = signal.shape[1], np.int32(CELL * PHASES), CLEAN
    begin = k * CELL - offset
    if is_smooth(q[k], q[k + 1], rise) and begin >= 0 and begin + CELL <= BLOCK:
        left, a, at = (q[k] >> 10) - 2, q[k] & (PHASES - 1), base + begin
        b = a + (q[k + 1] - q[k] - rise)
        if 0 <= row < signal.shape[0] and left >= 0 and left + INPUTS <= width:
            mend_row(
                signal, variance, quality, row * width + left, table, a, b, exclude, planes, planes.shape[1],
                bits, causes, touched, at,
            )  # fmt: skip
        else:
            _mend_edge(
                signal, variance, quality, exclude, table, row, left, a, b, planes, bits, causes, touched, at
            )
        return DIRTY
    start, end = max(begin, 0), min(begin + CELL, n)
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
        left = (position_of(q[k], q[k + 1], inside) >> 10) - 2
        if is_smooth(q[k], q[k + 1], rise):
            left = (q[k] >> 10) + inside - 2
        stop, _, _ = run_of(q, k, k + 1, offset, start, end, rise)
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
