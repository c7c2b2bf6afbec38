"""Move a frame by whole pixels onto a tile: nothing is interpolated, and what it says stays as it is.

For frames that are registered already, and the reference frame. Every kernel of `kernels.warp` that keeps
samples where they are would give these values and variances, at five times the cost.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.warp import DO_NOT_USE, F0, NAN, NO_DATA_EDGE

__all__ = ["shift"]

BLOCK = 256  # pixels: three planes, in and out, stay in the first-level cache from loop to loop


@inner
def _all_fine(signal, variance, quality, exclude):
    """Return whether no pixel of a run is missing."""
    n, missing, bits = signal.shape[0], np.int32(0), np.uint16(0)
    for p in range(n):  # these vectorize; s - s is 0 for finite numbers, NaN otherwise
        s, v = signal[p], variance[p]
        missing |= np.int32(0) if (s - s == F0) & (v - v == F0) & (v >= F0) else np.int32(1)
    for p in range(n):
        bits |= quality[p]
    return missing == 0 and (bits & exclude) == 0


@inner
def _move(signal, variance, quality, exclude, factor, pedestal, offset, out, noise, bits):
    """Write a run; where no pixel is missing in loops of one input and one output, which vectorize."""
    n = signal.shape[0]
    if _all_fine(signal, variance, quality, exclude):
        for p in range(n):
            out[p] = (signal[p] - pedestal) * factor + offset
        for p in range(n):
            noise[p] = variance[p] * factor * factor
        for p in range(n):
            bits[p] = quality[p]
        return n
    count = 0
    for p in range(n):
        s, v, q = signal[p], variance[p], quality[p]
        fine = (s - s == F0) & (v - v == F0) & (v >= F0) & ((q & exclude) == 0)
        out[p] = (s - pedestal) * factor + offset if fine else NAN
        noise[p] = v * factor * factor if fine else NAN
        bits[p] = q if fine else q | DO_NOT_USE
        count += 1 if fine else 0
    return count


@inner
def _add(noise, total, fine):
    """Add the variance of present pixels; return their number."""
    n = noise.shape[0]
    if fine:
        for p in range(n):
            total[p] += noise[p]
        return n
    count = 0
    for p in range(n):
        there = noise[p] >= F0
        total[p] += noise[p] if there else F0
        count += 1 if there else 0
    return count


@inner
def _outside(out, noise, bits):
    """Write pixels that lie outside the frame."""
    out[:], noise[:], bits[:] = NAN, NAN, NO_DATA_EDGE | DO_NOT_USE


@njit(nogil=True, cache=True, error_model="numpy")
def shift(
    signal,
    variance,
    quality,
    row,
    column,
    rim,
    exclude,
    scale,
    pedestal,
    offset,
    out_signal,
    out_variance,
    out_quality,
    sums,
):
    """Copy a window of one frame onto a tile: ``out = (in - pedestal) * scale + offset``.

    Parameters
    ----------
    signal, variance : float32[h, w]
        Window of the frame; a value or variance that is not finite, or a negative variance, is missing. What
        lies outside the window counts as outside the frame.
    quality : uint16[h, w]
        Quality bits of the window.
    row, column : int
        Pixel of the window that lies under the first pixel of the tile; it may lie outside.
    rim : int
        Width of the border of the tile that `sums` leave out.
    exclude : uint16
        Input pixels with any of these bits are missing.
    scale, pedestal, offset : float32
        Linear change of the values, see above.
    out_signal, out_variance : float32[H, W]
        Written; NaN where missing. ``out_variance = V scale**2``.
    out_quality : uint16[H, W]
        Written: the bits of that pixel alone, where missing with DO_NOT_USE; NO_DATA, EDGE and DO_NOT_USE
        outside.
    sums : float64[3]
        Added to, as by `kernels.warp.warp` (large areas are as noisy as their pixels say): the sum of
        ``out_variance`` over present pixels twice, and their number.
    """
    height, width = out_signal.shape
    h_in, w_in = signal.shape
    first, last = min(max(-column, 0), width), max(min(w_in - column, width), 0)
    total, count = np.zeros(BLOCK), np.int64(0)
    for r in range(height):
        source, counted = row + r, rim <= r < height - rim
        if source < 0 or source >= h_in or first >= last:
            _outside(out_signal[r], out_variance[r], out_quality[r])
            continue
        _outside(out_signal[r, :first], out_variance[r, :first], out_quality[r, :first])
        _outside(out_signal[r, last:], out_variance[r, last:], out_quality[r, last:])
        for a in range(first, last, BLOCK):
            b = min(a + BLOCK, last)
            here = slice(column + a, column + b)
            noise = out_variance[r, a:b]
            fine = _move(
                signal[source, here], variance[source, here], quality[source, here], exclude, scale, pedestal,
                offset, out_signal[r, a:b], noise, out_quality[r, a:b],
            )  # fmt: skip
            begin, end = max(rim - a, 0), min(width - rim, b) - a
            if counted and begin < end:
                count += _add(noise[begin:end], total, fine == b - a)
    sums[0] += total.sum()
    sums[1] += total.sum()
    sums[2] += count
