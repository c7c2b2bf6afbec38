"""Combine the frame axis: sort, reject, average; tiles of (frame, pixels), vectorized along the pixels.

Every rejection rule here keeps a contiguous run of the sorted samples, so its result is a closed
interval of values per pixel. Samples are missing where the value is not finite, the variance not
positive, or the frame's weight zero.

Noise floor: no sample within `low` / `high` sigma of the median is ever rejected when sigma is the noise
that the variances state (their harmonic mean, so that one noisy sample does not raise it). A sample sigma
of few frames is itself uncertain, and rules without this floor reject good samples. Pure noise, winsorized
4/3, samples rejected and noise above the mean's: n = 5 0.02 % +0.1 %, 10 0.04 % +0.3 %, 20 0.06 % +0.4 %,
60 0.09 % +0.8 % (nominal 0.14 %); without (`noise_floor` false) n = 5 1.9 % +2.4 %, 20 0.30 % +1.3 %,
60 0.18 % +1.3 %.
Most pixels have no sample that could be rejected; `kernels.calm` finds and averages them unsorted.
A single outlier of 20 sigma is found in 96 % (n = 4), 99.7 % (n = 5), 100 % (n >= 6) of the pixels.
The middle samples of a pixel always survive, so two clusters never lose all: [0, 0, 7, 7] keeps all four.

Tiles, their averages, and what must not be "improved" about them: `kernels.samples`.
"""

from statistics import NormalDist

import numpy as np

from sciastro.kernels.calm import average_calm
from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.lanes import LANES
from sciastro.kernels.samples import (
    CENTER,
    FLOOR,
    HALF,
    LOWER,
    MEAN,
    ONE,
    PLANES,
    TILE,
    UPPER,
    ZERO,
    finish_tile,
    prepare_tile,
)

__all__ = [
    "CLIP_PLANES",
    "METHODS",
    "MINMAX",
    "NONE",
    "PERCENTILE",
    "SIGMA",
    "WINSORIZED",
    "combine",
    "reject_samples",
]

NONE, SIGMA, WINSORIZED, PERCENTILE, MINMAX = 0, 1, 2, 3, 4
METHODS = {"none": NONE, "sigma": SIGMA, "winsorized": WINSORIZED, "percentile": PERCENTILE, "minmax": MINMAX}

# Planes of the scratch of clipping, as those of `kernels.samples`.
REF, SIGMA_NOW, LEAST_SIGMA, KEPT, ROUNDS, LEAST, MOST, GUARD_LOW, GUARD_HIGH = range(0, 9 * TILE, TILE)
CUT_LOW, CUT_HIGH, CLAMP_LOW, CLAMP_HIGH, S1, S2, STATE = range(9 * TILE, 16 * TILE, TILE)
SIGMA_BEFORE, SIGMA_FREE, CLIP_PLANES = 16 * TILE, 17 * TILE, 18
TWO = np.float32(2.0)
HUGE = np.float32(3e38)
CLAMP = np.float32(1.5)  # winsorizing half width, in sigma
RESTORE = np.float32(1.134)  # sd of a Gaussian clamped at 1.5 sigma is sigma / 1.134
SETTLED = np.float32(5e-4)
STEEP = np.float32(0.7)  # largest slope that a secant step believes
CUTOFF = np.float32(5.0)  # first pass: samples beyond this do not enter the scale
INNER = np.float32(12.0)  # winsorizing rounds per rejection pass, at most


