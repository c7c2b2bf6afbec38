"""From raw counts to electrons in one pass, with variance and quality; repair of bad pixels.

Equation and variance of one sample (electron, electron2), with D the dark that holds the bias, b the bias
level, F the flat of level 1, g the gain, R the read noise:
``signal = g (raw - D) / F``
``V = [max(g (raw - b), 0) + R^2 + g^2 / 12 + g^2 V_D] / F^2 + signal^2 V_F / F^2``
The shot noise counts from the bias, not from the dark: dark current makes noise too. g^2 / 12 is the
digitization noise (Merline & Howell 1995, their 0.289^2).
"""

import numpy as np

from sciastro.kernels.counts import calibrate_lanes
from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.lanes import LANES

__all__ = ["calibrate_window", "repair_defects"]

ZERO, ONE = np.float32(0.0), np.float32(1.0)
NAN, INF = np.float32(np.nan), np.float32(np.inf)
# Bits of core.quality.Quality (kernels import nothing from above; a test holds them together).
DO_NOT_USE, SATURATED, DEAD, HOT, INTERPOLATED, NO_DATA, LOW_FLAT = (
    np.uint16(1 << bit) for bit in (0, 1, 10, 11, 12, 13, 15)
)
CLEAR = np.uint16(0)
FLAGS = (SATURATED, NO_DATA, LOW_FLAT, DO_NOT_USE)
SPAN = 256  # pixels looked at in one go for defects


@njit(nogil=True, cache=True, error_model="numpy")
def calibrate_window(
    raw,
    dark,
    dark_variance,
    bias_level,
    flat,
    flat_variance,
    defects,
    gain,
    read_noise,
    saturation,
    signal,
    variance,
    quality,
):
    """Calibrate one window; every plane has its shape, or shape (1, 1) for one value everywhere.

    Parameters
    ----------
    raw
        (y, x), any numeric dtype [adu]. Not finite: NaN and NO_DATA.
    dark, dark_variance
        float32 [adu], [adu2]: what is subtracted (bias included) and its variance.
    bias_level
        Level without light and dark current [adu].
    flat, flat_variance
        float32 [1]: flat of level 1 and its variance. Not positive: NaN, LOW_FLAT and DO_NOT_USE.
    defects
        uint16: quality bits that the pixels have in every frame.
    gain, read_noise, saturation
        [electron / adu], [electron], [adu]; a pixel at or above `saturation` gets SATURATED.
    signal
        float32 (y, x), written [electron]; NaN is missing.
    variance
        float32, written [electron2]; of shape (0, 0) it is not computed.
    quality
        uint16 (y, x), written.
    """
    height, width = raw.shape
    g, saturation, b = np.float32(gain), np.float32(saturation), np.float32(bias_level)
    with_variance = variance.size > 0
    dark_row, dark_noise = np.empty(width, np.float32), np.empty(width, np.float32)
    flat_row, flat_noise = np.empty(width, np.float32), np.empty(width, np.float32)
    bad_row, blank = np.empty(width, np.uint16), np.empty(width if not with_variance else 0, np.float32)
    dark_row[:], dark_noise[:], bad_row[:] = dark[0, 0], dark_variance[0, 0], defects[0, 0]
    flat_row[:], flat_noise[:] = flat[0, 0], flat_variance[0, 0]
    constant = np.float32(read_noise) * np.float32(read_noise) + g * g / np.float32(12.0)
    smooth = width >= LANES and _is_dense(raw[0]) and _is_dense(signal[0]) and _is_dense(quality[0])
    smooth = smooth and (not with_variance or _is_dense(variance[0]))
    for y in range(height):
        d = dark[y] if dark.size > 1 else dark_row
        dn = dark_variance[y] if dark_variance.size > 1 else dark_noise
        f = flat[y] if flat.size > 1 else flat_row
        fn = flat_variance[y] if flat_variance.size > 1 else flat_noise
        bad = defects[y] if defects.size > 1 else bad_row
        v = variance[y] if with_variance else blank
        r, s, q, x = raw[y], signal[y], quality[y], 0
        if smooth and _is_dense(d) and _is_dense(dn) and _is_dense(f) and _is_dense(fn) and _is_dense(bad):
            while x < width:
                x = min(x, width - LANES)  # some pixels twice, with the same result
                calibrate_lanes(
                    r, d, dn, f, fn, bad, g, b, constant, saturation, FLAGS, s, with_variance, v, q, x
                )
                x += LANES
            continue
        _signal_row(r, d, f, bad, g, saturation, s, q)
        if with_variance:
            _variance_row(r, s, dn, f, fn, g, b, constant, v)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _is_dense(row):
    """Return whether the elements of a row lie side by side."""
    return row.strides[0] == row.itemsize


