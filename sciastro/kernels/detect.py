"""Find stars by a matched filter, reading the image once.

Each row is freed of sky, convolved along x into a ring of rows, along y into a ring of three, and
searched for local maxima, with no full-size temporary.
"""

import numpy as np
from numba import njit

from sciastro.kernels.background import interpolate_span

__all__ = ["find_peaks", "list_flagged"]

ZERO, INF = np.float32(0.0), np.float32(np.inf)
SPAN = 64  # pixels compared with the threshold in one go


@njit(nogil=True, cache=True, error_model="numpy")
def _clean_row(image, quality, masks, y, sky, out):
    """Write image minus sky of one row into `out`; missing and forbidden pixels become 0 (sky)."""
    values = image[y]
    for x in range(out.size):
        value = values[x] - sky[x]
        out[x] = value if abs(value) < INF else ZERO
    if quality.shape[0] > 1:
        flags, never, unless, repaired = quality[y], masks[0], masks[1], masks[2]
        for x in range(out.size):
            bits = flags[x]
            bad = ((bits & never) != 0) | (((bits & unless) != 0) & ((bits & repaired) == 0))
            out[x] = ZERO if bad else out[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _convolve_row(row, taps, out):
    """Convolve one row with symmetric `taps` (center first); `row` has a margin of sky (0) at both ends."""
    half, n = taps.size - 1, out.size
    center = row[half:]
    tap = taps[0]
    for x in range(n):
        out[x] = tap * center[x]
    k = 1
    while k < half:  # two taps per pass: half the traffic
        one, other, a, b = taps[k], taps[k + 1], row[half - k :], row[half + k :]
        c, d = row[half - k - 1 :], row[half + k + 1 :]
        for x in range(n):
            out[x] = out[x] + one * (a[x] + b[x]) + other * (c[x] + d[x])
        k += 2
    if k == half:
        one, a, b = taps[k], row[half - k :], row[half + k :]
        for x in range(n):
            out[x] += one * (a[x] + b[x])


@njit(nogil=True, cache=True, error_model="numpy")
def _convolve_column(ring, middle, taps, out):
    """Convolve along the rows of a `ring` about row `middle`; see `_convolve_row`."""
    half, depth, n = taps.size - 1, ring.shape[0], out.size
    center, tap = ring[middle % depth], taps[0]
    for x in range(n):
        out[x] = tap * center[x]
    k = 1
    while k < half:
        one, other, a, b = taps[k], taps[k + 1], ring[(middle - k) % depth], ring[(middle + k) % depth]
        c, d = ring[(middle - k - 1) % depth], ring[(middle + k + 1) % depth]
        for x in range(n):
            out[x] = out[x] + one * (a[x] + b[x]) + other * (c[x] + d[x])
        k += 2
    if k == half:
        one, a, b = taps[k], ring[(middle - k) % depth], ring[(middle + k) % depth]
        for x in range(n):
            out[x] += one * (a[x] + b[x])


@njit(nogil=True, cache=True, error_model="numpy")
def find_peaks(
    image,
    quality,
    masks,
    level,
    rms,
    iy,
    wy,
    ix,
    wx,
    taps,
    threshold,
    first_row,
    last_row,
    out_x,
    out_y,
    out_s,
):
    """Find local maxima of the matched-filter significance.

    Parameters
    ----------
    image
        float32[y, x], electron; NaN is missing and counts as sky.
    quality, masks
        uint16[y, x] or uint16[1, 1] for none; see `kernels.background.tile_statistics`.
    level, rms
        Padded float32 meshes of sky and noise [electron]; `iy`, `wy`, `ix`, `wx` their tables.
    taps
        float32: half of a symmetric kernel of unit sum, center first.
    threshold
        Least significance [sigma]: filtered signal over its noise, ``rms`` times the root of the summed
        squares of the 2-D kernel.
    first_row, last_row
        Rows searched (half open).
    out_x, out_y, out_s
        Output int32, int32, float32: position and significance.

    Returns
    -------
    int
        Peaks found; may exceed the length of the outputs, which then hold the first ones.
    """
    n_rows, n = image.shape
    half = taps.size - 1
    squares = taps[0] * taps[0]
    for k in range(1, half + 1):
        squares += np.float32(2.0) * taps[k] * taps[k]
    depth = 2 * half + 1
    ring, maps = np.zeros((depth, n), np.float32), np.zeros((3, n), np.float32)
    sky, noise, row = np.empty(n, np.float32), np.empty(n, np.float32), np.zeros(n + 2 * half, np.float32)
    nodes = np.empty(level.shape[1], np.float32)
    threshold = np.float32(threshold)
    count, done = 0, first_row - 2  # rows up to `done` have been searched
    low, high = max(first_row - 1, 0), min(last_row + 1, n_rows)
    for y in range(low - half, high + half):
        slot = ring[y % depth]
        if 0 <= y < n_rows:
            interpolate_span(level, y, iy, wy, ix, wx, nodes, sky)
            _clean_row(image, quality, masks, y, sky, row[half : half + n])
            _convolve_row(row, taps, slot)
        else:
            slot[:] = ZERO
        middle = y - half
        if middle < low:
            continue
        out = maps[middle % 3]
        _convolve_column(ring, middle, taps, out)
        interpolate_span(rms, middle, iy, wy, ix, wx, nodes, noise)
        for x in range(n):
            out[x] /= squares * noise[x]
        done = middle - 1
        if done < max(first_row, 1) or done >= min(last_row, n_rows - 1):
            continue
        up, here, down = maps[(done - 1) % 3], maps[done % 3], maps[(done + 1) % 3]
        for start in range(1, n - 1, SPAN):
            stop, some = min(start + SPAN, n - 1), False
            for s in here[start:stop]:  # vectorizes; most spans hold sky alone
                some |= s >= threshold
            if not some:
                continue
            for x in range(start, stop):
                s = here[x]
                if s < threshold:
                    continue
                if not (s > here[x - 1] and s >= here[x + 1] and s > up[x] and s >= down[x]):
                    continue
                if s > up[x - 1] and s > up[x + 1] and s >= down[x - 1] and s >= down[x + 1]:
                    if count < out_x.size:
                        out_x[count], out_y[count], out_s[count] = x, done, s
                    count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def list_flagged(quality, bit, out_y, out_x):
    """List the pixels with a quality bit, row by row.

    Parameters
    ----------
    quality, bit
        uint16[y, x], and the bit as uint16.
    out_y, out_x
        Output int64: rows and columns; further pixels are left out.

    Returns
    -------
    int
        Pixels listed.
    """
    count, n = 0, quality.shape[1]
    for y in range(quality.shape[0]):
        row = quality[y]
        for start in range(0, n, SPAN):
            stop, some = min(start + SPAN, n), np.uint16(0)
            for bits in row[start:stop]:  # vectorizes; most spans hold none
                some |= bits & bit
            if some == 0:
                continue
            for x in range(start, stop):
                if row[x] & bit and count < out_x.size:
                    out_y[count], out_x[count] = y, x
                    count += 1
    return count
