"""Straight trails across a frame: binning, Hough transform, cross profiles, marking."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit
from sciastro.kernels.order import median

__all__ = ["bin_residual", "cross_profiles", "hough", "mark_trails"]

ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def bin_residual(image, quality, forbidden, level, rms, size, clip, out):
    """Write the significance of the light in bins of ``size x size`` pixels, single pixels clipped.

    Parameters
    ----------
    image : float32[y, x]
        NaN is missing.
    quality : uint16[y, x] or uint16[1, 1]
        Pixels with any bit of `forbidden` are left out; one element for none.
    forbidden : uint16
    level, rms : float64[tile_y, tile_x]
        Sky and its noise at the middle of tiles that divide the image evenly.
    size : int
    clip : float
        Pixels count at most this many sigma, so that stars and hits do not outshine a trail.
    out : float32[bin_y, bin_x]
        Written: sum of the clipped residuals over that of their noise; 0 without a pixel.
    """
    checked = quality.size == image.size
    tiles_y, tiles_x = level.shape
    columns = out.shape[1] * size
    sky, most, noises = np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(out.shape[1])
    total, count = np.empty(columns, np.float32), np.empty(columns, np.float32)
    none, nothing = np.zeros(image.shape[1], np.uint16), np.full(image.shape[1], np.float32(np.nan))
    for j in range(out.shape[0]):
        v = min(max((j + 0.5) * size / image.shape[0] * tiles_y - 0.5, 0.0), tiles_y - 1.0)
        j0 = min(int(v), max(tiles_y - 2, 0))
        j1, fy = min(j0 + 1, tiles_y - 1), v - j0
        for i in range(out.shape[1]):
            u = min(max((i + 0.5) * size / image.shape[1] * tiles_x - 0.5, 0.0), tiles_x - 1.0)
            i0 = min(int(u), max(tiles_x - 2, 0))
            i1, fx = min(i0 + 1, tiles_x - 1), u - i0
            a, b, c, d = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
            middle = np.float32(a * level[j0, i0] + b * level[j0, i1] + c * level[j1, i0] + d * level[j1, i1])
            noise = np.float32(a * rms[j0, i0] + b * rms[j0, i1] + c * rms[j1, i0] + d * rms[j1, i1])
            noises[i] = noise
            for x in range(i * size, (i + 1) * size):
                sky[x], most[x] = middle, np.float32(clip) * noise
        total[:], count[:] = np.float32(0), np.float32(0)
        last = (j + 1) * size - 1
        for y in range(j * size, last + 1, 2):
            after = min(y + 1, last)
            one, two = (quality[y], quality[after]) if checked else (none, none)
            second = image[after] if y < last else nothing
            _add_residuals(image[y], second, one, two, forbidden, sky, most, total, count)
        for i in range(out.shape[1]):
            light, number = np.float32(0), np.float32(0)
            for x in range(i * size, (i + 1) * size):
                light += total[x]
                number += count[x]
            good = number > 0 and noises[i] > 0
            out[j, i] = light / (np.float32(noises[i]) * np.sqrt(number)) if good else np.float32(0)


@inner
def _clipped(value, most, good):
    """Return a residual of at most `most` either way, 0 where it is not good."""
    value = most if value > most else value
    return (-most if value < -most else value) if good else ZERO


@inner
def _add_residuals(row, after, bits, bits_after, forbidden, sky, most, total, count):
    """Add the clipped residuals of two rows, and the pixels that have one.

    Two rows: half the traffic on the sums. Written so that the loop vectorizes.
    """
    for x in range(total.size):
        value, next_value = row[x] - sky[x], after[x] - sky[x]
        good = (value == value) & ((bits[x] & forbidden) == 0)
        next_good = (next_value == next_value) & ((bits_after[x] & forbidden) == 0)
        one = total[x] + _clipped(value, most[x], good)
        total[x] = one + _clipped(next_value, most[x], next_good)
        count[x] += (ONE if good else ZERO) + (ONE if next_good else ZERO)


@njit(nogil=True, cache=True, error_model="numpy")
def hough(x, y, cosine, sine, shift, votes):
    """Count the points on each line ``x cos + y sin = rho``: ``votes[angle, rho + shift]``, int32."""
    place = np.empty(x.size, np.int32)
    for k in range(cosine.size):
        c, s = cosine[k], sine[k]
        for i in range(x.size):  # apart from the counting, so that it vectorizes
            place[i] = np.int32(x[i] * c + y[i] * s + shift + HALF)
        row = votes[k]
        for i in range(x.size):
            row[place[i]] += 1


@njit(nogil=True, cache=True, error_model="numpy")
def cross_profiles(image, x0, y0, x1, y1, reach, most, out):
    """Write the median light along each piece of a line, at distances ``-reach .. reach`` beside it.

    Parameters
    ----------
    image : float32[y, x]
        NaN is missing.
    x0, y0, x1, y1 : float
        Ends of the line [pixel]; positive distances lie to the left of its direction in (x, y).
    reach : int
    most : int
        Samples of one piece at one distance at most.
    out : float32[piece, 2 * reach + 1]
        Written; NaN where fewer than 8 pixels are in the image.
    """
    rows, columns = image.shape
    pieces = out.shape[0]
    dx, dy = (x1 - x0) / pieces, (y1 - y0) / pieces
    length = np.hypot(dx, dy)
    nx, ny = -dy / length, dx / length
    samples = max(8, min(most, int(length)))
    buffer = np.empty(samples, np.float32)
    for piece in range(pieces):
        for k in range(2 * reach + 1):
            n = np.int64(0)
            for s in range(samples):
                along = piece + (s + 0.5) / samples
                x = int(np.floor(x0 + along * dx + (k - reach) * nx + 0.5))
                y = int(np.floor(y0 + along * dy + (k - reach) * ny + 0.5))
                if 0 <= x < columns and 0 <= y < rows and image[y, x] == image[y, x]:
                    buffer[n] = image[y, x]
                    n += 1
            out[piece, k] = median(buffer, n) if n >= 8 else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def mark_trails(quality, top, left, trails, bit):
    """Set `bit` in `quality` (uint16[y, x], pixel (0, 0) at row `top`, column `left`) along trails.

    Parameters
    ----------
    trails : float64[trail, 5]
        x0, y0, x1, y1 and half the width [pixel].

    Returns
    -------
    int
        Pixels on any trail.
    """
    rows, columns = quality.shape
    marked = 0
    for t in range(trails.shape[0]):
        x0, y0, x1, y1, half = trails[t]
        dx, dy = x1 - x0, y1 - y0
        length = np.hypot(dx, dy)
        if not length > 0:
            continue
        dx, dy = dx / length, dy / length
        for j in range(rows):
            y = j + top - y0
            # distance = |x dy - y dx| <= half; solved for x where the trail is not along the row
            if abs(dy) > 1e-9:
                a, b = (y * dx - half) / dy, (y * dx + half) / dy
                low, high = min(a, b), max(a, b)
            elif abs(y * dx) <= half:
                low, high = -1e9, 1e9
            else:
                continue
            first = max(0, int(np.ceil(low + x0 - left)))
            last = min(columns - 1, int(np.floor(high + x0 - left)))
            for i in range(first, last + 1):
                along = (i + left - x0) * dx + y * dy
                if -half <= along <= length + half:
                    marked += 1 if not quality[j, i] & bit else 0
                    quality[j, i] |= bit
    return marked
