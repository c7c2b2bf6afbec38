"""How resampling ties the noise of neighboring output pixels: from its weights, not from pixels.

An output pixel of a stack is ``sum_i w_i sum_k c_ik x_ik / W``, so the covariance of pixels p and q is
``sum_i g_i sum_k c_ik(p) c_ik(q)`` up to a factor, with g_i the weighted variance of frame i; the diagonal
of ``A diag(V) A^T`` is the case p = q. Around sampled pixels p, all q of a patch are gone through.
"""

import numpy as np

from sciastro.kernels.drizzle import drop_reach, drop_weight
from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.warp import PHASES, TAPS

__all__ = ["drizzle_patches", "drizzle_shared", "warp_patches", "warp_shared"]


@inner
def _shared(table, p, q):
    """Return sum_k w_k(p) w_k(q) of two positions in 1 / PHASES pixel."""
    apart = (q >> 10) - (p >> 10)
    if apart <= -TAPS or apart >= TAPS:
        return 0.0
    wp, wq, total = table[p & (PHASES - 1)], table[q & (PHASES - 1)], 0.0
    for k in range(max(apart, 0), min(TAPS, TAPS + apart)):
        total += wp[k] * wq[k - apart]
    return total


@inner
def _take(covariance, variance, out):
    """Add the correlation of a patch's pixels with its middle to `out`; return 1, or 0 without any."""
    k = out.shape[0] // 2
    middle = variance[k, k]
    if not middle > 0.0:
        return 0
    for b in range(out.shape[0]):
        for a in range(out.shape[1]):
            if covariance[b, a] != 0.0:
                out[b, a] += covariance[b, a] / np.sqrt(middle * variance[b, a])
    return 1


