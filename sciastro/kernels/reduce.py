"""Combine the frame axis: sort, reject, average; tiles of (frame, pixels), vectorized along the pixels.

Every rejection rule here keeps a contiguous run of the sorted samples, so its result is a closed
interval of values per pixel. Samples are missing where the value is not finite, the variance not
positive, or the frame's weight zero.

Do not "improve": weights are per FRAME (weighting each sample by 1 / its own variance pulls the mean
low); no fastmath (NaN and inf mean "missing"); choose with `if`, never multiply by a mask (0 * NaN is
NaN); sums are of differences from the center, so that float32 loses nothing.
"""

from statistics import NormalDist

import numpy as np
from numba import njit

__all__ = [
    "MEAN",
    "MEDIAN",
    "METHODS",
    "MINMAX",
    "NONE",
    "PERCENTILE",
    "SIGMA",
    "WINSORIZED",
    "combine",
    "median_factor",
]

NONE, SIGMA, WINSORIZED, PERCENTILE, MINMAX = 0, 1, 2, 3, 4
METHODS = {"none": NONE, "sigma": SIGMA, "winsorized": WINSORIZED, "percentile": PERCENTILE, "minmax": MINMAX}
MEAN, MEDIAN = 0, 1

TILE = 512
INF, ZERO, HALF, ONE = np.float32(np.inf), np.float32(0.0), np.float32(0.5), np.float32(1.0)
HUGE = np.float32(3e38)
CLAMP = np.float32(1.5)  # winsorizing half width, in sigma
RESTORE = np.float32(1.134)  # sd of a Gaussian clamped at 1.5 sigma is sigma / 1.134
SETTLED = np.float32(5e-4)
CUTOFF = np.float32(5.0)  # first pass: samples beyond this do not enter the scale
INNER = 12  # winsorizing rounds per rejection pass, at most


