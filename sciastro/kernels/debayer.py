"""Split a color mosaic into red, green and blue planes, with variance and quality.

`colors` names the four phases of the mosaic as stored: int8 (4,), 0 red, 1 green, 2 blue, for the pixels
(0, 0), (0, 1), (1, 0), (1, 1) in [y, x] order. A window may start anywhere: pass the parity of its first
row and column. Missing samples (NaN) are left out of every average; where none is left the result is NaN.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["average_pair", "superpixel"]

ZERO, HALF, ONE, INF, NAN = (np.float32(value) for value in (0.0, 0.5, 1.0, np.inf, np.nan))
DO_NOT_USE, NO_DATA, CLEAR = np.uint16(1 << 0), np.uint16(1 << 13), np.uint16(0)
FATAL = DO_NOT_USE | NO_DATA


@inner
def _pair_row(a, b, quality_a, quality_b, out, out_quality):
    for i in range(out.size):
        p, q = a[2 * i], b[2 * i]
        has_p, has_q = abs(p) < INF, abs(q) < INF
        both = HALF * (p + q)
        out[i] = both if has_p & has_q else (p if has_p else (q if has_q else NAN))
        bits = quality_a[2 * i] | quality_b[2 * i]
        out_quality[i] = bits & ~FATAL if has_p | has_q else bits | FATAL


@inner
def _pair_variance(a, b, variance_a, variance_b, one, out):
    share = ONE if one else HALF
    for i in range(out.size):
        has_p, has_q = abs(a[2 * i]) < INF, abs(b[2 * i]) < INF
        v, w = variance_a[2 * i], variance_b[2 * i]
        both = HALF * share * (v + w)
        out[i] = both if has_p & has_q else (v if has_p else (w if has_q else NAN))


@njit(nogil=True, cache=True, error_model="numpy")
def superpixel(signal, variance, quality, colors, parity_y, parity_x, out, out_variance, out_quality):
    """Make one pixel of each color from every 2 x 2 cell: red, the mean of both greens, blue.

    Parameters
    ----------
    signal, variance, quality
        float32, float32, uint16 (y, x). Variance may have shape (0, 0): then it is not computed.
    colors
        See the module.
    parity_y, parity_x
        Row and column of the first pixel, modulo 2; an odd first row (column) is skipped.
    out, out_variance, out_quality
        (3, (y - parity_y) // 2, (x - parity_x) // 2), written. Quality is the OR of the samples;
        DO_NOT_USE and NO_DATA remain only where no sample was left.
    """
    for c in range(3):
        first, second = -1, -1
        for phase in range(4):
            if colors[phase] == c:
                first, second = (phase, phase) if first < 0 else (first, phase)
        if first < 0:
            out[c], out_quality[c] = NAN, FATAL
            if out_variance.size:
                out_variance[c] = NAN
            continue
        for j in range(out.shape[1]):
            y1, x1 = 2 * j + parity_y + first // 2, parity_x + first % 2
            y2, x2 = 2 * j + parity_y + second // 2, parity_x + second % 2
            _pair_row(
                signal[y1, x1:],
                signal[y2, x2:],
                quality[y1, x1:],
                quality[y2, x2:],
                out[c, j],
                out_quality[c, j],
            )
            if out_variance.size:
                one = first == second
                _pair_variance(
                    signal[y1, x1:],
                    signal[y2, x2:],
                    variance[y1, x1:],
                    variance[y2, x2:],
                    one,
                    out_variance[c, j],
                )


@njit(nogil=True, cache=True, error_model="numpy")
def average_pair(signal, variance, quality, other_signal, other_variance, other_quality):
    """Average two planes into the first, as `superpixel` does with both greens.

    Parameters
    ----------
    signal, variance, quality
        float32, float32, uint16 (y, x), changed. Variance may have shape (0, 0).
    other_signal, other_variance, other_quality
        The same, read.
    """
    quarter = HALF * HALF
    for y in range(signal.shape[0]):
        a, b, q, r = signal[y], other_signal[y], quality[y], other_quality[y]
        if variance.size:
            v, w = variance[y], other_variance[y]
            for x in range(a.size):
                has_a, has_b = abs(a[x]) < INF, abs(b[x]) < INF
                v[x] = quarter * (v[x] + w[x]) if has_a & has_b else (v[x] if has_a else w[x])
        for x in range(a.size):
            has_a, has_b = abs(a[x]) < INF, abs(b[x]) < INF
            bits = q[x] | r[x]
            q[x] = bits & ~FATAL if has_a | has_b else bits | FATAL
            both = HALF * (a[x] + b[x])
            a[x] = both if has_a & has_b else (a[x] if has_a else (b[x] if has_b else NAN))
