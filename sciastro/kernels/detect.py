"""Find stars by a matched filter, reading the image once.

Each row is freed of sky, convolved along x into lines that stay in the cache, along y into a ring of three,
and searched for local maxima, with no full-size temporary.
"""

import numpy as np

from sciastro.kernels.background import interpolate_nodes
from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["find_peaks", "list_flagged"]

ZERO, INF = np.float32(0.0), np.float32(np.inf)
SPAN = 64  # pixels compared with the threshold in one go
BLOCK = 4608  # columns
STRIDE = (
    BLOCK + 2 + SPAN
)  # from line to line: no power of 2, whose lines would push each other out of the cache
GROUP = 4  # taps on each side that one pass takes
MORE = 16  # lines beside those that a column needs: so seldom are they moved


@inner
def _four(mesh, last, first, ix, wx, start, size, rows):
    """Have the four mesh rows from `first` on in the ring `rows`, float32[4, x]; return the last one."""
    for node in range(max(last + 1, first), first + 4):
        interpolate_nodes(mesh[node], ix, wx, start, rows[node % 4, :size])
    return first + 3


@inner
def _clean(values, flags, checked, masks, rows, first, weight, out):
    """Write the pixels of one row minus sky into `out`; missing and forbidden ones become 0 (sky)."""
    a, b, c, d = weight[0], weight[1], weight[2], weight[3]
    p, q, r, s = rows[first % 4], rows[(first + 1) % 4], rows[(first + 2) % 4], rows[(first + 3) % 4]
    if not checked:
        for x in range(out.size):
            value = values[x] - (a * p[x] + b * q[x] + c * r[x] + d * s[x])
            out[x] = value if abs(value) < INF else ZERO
        return
    never, unless, repaired = masks[0], masks[1], masks[2]
    for x in range(out.size):
        value = values[x] - (a * p[x] + b * q[x] + c * r[x] + d * s[x])
        bits = flags[x]
        bad = ((bits & never) != 0) | (((bits & unless) != 0) & ((bits & repaired) == 0))
        out[x] = value if (abs(value) < INF) & (not bad) else ZERO


@inner
def _over_noise(rows, first, weight, squares, out):
    """Divide filtered light by its noise."""
    a, b, c, d = weight[0], weight[1], weight[2], weight[3]
    p, q, r, s = rows[first % 4], rows[(first + 1) % 4], rows[(first + 2) % 4], rows[(first + 3) % 4]
    for x in range(out.size):
        out[x] /= squares * (a * p[x] + b * q[x] + c * r[x] + d * s[x])


@inner
def _convolve_row(row, taps, out):
    """Convolve one row with symmetric `taps` (center first, a multiple of `GROUP` beside it).

    `row` has as many pixels more than `out` on both sides.
    """
    half, n = taps.size - 1, out.size
    m, t, a, b, c, d = row[half - GROUP :], taps[0], taps[1], taps[2], taps[3], taps[4]
    for x in range(n):  # constant distances from one beginning: the compiler sees that nothing overlaps
        out[x] = (
            t * m[x + 4] + a * (m[x + 3] + m[x + 5]) + b * (m[x + 2] + m[x + 6])
            + c * (m[x + 1] + m[x + 7]) + d * (m[x] + m[x + 8])
        )  # fmt: skip
    for k in range(GROUP + 1, half, GROUP):
        a, b, c, d = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        p, q = row[half - k - 3 :], row[half + k :]
        for x in range(n):
            out[x] = (
                out[x] + a * (p[x + 3] + q[x]) + b * (p[x + 2] + q[x + 1])
                + c * (p[x + 1] + q[x + 2]) + d * (p[x] + q[x + 3])
            )  # fmt: skip


@inner
def _convolve_column(lines, taps, out):
    """Convolve along y: `lines` holds rows at distances of `STRIDE`; see `_convolve_row`."""
    half, n, w = taps.size - 1, out.size, STRIDE
    m, t, a, b, c, d = lines[(half - GROUP) * w :], taps[0], taps[1], taps[2], taps[3], taps[4]
    for x in range(n):
        out[x] = (
            t * m[x + 4 * w] + a * (m[x + 3 * w] + m[x + 5 * w]) + b * (m[x + 2 * w] + m[x + 6 * w])
            + c * (m[x + w] + m[x + 7 * w]) + d * (m[x] + m[x + 8 * w])
        )  # fmt: skip
    for k in range(GROUP + 1, half, GROUP):
        a, b, c, d = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        p, q = lines[(half - k - 3) * w :], lines[(half + k) * w :]
        for x in range(n):
            out[x] = (
                out[x] + a * (p[x + 3 * w] + q[x]) + b * (p[x + 2 * w] + q[x + w])
                + c * (p[x + w] + q[x + 2 * w]) + d * (p[x] + q[x + 3 * w])
            )  # fmt: skip


