"""Combine raw calibration frames: integers in, no float copy of the stack, variance from a noise model.

The variance of one pixel's own few samples is a poor estimate of its noise (for 5 frames it scatters by
70 %), so `combine_counts` takes a pooled noise model: variance of a raw sample = read + shot * level, with
`level` the median of the (subtracted) samples in adu. The sample scatter is returned beside it as a check.
Rejection is that of `kernels.reduce`; NaN and values above `ceiling` are missing.
"""

import numpy as np
from numba import njit

from sciastro.kernels.reduce import (
    CLIP_PLANES,
    reject_samples,
)
from sciastro.kernels.samples import (
    CENTER,
    COUNT,
    FLOOR,
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


@njit(nogil=True, cache=True, error_model="numpy")
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


@njit(nogil=True, cache=True, error_model="numpy")
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
    count, below, above = np.empty((3, TILE), np.int32)
    for start in range(0, n_pixels, TILE):
        m = min(TILE, n_pixels - start)
        _load_counts(raw, minus, scale, ceiling, start, m, ranked, f)
        sort_rows(ranked, pairs, m)
        fill_middle(ranked, f, m, count)
        for p in range(m):
            f[FLOOR + p] = np.sqrt(mean_scale2 * read + mean_scale * shot * max(f[CENTER + p], ZERO))
        reject_samples(ranked, work, f, g, k, count, below, above, method, low, high, max_iterations, m)
        _average_counts(raw, minus, scale, weight, ceiling, start, m, f)
        for p in range(m):  # 0 / 0 is NaN: nothing survived
            shift = f[TOTAL + p] / f[NORM + p]
            mean = f[CENTER + p] + shift
            number = np.float32(count[p] - below[p] - above[p])
            out[start + p] = mean
            share = np.float32(n_frames) / number  # the frames that are missing here
            model = read_sum * read + shot_sum * shot * max(mean, ZERO)
            out_variance[start + p] = model * share if number > ZERO else np.float32(np.nan)
            spread = max(f[SQUARE + p] / f[NORM + p] - shift * shift, ZERO)
            scatter[start + p] = spread * number / (number - ONE) if number > ONE else np.float32(np.nan)
        for p in range(m):
            kept[start + p] = count[p] - below[p] - above[p]
            rejected_low[start + p], rejected_high[start + p] = below[p], above[p]
