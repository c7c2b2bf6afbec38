"""Median of the neighborhood of every pixel, and which pixels stand out of it by more than a limit.

A sorting network gives the median, vectorized along the row. Whether a pixel lies above a limit over its
neighbors' median takes no sorting: the median is below a level if more than half of them are.
"""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["count_below", "local_median"]

HALF = np.float32(0.5)


@njit(nogil=True, cache=True, error_model="numpy")
def local_median(plane, pairs, with_center, out):
    """Write the median of the 5 x 5 neighborhood; beyond an edge the outermost pixels are repeated.

    Parameters
    ----------
    plane
        float32 (y, x) without NaN, any strides.
    pairs
        `merge_network(25)` with the pixel itself, `merge_network(24)` without.
    with_center
        Whether the pixel itself counts.
    out
        float32 (y, x), written.
    """
    height, width = plane.shape
    n = 25 if with_center else 24
    ranked = np.empty((n, width), np.float32)
    for y in range(height):
        k = 0
        for dy in range(-2, 3):
            row = plane[min(max(y + dy, 0), height - 1)]
            for dx in range(-2, 3):
                if dy == 0 and dx == 0 and not with_center:
                    continue
                target = ranked[k]
                for x in range(max(0, -dx), min(width, width - dx)):
                    target[x] = row[x + dx]
                for x in range(min(-dx, width)):
                    target[x] = row[0]
                for x in range(max(width - dx, 0), width):
                    target[x] = row[width - 1]
                k += 1
        for q in range(pairs.shape[0]):
            low, high = ranked[pairs[q, 0]], ranked[pairs[q, 1]]
            for x in range(width):
                a, b = low[x], high[x]
                low[x], high[x] = min(a, b), max(a, b)
        lower, upper = ranked[(n - 1) // 2], ranked[n // 2]
        for x in range(width):
            out[y, x] = HALF * (lower[x] + upper[x])


@njit(nogil=True, cache=True, error_model="numpy")
def count_below(plane, factor, shift, out):
    """Write how many of the 5 x 5 pixels about each are at or below ``factor * pixel + shift``.

    13 or more: so is their median. Beyond an edge the outermost pixels are repeated.

    Parameters
    ----------
    plane
        float32 (y, x) without NaN, any strides.
    factor, shift
        float32.
    out
        uint8 (y, x), written.
    """
    height, width = plane.shape
    rows = np.empty((5, width + 4), np.float32)
    level, count = np.empty(width, np.float32), np.empty(width, np.int32)
    for y in range(height):
        for k in range(5):
            source, row = plane[min(max(y + k - 2, 0), height - 1)], rows[k]
            for x in range(width):
                row[x + 2] = source[x]
            row[0] = row[1] = source[0]
            row[width + 2] = row[width + 3] = source[width - 1]
        middle = rows[2]
        for x in range(width):
            level[x] = factor * middle[x + 2] + shift
            count[x] = 0
        for k in range(5):
            r = rows[k]
            for x in range(width):
                t = level[x]
                n = (1 if r[x] <= t else 0) + (1 if r[x + 1] <= t else 0) + (1 if r[x + 2] <= t else 0)
                n += (1 if r[x + 3] <= t else 0) + (1 if r[x + 4] <= t else 0)
                count[x] += np.int32(n)
        for x in range(width):
            out[y, x] = count[x]