@inner
def _maxima(up, here, down, n, threshold, x0, y, out_x, out_y, out_s, count):
    """Add the local maxima of the first n pixels of `here`, which begins at column `x0`; return `count`.

    The rows are `SPAN` pixels longer.
    """
    for start in range(1, n - 1, SPAN):
        span, some = here[start : start + SPAN], np.int32(0)
        for x in range(SPAN):  # a sum vectorizes better than an OR; most spans hold sky alone
            some += np.int32(1) if span[x] >= threshold else np.int32(0)
        if some == 0:
            continue
        for x in range(start, min(start + SPAN, n - 1)):
            s = here[x]
            if s < threshold:
                continue
            if not (s > here[x - 1] and s >= here[x + 1] and s > up[x] and s >= down[x]):
                continue
            if s > up[x - 1] and s > up[x + 1] and s >= down[x - 1] and s >= down[x + 1]:
                if count < out_x.size:
                    out_x[count], out_y[count], out_s[count] = x0 + x, y, s
                count += 1
    return count


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
        Output int32, int32, float32: position and significance; block of columns by block of columns.

    Returns
    -------
    int
        Peaks found; may exceed the length of the outputs, which then hold the first ones.
    """
    n_rows, n = image.shape
    half = -(-max(taps.size - 1, 1) // GROUP) * GROUP
    padded, squares = np.zeros(half + 1, np.float32), taps[0] * taps[0]
    padded[0] = taps[0]
    for k in range(1, taps.size):
        padded[k] = taps[k]
        squares += np.float32(2.0) * taps[k] * taps[k]
    threshold, count, checked = np.float32(threshold), np.int64(0), quality.shape[0] > 1
    depth = 2 * half + MORE
    lines, maps = np.empty(depth * STRIDE, np.float32), np.empty((3, STRIDE), np.float32)
    sky, noise = np.empty((4, BLOCK + 2 + 2 * half), np.float32), np.empty((4, STRIDE), np.float32)
    row = np.empty(BLOCK + 2 + 2 * half, np.float32)
    low, high = max(first_row - 1, 0), min(last_row + 1, n_rows)
    blocks = -(-(n - 2) // BLOCK)
    for block in range(blocks):
        left, right = (n - 2) * block // blocks, (n - 2) * (block + 1) // blocks + 2  # maxima within
        width, begin, end = right - left, max(left - half, 0), min(right + half, n)
        inner = row[begin - left + half : end - left + half]
        row[:], maps[:] = ZERO, -INF
        sky_node = noise_node = np.int64(-1)
        used = 0  # lines; the last one is that of row y
        for y in range(low - half, high + half):
            if used == depth:  # the oldest make room
                used = 2 * half
                rest = lines[(depth - used) * STRIDE :]
                for x in range(rest.size):
                    lines[x] = rest[x]
            line = lines[used * STRIDE : used * STRIDE + width]
            used += 1
            if 0 <= y < n_rows:
                sky_node = _four(level, sky_node, iy[y], ix, wx, begin, end - begin, sky)
                flags = quality[y if checked else 0, begin : end if checked else begin]
                _clean(image[y, begin:end], flags, checked, masks, sky, iy[y], wy[:, y], inner)
                _convolve_row(row[: width + 2 * half], padded, line)
            else:
                line[:] = ZERO
            middle = y - half
            if middle < low:
                continue
            out = maps[middle % 3, :width]
            _convolve_column(lines[(used - 1 - 2 * half) * STRIDE :], padded, out)
            noise_node = _four(rms, noise_node, iy[middle], ix, wx, left, width, noise)
            _over_noise(noise, iy[middle], wy[:, middle], squares, out)
            done = middle - 1  # can be searched now
            if max(first_row, 1) <= done < min(last_row, n_rows - 1):
                up, here, down = maps[(done - 1) % 3], maps[done % 3], maps[(done + 1) % 3]
                count = _maxima(up, here, down, width, threshold, left, done, out_x, out_y, out_s, count)
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
        row, any_bits = quality[y], np.uint16(0)
        for x in range(n):  # most rows hold none; iterating over values would not vectorize
            any_bits = np.uint16(any_bits | row[x])
        if any_bits & bit == 0:
            continue
        for start in range(0, n, SPAN):
            stop, some = min(start + SPAN, n), np.uint16(0)
            span = row[start:stop]
            for x in range(span.size):
                some = np.uint16(some | span[x])
            if some & bit == 0:
                continue
            for x in range(start, stop):
                if row[x] & bit and count < out_x.size:
                    out_y[count], out_x[count] = y, x
                    count += 1
    return count
