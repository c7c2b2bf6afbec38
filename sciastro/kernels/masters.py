"""Combine raw calibration frames: integers in, no float copy of the stack, variance from a noise model.

The variance of one pixel's own few samples is a poor estimate of its noise (for 5 frames it scatters by
70 %), so `combine_counts` takes a pooled noise model: variance of a raw sample = read + shot * level, with
`level` the median of the (subtracted) samples in adu. The sample scatter is returned beside it as a check.
Rejection is that of `kernels.reduce`; NaN and values above `ceiling` are missing.

Nineteen pixels in twenty hold no sample that could be rejected. They are told without sorting, by the
counting of `kernels.calm`, and averaged on the way; only the others are sorted.
"""

import numpy as np

from sciastro.kernels.calm import SLACK
from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.reduce import CLIP_PLANES, SIGMA, WINSORIZED, reject_samples
from sciastro.kernels.samples import (
    CENTER,
    COUNT,
    FLOOR,
    HALF,
    INF,
    LOWER,
    NOISE,
    NORM,
    ONE,
    PLANES,
    SQUARE,
    TILE,
    TOTAL,
    UPPER,
    ZERO,
    fill_middle,
    sort_rows,
)

__all__ = ["combine_counts"]

# Planes of the scratch of pixels that are not sorted, as those of `kernels.samples`.
MINUS, ORIGIN, LEAST, MOST, SUM, SQUARES, LOWEST, HIGHEST, NEAR_HIGHEST, NEAR_LOWEST = range(
    0, 10 * TILE, TILE
)
CALM_PLANES = 10
ROUNDING = np.float32(SLACK)


@inner
def _load_counts(raw, minus, scale, ceiling, start, m, ranked, f):
    """Fill `ranked` with (raw - minus) * scale, missing +inf, and COUNT."""
    f[:] = ZERO
    if minus.size:
        taken = minus[start : start + m]
        for p in range(m):  # array = array takes numba two seconds to compile
            f[TOTAL + p] = taken[p]
    for i in range(raw.shape[0]):
        x, target, s = raw[i, start : start + m], ranked[i], scale[i]
        for p in range(m):
            value = (np.float32(x[p]) - f[TOTAL + p]) * s
            ok = (np.float32(x[p]) <= ceiling) & (abs(value) < INF)
            target[p] = value if ok else INF
            f[COUNT + p] += ONE if ok else ZERO


@inner
def _average_counts(raw, minus, scale, weight, ceiling, start, m, f):
    """Sum weighted differences from CENTER and their squares (SQUARE) over the survivors."""
    f[TOTAL : NOISE + TILE] = ZERO
    if minus.size:
        taken = minus[start : start + m]
        for p in range(m):
            f[NOISE + p] = taken[p]
    for i in range(raw.shape[0]):
        x, s, w = raw[i, start : start + m], scale[i], weight[i]
        for p in range(m):
            value = (np.float32(x[p]) - f[NOISE + p]) * s
            keep = (value >= f[LOWER + p]) & (value <= f[UPPER + p]) & (np.float32(x[p]) <= ceiling)
            d = value - f[CENTER + p] if keep else ZERO
            f[TOTAL + p] += w * d
            f[SQUARE + p] += w * d * d
            f[NORM + p] += w if keep else ZERO


@inner
def _sum_counts(raw, minus, scale, weight, start, m, f):
    """Fill LEAST, MOST, and SUM and SQUARES of weighted differences from ORIGIN, the first sample."""
    f[:] = ZERO
    if minus.size:
        taken = minus[start : start + m]
        for p in range(m):
            f[MINUS + p] = taken[p]
    x, s = raw[0, start : start + m], scale[0]
    for p in range(m):
        value = (np.float32(x[p]) - f[MINUS + p]) * s
        f[ORIGIN + p], f[LEAST + p], f[MOST + p] = value, value, value
    last = raw.shape[0] - 1
    for i in range(1, last + 1, 2):  # two rows a time: half the traffic on the sums
        j = min(i + 1, last)
        x, y = raw[i, start : start + m], raw[j, start : start + m]
        s, t, w, u = scale[i], scale[j], weight[i], weight[j] if j > i else ZERO
        for p in range(m):
            a, b = (np.float32(x[p]) - f[MINUS + p]) * s, (np.float32(y[p]) - f[MINUS + p]) * t
            lower, higher = min(a, b), max(a, b)
            f[LEAST + p], f[MOST + p] = min(f[LEAST + p], lower), max(f[MOST + p], higher)
            a, b = a - f[ORIGIN + p], b - f[ORIGIN + p]
            f[SUM + p] += w * a + u * b
            f[SQUARES + p] += w * a * a + u * b * b


