"""Slow twins of the rejection rules, one pixel at a time in float64, written from the definitions."""

import itertools

import numpy as np
from scipy import stats


def middles(x):
    return x[(x.size - 1) // 2], x[x.size // 2]


def kept_run(x, low_value, high_value):
    """The middle samples stay whatever the limits say; x is sorted."""
    low, high = middles(x)
    return x[(x >= min(low_value, low)) & (x <= max(high_value, high))]


def mad_sigma(x):
    factor = {3: 1.495, 4: 1.363, 5: 1.206, 6: 1.2, 7: 1.14, 8: 1.129, 9: 1.107}.get(x.size)
    factor = x.size / (x.size - 0.8) if factor is None else factor
    return 1.4826022 * factor * np.median(np.abs(x - np.median(x)))


def by_mad(x, low, high, floor=0.0, passes=50):
    for _ in range(passes):
        if x.size < 3:
            break
        s = max(mad_sigma(x), floor)
        kept = kept_run(x, np.median(x) - low * s, np.median(x) + high * s)
        if kept.size == x.size:
            break
        x = kept
    return x


def rosner(x, alpha, fraction):
    """Rosner (1983): remove the most extreme, step by step; outliers up to the last passing step."""
    left, passed = x.copy(), x
    for _ in range(max(1, int(fraction * x.size))):
        n = left.size
        if n < 3:
            break
        r = np.abs(left - left.mean())
        worst, sd = np.argmax(r), left.std(ddof=1)
        t = stats.t.ppf(1 - alpha / (2 * n), n - 2)
        critical = (n - 1) * t / np.sqrt(n * (n - 2 + t * t))
        passes = r[worst] > critical * sd
        left = np.delete(left, worst)
        if passes:
            passed = left
    return passed


def deviation_line(x):
    """The line of least absolute deviation goes through two samples: try all pairs."""
    i, best = np.arange(x.size), (np.inf, None)
    for a, b in itertools.combinations(range(x.size), 2):
        slope = (x[b] - x[a]) / (b - a)
        line = x[a] + slope * (i - a)
        total = np.abs(x - line).sum()
        if total < best[0] - 1e-12:
            best = total, line
    return best[1], best[0] / x.size


def by_line(x, low, high, passes=50):
    for _ in range(passes):
        if x.size < 5:
            break
        line, deviation = deviation_line(x)
        sigma, n = 2 * deviation, x.size
        a, b = 0, n
        while a < (n - 1) // 2 and line[a] - x[a] > low * sigma:
            a += 1
        while b - 1 > n // 2 and x[b - 1] - line[b - 1] > high * sigma:
            b -= 1
        if b - a == n:
            break
        x = x[a:b]
    return x


def with_floor(x, kept, low, high, floor):
    """Take back what lies within the noise floor, and the middle samples."""
    center = np.mean(middles(x))
    return kept_run(x, min(kept[0], center - low * floor), max(kept[-1], center + high * floor))


def by_noise(values, variance, weight, base, half, first, second):
    """0, 1 (low) or 2 (high) per sample (frame, y, x); passes are (edge, kappa low, kappa high)."""
    rows, columns = base.shape
    step = np.zeros((rows, columns))
    for j, i in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        for y, x in np.ndindex(rows, columns):
            if 0 <= y + j < rows and 0 <= x + i < columns:
                step[y, x] = np.fmax(step[y, x], abs(base[y + j, x + i] - base[y, x]))

    def beyond(one):
        edge, low, high = one
        d = values - base
        kappa = np.where(d < 0, low, high)
        out = np.abs(d) > np.maximum(edge * step, half * 1.00001) + kappa * np.sqrt(np.maximum(variance, 0))
        there = np.isfinite(values) & (variance > 0) & (weight > 0)[:, None, None]
        return np.where(out & there, np.where(d < 0, 1, 2), 0)

    found, loose = beyond(first), beyond(second)
    out = found.copy()
    for f, y, x in np.argwhere((loose > 0) & (found == 0)):
        if found[f, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any():
            out[f, y, x] = loose[f, y, x]
    return out
