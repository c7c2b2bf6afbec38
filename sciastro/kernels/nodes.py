"""Polynomial maps on grids of nodes: where a few hundred canvas pixels lie on a frame, in microseconds."""

import numpy as np

from sciastro.kernels.inner import inner
from sciastro.kernels.jit import njit

__all__ = ["map_grid"]


@inner
def _map_points(coefficients, degree, x, y, origin, scale, rows, out):
    """Write where all `y` with all `x` lie: a polynomial in y for each power of x, then one in x."""
    for j in range(y.size):
        v = (y[j] - origin) / scale
        for axis in range(2):
            for k in range(degree + 1):  # the power of x
                total = 0.0
                for m in range(degree - k, -1, -1):  # that of y
                    both = k + m
                    total = total * v + coefficients[axis, both * (both + 1) // 2 + m]
                rows[k] = total
            for i in range(x.size):
                u, total = (x[i] - origin) / scale, 0.0
                for k in range(degree, -1, -1):
                    total = total * u + rows[k]
                out[axis, j, i] = total


@njit(nogil=True, cache=True, error_model="numpy")
def map_grid(coefficients, degree, x, y, domain, margin, origin, scale, out):
    """Write the mapped x and y of the grid of all `y` (rows) with all `x` (columns).

    Parameters
    ----------
    coefficients : float64[2, terms]
        Of 1, x, y, x^2, x y, y^2, ... of coordinates less `origin`, in units of `scale`.
    degree : int
        Of the polynomials.
    x, y : float64[nx], float64[ny]
        Canvas columns and rows.
    domain : float64[4]
        x0, x1, y0, y1: `margin` beyond them a map goes on as a straight line; not finite: nowhere.
    origin, scale : float
        See above.
    out : float64[2, ny, nx]
        Written.
    """
    rows, bounded = np.empty(degree + 1), True
    for edge in domain:
        bounded &= np.isfinite(edge)
    near_x, near_y = np.empty(x.size), np.empty(y.size)
    for i in range(x.size):
        near_x[i] = min(max(x[i], domain[0] - margin), domain[1] + margin) if bounded else x[i]
    for j in range(y.size):
        near_y[j] = min(max(y[j], domain[2] - margin), domain[3] + margin) if bounded else y[j]
    _map_points(coefficients, degree, near_x, near_y, origin, scale, rows, out)
    if not bounded:
        return
    ends = np.empty((2, 2, 2))
    _map_points(coefficients, degree, domain[:2], domain[2:], origin, scale, rows, ends)
    width, height = max(domain[1] - domain[0], 1.0), max(domain[3] - domain[2], 1.0)
    for axis in range(2):
        (a, b), (c, d) = (ends[axis, 0, 0], ends[axis, 0, 1]), (ends[axis, 1, 0], ends[axis, 1, 1])
        along, down = 0.5 * (b - a + d - c) / width, 0.5 * (c - a + d - b) / height
        for j in range(y.size):
            for i in range(x.size):
                out[axis, j, i] += (x[i] - near_x[i]) * along + (y[j] - near_y[j]) * down
