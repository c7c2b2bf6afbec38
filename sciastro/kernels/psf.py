"""Evaluate a point spread function that is kept as tables of cubic B-spline coefficients.

A table covers offsets from the star's center on a grid `step` times finer than the pixels; its value at an
offset is the share of the star's light that a pixel there receives (the effective PSF of Anderson & King
2000, PASP 112, 1360). Variation over the field: one table per monomial of the position. As `step` is whole,
all pixels of a star lie at one phase between nodes, and 4 + 4 weights serve them all.
"""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["add_models", "combine", "field_terms", "psf_stamp", "spline_taps"]


@njit(nogil=True, cache=True, error_model="numpy")
def spline_taps(t, value, slope):
    """Fill the four weights of a cubic B-spline at `t` (0 to 1) behind its second node, and their slopes."""
    r = 1.0 - t
    value[0] = r * r * r / 6.0
    value[1] = (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0
    value[2] = (-3.0 * t * t * t + 3.0 * t * t + 3.0 * t + 1.0) / 6.0
    value[3] = t * t * t / 6.0
    slope[0] = -0.5 * r * r
    slope[1] = 0.5 * (3.0 * t * t - 4.0 * t)
    slope[2] = 0.5 * (-3.0 * t * t + 2.0 * t + 1.0)
    slope[3] = 0.5 * t * t


@njit(nogil=True, cache=True, error_model="numpy")
def field_terms(x, y, field, out):
    """Fill the monomials of the position by rising degree; ``field`` is x0, y0, scale [pixel]."""
    u, v = (x - field[0]) / field[2], (y - field[1]) / field[2]
    k, degree = 0, 0
    while k < out.size:
        for b in range(degree + 1):
            if k < out.size:
                value = 1.0
                for _ in range(degree - b):
                    value *= u
                for _ in range(b):
                    value *= v
                out[k] = value
                k += 1
        degree += 1


@njit(nogil=True, cache=True, error_model="numpy")
def combine(tables, terms, low_y, high_y, low_x, high_x, out):
    """Sum the tables of all terms over a window of the grid into float64[node, node] `out`."""
    for j in range(low_y, high_y):
        for i in range(low_x, high_x):
            out[j, i] = terms[0] * tables[0, j, i]
        for k in range(1, terms.size):
            q = terms[k]
            for i in range(low_x, high_x):
                out[j, i] += q * tables[k, j, i]


@njit(nogil=True, cache=True, error_model="numpy")
def psf_stamp(tables, terms, step, fx, fy, half, slopes, work, out):
    """Evaluate the PSF of a star, and what a shift of the star changes, on a square of pixels.

    Parameters
    ----------
    tables
        float64[term, node, node], B-spline coefficients; the middle node is the star's center.
    terms
        float64[term], monomials of the star's place in the field.
    step
        Nodes per pixel.
    fx, fy
        Where the star lies from the middle pixel [pixel].
    half
        The square reaches so many pixels to each side.
    slopes
        Whether the derivatives by the star's x and y are wanted.
    work
        float64[node, node], scratch.
    out
        float64[3, >= 2 half + 1, >= 2 half + 1]: value, d/dx, d/dy; 0 off the table.
    """
    n = tables.shape[1]
    middle = (n - 1) // 2
    gx, gy = middle - fx * step, middle - fy * step
    ix, iy = int(np.floor(gx)), int(np.floor(gy))
    wx, sx, wy, sy = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    spline_taps(gx - ix, wx, sx)
    spline_taps(gy - iy, wy, sy)
    low_y, high_y = max(iy - half * step - 1, 0), min(iy + half * step + 3, n)
    low_x, high_x = max(ix - half * step - 1, 0), min(ix + half * step + 3, n)
    combine(tables, terms, low_y, high_y, low_x, high_x, work)
    for j in range(2 * half + 1):
        top = iy + (j - half) * step - 1
        for i in range(2 * half + 1):
            left = ix + (i - half) * step - 1
            if top < 0 or left < 0 or top + 4 > n or left + 4 > n:
                out[0, j, i] = 0.0
                out[1, j, i] = 0.0
                out[2, j, i] = 0.0
                continue
            value, across, down = 0.0, 0.0, 0.0
            for b in range(4):
                c0, c1 = work[top + b, left], work[top + b, left + 1]
                c2, c3 = work[top + b, left + 2], work[top + b, left + 3]
                line = wx[0] * c0 + wx[1] * c1 + wx[2] * c2 + wx[3] * c3
                value += wy[b] * line
                if slopes:
                    down += sy[b] * line
                    across += wy[b] * (sx[0] * c0 + sx[1] * c1 + sx[2] * c2 + sx[3] * c3)
            out[0, j, i] = value
            out[1, j, i] = -step * across
            out[2, j, i] = -step * down


@njit(nogil=True, cache=True, error_model="numpy")
def add_models(image, tables, field, step, x, y, flux, reach):
    """Add the models of stars to float32[row, column] `image` in place, each out to `reach` [pixel]."""
    rows, columns = image.shape
    n = tables.shape[1]
    most = 0
    for s in range(x.size):
        most = max(most, int(np.ceil(reach[s])))
    work, stamp = np.empty((n, n)), np.empty((3, 2 * most + 1, 2 * most + 1))
    terms = np.empty(tables.shape[0])
    for s in range(x.size):
        if not (np.isfinite(x[s]) and np.isfinite(y[s]) and np.isfinite(flux[s])) or flux[s] == 0.0:
            continue
        x0, y0 = int(np.floor(x[s] + 0.5)), int(np.floor(y[s] + 0.5))
        half = int(np.ceil(reach[s]))
        field_terms(x[s], y[s], field, terms)
        psf_stamp(tables, terms, step, x[s] - x0, y[s] - y0, half, False, work, stamp)
        for j in range(max(0, half - y0), min(2 * half + 1, rows + half - y0)):
            for i in range(max(0, half - x0), min(2 * half + 1, columns + half - x0)):
                image[y0 + j - half, x0 + i - half] += flux[s] * stamp[0, j, i]