@inner
def _signal_row(raw, dark, flat, bad, g, saturation, signal, quality):
    # Two loops: with more arrays in one the compiler gives up proving that they do not overlap.
    for x in range(raw.size):
        result = g * (np.float32(raw[x]) - dark[x]) / flat[x]
        signal[x] = result if (abs(result) < INF) & (flat[x] > ZERO) else NAN
    for x in range(raw.size):
        value = np.float32(raw[x])
        bits = bad[x] | (SATURATED if value >= saturation else CLEAR)
        bits |= CLEAR if abs(value) < INF else NO_DATA
        bits |= CLEAR if flat[x] > ZERO else LOW_FLAT | DO_NOT_USE
        bits |= CLEAR if abs(signal[x]) < INF else DO_NOT_USE
        quality[x] = bits


@inner
def _variance_row(raw, signal, dark_noise, flat, flat_noise, g, b, constant, variance):
    for x in range(raw.size):
        shot = max(g * (np.float32(raw[x]) - b), ZERO)
        inverse = ONE / flat[x]
        total = shot + constant + g * g * dark_noise[x] + signal[x] * signal[x] * flat_noise[x]
        variance[x] = total * inverse * inverse if abs(signal[x]) < INF else NAN


@njit(nogil=True, cache=True, error_model="numpy")
def repair_defects(
    signal, variance, quality, bad, offsets, y0, x0, inside_y0, inside_y1, inside_x0, inside_x1
):
    """Replace pixels that carry a bit of `bad` by the median of their good neighbors; the bit stays.

    Parameters
    ----------
    signal, variance
        float32 (y, x) [electron], [electron2]; changed where repaired: the median of up to eight
        neighbors at `offsets`. Its variance: 1.5 / number times the mean of theirs, plus their sample
        variance (structure included: nobody knows what the pixel saw). Variance may have shape (0, 0).
    quality
        uint16 (y, x); INTERPOLATED is added where repaired, and SATURATED if a neighbor used has it.
        Without a good neighbor: NaN and DO_NOT_USE.
    bad
        Bits that call for repair, such as HOT | DEAD.
    offsets
        int16 (phase y, phase x, 8, 2): dy, dx of the neighbors, of the same color on a mosaic
        (`core.cfa.neighbors`).
    y0, x0
        Row and column of the frame at which the window begins: its phase.
    inside_y0, inside_y1, inside_x0, inside_x1
        Only pixels of this part are repaired; the rest is margin to look at.
    """
    values = np.empty(8, np.float32)
    avoid = bad | DO_NOT_USE | NO_DATA
    for y in range(inside_y0, inside_y1):
        for start in range(inside_x0, inside_x1, SPAN):
            stop, any_bits = min(start + SPAN, inside_x1), CLEAR
            span = quality[y, start:stop]
            # Hardly any span holds a bad pixel. By index: iterating over values would not vectorize.
            for x in range(span.size):
                any_bits = np.uint16(any_bits | span[x])
            if not any_bits & bad:
                continue
            for x in range(start, stop):
                if quality[y, x] & bad:
                    around = offsets[(y + y0) % offsets.shape[0], (x + x0) % offsets.shape[1]]
                    _repair_pixel(signal, variance, quality, avoid, around, y, x, values)


@inner
def _repair_pixel(signal, variance, quality, avoid, around, y, x, values):
    """Repair one pixel (see `repair_defects`); `values` is float32[8] of scratch."""
    height, width = signal.shape
    with_variance = variance.size > 0
    n, noise, total, square, full = 0, ZERO, ZERO, ZERO, CLEAR
    for k in range(around.shape[0]):
        j, i = y + around[k, 0], x + around[k, 1]
        if j < 0 or j >= height or i < 0 or i >= width or (quality[j, i] & avoid):
            continue
        if not abs(signal[j, i]) < INF:
            continue
        values[n] = signal[j, i]
        full |= quality[j, i] & SATURATED
        if with_variance:
            noise += variance[j, i]
        n += 1
    if n == 0:
        signal[y, x] = NAN
        quality[y, x] |= DO_NOT_USE
        if with_variance:
            variance[y, x] = NAN
        return
    for i in range(1, n):  # eight at most: insertion (np.sort takes a second to compile)
        value, j = values[i], i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    middle = np.float32(0.5) * (values[(n - 1) // 2] + values[n // 2])
    signal[y, x] = middle
    quality[y, x] |= INTERPOLATED | full
    if with_variance:
        count = np.float32(n)
        for i in range(n):
            total += (values[i] - middle) * (values[i] - middle)
        square = total / (count - ONE) if n > 1 else noise / count
        variance[y, x] = noise / count * np.float32(1.5) / count + square