def _start_factors(size: int) -> np.ndarray:
    # 1 / E[x(n-1-j) - x(j)], j = n // 4 (at least 1), of n unit normals; Blom (1958) scores.
    out = np.zeros(size, np.float32)
    for n in range(4, size):
        j = max(1, n // 4)
        out[n] = 1 / (-2 * NormalDist().inv_cdf((j + 1 - 0.375) / (n + 0.25)))
    return out


START = _start_factors(513)

# Var(median) / Var(mean) of n normal samples, n = 0..20; filled by numerical integration (see tests).
MEDIAN_FACTORS = np.ones(21, np.float32)


@njit(nogil=True, cache=True, error_model="numpy")
def median_factor(n):
    """Return Var(median) / Var(mean) of `n` normal samples; tends to pi / 2."""
    if n < MEDIAN_FACTORS.size:
        return MEDIAN_FACTORS[n]
    return np.float32(np.pi / 2)


@njit(nogil=True, cache=True, error_model="numpy")
def _sort_rows(ranked, pairs, m):
    for q in range(pairs.shape[0]):
        low, high = ranked[pairs[q, 0]], ranked[pairs[q, 1]]
        for p in range(m):
            a, b = low[p], high[p]
            low[p], high[p] = min(a, b), max(a, b)


@njit(nogil=True, cache=True, error_model="numpy")
def _clip_bounds(ranked, work, count, floor, winsorize, low, high, max_iterations, m, lower, upper):
    """Sigma and winsorized clipping: the interval of samples that survive, per pixel.

    `ranked` holds the sorted samples (missing +inf), `floor` the smallest sigma that the noise allows.
    """
    n = ranked.shape[0]
    s, ref, s1, s2, cut_low, cut_high, clamp_low, clamp_high = np.empty((8, TILE), np.float32)
    least, most, guard_low, guard_high, kept, noise = np.empty((6, TILE), np.float32)
    column, first, last, passes, rounds, flag = np.empty((6, TILE), np.int32)
    rows, active = ranked, 0
    for p in range(m):
        c = count[p]
        if c > 0:
            lower[p], upper[p] = ranked[0, p], ranked[c - 1, p]
        else:
            lower[p], upper[p] = INF, -INF
        if c < 3 or (c < 4 and not floor[p] > ZERO) or max_iterations < 1:
            continue
        q = active
        j = max(1, c // 4)
        column[q], first[q], last[q], passes[q], rounds[q] = p, 0, c, 0, 0
        kept[q], noise[q] = np.float32(c), floor[p]
        least[q], most[q] = ranked[0, p], ranked[c - 1, p]
        guard_low[q], guard_high[q] = ranked[(c - 1) // 2, p], ranked[c // 2, p]
        ref[q] = HALF * (guard_low[q] + guard_high[q])
        s[q] = max((ranked[c - 1 - j, p] - ranked[j, p]) * START[min(c, 512)], floor[p])
        if winsorize:
            cut_low[q], cut_high[q] = ref[q] - CUTOFF * s[q], min(ref[q] + CUTOFF * s[q], HUGE)
            clamp_low[q], clamp_high[q] = ref[q] - CLAMP * s[q], ref[q] + CLAMP * s[q]
        else:
            cut_low[q], cut_high[q] = least[q], most[q]
            clamp_low[q], clamp_high[q] = -HUGE, HUGE
        active += 1
    if active != m:
        for i in range(n):
            for q in range(active):
                work[i, q] = ranked[i, column[q]]
        rows = work
    while active > 0:
        for q in range(active):
            s1[q], s2[q] = ZERO, ZERO
        for i in range(n):
            row = rows[i]
            for q in range(active):
                y = row[q]
                d = min(max(y, clamp_low[q]), clamp_high[q]) - ref[q]
                d = d if y >= cut_low[q] and y <= cut_high[q] else ZERO
                s1[q] += d
                s2[q] += d * d
        for q in range(active):
            shift = s1[q] / kept[q]
            spread = np.sqrt(max(s2[q] - s1[q] * shift, ZERO) / (kept[q] - ONE))
            new = max(RESTORE * spread, noise[q]) if winsorize else max(spread, noise[q])
            center = ref[q] + shift if winsorize else ref[q]
            settled = abs(new - s[q]) <= SETTLED * new or not winsorize or rounds[q] >= INNER
            s[q] = new
            rounds[q] += 1
            if winsorize:
                clamp_low[q], clamp_high[q] = center - CLAMP * new, center + CLAMP * new
            # The middle samples always stay: no rule may empty a pixel.
            s1[q] = min(center - low * new, guard_low[q])
            s2[q] = max(center + high * new, guard_high[q])
            flag[q] = 0 if not settled else (2 if least[q] < s1[q] or most[q] > s2[q] else 1)
        left = 0
        for q in range(active):
            if flag[q] == 1:
                lower[column[q]], upper[column[q]] = least[q], most[q]
                continue
            if flag[q] == 2:
                a, b = first[q], last[q]
                while rows[a, q] < s1[q]:
                    a += 1
                while rows[b - 1, q] > s2[q]:
                    b -= 1
                first[q], last[q], kept[q], passes[q], rounds[q] = a, b, np.float32(b - a), passes[q] + 1, 0
                least[q], most[q] = rows[a, q], rows[b - 1, q]
                cut_low[q], cut_high[q] = least[q], most[q]
                guard_low[q], guard_high[q] = rows[(a + b - 1) // 2, q], rows[(a + b) // 2, q]
                if not winsorize:
                    ref[q] = HALF * (guard_low[q] + guard_high[q])
                if passes[q] >= max_iterations or b - a < 3:
                    lower[column[q]], upper[column[q]] = least[q], most[q]
                    continue
            flag[left] = q
            left += 1
        if left < active:  # close the ranks: only unfinished pixels go on
            for q in range(left):
                o = flag[q]
                column[q], first[q], last[q], passes[q], rounds[q] = column[o], first[o], last[o], passes[o], rounds[o]
                kept[q], noise[q], s[q], ref[q] = kept[o], noise[o], s[o], ref[o]
                least[q], most[q], guard_low[q], guard_high[q] = least[o], most[o], guard_low[o], guard_high[o]
                cut_low[q], cut_high[q] = cut_low[o], cut_high[o]
                clamp_low[q], clamp_high[q] = clamp_low[o], clamp_high[o]
            for i in range(n):
                source, target = rows[i], work[i]
                for q in range(left):
                    target[q] = source[flag[q]]
            rows = work
        active = left


@njit(nogil=True, cache=True, error_model="numpy")
def _simple_bounds(ranked, count, method, low, high, m, lower, upper):
    """No rejection, percentile and min/max: the interval of samples that survive, per pixel."""
    for p in range(m):
        c = count[p]
        if c == 0:
            lower[p], upper[p] = INF, -INF
            continue
        lower[p], upper[p] = ranked[0, p], ranked[c - 1, p]
        guard_low, guard_high = ranked[(c - 1) // 2, p], ranked[c // 2, p]
        center = HALF * (guard_low + guard_high)
        if method == PERCENTILE and center > ZERO:
            lower[p] = min(center - low * center, guard_low)
            upper[p] = max(center + high * center, guard_high)
        elif method == MINMAX:
            lower[p] = ranked[min(int(low), (c - 1) // 2), p]
            upper[p] = ranked[max(c - 1 - int(high), c // 2), p]


@njit(nogil=True, cache=True, error_model="numpy")
def combine(
    values,
    variance,
    weight,
    pairs,
    method,
    how,
    low,
    high,
    max_iterations,
    out,
    out_variance,
    coverage,
    rejected_low,
    rejected_high,
):
    """Reject outliers along the frame axis and average the rest.

    Parameters
    ----------
    values, variance
        float32 (frame, pixel). A sample is missing where its value is not finite or its variance
        is not positive. The variance sets the smallest sigma that rejection may assume.
    weight
        float32 (frame,); a frame of weight 0 is missing.
    pairs
        Sorting network for this number of frames, `merge_network(values.shape[0])`.
    method
        `NONE`, `SIGMA`, `WINSORIZED`, `PERCENTILE` or `MINMAX`.
    how
        `MEAN` (weighted by frame) or `MEDIAN` (unweighted).
    low, high
        Rejection thresholds below and above the center: sigma, fraction of the median, or number
        of samples, by method.
    max_iterations
        Rejection passes at most.
    out, out_variance, coverage
        float32 (pixel,), written. NaN, NaN and 0 where no sample exists. Coverage is
        (sum w)^2 / sum w^2, the effective number of frames.
    rejected_low, rejected_high
        uint16 (pixel,), written: samples rejected on each side (missing ones are not counted).
    """
    n_frames, n_pixels = values.shape
    low, high = np.float32(low), np.float32(high)
    ranked, work = np.empty((n_frames, TILE), np.float32), np.empty((n_frames, TILE), np.float32)
    count, below, above = np.empty((3, TILE), np.int32)
    lower, upper, floor, center, total, norm, square, noise = np.empty((8, TILE), np.float32)
    for start in range(0, n_pixels, TILE):
        m = min(TILE, n_pixels - start)
        x, v = values[:, start : start + m], variance[:, start : start + m]
        count[:], below[:], above[:], floor[:] = 0, 0, 0, ZERO
        for i in range(n_frames):
            used = weight[i] > ZERO
            for p in range(m):
                ok = abs(x[i, p]) < INF and v[i, p] > ZERO and used
                ranked[i, p] = x[i, p] if ok else INF
                count[p] += ok
                floor[p] += ONE / v[i, p] if ok else ZERO
        for p in range(m):  # harmonic mean: one sample with much noise of its own does not raise it
            floor[p] = np.sqrt(np.float32(count[p]) / floor[p]) if floor[p] > ZERO else ZERO
        _sort_rows(ranked, pairs, m)
        for p in range(m):
            last = max(count[p] - 1, 0)
            center[p] = HALF * (ranked[last // 2, p] + ranked[(last + 1) // 2, p])
        if method == WINSORIZED or method == SIGMA:
            _clip_bounds(
                ranked, work, count, floor, method == WINSORIZED, low, high, max_iterations, m, lower, upper
            )
        else:
            _simple_bounds(ranked, count, method, low, high, m, lower, upper)
        total[:], norm[:], square[:], noise[:] = ZERO, ZERO, ZERO, ZERO
        for i in range(n_frames):
            used = weight[i] > ZERO
            w0 = weight[i] if how == MEAN else ONE
            for p in range(m):
                ok = abs(x[i, p]) < INF and v[i, p] > ZERO and used
                keep = ok and x[i, p] >= lower[p] and x[i, p] <= upper[p]
                w = w0 if keep else ZERO
                total[p] += w * (x[i, p] - center[p]) if keep else ZERO
                noise[p] += w * w * v[i, p] if keep else ZERO
                norm[p] += w
                square[p] += w * w
                below[p] += ok and x[i, p] < lower[p]
                above[p] += ok and x[i, p] > upper[p]
        for p in range(m):  # 0 / 0 is NaN: nothing survived
            out[start + p] = center[p] + total[p] / norm[p]
            out_variance[start + p] = noise[p] / (norm[p] * norm[p])
            coverage[start + p] = norm[p] * norm[p] / square[p] if square[p] > ZERO else ZERO
            rejected_low[start + p], rejected_high[start + p] = below[p], above[p]
        if how == MEDIAN:
            for p in range(m):
                a, b = below[p], count[p] - above[p]
                if b > a:
                    out[start + p] = HALF * (ranked[(a + b - 1) // 2, p] + ranked[(a + b) // 2, p])
                    out_variance[start + p] *= median_factor(b - a)
