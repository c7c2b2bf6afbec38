"""Resample a frame onto another grid with its variance and quality; flux and noise accounted for.

Input positions come from a coarse grid of nodes, bilinear in between. Every interpolation kernel is
a table of 6 + 6 separable weights per sub-pixel phase (Lanczos-3: ``sinc(t) sinc(t / 3)`` for
``|t| < 3``; Mitchell: a piecewise cubic for ``|t| < 2``), normalized to sum 1 per axis, so that
a flat sky stays flat. Neighboring output pixels that fall between the same input rows and on
consecutive input columns are done together (a "run"): all loops of a run go along the pixels and
vectorize. Pixels that touch missing input are done again, one by one.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["KERNELS", "PHASES", "TAPS", "warp", "warp_table"]

KERNELS = "lanczos3", "mitchell", "bilinear", "nearest"
PHASES = 1024  # sub-pixel phases of a table; a position is rounded to 1 / PHASES pixel
TAPS = 6
BLOCK = 256  # longest run: its scratch fits the first-level cache
BIAS = 1 << 30
SHORTEST = 6  # runs below this are done pixel by pixel

NO_DATA_EDGE = np.uint16((1 << 13) | (1 << 9))
DO_NOT_USE = np.uint16(1)
SATURATED = np.uint16(2)
F0 = np.float32(0.0)
NAN = np.float32(np.nan)


def warp_table(name):
    """Return the weights of a separable interpolation kernel.

    Parameters
    ----------
    name
        "lanczos3", "mitchell", "bilinear" or "nearest".

    Returns
    -------
    ndarray
        float32 (PHASES, 6): weight of input pixels ``floor(x) - 2 ... floor(x) + 3`` for each phase
        ``x - floor(x)``; each row sums to 1. Phase 0 is exactly (0, 0, 1, 0, 0, 0), but for "mitchell",
        which smooths at every phase alike: (0, 1, 16, 1, 0, 0) / 18.
    """
    phase = np.arange(PHASES) / PHASES
    distance = phase[:, None] - np.arange(-2, 4)[None, :]
    if name == "lanczos3":
        table = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    elif name == "mitchell":
        table = _mitchell(np.abs(distance))
    elif name == "bilinear":
        table = np.clip(1 - np.abs(distance), 0.0, None)
    elif name == "nearest":
        table = ((distance >= -0.5) & (distance < 0.5)).astype(float)
    else:
        raise ValueError(f"unknown interpolation kernel {name!r}: use {', '.join(KERNELS)}")
    table = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
    if name != "mitchell":
        table[0] = (0, 0, 1, 0, 0, 0)
    return table


def _mitchell(distance):
    """Return the cubic of Mitchell & Netravali (1988, Computer Graphics 22, 221) with B = C = 1 / 3.

    It is a third of the cubic B-spline and two thirds of the cubic through the samples (Catmull-Rom). The
    second moment of its weights is 1 / 9 pixel2 at every phase: all stars of all frames are widened alike.
    """
    near = (7 * distance**3 - 12 * distance**2 + 16 / 3) / 6
    far = (-7 / 3 * distance**3 + 12 * distance**2 - 20 * distance + 32 / 3) / 6
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


@inner
def _mark_bad(signal, variance, quality, exclude, bad):
    """Set `bad` to 1 where a pixel must not be used, else 0."""
    for r in range(signal.shape[0]):
        s, v, q, b = signal[r], variance[r], quality[r], bad[r]
        for p in range(s.shape[0]):
            # s - s and v - v are 0 for finite numbers, NaN otherwise.
            fine = (s[p] - s[p] == F0) & (v[p] - v[p] == F0) & (v[p] >= F0) & ((q[p] & exclude) == 0)
            b[p] = 0 if fine else 1


@inner
def _positions(nodes_x, nodes_y, step, skip_x, row, window_y0, window_x0, holds_flux, qx, qy, jacobian):
    """Write input positions of one output row in 1 / PHASES pixel and the Jacobian of each cell."""
    width = qx.shape[0]
    j = row // step
    t = (row - j * step) / step
    for i in range(nodes_x.shape[1] - 1):
        first, last = max(i * step - skip_x, 0), min((i + 1) * step - skip_x, width)
        xa = nodes_x[j, i] + t * (nodes_x[j + 1, i] - nodes_x[j, i])
        xb = nodes_x[j, i + 1] + t * (nodes_x[j + 1, i + 1] - nodes_x[j, i + 1])
        ya = nodes_y[j, i] + t * (nodes_y[j + 1, i] - nodes_y[j, i])
        yb = nodes_y[j, i + 1] + t * (nodes_y[j + 1, i + 1] - nodes_y[j, i + 1])
        # d(x_in, y_in) / d(x_out, y_out) of the cell, in the middle of its lower and upper edges.
        xv = 0.5 * (nodes_x[j + 1, i] - nodes_x[j, i] + nodes_x[j + 1, i + 1] - nodes_x[j, i + 1])
        yv = 0.5 * (nodes_y[j + 1, i] - nodes_y[j, i] + nodes_y[j + 1, i + 1] - nodes_y[j, i + 1])
        area = np.float32(abs((xb - xa) * yv - xv * (yb - ya)) / (step * step))
        dx, dy = (xb - xa) / step, (yb - ya) / step
        # Rounded in frame coordinates, then shifted by whole pixels: the same numbers for every window.
        # BIAS makes them positive, so that truncation is floor (which vectorizes).
        xa = min(max(xa, -1e6), 1e6) * PHASES + (0.5 + BIAS)
        ya = min(max(ya, -1e6), 1e6) * PHASES + (0.5 + BIAS)
        dx, dy = dx * PHASES, dy * PHASES
        x0, y0 = np.int32(BIAS + window_x0 * PHASES), np.int32(BIAS + window_y0 * PHASES)
        area = area if holds_flux else np.float32(1.0)
        u, v, jac = qx[first:last], qy[first:last], jacobian[first:last]
        inside = first + skip_x - i * step
        for p in range(last - first):
            u[p] = np.int32(xa + dx * (p + inside)) - x0
            v[p] = np.int32(ya + dy * (p + inside)) - y0
            jac[p] = area


@inner
def _one(signal, variance, quality, bad, table, qx, qy, max_excluded, clamp, clamping):
    """Return value, variance, quality and clean flag of one output pixel; for any surroundings.

    Same order of operations as `_rows` and `_clamp`, so that a clean pixel gets the same number from both.
    """
    height, width = signal.shape
    px, py = qx & (PHASES - 1), qy & (PHASES - 1)
    left, top = (qx >> 10) - 2, (qy >> 10) - 2
    total, noise, used, dropped = F0, F0, F0, F0
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    bits, causes = np.uint16(0), np.uint16(0)
    for k in range(TAPS):
        wy, y = table[py, k], top + k
        h, hv, hw = F0, F0, F0
        for j in range(TAPS):
            wx, x = table[px, j], left + j
            if wx == F0 or wy == F0:
                continue
            if y < 0 or y >= height or x < 0 or x >= width:
                dropped += abs(wx * wy)
                causes |= NO_DATA_EDGE
            elif bad[y, x]:
                dropped += abs(wx * wy)
                causes |= quality[y, x]
            else:
                h += wx * signal[y, x]
                hv += wx * wx * variance[y, x]
                hw += wx
                if 1 <= k <= 4 and 1 <= j <= 4:
                    lowest, highest = min(lowest, signal[y, x]), max(highest, signal[y, x])
                    bits |= quality[y, x]
        total += wy * h
        noise += wy * wy * hv
        used += wy * hw
    if dropped == F0:
        used = np.float32(1.0)
    if not dropped <= max_excluded * (abs(used) + dropped) or used <= F0:
        return NAN, NAN, np.uint16(causes | DO_NOT_USE), False
    total, noise = total / used, noise / (used * used)
    allowed = F0 if bits & SATURATED else clamp
    floor = lowest - allowed * (highest - lowest) - np.sqrt(noise)
    return (floor if total < floor and clamping else total), noise, bits, dropped == F0


@inner
def _run_length(qx, qy):
    """Return how many pixels from the first fall on consecutive input columns of one row."""
    column, row, breaks = qx[0] >> 10, qy[0] >> 10, 0
    for p in range(qx.shape[0]):  # vectorizes; nearly always there is no break
        breaks |= ((qx[p] >> 10) - (column + p)) | ((qy[p] >> 10) - row)
    if breaks == 0:
        return qx.shape[0]
    n = 1
    while (qx[n] >> 10) == column + n and (qy[n] >> 10) == row:
        n += 1
    return n


@inner
def _weights(table, positions, weights, n):
    """Look up the six weights of each position; a run with one phase throughout needs one look."""
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    phase, other = positions[0] & (PHASES - 1), 0
    for p in range(n):
        other |= (positions[p] & (PHASES - 1)) ^ phase
    if other == 0:
        t = table[phase]
        t0, t1, t2, t3, t4, t5 = t[0], t[1], t[2], t[3], t[4], t[5]
        for p in range(n):
            w0[p], w1[p], w2[p], w3[p], w4[p], w5[p] = t0, t1, t2, t3, t4, t5
        return
    for p in range(n):
        t = table[positions[p] & (PHASES - 1)]
        w0[p], w1[p], w2[p], w3[p], w4[p], w5[p] = t[0], t[1], t[2], t[3], t[4], t[5]


@inner
def _rows(signal, variance, column, row, wx, wy, total, noise, n):
    """Accumulate the six input rows of a run; see `_one` for the order of operations."""
    for p in range(n):
        total[p] = F0
        noise[p] = F0
    w0, w1, w2, w3, w4, w5 = wx[0], wx[1], wx[2], wx[3], wx[4], wx[5]
    for k in range(TAPS):
        w = wy[k]
        s, v = signal[row + k], variance[row + k]
        a0, a1, a2 = s[column : column + n], s[column + 1 : column + 1 + n], s[column + 2 : column + 2 + n]
        a3, a4, a5 = (
            s[column + 3 : column + 3 + n],
            s[column + 4 : column + 4 + n],
            s[column + 5 : column + 5 + n],
        )
        for p in range(n):
            h = w0[p] * a0[p] + w1[p] * a1[p] + w2[p] * a2[p] + w3[p] * a3[p] + w4[p] * a4[p] + w5[p] * a5[p]
            total[p] += w[p] * h
        a0, a1, a2 = v[column : column + n], v[column + 1 : column + 1 + n], v[column + 2 : column + 2 + n]
        a3, a4, a5 = (
            v[column + 3 : column + 3 + n],
            v[column + 4 : column + 4 + n],
            v[column + 5 : column + 5 + n],
        )
        for p in range(n):
            h = (
                w0[p] * w0[p] * a0[p]
                + w1[p] * w1[p] * a1[p]
                + w2[p] * w2[p] * a2[p]
                + w3[p] * w3[p] * a3[p]
                + w4[p] * w4[p] * a4[p]
                + w5[p] * w5[p] * a5[p]
            )
            noise[p] += w[p] * w[p] * h


@inner
def _clamp(signal, column, row, clamp, total, noise, bits, lows, highs, n):
    """Lift values below the lowest of the central 4 x 4 inputs by more than the tolerance."""
    m = n + 3
    r0, r1 = signal[row + 1][column + 1 : column + 1 + m], signal[row + 2][column + 1 : column + 1 + m]
    r2, r3 = signal[row + 3][column + 1 : column + 1 + m], signal[row + 4][column + 1 : column + 1 + m]
    for p in range(m):
        a = r0[p] if r0[p] < r1[p] else r1[p]
        b = r2[p] if r2[p] < r3[p] else r3[p]
        lows[p] = a if a < b else b
    for p in range(m):
        a = r0[p] if r0[p] > r1[p] else r1[p]
        b = r2[p] if r2[p] > r3[p] else r3[p]
        highs[p] = a if a > b else b
    l1, l2, l3, h1, h2, h3 = lows[1:], lows[2:], lows[3:], highs[1:], highs[2:], highs[3:]
    for p in range(n):
        a = lows[p] if lows[p] < l1[p] else l1[p]
        b = l2[p] if l2[p] < l3[p] else l3[p]
        lowest = a if a < b else b
        a = highs[p] if highs[p] > h1[p] else h1[p]
        b = h2[p] if h2[p] > h3[p] else h3[p]
        highest = a if a > b else b
        allowed = F0 if bits[p] & SATURATED else clamp
        floor = lowest - allowed * (highest - lowest) - np.sqrt(noise[p])
        total[p] = floor if total[p] < floor else total[p]


@inner
def _flags(quality, bad, column, row, bits, touched, columns_q, columns_b, n):
    """Write the OR of the central 4 x 4 quality values, and whether any of the 6 x 6 is bad."""
    m = n + 5
    columns_q[:m] = 0
    columns_b[:m] = 0
    for k in range(TAPS):
        b = bad[row + k][column : column + m]
        for p in range(m):
            columns_b[p] |= b[p]
    for k in range(1, 5):
        q = quality[row + k][column : column + m]
        for p in range(m):
            columns_q[p] |= q[p]
    b0, b1, b2, b3, b4, b5 = (
        columns_b, columns_b[1:], columns_b[2:], columns_b[3:], columns_b[4:], columns_b[5:]
    )  # fmt: skip
    for p in range(n):
        touched[p] = b0[p] | b1[p] | b2[p] | b3[p] | b4[p] | b5[p]
    q1, q2, q3, q4 = columns_q[1:], columns_q[2:], columns_q[3:], columns_q[4:]
    for p in range(n):
        bits[p] = q1[p] | q2[p] | q3[p] | q4[p]


@njit(nogil=True, cache=True, error_model="numpy")
def warp(
    signal,
    variance,
    quality,
    window_y0,
    window_x0,
    nodes_x,
    nodes_y,
    step,
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
    signal, variance : float32[h, w]
        Window of the frame; NaN (or a negative variance) is missing. What lies outside the window
        counts as outside the frame.
    quality : uint16[h, w]
        Quality bits of the window.
    window_y0, window_x0 : int
        Frame pixel of ``signal[0, 0]``.
    nodes_x, nodes_y : float64[ny, nx]
        Frame position of output pixels ``(j * step - skip_y, i * step - skip_x)``, enclosing all of them;
        finite.
    step : int
        Output pixels between nodes.
    skip_y, skip_x : int
        Output pixels by which the first node lies before the tile, 0 to ``step - 1``.
    rim : int
        Width of the border of the tile that `sums` leave out.
    table : float32[PHASES, 6]
        From `warp_table`.
    exclude : uint16
        Input pixels with any of these bits are not used: their weight is dropped and the rest
        renormalized, as long as the dropped share of absolute weight is at most `max_excluded`.
    max_excluded : float32
        See `exclude`; beyond it the output is NaN.
    clamp : float32
        Undershoot allowed below the lowest of the central 4 x 4 inputs, as a share of their range
        (plus one sigma of the output pixel); none where one of them is saturated; infinity allows
        any everywhere. At 0.01, stars of FWHM 2 pixels or more do not reach it (their flux is the
        same to 0.0002 with and without), so that the operation stays linear for them.
    holds_flux : bool
        J is the Jacobian determinant of the map (pixels hold flux), else 1 (surface brightness).
    scale, pedestal, offset : float32
        Linear change of the values, see above.
    out_signal, out_variance : float32[H, W]
        Written; NaN where missing. ``out_variance = sum(c**2 V) (scale J)**2``.
    out_quality : uint16[H, W]
        Written; OR of the central 4 x 4 used inputs, which hold all but 6 % of the absolute weight
        squared; where missing: DO_NOT_USE and the bits of the causes (NO_DATA and EDGE outside the frame).
    sums : float64[3]
        Added to, over output pixels without missing inputs: ``scale**2 J V_in`` (V_in of the nearest
        input below), ``out_variance``, and 1. Their ratio is the noise of large areas over that of
        single pixels, squared: with ``N`` output pixels on ``N J`` input pixels, the output sum is
        ``scale`` times the input sum, hence has variance ``scale**2 V_in N J``, while ``N``
        uncorrelated output pixels would have ``N out_variance``.
    """
    # Long, as a call of an inner part would copy the description of every array (7 words each) each time.
    height, width = out_signal.shape
    h_in, w_in = signal.shape
    bad = np.empty((h_in, w_in), np.uint8)
    _mark_bad(signal, variance, quality, exclude, bad)
    qx, qy = np.empty(width, np.int32), np.empty(width, np.int32)
    jacobian = np.empty(width, np.float32)
    wx, wy = np.empty((TAPS, BLOCK), np.float32), np.empty((TAPS, BLOCK), np.float32)
    total, noise = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    lows, highs = np.empty(BLOCK + 8, np.float32), np.empty(BLOCK + 8, np.float32)
    columns_q, columns_b = np.empty(BLOCK + 8, np.uint16), np.empty(BLOCK + 8, np.uint8)
    touched = np.empty(BLOCK, np.uint8)
    sum_in, sum_out, count = np.zeros(BLOCK), np.zeros(BLOCK), np.int64(0)
    clamping = np.isfinite(clamp)
    for r in range(height):
        _positions(
            nodes_x, nodes_y, step, skip_x, r + skip_y, window_y0, window_x0, holds_flux, qx, qy, jacobian
        )
        start, counted = 0, rim <= r < height - rim
        while start < width:
            column, row = (qx[start] >> 10) - 2, (qy[start] >> 10) - 2
            n = 0
            if row >= 0 and row + TAPS <= h_in and column >= 0 and column + TAPS <= w_in:
                most = min(width - start, BLOCK, w_in - column - TAPS + 1)
                n = _run_length(qx[start : start + most], qy[start : start + most])
            if n < SHORTEST:
                last = start + max(n, 1)
                touched[: last - start] = 1
            else:
                last = start + n
                _weights(table, qx[start:last], wx, n)
                _weights(table, qy[start:last], wy, n)
                _rows(signal, variance, column, row, wx, wy, total, noise, n)
                bits = out_quality[r, start:last]
                _flags(quality, bad, column, row, bits, touched, columns_q, columns_b, n)
                if clamping:
                    _clamp(signal, column, row, clamp, total, noise, bits, lows, highs, n)
                o, ov, jac = out_signal[r, start:last], out_variance[r, start:last], jacobian[start:last]
                center = variance[row + 2, column + 2 : column + 2 + n]
                for p in range(n):
                    factor = scale * jac[p]
                    o[p] = (total[p] - pedestal) * factor + offset
                    ov[p] = noise[p] * factor * factor
                first_in = max(rim - start, 0) if counted else n
                last_in = min(width - rim - start, n)
                for p in range(first_in, last_in):
                    clean = touched[p] == 0
                    sum_in[p] += scale * scale * jac[p] * center[p] if clean else F0
                    sum_out[p] += ov[p] if clean else F0
                count += max(last_in - first_in, 0)
            some = np.uint8(0)
            for mark in touched[: last - start]:  # vectorizes; few runs have a pixel to do again
                some |= mark
            for p in range(start, last if some else start):
                if touched[p - start]:
                    value, spread, flags, clean = _one(
                        signal, variance, quality, bad, table, qx[p], qy[p], max_excluded, clamp, clamping
                    )
                    factor = scale * jacobian[p]
                    out_signal[r, p] = (value - pedestal) * factor + offset
                    out_variance[r, p] = spread * factor * factor
                    out_quality[r, p] = flags
                    inner = counted and rim <= p < width - rim
                    below, left = qy[p] >> 10, qx[p] >> 10
                    # "nearest" may take the pixel after the one below, which can be missing or outside.
                    if n < SHORTEST and clean and inner and below >= 0 and left >= 0 and not bad[below, left]:
                        sum_in[0] += scale * scale * jacobian[p] * variance[below, left]
                        sum_out[0] += out_variance[r, p]
                        count += 1
                    elif n >= SHORTEST and inner:
                        count -= 1
            start = last
    sums[0] += sum_in.sum()
    sums[1] += sum_out.sum()
    sums[2] += count