@inner
def _count_near(raw, scale, start, m, f):
    """Count the samples no lower than LOWEST and those no higher than HIGHEST."""
    last = raw.shape[0] - 1
    for i in range(0, last + 1, 2):
        j = min(i + 1, last)
        x, y = raw[i, start : start + m], raw[j, start : start + m]
        s, t, also = scale[i], scale[j], ONE if j > i else ZERO
        for p in range(m):
            a, b = (np.float32(x[p]) - f[MINUS + p]) * s, (np.float32(y[p]) - f[MINUS + p]) * t
            f[NEAR_HIGHEST + p] += (ONE if a >= f[LOWEST + p] else ZERO) + (
                also if b >= f[LOWEST + p] else ZERO
            )
            f[NEAR_LOWEST + p] += (ONE if a <= f[HIGHEST + p] else ZERO) + (
                also if b <= f[HIGHEST + p] else ZERO
            )


@inner
def _average_calm(
    raw, minus, scale, weight, ceiling, noise, norm, low, high, start, m, f, out, out_variance, scatter,
    places, waiting,
):  # fmt: skip
    """Average all samples of the pixels from `start` on, and enter those into `places` that need sorting.

    A pixel is calm if all its samples are there and none can be rejected. `noise`: variance of a sample at
    level 0 and its rise, variance of the average at level 0 and its rise. Returns the number in `places`.
    """
    n = np.float32(raw.shape[0])
    _sum_counts(raw, minus, scale, weight, start, m, f)
    read, shot, mean_read, mean_shot = noise
    least_scale = scale.min()
    for p in range(m):
        least, most = f[LEAST + p], f[MOST + p]
        floor = np.sqrt(read + shot * max(least, ZERO))  # at most that at the median
        slack = ROUNDING * (abs(least) + abs(most) + (low + high) * floor)
        f[LOWEST + p], f[HIGHEST + p] = most - high * floor + slack, least + low * floor - slack
    _count_near(raw, scale, start, m, f)
    square = n / (n - ONE) if n > ONE else np.float32(np.nan)
    each = ONE / norm
    for p in range(m):
        shift, full = f[SUM + p] * each, ceiling - f[MINUS + p]
        there = (full > ZERO) & (f[MOST + p] < full * least_scale)  # all samples are below the ceiling
        there &= f[SQUARES + p] < INF  # and numbers
        calm = (f[NEAR_HIGHEST + p] > HALF * n) & (f[NEAR_LOWEST + p] > HALF * n) & there
        f[LEAST + p] = ZERO if calm else ONE
        f[SQUARES + p] = max(f[SQUARES + p] * each - shift * shift, ZERO) * square
        f[SUM + p] = f[ORIGIN + p] + shift
        f[MOST + p] = mean_read + mean_shot * max(f[SUM + p], ZERO)
    for p in range(m):
        out[start + p] = f[SUM + p]
    for p in range(m):
        out_variance[start + p] = f[MOST + p]
    for p in range(m):
        scatter[start + p] = f[SQUARES + p]
    for p in range(m):
        places[waiting] = start + p
        waiting += 1 if f[LEAST + p] > ZERO else 0
    return waiting


