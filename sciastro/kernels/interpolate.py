"""Interpolate one color of a mosaic with fixed weights per phase, with variance and quality.

The weights repeat with the pattern (`calibrate.interpolation`): for each phase those of the samples in a
square around the pixel. The loops run along rows with the weights laid out beside the pixels, so that
they vectorize; where a sample is missing, the pixel is redone from the samples of its color that are there.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["interpolate"]

ZERO, INF, NAN = (np.float32(value) for value in (0.0, np.inf, np.nan))
DO_NOT_USE, NO_DATA, CLEAR = np.uint16(1 << 0), np.uint16(1 << 13), np.uint16(0)
FATAL = DO_NOT_USE | NO_DATA
ALL = np.uint16(0xFFFF)
BLOCK = 252  # columns in work at once: a multiple of both periods, so that the weights stay in the cache
HEAVY = np.float32(0.1)  # a sample of less absolute weight does not hand on its quality bits


@njit(nogil=True, cache=True, error_model="numpy")
def interpolate(signal, variance, quality, weights, near, out, out_variance, out_quality):
    """Write one color at every pixel of a window: ``sum w x``, with the variance ``sum w^2 V``.

    Parameters
    ----------
    signal, variance, quality
        float32, float32, uint16 (y + 2 r, x + 2 r): the window with a border of the reach r of the weights;
        NaN is missing (also beyond the frame). Variance may have shape (0, 0): then it is not computed.
    weights
        float32 (phase y, phase x, 2 r + 1, 2 r + 1), rolled so that [0, 0] is the first pixel of the window
        inside its border. A phase of the color itself has weight 1 in the middle.
    near
        float32, the same shape: weights where a sample in the square is missing; they are scaled to a sum
        of 1 over the samples that are there.
    out, out_variance, out_quality
        (y, x), written. NaN, NO_DATA and DO_NOT_USE where the pixel's own sample is missing, or all others.
        Otherwise the OR of the bits of samples with weights of 0.1 and more, without those two.
    """
    period, side = weights.shape[0], weights.shape[2]
    height, width = out.shape
    spread = np.empty((period, side, side, BLOCK), np.float32)
    heavy = np.zeros((period, side, side), np.bool_)
    for j in range(period):
        for dy in range(side):
            for dx in range(side):
                for x in range(BLOCK):
                    spread[j, dy, dx, x] = weights[j, x % period, dy, dx]
                    heavy[j, dy, dx] |= abs(spread[j, dy, dx, x]) >= HEAVY
    for y in range(height):
        for x in range(0, width, BLOCK):
            stop = min(x + BLOCK, width)
            noise = out_variance[y, x:stop] if variance.size else out[y, x:x]
            _row(
                signal, variance, quality, spread[y % period], heavy[y % period], y, x,
                out[y, x:stop], noise, out_quality[y, x:stop],
            )  # fmt: skip
        for x in range(width):
            if not abs(out[y, x]) < INF:
                _redo(
                    signal, variance, quality, weights[y % period, x % period],
                    near[y % period, x % period], y, x, out, out_variance, out_quality,
                )  # fmt: skip


@inner
def _row(signal, variance, quality, spread, heavy, y, x0, out, noise, bits):
    side, n = spread.shape[0], out.size
    out[:], noise[:], bits[:] = ZERO, ZERO, CLEAR
    for dy in range(side):
        for dx in range(side):
            w, s = spread[dy, dx], signal[y + dy, x0 + dx : x0 + dx + n]
            for x in range(n):
                out[x] += w[x] * s[x]
            if noise.size:
                v = variance[y + dy, x0 + dx : x0 + dx + n]
                for x in range(n):
                    noise[x] += w[x] * w[x] * v[x]
            if heavy[dy, dx]:
                q = quality[y + dy, x0 + dx : x0 + dx + n]
                for x in range(n):
                    bits[x] |= q[x] if abs(w[x]) >= HEAVY else CLEAR
    for x in range(n):
        bits[x] &= ~FATAL


@inner
def _redo(signal, variance, quality, weights, near, y, x, out, out_variance, out_quality):
    side = weights.shape[0]
    middle = side // 2
    own = weights[middle, middle] == np.float32(1.0)
    total, norm, noise, bits = ZERO, ZERO, ZERO, CLEAR
    for dy in range(side):
        for dx in range(side):
            w = near[dy, dx]
            if w == ZERO or (own and not (dy == middle and dx == middle)):
                continue
            bits |= quality[y + dy, x + dx]
            if abs(signal[y + dy, x + dx]) < INF:
                total += w * signal[y + dy, x + dx]
                norm += w
                if variance.size:
                    noise += w * w * variance[y + dy, x + dx]
    there = norm > ZERO
    out[y, x] = total / norm if there else NAN
    out_quality[y, x] = bits & ~FATAL if there else bits | FATAL
    if variance.size:
        out_variance[y, x] = noise / (norm * norm) if there else NAN
