"""More rejection rules along the frame axis: k-MAD, linear fit, generalized ESD, averaged sigma.

They work pixel by pixel on the sorted samples and keep a contiguous run of them, as those of
`kernels.reduce`, of which they take tiles, noise floor and average. The module is compiled when one
of its rules is first used.

The middle samples always stay, so that no rule empties a pixel: [0, 0, 7, 7] keeps all four.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.samples import (
    CENTER,
    FLOOR,
    HALF,
    LOWER,
    ONE,
    PLANES,
    TILE,
    UPPER,
    ZERO,
    finish_tile,
    prepare_tile,
)

__all__ = ["AVERAGED", "ESD", "LINEAR", "MAD", "RULES", "combine_by_rule", "scatter_ratio"]

AVERAGED, ESD, LINEAR, MAD = 0, 1, 2, 3
RULES = {"averaged": AVERAGED, "esd": ESD, "linearfit": LINEAR, "mad": MAD}

TO_SIGMA = 1.4826022  # sigma of a Gaussian over its median absolute deviation
# What makes the MAD of n = 2..9 Gaussian samples unbiased (Croux & Rousseeuw 1992); n / (n - 0.8) beyond.
MAD_FACTORS = np.array((0.0, 0.0, 1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107))
LINE_STEPS = 50  # at most; the descent ends where no other sample is better
LINE_SIGMA = 2.0  # mean absolute deviations from the line that are called one sigma


@inner
def _mad(x, a, b):
    """Return median and unbiased sigma by the MAD of the sorted x[a:b], three or more."""
    n = b - a
    center = HALF * (x[a + (n - 1) // 2] + x[a + n // 2])
    i, j = a + (n - 1) // 2, a + n // 2  # the deviations in order: the next one lies left of i or right of j
    if i == j:
        j += 1
    last, before = 0.0, 0.0
    for _ in range(n // 2 + 1):
        left = center - x[i] if i >= a else np.inf
        right = x[j] - center if j < b else np.inf
        before = last
        if left <= right:
            last, i = left, i - 1
        else:
            last, j = right, j + 1
    middle = last if n % 2 else 0.5 * (before + last)
    factor = MAD_FACTORS[n] if n < MAD_FACTORS.size else n / (n - 0.8)
    return center, TO_SIGMA * factor * middle


@inner
def _by_mad(x, c, low, high, floor, max_iterations):
    """Clip about the median, sigma from the MAD of the survivors; until none is rejected."""
    a, b = 0, c
    for _ in range(max_iterations):
        n = b - a
        if n < 3:
            break
        center, sigma = _mad(x, a, b)
        sigma = max(sigma, floor)
        bottom, top = center - low * sigma, center + high * sigma
        middle_low, middle_high = a + (n - 1) // 2, a + n // 2
        start, stop = a, b
        while a < middle_low and x[a] < bottom:
            a += 1
        while b - 1 > middle_high and x[b - 1] > top:
            b -= 1
        if a == start and b == stop:
            break
    return a, b


@inner
def _by_esd(x, c, critical, fraction):
    """Generalized extreme Studentized deviate test (Rosner 1983), to the last passing step.

    Step by step the sample farthest from the mean of the rest goes, ``R = |x - mean| / sd``; all that went
    up to the last step with ``R > critical[samples before the step]`` are outliers.
    """
    center = 0.5 * (x[(c - 1) // 2] + x[c // 2])
    total, square = 0.0, 0.0
    for i in range(c):
        d = x[i] - center
        total += d
        square += d * d
    a, b, best_a, best_b = 0, c, 0, c
    for _ in range(max(1, int(fraction * c))):
        n = b - a
        if n < 3:
            break
        mean = total / n
        sd = np.sqrt(max(square - total * mean, 0.0) / (n - 1))
        left, right = mean - (x[a] - center), (x[b - 1] - center) - mean
        worst = max(left, right)
        if left > right:
            d = x[a] - center
            a += 1
        else:
            d = x[b - 1] - center
            b -= 1
        total -= d
        square -= d * d
        if worst > critical[n] * sd:
            best_a, best_b = a, b
    return best_a, best_b


@inner
def _steepest(x, a, b, pivot, slope, order):
    """Return the sample through which, and through `pivot`, the line of least absolute deviation goes."""
    n, total = 0, 0.0
    for i in range(a, b):
        if i != pivot:
            slope[i] = (x[i] - x[pivot]) / (i - pivot)
            total += abs(i - pivot)
            k = n  # insertion: slopes of sorted samples come nearly sorted
            while k > 0 and slope[order[k - 1]] > slope[i]:
                order[k] = order[k - 1]
                k -= 1
            order[k] = i
            n += 1
    so_far = 0.0
    for k in range(n):
        so_far += abs(order[k] - pivot)
        if so_far >= 0.5 * total:
            return order[k]
    return order[n - 1]


@inner
def _line(x, a, b, slope, order):
    """Return level at 0, slope and mean absolute deviation of the least-absolute-deviation line y(i).

    Descent from sample to sample (Wesolowsky 1981): the best line through a sample goes through another,
    which is the next to turn about.
    """
    pivot, other = a + (b - a) // 2, -1
    best_level, best_slope, best = 0.0, 0.0, np.inf
    for _ in range(LINE_STEPS):
        other = _steepest(x, a, b, pivot, slope, order)
        rise = float(slope[other])
        level, total = x[pivot] - rise * pivot, 0.0
        for i in range(a, b):
            total += abs(x[i] - level - rise * i)
        if not total < best * (1 - 1e-9):
            break
        best_level, best_slope, best = level, rise, total
        pivot = other
    return best_level, best_slope, best / (b - a)


@inner
def _by_line(x, c, low, high, slope, order, max_iterations):
    """Fit a line to the sorted samples; those at the ends that leave it are rejected, and it is fitted again.

    ``sigma = 2 * mean |x - line|``. Fewer than five samples keep all.
    """
    a, b = 0, c
    for _ in range(max_iterations):
        n = b - a
        if n < 5:
            break
        level, rise, deviation = _line(x, a, b, slope, order)
        sigma = LINE_SIGMA * deviation
        middle_low, middle_high = a + (n - 1) // 2, a + n // 2
        start, stop = a, b
        while a < middle_low and level + rise * a - x[a] > low * sigma:
            a += 1
        while b - 1 > middle_high and x[b - 1] - level - rise * (b - 1) > high * sigma:
            b -= 1
        if a == start and b == stop:
            break
    return a, b


@inner
def _bounds(
    ranked, count, f, rule, low, high, guard_low, guard_high, ratio, start, critical, fraction,
    max_iterations, x, slope, order, m, below, above,
):  # fmt: skip
    """Narrow LOWER and UPPER of `f` by the rule, no further than the noise floor; count the rejected."""
    below[:m], above[:m] = 0, 0
    for p in range(m):
        c, center, floor = count[p], f[CENTER + p], f[FLOOR + p]
        bottom, top = center - guard_low * floor, center + guard_high * floor
        if c < 3 or (c == 3 and not floor > ZERO):  # two samples cannot tell which is wrong
            continue
        if not (ranked[0, p] < bottom or ranked[c - 1, p] > top):
            continue
        for i in range(c):
            x[i] = ranked[i, p]
        a, b = 0, c
        if rule == MAD:
            a, b = _by_mad(x, c, low, high, floor, max_iterations)
        elif rule == ESD:
            a, b = _by_esd(x, c, critical, fraction)
        elif rule == LINEAR:
            a, b = _by_line(x, c, low, high, slope, order, max_iterations)
        else:
            sigma = ratio[start + p]
            while a < b and x[a] < center - low * sigma:
                a += 1
            while b > a and x[b - 1] > center + high * sigma:
                b -= 1
        a, b = min(a, (c - 1) // 2), max(b, c // 2 + 1)
        while a > 0 and (x[a - 1] >= bottom or x[a - 1] == x[a]):  # equal samples fare alike
            a -= 1
        while b < c and (x[b] <= top or x[b] == x[b - 1]):
            b += 1
        below[p], above[p] = a, c - b
        f[LOWER + p], f[UPPER + p] = x[a], x[b - 1]


@njit(nogil=True, cache=True, error_model="numpy")
def combine_by_rule(
    values,
    variance,
    weight,
    share,
    pairs,
    rule,
    how,
    low,
    high,
    guard_low,
    guard_high,
    sigma,
    critical,
    fraction,
    max_iterations,
    noise_floor,
    out,
    out_variance,
    coverage,
    rejected_low,
    rejected_high,
    present,
    marks,
):
    """Reject outliers along the frame axis and average the rest, as `kernels.reduce.combine` does.

    What it does not share with that:

    Parameters
    ----------
    rule
        `MAD`, `LINEAR`, `ESD` or `AVERAGED`.
    low, high
        Thresholds [sigma]; `ESD` has none.
    guard_low, guard_high
        Noise floor: samples within so many sigma of the median, by their stated variances, stay.
    sigma
        float32 (pixel,), noise of a sample for `AVERAGED`; empty for the others.
    critical
        float64 (n + 1,), the ESD's critical value by the number of samples before the step.
    fraction
        Most outliers of the ESD, as a share of the samples.
    """
    n_frames, n_pixels = values.shape
    low, high = np.float32(low), np.float32(high)
    guard_low, guard_high = np.float32(guard_low), np.float32(guard_high)
    ranked, x = np.empty((n_frames, TILE), np.float32), np.empty(n_frames, np.float32)
    slope, order = np.empty(n_frames, np.float64), np.empty(n_frames, np.int64)
    f = np.empty(PLANES * TILE, np.float32)
    count, below, above = np.empty((3, TILE), np.int32)
    for start in range(0, n_pixels, TILE):
        m = min(TILE, n_pixels - start)
        prepare_tile(values, variance, weight, share, pairs, noise_floor, start, m, ranked, f, count)
        _bounds(
            ranked, count, f, rule, low, high, guard_low, guard_high, sigma, start, critical, fraction,
            max_iterations, x, slope, order, m, below, above,
        )  # fmt: skip
        finish_tile(
            values, variance, weight, share, how, start, m, ranked, f, count, below, above,
            out, out_variance, coverage, rejected_low, rejected_high, present, marks,
        )  # fmt: skip


@inner
def _middle_scatter(n):
    """Return the median of the sum of squares about the mean of n unit normals, extremes left out from 5 on.

    Up to 4 that of chi2 (Wilson & Hilferty 1931); beyond, a fit to simulations of 5 to 400, within 0.2 %.
    """
    if n < 5:
        return (n - 1) * (1 - 2 / (9 * (n - 1.0))) ** 3
    return (n - 3) * (1 - (3.2903 * np.log(n) - 3.4187 + 11.7666 / n - 9.027 / (n * n)) / n)


@njit(nogil=True, cache=True, error_model="numpy")
def scatter_ratio(values, variance, weight, share, pairs, out, noise):
    """Write scatter over stated noise of the samples of each pixel, as variances.

    Parameters
    ----------
    values, variance, weight, share, pairs
        As in `kernels.reduce.combine`.
    out
        float32 (pixel,), written: sum of (x - mean)^2, over the harmonic mean of the variances and over
        its own median for Gaussian samples, so that its median among pixels is 1 where the variances are
        true; 1 with fewer than two samples. Of five and more samples lowest and highest are left out.
    noise
        float32 (pixel,), written: the root of that harmonic mean, 0 without samples.
    """
    n_frames, n_pixels = values.shape
    ranked, f = np.empty((n_frames, TILE), np.float32), np.empty(PLANES * TILE, np.float32)
    count = np.empty(TILE, np.int32)
    for start in range(0, n_pixels, TILE):
        m = min(TILE, n_pixels - start)
        prepare_tile(values, variance, weight, share, pairs, True, start, m, ranked, f, count)
        for p in range(m):
            c, floor, center, total, square = count[p], f[FLOOR + p], f[CENTER + p], 0.0, 0.0
            noise[start + p], out[start + p] = floor, ONE
            out_of = 1 if c >= 5 else 0
            for i in range(out_of, c - out_of):
                d = ranked[i, p] - center
                total += d
                square += d * d
            if c >= 2 and floor > ZERO:
                scatter = (square - total * total / (c - 2 * out_of)) / (float(floor) * floor)
                out[start + p] = scatter / _middle_scatter(c)
