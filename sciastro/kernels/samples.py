"""Tiles of samples (frame, pixel): load, sort, average, and write what came out; shared by all rules.

Samples are missing where the value is not finite, the variance not positive, or the frame's weight zero.
A rule narrows LOWER and UPPER of a tile between `prepare_tile` and `finish_tile`.

Do not "improve": weights are per FRAME (weighting each sample by 1 / its own variance pulls the mean
low); no fastmath (NaN and inf mean "missing"); choose with `if`, never multiply by a mask (0 * NaN is
NaN); sums are of differences from the center, so that float32 loses nothing. Functions that only kernels
call get no Python wrapper: that is a quarter of the time to compile.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = [
    "CENTER",
    "COUNT",
    "FLOOR",
    "HALF",
    "HIGH",
    "INF",
    "LOW",
    "LOWER",
    "MEAN",
    "MEDIAN",
    "NOISE",
    "NORM",
    "ONE",
    "PLANES",
    "SQUARE",
    "TILE",
    "TOTAL",
    "UPPER",
    "ZERO",
    "fill_middle",
    "finish_tile",
    "median_factor",
    "prepare_tile",
    "sort_rows",
]

MEAN, MEDIAN = 0, 1
LOW, HIGH = np.uint8(1), np.uint8(2)  # of a sample: rejected below, above the center

TILE = 512
# Planes of the flat scratch: constant offsets from ONE pointer, or the compiler cannot prove that they do
# not overlap and gives up vectorizing.
COUNT, FLOOR, CENTER, LOWER, UPPER, TOTAL, NORM, SQUARE, NOISE, PLANES = (*range(0, 9 * TILE, TILE), 9)
INF, ZERO, HALF, ONE = (np.float32(x) for x in (np.inf, 0.0, 0.5, 1.0))

# Var(median) / Var(mean) of n normal samples, n = 0..20, by quadrature over the order statistics.
MEDIAN_FACTORS = np.array(
    (
        *(1, 1, 1, 1.34601, 1.19280, 1.43417, 1.28846, 1.47313, 1.34545, 1.49491, 1.38327),
        *(1.50879, 1.41020, 1.51839, 1.43035, 1.52542, 1.44601, 1.53079, 1.45852, 1.53503, 1.46875),
    ),
    np.float32,
)


@njit(nogil=True, cache=True, error_model="numpy")
def median_factor(n):
    """Return Var(median) / Var(mean) of `n` normal samples; tends to pi / 2.

    Beyond the table: fits to the same quadrature at n = 21..57, within 0.0005.
    """
    if n < MEDIAN_FACTORS.size:
        return MEDIAN_FACTORS[n]
    if n % 2:
        return np.float32(np.pi / 2 - 0.68 / n)
    return np.float32(np.pi / 2 - 2.25 / n + 4.3 / (n * n))


@inner
def sort_rows(ranked, pairs, m):
    """Sort the first `m` columns of `ranked` along the frames by the network `pairs`, in place."""
    for q in range(pairs.shape[0]):
        low, high = ranked[pairs[q, 0]], ranked[pairs[q, 1]]
        for p in range(m):
            a, b = low[p], high[p]
            low[p], high[p] = min(a, b), max(a, b)


@inner
def _load(values, variance, weight, start, m, ranked, f):
    """Copy a tile; missing samples become +inf. Fills COUNT and FLOOR (sum of 1 / variance) of `f`."""
    f[:] = ZERO
    for i in range(values.shape[0]):
        target = ranked[i]
        if not weight[i] > ZERO:
            target[:m] = INF
            continue
        x, v = values[i, start : start + m], variance[i, start : start + m]
        for p in range(m):
            ok = (abs(x[p]) < INF) & (v[p] > ZERO)
            target[p] = x[p] if ok else INF
            f[COUNT + p] += ONE if ok else ZERO
            f[FLOOR + p] += ONE / v[p] if ok else ZERO


@inner
def _load_shared(values, variance, weight, share, start, m, ranked, f):
    """Do as `_load`; samples of share 0 are missing too."""
    f[:] = ZERO
    for i in range(values.shape[0]):
        target, there = ranked[i], weight[i] > ZERO
        x, v, s = values[i, start : start + m], variance[i, start : start + m], share[i, start : start + m]
        for p in range(m):
            ok = there & (abs(x[p]) < INF) & (v[p] > ZERO) & (s[p] > ZERO)
            target[p] = x[p] if ok else INF
            f[COUNT + p] += ONE if ok else ZERO
            f[FLOOR + p] += ONE / v[p] if ok else ZERO


@inner
def fill_middle(ranked, f, m, count):
    """Fill CENTER (median) and the widest LOWER and UPPER of `f` from the sorted tile and COUNT."""
    n = ranked.shape[0]
    full = np.float32(n)
    for p in range(m):
        full = min(full, f[COUNT + p])
    if full == n:
        count[:m] = n
        bottom, top, middle_low, middle_high = ranked[0], ranked[n - 1], ranked[(n - 1) // 2], ranked[n // 2]
        for p in range(m):
            f[CENTER + p] = HALF * (middle_low[p] + middle_high[p])
            f[LOWER + p], f[UPPER + p] = bottom[p], top[p]
        return
    for p in range(m):
        c = int(f[COUNT + p])
        count[p] = c
        last = max(c - 1, 0)
        f[CENTER + p] = HALF * (ranked[last // 2, p] + ranked[(last + 1) // 2, p])
        f[LOWER + p], f[UPPER + p] = ranked[0, p], ranked[last, p] if c > 0 else -INF


@inner
def _average(values, variance, weight, equal, start, m, f):
    """Sum differences from CENTER, weights, their squares, and weighted variances of the survivors."""
    f[TOTAL : NOISE + TILE] = ZERO
    for i in range(values.shape[0]):
        if not weight[i] > ZERO:
            continue
        w = ONE if equal else weight[i]
        w2 = w * w
        x, v = values[i, start : start + m], variance[i, start : start + m]
        for p in range(m):
            keep = (x[p] >= f[LOWER + p]) & (x[p] <= f[UPPER + p]) & (v[p] > ZERO)
            f[TOTAL + p] += w * (x[p] - f[CENTER + p]) if keep else ZERO
            f[NORM + p] += w if keep else ZERO
            f[SQUARE + p] += w2 if keep else ZERO
            f[NOISE + p] += w2 * v[p] if keep else ZERO


@inner
def _average_shared(values, variance, weight, share, equal, start, m, f):
    """Do as `_average` with a weight per sample: that of the frame times its share."""
    f[TOTAL : NOISE + TILE] = ZERO
    for i in range(values.shape[0]):
        if not weight[i] > ZERO:
            continue
        x, v, s = values[i, start : start + m], variance[i, start : start + m], share[i, start : start + m]
        for p in range(m):
            keep = (x[p] >= f[LOWER + p]) & (x[p] <= f[UPPER + p]) & (v[p] > ZERO) & (s[p] > ZERO)
            w = ONE if equal else weight[i] * s[p]
            f[TOTAL + p] += w * (x[p] - f[CENTER + p]) if keep else ZERO
            f[NORM + p] += w if keep else ZERO
            f[SQUARE + p] += w * w if keep else ZERO
            f[NOISE + p] += w * w * v[p] if keep else ZERO


@inner
def prepare_tile(values, variance, weight, share, pairs, noise_floor, start, m, ranked, f, count):
    """Load and sort a tile: `ranked`, and COUNT, FLOOR (sigma), CENTER and the widest LOWER, UPPER of `f`."""
    if share.size > 0:
        _load_shared(values, variance, weight, share, start, m, ranked, f)
    else:
        _load(values, variance, weight, start, m, ranked, f)
    for p in range(m):  # harmonic mean: one sample with much noise of its own does not raise it
        f[FLOOR + p] = np.sqrt(f[COUNT + p] / f[FLOOR + p]) if f[FLOOR + p] > ZERO and noise_floor else ZERO
    sort_rows(ranked, pairs, m)
    fill_middle(ranked, f, m, count)


@inner
def _mark(values, variance, weight, share, start, m, f, below, above, marks):
    """Write `LOW` and `HIGH` into `marks` at the rejected samples of a tile."""
    for p in range(m):
        if below[p] + above[p] == 0:
            continue
        lower, upper, at = f[LOWER + p], f[UPPER + p], start + p
        for i in range(values.shape[0]):
            x = values[i, at]
            if not (x < lower or x > upper):  # NaN too: most samples end here
                continue
            there = abs(x) < INF and variance[i, at] > ZERO and weight[i] > ZERO
            if there and (share.size == 0 or share[i, at] > ZERO):
                marks[i, at] = LOW if x < lower else HIGH


@inner
def finish_tile(
    values,
    variance,
    weight,
    share,
    how,
    start,
    m,
    ranked,
    f,
    count,
    below,
    above,
    out,
    out_variance,
    coverage,
    rejected_low,
    rejected_high,
    present,
    marks,
):
    """Average what lies within LOWER and UPPER of `f`, and write the results of a tile."""
    if share.size > 0:
        _average_shared(values, variance, weight, share, how == MEDIAN, start, m, f)
    else:
        _average(values, variance, weight, how == MEDIAN, start, m, f)
    for p in range(m):  # 0 / 0 is NaN: nothing survived
        norm, square = f[NORM + p], f[SQUARE + p]
        out[start + p] = f[CENTER + p] + f[TOTAL + p] / norm
        out_variance[start + p] = f[NOISE + p] / (norm * norm)
        coverage[start + p] = norm * norm / square if square > ZERO else ZERO
    for p in range(m):
        rejected_low[start + p], rejected_high[start + p] = below[p], above[p]
        present[start + p] = count[p]
    if how == MEDIAN:
        for p in range(m):
            a, b = below[p], count[p] - above[p]
            if b > a:
                out[start + p] = HALF * (ranked[(a + b - 1) // 2, p] + ranked[(a + b) // 2, p])
                out_variance[start + p] *= median_factor(b - a)
    if marks.size > 0:
        _mark(values, variance, weight, share, start, m, f, below, above, marks)
