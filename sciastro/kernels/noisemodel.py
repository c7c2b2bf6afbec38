"""Rejection by the noise model: a sample goes where the variance plane does not explain its deviation.

``|x - b| > a |grad b| + kappa sqrt(V)``, with b the median image of the tile: the gradient term allows
for seeing and sub-pixel shifts, as drizzle's cosmic-ray test does (Fruchter & Hook 2002, section 5; its two
passes too: a strict one finds the hits, a looser one takes the pixels beside a hit). No scale is estimated
from the samples, so that three frames do as well as a hundred, and outliers in many frames cannot hide
each other.

Marks are `LOW` and `HIGH` of `kernels.samples` per sample. The middle samples of a pixel stay whatever their
deviation, so that two clusters [0, 0, 7, 7] keep all four.
"""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.order import median
from sciastro.kernels.samples import (
    CENTER,
    HALF,
    HIGH,
    INF,
    LOW,
    ONE,
    PLANES,
    TILE,
    ZERO,
    median_factor,
    prepare_tile,
)

__all__ = ["average_marked", "largest_steps", "mark_outliers", "middle_image"]

BESIDE = np.uint8(4)  # found by the second pass; does not spread further
SLACK = np.float32(1.00001)  # of the middle samples, for rounding


@njit(nogil=True, cache=True, error_model="numpy")
def middle_image(values, variance, weight, share, pairs, out, half):
    """Write median and half the distance of the two middle samples, float32 (pixel,); NaN without samples.

    The other parameters are those of `kernels.reduce.combine`.
    """
    n_frames, n_pixels = values.shape
    ranked, f = np.empty((n_frames, TILE), np.float32), np.empty(PLANES * TILE, np.float32)
    count = np.empty(TILE, np.int32)
    for start in range(0, n_pixels, TILE):
        m = min(TILE, n_pixels - start)
        prepare_tile(values, variance, weight, share, pairs, False, start, m, ranked, f, count)
        for p in range(m):
            last = max(count[p] - 1, 0)
            there = count[p] > 0
            out[start + p] = f[CENTER + p] if there else np.float32(np.nan)
            half[start + p] = HALF * (ranked[(last + 1) // 2, p] - ranked[last // 2, p]) if there else ZERO


@inner
def largest_steps(base, out):
    """Write the largest step of `base` to one of the four neighbors; NaN neighbors do not count."""
    rows, columns = base.shape
    for y in range(rows):
        row, up, down = base[y], base[max(y - 1, 0)], base[min(y + 1, rows - 1)]
        target = out[y]
        for x in range(columns):
            b = row[x]
            left, right = row[max(x - 1, 0)], row[min(x + 1, columns - 1)]
            step = ZERO
            for other in (left, right, up[x], down[x]):
                d = abs(other - b)
                step = d if d > step else step
            target[x] = step


@inner
def _beyond(d, v, slack, low, high):
    """Return `LOW` or `HIGH` where a deviation is an outlier, else 0."""
    least = abs(d) - slack
    k = low if d < ZERO else high
    return (LOW if d < ZERO else HIGH) if (least > ZERO) & (least * least > k * k * v) else np.uint8(0)


@njit(nogil=True, cache=True, error_model="numpy")
def mark_outliers(values, variance, weight, share, base, half, edge, low, high, edge_2, low_2, high_2, marks):
    """Write `marks`, uint8 (frame, y, x): `LOW`, `HIGH`, or 0 where a sample is kept or missing.

    Parameters
    ----------
    values, variance
        float32 (frame, y, x); missing samples as in `kernels.reduce.combine`.
    weight, share
        float32 (frame,), and (frame, y, x) or (0, 0, 0).
    base, half
        float32 (y, x), from `middle_image`.
    edge, low, high
        First pass: steps of the image, sigma below and above.
    edge_2, low_2, high_2
        Second pass, for the eight neighbors of what the first found in the same frame.
    """
    n_frames, rows, columns = values.shape
    edge, low, high = np.float32(edge), np.float32(low), np.float32(high)
    edge_2, low_2, high_2 = np.float32(edge_2), np.float32(low_2), np.float32(high_2)
    step = np.empty((rows, columns), np.float32)
    largest_steps(base, step)
    for i in range(n_frames):
        if not weight[i] > ZERO:
            marks[i] = 0
            continue
        found = 0
        for y in range(rows):
            x, v, b, g, h, mark = values[i, y], variance[i, y], base[y], step[y], half[y], marks[i, y]
            hits = 0
            for p in range(columns):
                d = x[p] - b[p]
                slack = max(edge * g[p], SLACK * h[p])
                k = low if d < ZERO else high
                least = abs(d) - slack
                out = (least > ZERO) & (least * least > k * k * v[p]) & (v[p] > ZERO) & (abs(x[p]) < INF)
                mark[p] = (LOW if d < ZERO else HIGH) if out else np.uint8(0)
                hits += 1 if out else 0
            if hits and share.size > 0:
                for p in range(columns):
                    if not share[i, y, p] > ZERO:
                        mark[p] = 0
            found += hits
        if found:
            _beside(values[i], variance[i], share[i] if share.size else base, share.size > 0,
                    base, step, half, edge_2, low_2, high_2, marks[i])  # fmt: skip


@inner
def _beside(values, variance, share, shared, base, step, half, edge, low, high, marks):
    rows, columns = values.shape
    for y in range(rows):
        row = marks[y]
        for x in range(columns):
            if row[x] == 0 or row[x] & BESIDE:
                continue
            for j in range(max(y - 1, 0), min(y + 2, rows)):
                for i in range(max(x - 1, 0), min(x + 2, columns)):
                    s, v = values[j, i], variance[j, i]
                    if marks[j, i] or not (v > ZERO and abs(s) < INF) or (shared and not share[j, i] > ZERO):
                        continue
                    slack = max(edge * step[j, i], SLACK * half[j, i])
                    out = _beyond(s - base[j, i], v, slack, low, high)
                    if out:
                        marks[j, i] = out | BESIDE
    for y in range(rows):
        row = marks[y]
        for x in range(columns):
            row[x] &= ~BESIDE


@njit(nogil=True, cache=True, error_model="numpy")
def average_marked(
    values, variance, weight, share, marks, base, use_median, out, out_variance, coverage, low, high,
    present,
):  # fmt: skip
    """Average the samples without a mark; parameters as in `kernels.reduce.combine`, `base` the median."""
    n_frames, n_pixels = values.shape
    total, norm, square, noise = np.empty((4, TILE), np.float32)
    below, above, there = np.empty((3, TILE), np.int32)
    kept = np.empty(n_frames, np.float32)
    shared = share.size > 0
    for start in range(0, n_pixels, TILE):
        m = min(TILE, n_pixels - start)
        total[:], norm[:], square[:], noise[:], below[:], above[:] = ZERO, ZERO, ZERO, ZERO, 0, 0
        there[:] = 0
        b = base[start : start + m]
        for i in range(n_frames):
            if not weight[i] > ZERO:
                continue
            w = ONE if use_median else weight[i]
            x, v = values[i, start : start + m], variance[i, start : start + m]
            mark = marks[i, start : start + m]
            if shared:
                s = share[i, start : start + m]
                for p in range(m):
                    here = (v[p] > ZERO) & (abs(x[p]) < INF) & (s[p] > ZERO)
                    keep = here & (mark[p] == 0)
                    there[p] += 1 if here else 0
                    u = w if use_median else w * s[p]
                    total[p] += u * (x[p] - b[p]) if keep else ZERO
                    norm[p] += u if keep else ZERO
                    square[p] += u * u if keep else ZERO
                    noise[p] += u * u * v[p] if keep else ZERO
            else:
                w2 = w * w
                for p in range(m):
                    here = (v[p] > ZERO) & (abs(x[p]) < INF)
                    keep = here & (mark[p] == 0)
                    there[p] += 1 if here else 0
                    total[p] += w * (x[p] - b[p]) if keep else ZERO
                    norm[p] += w if keep else ZERO
                    square[p] += w2 if keep else ZERO
                    noise[p] += w2 * v[p] if keep else ZERO
            for p in range(m):
                below[p] += 1 if mark[p] == LOW else 0
                above[p] += 1 if mark[p] == HIGH else 0
        for p in range(m):
            at = start + p
            out[at] = b[p] + total[p] / norm[p]
            out_variance[at] = noise[p] / (norm[p] * norm[p])
            coverage[at] = norm[p] * norm[p] / square[p] if square[p] > ZERO else ZERO
            low[at], high[at], present[at] = below[p], above[p], there[p]
            if use_median and norm[p] > ZERO:
                count = 0
                for i in range(n_frames):
                    s, v = values[i, at], variance[i, at]
                    here = weight[i] > ZERO and v > ZERO and abs(s) < INF and marks[i, at] == 0
                    if here and (not shared or share[i, at] > ZERO):
                        kept[count] = s
                        count += 1
                out[at] = median(kept, count)
                out_variance[at] *= median_factor(count)