@njit(nogil=True, cache=True, error_model="numpy")
def warp_patches(x, y, sides, gain, table, out):
    """Add the correlation between sampled pixels and their neighbors to `out`; return the number of samples.

    Parameters
    ----------
    x, y
        float64 (sample, frame), position of each sampled output pixel on each frame; NaN where a frame does
        not show it.
    sides
        float64 (sample, frame, 4): exx, exy, eyx, eyy, the sides (exx, eyx), (exy, eyy) of the pixel there.
    gain
        float64 (frame,), variance of an input pixel times the square of the frame's factor in the sum.
    table
        float32 (PHASES, 6) of `kernels.warp.warp_table`.
    out
        float64 (2 K + 1, 2 K + 1), by offset in y and x from -K to K.
    """
    size, count = out.shape[0], 0
    k = size // 2
    power = np.zeros(PHASES)
    for phase in range(PHASES):
        for tap in range(TAPS):
            power[phase] += table[phase, tap] * table[phase, tap]
    covariance, variance = np.empty((size, size)), np.empty((size, size))
    for s in range(x.shape[0]):
        covariance[:], variance[:] = 0.0, 0.0
        for i in range(x.shape[1]):
            if not (np.isfinite(x[s, i]) and np.isfinite(y[s, i])):
                continue
            exx, exy, eyx, eyy = sides[s, i]
            px, py = np.int64(np.floor(x[s, i] * PHASES + 0.5)), np.int64(np.floor(y[s, i] * PHASES + 0.5))
            for b in range(size):
                for a in range(size):
                    u, v = a - k, b - k
                    qx = np.int64(np.floor((x[s, i] + exx * u + exy * v) * PHASES + 0.5))
                    qy = np.int64(np.floor((y[s, i] + eyx * u + eyy * v) * PHASES + 0.5))
                    variance[b, a] += gain[i] * power[qx & (PHASES - 1)] * power[qy & (PHASES - 1)]
                    shared = _shared(table, px, qx)
                    if shared != 0.0:
                        covariance[b, a] += gain[i] * shared * _shared(table, py, qy)
        count += _take(covariance, variance, out)
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def drizzle_patches(x, y, sides, gain, kernel, pixfrac, dropped, out):
    """As `warp_patches`, for drops of `kernel` and side `pixfrac` (`kernels.drizzle`).

    `dropped` is bool (py, px), which pixels of a pattern that repeats are dropped at all.
    """
    tall, wide = dropped.shape
    size, count = out.shape[0], 0
    k = size // 2
    covariance, variance = np.empty((size, size)), np.empty((size, size))
    most = 64
    columns, rows, parts = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most)
    for s in range(x.shape[0]):
        covariance[:], variance[:] = 0.0, 0.0
        for i in range(x.shape[1]):
            if not (np.isfinite(x[s, i]) and np.isfinite(y[s, i])):
                continue
            exx, exy, eyx, eyy = sides[s, i]
            reach_x, reach_y = drop_reach(kernel, exx, exy, pixfrac), drop_reach(kernel, eyy, eyx, pixfrac)
            n = 0
            for turn in range(size * size + 1):  # the middle first: its drops are those that count
                b, a = (k, k) if turn == 0 else ((turn - 1) // size, (turn - 1) % size)
                u, v = a - k, b - k
                cx, cy = x[s, i] + exx * u + exy * v, y[s, i] + eyx * u + eyy * v
                for row in range(int(np.ceil(cy - reach_y)), int(np.floor(cy + reach_y)) + 1):
                    for column in range(int(np.ceil(cx - reach_x)), int(np.floor(cx + reach_x)) + 1):
                        if not dropped[row % tall, column % wide]:
                            continue
                        w = drop_weight(kernel, cx - column, cy - row, exx, exy, eyx, eyy, pixfrac)
                        if not w > 0.0:
                            continue
                        if turn == 0:
                            if n < most:
                                columns[n], rows[n], parts[n] = column, row, w
                                n += 1
                            continue
                        variance[b, a] += gain[i] * w * w
                        for m in range(n):
                            if columns[m] == column and rows[m] == row:
                                covariance[b, a] += gain[i] * w * parts[m]
        count += _take(covariance, variance, out)
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def warp_shared(x, y, weight, amplitude, group, table, out):
    """Write the variance that noise common to frames adds to sampled output pixels, beyond the frames' own.

    Pixel (j, i) of a master has one noise; frames that use it at the same output pixel do not average it
    down. With c_i the resampling weights of frame i, w_i its weight and a_i the noise of the master in it,
    the sum over pairs is ``2 sum_{i < j} w_i a_i w_j a_j sum_k c_ik c_jk / (sum_i w_i)^2``.

    Parameters
    ----------
    x, y
        float64 (sample, frame), position of each sampled output pixel on each frame; NaN where a frame does
        not show it.
    weight
        float64 (frame,).
    amplitude
        float64 (sample, frame), noise (1 sigma) of the master in the frame's output pixel.
    group
        int64 (frame,), frames with the same number share their master; negative: none.
    table
        float32 (PHASES, 6) of `kernels.warp.warp_table`.
    out
        float64 (sample,), written; NaN where no frame shows the pixel.
    """
    for s in range(x.shape[0]):
        total, norm = 0.0, 0.0
        for i in range(x.shape[1]):
            if not (np.isfinite(x[s, i]) and np.isfinite(y[s, i])):
                continue
            norm += weight[i]
            if group[i] < 0:
                continue
            px, py = np.int64(np.floor(x[s, i] * PHASES + 0.5)), np.int64(np.floor(y[s, i] * PHASES + 0.5))
            for j in range(i):
                # A NaN position is never near.
                if group[j] != group[i] or not (
                    abs(x[s, i] - x[s, j]) < TAPS and abs(y[s, i] - y[s, j]) < TAPS
                ):
                    continue
                qx = np.int64(np.floor(x[s, j] * PHASES + 0.5))
                qy = np.int64(np.floor(y[s, j] * PHASES + 0.5))
                both = weight[i] * amplitude[s, i] * weight[j] * amplitude[s, j]
                total += 2.0 * both * _shared(table, px, qx) * _shared(table, py, qy)
        out[s] = total / (norm * norm) if norm > 0.0 else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def drizzle_shared(x, y, sides, weight, amplitude, group, kernel, pixfrac, dropped, out):
    """As `warp_shared`, for drops: c_ik is the overlap of drop k, and the norm is of ``w_i sum_k c_ik``."""
    tall, wide = dropped.shape
    frames, most = x.shape[1], 64
    columns, rows = np.empty((frames, most), np.int64), np.empty((frames, most), np.int64)
    parts, count = np.empty((frames, most)), np.empty(frames, np.int64)
    for s in range(x.shape[0]):
        total, norm = 0.0, 0.0
        for i in range(frames):
            count[i] = 0
            if not (np.isfinite(x[s, i]) and np.isfinite(y[s, i])):
                continue
            exx, exy, eyx, eyy = sides[s, i]
            reach_x, reach_y = drop_reach(kernel, exx, exy, pixfrac), drop_reach(kernel, eyy, eyx, pixfrac)
            cx, cy = x[s, i], y[s, i]
            for row in range(int(np.ceil(cy - reach_y)), int(np.floor(cy + reach_y)) + 1):
                for column in range(int(np.ceil(cx - reach_x)), int(np.floor(cx + reach_x)) + 1):
                    if not dropped[row % tall, column % wide]:
                        continue
                    w = drop_weight(kernel, cx - column, cy - row, exx, exy, eyx, eyy, pixfrac)
                    if w > 0.0 and count[i] < most:
                        columns[i, count[i]], rows[i, count[i]], parts[i, count[i]] = column, row, w
                        count[i] += 1
                        norm += weight[i] * w
            for j in range(i):
                if group[j] != group[i] or group[i] < 0:
                    continue
                both = 2.0 * weight[i] * amplitude[s, i] * weight[j] * amplitude[s, j]
                for a in range(count[i]):
                    for b in range(count[j]):
                        if columns[i, a] == columns[j, b] and rows[i, a] == rows[j, b]:
                            total += both * parts[i, a] * parts[j, b]
        out[s] = total / (norm * norm) if norm > 0.0 else np.nan
