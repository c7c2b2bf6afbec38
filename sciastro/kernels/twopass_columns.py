"""The second pass of `kernels.twopass`: output pixels among the six interpolated rows about them.

Here are the cells that are not whole, not smooth or touch missing input; others are `lanes.filter_column`.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.twopass_nodes import (
    BLOCK,
    CELL,
    CLEAN,
    CLEAR,
    DROPPED,
    HIGH,
    HS,
    HV,
    LOW,
    USED,
    is_smooth,
    position_of,
    run_of,
    weights_of,
)
from sciastro.kernels.warp import DO_NOT_USE, F0, NAN, NO_DATA_EDGE, PHASES, SATURATED, TAPS

__all__ = ["cell_of_column", "count_sums"]

B1, B2, B3, B4, B5 = (np.uintp(k * BLOCK) for k in (1, 2, 3, 4, 5))


@inner
def _cells_of_column(hs, hv, base, table, q, k, offset, start, stop, ramp, total, noise):
    """Interpolate the pixels of a run among their six rows, which begin at `base` of the flat planes."""
    at, rise = 0, np.int32(0)
    while start + at < stop:
        begin = k * CELL - offset
        inside, n = start + at - begin, min(begin + CELL, stop) - start - at
        a, b = q[k] & (PHASES - 1), 0
        if is_smooth(q[k], q[k + 1], rise):
            b = a + (q[k + 1] - q[k])
        else:
            a = position_of(q[k], q[k + 1], inside) & (PHASES - 1)
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


@inner
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


@inner
def _mend(
    planes, touched, causes, state, mark, table, q, shift, start, level, max_excluded, wy, total, noise, oq, n
):
    """Renormalize the marked pixels by the weight that they used; too much missing: NaN and the causes."""
    for p in range(n):
        if not mark[p]:
            continue
        cell = (start + p + shift) // CELL
        inside = start + p + shift - cell * CELL
        weights_of(table, q[cell], q[cell + 1], np.int32(0), inside, wy)
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


@inner
def _gather_bits(bits, base, quality, n):
    """OR the bits of the central four rows."""
    for k in range(1, TAPS - 1):
        for p in range(n):
            quality[p] |= bits[base + k * BLOCK + p]


@inner
def _gather_marks(touched, state, cell, base, level, mark, n):
    """OR the marks of the six rows that have any."""
    mark[:n] = 0
    for k in range(TAPS):
        if state[level + k, cell]:
            for p in range(n):
                mark[p] |= touched[base + k * BLOCK + p]


@inner
def count_sums(below, crossing, shift, factor, variance, mark, scale, start, first, last, under, over):
    """Add clean pixels to the sums: input variance times scale**2 J, output variance; return their number.

    `below` is the variance of the input row below the pixels, `crossing` where the columns cross it.
    """
    p, number, rise = first, 0, np.int32(CELL * PHASES)
    while p < last:
        cell = (start + p + shift) // CELL
        begin = cell * CELL - shift - start
        qa, qb, n = crossing[cell], crossing[cell + 1], min(begin + CELL, last) - p
        x = (qa >> 10) + p - begin
        if not is_smooth(qa, qb, rise):
            x, n = position_of(qa, qb, p - begin) >> 10, 1
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


@inner
def _write(total, noise, factor, pedestal, offset, out, out_variance, n):
    for p in range(n):
        out[p] = (total[p] - pedestal) * factor + offset
    for p in range(n):
        out_variance[p] = noise[p] * factor * factor


@inner
def cell_of_column(
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
        stop, _, _ = run_of(q, cell, cell + 1, shift, start, end, none)
        top = (q[cell] >> 10) - 2
        if not is_smooth(q[cell], q[cell + 1], none):
            top = (position_of(q[cell], q[cell + 1], start - (cell * CELL - shift)) >> 10) - 2
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
            number += count_sums(
                variance[top + 2], crossings[level + 2], shift, factor, spread, mark, scale, start,
                max(x_first - start, 0), min(x_last - start, m), under[start:], over[start:],
            )  # fmt: skip
        start = stop
    return number
