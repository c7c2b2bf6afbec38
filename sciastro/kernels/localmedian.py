"""Median of the neighborhood of every pixel, by a sorting network that vectorizes along the row."""

import numpy as np
from numba import njit

__all__ = ["local_median"]

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