@njit(nogil=True, cache=True, error_model="numpy")
def combine_counts(
    raw,
    minus,
    scale,
    weight,
    ceiling,
    read,
    shot,
    pairs,
    method,
    low,
    high,
    max_iterations,
    out,
    out_variance,
    scatter,
    kept,
    rejected_low,
    rejected_high,
):
    """Reject outliers among (raw - minus) * scale along the frame axis and average the rest.

    Parameters
    ----------
    raw
        (frame, pixel), any numeric dtype [adu]; read as it is. NaN and values above `ceiling` are missing.
    minus
        float32 (pixel,), subtracted from every frame [adu]; empty for nothing.
    scale, weight
        float32 (frame,); weights must be positive.
    read, shot
        Noise model of a raw sample: variance = read [adu2] + shot * level [adu], level >= 0.
    pairs, method, low, high, max_iterations
        As in `kernels.reduce.combine`.
    out, out_variance, scatter
        float32 (pixel,), written: the weighted mean; its variance by the noise model (without that of
        `minus`); and the variance of one sample about the mean, measured (NaN for fewer than two).
        NaN where no sample exists.
    kept, rejected_low, rejected_high
        uint16 (pixel,), written: samples averaged, rejected below and above.
    """
    # Long, as a call of an inner part would copy the description of every array (7 words each) each time.
    n_frames, n_pixels = raw.shape
    low, high, ceiling = np.float32(low), np.float32(high), np.float32(ceiling)
    read, shot = np.float32(read), np.float32(shot)
    mean_scale, mean_scale2 = ZERO, ZERO
    read_sum, shot_sum = ZERO, ZERO  # of w^2 scale^2 and w^2 scale, for variances of the average
    norm_all = ZERO
    for i in range(n_frames):
        mean_scale += scale[i] / np.float32(n_frames)
        mean_scale2 += scale[i] * scale[i] / np.float32(n_frames)
        read_sum += weight[i] * weight[i] * scale[i] * scale[i]
        shot_sum += weight[i] * weight[i] * scale[i]
        norm_all += weight[i]
    read_sum, shot_sum = read_sum / (norm_all * norm_all), shot_sum / (norm_all * norm_all)
    ranked, work = np.empty((n_frames, TILE), np.float32), np.empty((n_frames, TILE), np.float32)
    f, g = np.empty(PLANES * TILE, np.float32), np.empty(CLIP_PLANES * TILE, np.float32)
    k = np.empty((5, TILE), np.int32)
    three = np.empty((3, TILE), np.int32)
    count, below, above = three[0], three[1], three[2]
    # Only doubtful pixels are sorted where others can be told: they are gathered into tiles of their own.
    # One loop for both ways: what it calls would be compiled twice otherwise.
    calm = method in (SIGMA, WINSORIZED)
    width, places = TILE if calm else 0, np.empty(2 * TILE, np.int64)
    done, waiting, start = np.int64(0), np.int64(0), np.int64(0)
    some, taken = np.empty((n_frames, width), raw.dtype), np.empty(width if minus.size else 0, np.float32)
    h, results = np.empty(CALM_PLANES * width, np.float32), np.empty((3, width), np.float32)
    numbers = np.empty((3, width), np.uint16)
    noise = mean_scale2 * read, mean_scale * shot, read_sum * read, shot_sum * shot
    x, b = raw, minus
    mean_out, variance_out, scatter_out = out, out_variance, scatter
    kept_out, low_out, high_out = kept, rejected_low, rejected_high
    if calm:
        kept[:], rejected_low[:], rejected_high[:] = n_frames, 0, 0
        x, b = some, taken
        mean_out, variance_out, scatter_out = results[0], results[1], results[2]
        kept_out, low_out, high_out = numbers[0], numbers[1], numbers[2]
    while done < n_pixels or waiting > 0:
        if calm:
            while done < n_pixels and waiting < TILE:
                m = min(TILE, n_pixels - done)
                waiting = _average_calm(
                    raw, minus, scale, weight, ceiling, noise, norm_all, low, high, done, m, h, out,
                    out_variance, scatter, places, waiting,
                )  # fmt: skip
                done += m
            m = min(waiting, TILE)
            for i in range(n_frames):
                for q in range(m):
                    some[i, q] = raw[i, places[q]]
            for q in range(m if minus.size else 0):
                taken[q] = minus[places[q]]
            if m == 0:
                break
        else:
            start, m = done, min(TILE, n_pixels - done)
            done += m
        _load_counts(x, b, scale, ceiling, start, m, ranked, f)
        sort_rows(ranked, pairs, m)
        fill_middle(ranked, f, m, count)
        for p in range(m):
            f[FLOOR + p] = np.sqrt(noise[0] + noise[1] * max(f[CENTER + p], ZERO))
        reject_samples(ranked, work, f, g, k, count, below, above, method, low, high, max_iterations, m)
        _average_counts(x, b, scale, weight, ceiling, start, m, f)
        for p in range(m):  # 0 / 0 is NaN: nothing survived
            shift = f[TOTAL + p] / f[NORM + p]
            mean = f[CENTER + p] + shift
            number = np.float32(count[p] - below[p] - above[p])
            mean_out[start + p] = mean
            share = np.float32(n_frames) / number  # the frames that are missing here
            model = noise[2] + noise[3] * max(mean, ZERO)
            variance_out[start + p] = model * share if number > ZERO else np.float32(np.nan)
            spread = max(f[SQUARE + p] / f[NORM + p] - shift * shift, ZERO)
            scatter_out[start + p] = spread * number / (number - ONE) if number > ONE else np.float32(np.nan)
        for p in range(m):
            kept_out[start + p] = count[p] - below[p] - above[p]
            low_out[start + p], high_out[start + p] = below[p], above[p]
        if calm:
            for q in range(m):
                p = places[q]
                out[p], out_variance[p], scatter[p] = results[0, q], results[1, q], results[2, q]
                kept[p], rejected_low[p], rejected_high[p] = numbers[0, q], numbers[1, q], numbers[2, q]
            waiting -= m
            for q in range(waiting):
                places[q] = places[m + q]