def _start_factors(size: int) -> np.ndarray:
    # 1 / E[x(n-1-j) - x(j)], j = n // 4 (at least 1), of n unit normals; Blom (1958) scores.
    out = np.zeros(size, np.float32)
    for n in range(4, size):
        j = max(1, n // 4)
        out[n] = 1 / (-2 * NormalDist().inv_cdf((j + 1 - 0.375) / (n + 0.25)))
    return out


START = _start_factors(513)


@inner
def _moments(rows, f, active):
    """Sum clamped differences from REF and of their squares, over the samples within the cuts."""
    n = rows.shape[0]
    f[S1 : S2 + TILE] = ZERO
    for i in range(0, n - 1, 2):  # two rows a time: half the traffic on the sums
        row, after = rows[i], rows[i + 1]
        for q in range(active):
            y, z = row[q], after[q]
            d = min(max(y, f[CLAMP_LOW + q]), f[CLAMP_HIGH + q]) - f[REF + q]
            e = min(max(z, f[CLAMP_LOW + q]), f[CLAMP_HIGH + q]) - f[REF + q]
            d = d if (y >= f[CUT_LOW + q]) & (y <= f[CUT_HIGH + q]) else ZERO
            e = e if (z >= f[CUT_LOW + q]) & (z <= f[CUT_HIGH + q]) else ZERO
            f[S1 + q] += d + e
            f[S2 + q] += d * d + e * e
    if n % 2:
        row = rows[n - 1]
        for q in range(active):
            y = row[q]
            d = min(max(y, f[CLAMP_LOW + q]), f[CLAMP_HIGH + q]) - f[REF + q]
            d = d if (y >= f[CUT_LOW + q]) & (y <= f[CUT_HIGH + q]) else ZERO
            f[S1 + q] += d
            f[S2 + q] += d * d


@inner
def _judge(f, active, winsorize, low, high):
    """Update the scale. STATE: 0 goes on, 1 is finished (and stays so), 2 has samples to reject.

    The winsorized sigma is the fixed point s = g(s) of g = 1.134 sd(clamp(x, center +- 1.5 s)); secant
    steps get there in about half the rounds of the plain iteration.
    """
    factor = RESTORE if winsorize else ONE
    follow = ONE if winsorize else ZERO
    going = np.int32(0)
    for q in range(active):  # all is loaded first and chosen afterwards: it vectorizes
        kept, now, least_sigma, state = f[KEPT + q], f[SIGMA_NOW + q], f[LEAST_SIGMA + q], f[STATE + q]
        total, square, ref, rounds = f[S1 + q], f[S2 + q], f[REF + q], f[ROUNDS + q]
        guard_low, guard_high, least, most = f[GUARD_LOW + q], f[GUARD_HIGH + q], f[LEAST + q], f[MOST + q]
        run, free_before = now - f[SIGMA_BEFORE + q], f[SIGMA_FREE + q]
        shift = total / kept
        free = factor * np.sqrt(max(square - total * shift, ZERO) / (kept - ONE))
        new = max(free, least_sigma)
        center = ref + follow * shift
        settled = (abs(new - now) <= SETTLED * new) | (rounds >= INNER) | (not winsorize)
        moved = (abs(run) > ZERO) & (rounds > ZERO)
        slope = min(max((free - free_before) / (run if moved else ONE), ZERO), STEEP)
        slope = slope if moved else ZERO
        secant = max(now + (free - now) / (ONE - slope), least_sigma)
        new = new if settled else secant
        f[SIGMA_BEFORE + q], f[SIGMA_FREE + q] = now, free
        f[SIGMA_NOW + q], f[ROUNDS + q] = new, rounds + ONE
        f[CLAMP_LOW + q] = center - CLAMP * new if winsorize else -HUGE
        f[CLAMP_HIGH + q] = center + CLAMP * new if winsorize else HUGE
        cut_low, cut_high = min(center - low * new, guard_low), max(center + high * new, guard_high)
        f[S1 + q], f[S2 + q] = cut_low, cut_high
        told = TWO if (least < cut_low) | (most > cut_high) else ONE
        told = told if settled else ZERO
        told = ONE if state == ONE else told
        f[STATE + q] = told
        going += np.int32(0) if told == ONE else np.int32(1)
    return np.int64(going)


@inner
def _start_pass(rows, f, q, a, b, low, high):
    """Set the samples a..b-1 of pixel q as the survivors and fill the state of the next pass."""
    middle_low, middle_high, s = rows[(a + b - 1) // 2, q], rows[(a + b) // 2, q], f[LEAST_SIGMA + q]
    ref = HALF * (middle_low + middle_high)
    f[REF + q], f[KEPT + q], f[ROUNDS + q], f[STATE + q] = ref, b - a, ZERO, ZERO
    f[LEAST + q], f[MOST + q] = rows[a, q], rows[b - 1, q]
    f[CUT_LOW + q], f[CUT_HIGH + q] = rows[a, q], rows[b - 1, q]
    # The middle samples always stay (no rule may empty a pixel), and so does what the noise explains.
    f[GUARD_LOW + q] = min(middle_low, ref - low * s)
    f[GUARD_HIGH + q] = max(middle_high, ref + high * s)


@inner
def _suspects(ranked, count, f, low, high, max_iterations, m, column):
    """List the pixels with a sample that the noise does not explain; all others keep every sample."""
    suspects = 0
    for p in range(m):
        c = count[p]
        # Two samples cannot tell which is wrong; three need a noise to compare with.
        if c < 3 or (c == 3 and not f[FLOOR + p] > ZERO) or max_iterations < 1:
            continue
        column[suspects] = p
        center, floor = f[CENTER + p], f[FLOOR + p]
        beyond = (ranked[0, p] < center - low * floor) | (ranked[c - 1, p] > center + high * floor)
        suspects += 1 if beyond else 0
    return suspects


@inner
def _start_clip(ranked, work, count, floor, winsorize, low, high, f, column, suspects, first, last, passes):
    """Gather the suspects into `work` and start from their order statistics."""
    for i in range(ranked.shape[0]):
        for q in range(suspects):
            work[i, q] = ranked[i, column[q]]
    for q in range(suspects):
        c = count[column[q]]
        first[q], last[q], passes[q] = 0, c, 0
        f[LEAST_SIGMA + q] = floor[column[q]]
        _start_pass(work, f, q, np.int64(0), np.int64(c), low, high)
        j = max(1, c // 4)
        ref, s = f[REF + q], (work[c - 1 - j, q] - work[j, q]) * START[min(c, 512)] if c > 3 else ZERO
        s = max(s, f[LEAST_SIGMA + q])
        f[SIGMA_NOW + q] = s
        f[CLAMP_LOW + q], f[CLAMP_HIGH + q] = -HUGE, HUGE
        if winsorize:
            f[CLAMP_LOW + q], f[CLAMP_HIGH + q] = ref - CLAMP * s, ref + CLAMP * s
            f[CUT_LOW + q], f[CUT_HIGH + q] = ref - CUTOFF * s, min(ref + CUTOFF * s, HUGE)


@inner
def _reject(rows, f, active, winsorize, low, high, max_iterations, first, last, passes):
    """Move the ends of the pixels in STATE 2 inward and start their next pass."""
    for q in range(active):
        if f[STATE + q] != TWO:
            continue
        a, b = first[q], last[q]
        while rows[a, q] < f[S1 + q]:
            a += 1
        while rows[b - 1, q] > f[S2 + q]:
            b -= 1
        first[q], last[q] = a, b
        passes[q] += 1
        ref = f[REF + q]
        _start_pass(rows, f, q, a, b, low, high)
        if winsorize:
            f[REF + q] = ref  # only an origin for sums there
        if passes[q] >= max_iterations or b - a < 3:
            f[STATE + q] = ONE


@inner
def _clip(ranked, work, count, f, g, k, winsorize, low, high, max_iterations, m, below, above):
    """Sigma and winsorized clipping: LOWER and UPPER of `f` and the numbers of rejected samples."""
    column, first, last, passes, order = k[0], k[1], k[2], k[3], k[4]  # unpacking takes long to compile
    active = _suspects(ranked, count, f, low, high, max_iterations, m, column)
    floor = f[FLOOR : FLOOR + TILE]
    _start_clip(ranked, work, count, floor, winsorize, low, high, g, column, active, first, last, passes)
    going = active
    while active > 0:
        _moments(work, g, active)
        going = _judge(g, active, winsorize, low, high)
        _reject(work, g, active, winsorize, low, high, max_iterations, first, last, passes)
        if 2 * going > active:
            continue
        left = 0
        for q in range(active):
            p = column[q]
            f[LOWER + p], f[UPPER + p] = g[LEAST + q], g[MOST + q]
            below[p], above[p] = first[q], count[p] - last[q]
            order[left] = q
            left += 0 if g[STATE + q] == ONE else 1
        for q in range(left):  # close the ranks: only unfinished pixels go on
            o = order[q]
            column[q], first[q], last[q], passes[q] = column[o], first[o], last[o], passes[o]
        for plane in range(0, CLIP_PLANES * TILE, TILE):
            for q in range(left):
                g[plane + q] = g[plane + order[q]]
        for i in range(work.shape[0]):
            row = work[i]
            for q in range(left):
                row[q] = row[order[q]]
        active = left


@inner
def _simple_bounds(ranked, count, f, method, low, high, m, below, above):
    """Percentile and min/max: LOWER and UPPER of `f` and the numbers of rejected samples."""
    for p in range(m):
        c = count[p]
        if c == 0:
            continue
        middle_low, middle_high, center = ranked[(c - 1) // 2, p], ranked[c // 2, p], f[CENTER + p]
        if method == PERCENTILE and center > ZERO:
            f[LOWER + p] = min(center - low * center, middle_low)
            f[UPPER + p] = max(center + high * center, middle_high)
        elif method == MINMAX:
            f[LOWER + p] = ranked[min(int(low), (c - 1) // 2), p]
            f[UPPER + p] = ranked[max(c - 1 - int(high), c // 2), p]
        a, b = 0, c
        while ranked[a, p] < f[LOWER + p]:
            a += 1
        while ranked[b - 1, p] > f[UPPER + p]:
            b -= 1
        below[p], above[p] = a, c - b


@inner
def reject_samples(ranked, work, f, g, k, count, below, above, method, low, high, max_iterations, m):
    """Narrow LOWER and UPPER of `f` by the rule; count the samples rejected on each side."""
    below[:m], above[:m] = 0, 0
    if method in (WINSORIZED, SIGMA):
        winsorize = method == WINSORIZED
        _clip(ranked, work, count, f, g, k, winsorize, low, high, max_iterations, m, below, above)
    elif method != NONE:
        _simple_bounds(ranked, count, f, method, low, high, m, below, above)


@njit(nogil=True, cache=True, error_model="numpy")
def combine(
    values,
    variance,
    weight,
    share,
    pairs,
    method,
    how,
    low,
    high,
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
    """Reject outliers along the frame axis and average the rest.

    Parameters
    ----------
    values, variance
        float32 (frame, pixel). A sample is missing where its value is not finite or its variance
        is not positive. The variance sets the smallest sigma that rejection may assume.
    weight
        float32 (frame,); a frame of weight 0 is missing.
    share
        float32 (frame, pixel), what multiplies the weight of a sample (drizzle: the part of the pixel
        that its drops cover); 0 is missing. Shape (0, 0): 1 everywhere.
    pairs
        Sorting network for this number of frames, `merge_network(values.shape[0])`.
    method
        `NONE`, `SIGMA`, `WINSORIZED`, `PERCENTILE` or `MINMAX`; `kernels.rules` has more.
    how
        `MEAN` (weighted by frame) or `MEDIAN` (unweighted).
    low, high
        Rejection thresholds below and above the center: sigma, fraction of the median, or number
        of samples, by method.
    max_iterations
        Rejection passes at most.
    noise_floor
        Whether sigma is at least the noise that the variances state (see the module).
    out, out_variance, coverage
        float32 (pixel,), written. NaN, NaN and 0 where no sample exists. Coverage is
        (sum w)^2 / sum w^2, the effective number of frames.
    rejected_low, rejected_high
        uint16 (pixel,), written: samples rejected on each side (missing ones are not counted).
    present
        uint16 (pixel,), written: samples that are not missing.
    marks
        uint8 (frame, pixel): `LOW` or `HIGH` is written at rejected samples, nothing elsewhere; or (0, 0).
    """
    # Long, as a call of an inner part would copy the description of every array (7 words each) each time.
    n_frames, n_pixels = values.shape
    low, high = np.float32(low), np.float32(high)
    ranked, work = np.empty((n_frames, TILE), np.float32), np.empty((n_frames, TILE), np.float32)
    f, g = np.empty(PLANES * TILE, np.float32), np.empty(CLIP_PLANES * TILE, np.float32)
    k = np.empty((5, TILE), np.int32)
    three = np.empty((3, TILE), np.int32)
    count, below, above = three[0], three[1], three[2]
    # Only doubtful pixels are sorted where others can be told (`kernels.calm`): they are gathered into tiles
    # of their own. One loop for both ways: what it calls would be compiled twice otherwise.
    calm = noise_floor and how == MEAN and method in (SIGMA, WINSORIZED)
    shared, width = share.size > 0, TILE if calm else 0
    places = np.empty(2 * TILE, np.int64)
    done, waiting, start = np.int64(0), np.int64(0), np.int64(0)
    some, noise = np.empty((n_frames, width), np.float32), np.empty((n_frames, width), np.float32)
    parts = np.empty((n_frames, width if shared else 0), np.float32)
    results, numbers = np.empty((3, width), np.float32), np.empty((3, width), np.uint16)
    signs = np.zeros((n_frames, width), np.uint8)
    x, v, s = values, variance, share
    o, ov, cov, lows, highs, there, signed = (
        out, out_variance, coverage, rejected_low, rejected_high, present, marks
    )  # fmt: skip
    if calm:
        rejected_low[:], rejected_high[:] = 0, 0
        x, v, s, signed = some, noise, parts, signs
        o, ov, cov = results[0], results[1], results[2]
        lows, highs, there = numbers[0], numbers[1], numbers[2]
    while done < n_pixels or waiting > 0:
        if calm:
            done, waiting = _average(
                values, variance, weight, share, low, high, done, some, noise, parts, results, numbers,
                out, out_variance, coverage, present, places, waiting,
            )  # fmt: skip
            m = min(waiting, TILE)
            for i in range(n_frames):
                for q in range(m):
                    some[i, q], noise[i, q] = values[i, places[q]], variance[i, places[q]]
                if shared:
                    for q in range(m):
                        parts[i, q] = share[i, places[q]]
            if m == 0:
                break
        else:
            start, m = done, min(TILE, n_pixels - done)
            done += m
        prepare_tile(x, v, weight, s, pairs, noise_floor, start, m, ranked, f, count)
        reject_samples(ranked, work, f, g, k, count, below, above, method, low, high, max_iterations, m)
        finish_tile(
            x, v, weight, s, how, start, m, ranked, f, count, below, above, o, ov, cov, lows, highs, there,
            signed,
        )  # fmt: skip
        if calm:
            for q in range(m):
                p = places[q]
                out[p], out_variance[p], coverage[p] = results[0, q], results[1, q], results[2, q]
                rejected_low[p], rejected_high[p] = numbers[0, q], numbers[1, q]
                present[p] = numbers[2, q]
                if below[q] + above[q] > 0:
                    for i in range(n_frames):
                        if signs[i, q]:
                            if marks.size > 0:
                                marks[i, p] = signs[i, q]
                            signs[i, q] = 0
            waiting -= m
            for q in range(waiting):
                places[q] = places[m + q]


@inner
def _average(
    values, variance, weight, share, low, high, done, some, noise, parts, results, numbers, out,
    out_variance, coverage, present, places, waiting,
):  # fmt: skip
    """Average pixels from `done` on with all samples until TILE doubtful ones wait in `places`.

    Returns `done` and `waiting` after that. Sixteen pixels a time, the last ones together with pixels before
    them; where there are fewer than 16 at all, in the scratch of the caller, with the last one again beside
    them.
    """
    n_frames, n_pixels = values.shape
    few, shared = n_pixels < LANES, share.size > 0
    x, v, s, stride = values, variance, share, n_pixels
    o, ov, cov, there = out, out_variance, coverage, present
    if few:
        for i in range(n_frames):
            for q in range(LANES):
                p = min(q, n_pixels - 1)
                some[i, q], noise[i, q] = values[i, p], variance[i, p]
                if shared:
                    parts[i, q] = share[i, p]
        x, v, s, stride = some, noise, parts, some.shape[1]
        o, ov, cov, there = results[0], results[1], results[2], numbers[2]
    while done < n_pixels and waiting < TILE:
        at = 0 if few else min(done, n_pixels - LANES)
        doubtful = average_calm(x, v, weight, s, shared, n_frames, stride, low, high, o, ov, cov, there, at)
        doubtful >>= done - at
        pixel = done
        while doubtful and pixel < n_pixels:
            places[waiting] = pixel
            waiting += doubtful & 1
            doubtful >>= 1
            pixel += 1
        done = min(done + LANES, n_pixels)
    if few:
        for q in range(n_pixels):
            out[q], out_variance[q], coverage[q] = results[0, q], results[1, q], results[2, q]
            present[q] = numbers[2, q]
    return done, waiting
