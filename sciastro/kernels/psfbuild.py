"""From the pixels of stars to tables of the PSF: a linear problem in the coefficients of its B-splines.

A pixel at an offset from its star sees 4 x 4 coefficients of every term's table. `project` multiplies by that
sparse design, `gather` by its transpose; conjugate gradients need no more.
"""

import numpy as np

from sciastro.kernels.jit import njit
from sciastro.kernels.psf import combine, spline_taps

__all__ = ["gather", "project", "roughness", "squares"]


@njit(nogil=True, cache=True, error_model="numpy")
def _corner(fraction, middle, step, half, wx, slope):
    """Return the first node that the first pixel of a row sees, and fill its four weights."""
    g = middle - fraction * step
    i = int(np.floor(g))
    spline_taps(g - i, wx, slope)
    return i - half * step - 1


@njit(nogil=True, cache=True, error_model="numpy")
def project(tables, terms, step, fx, fy, weight, out):
    """Evaluate the tables for every star at every pixel.

    Parameters
    ----------
    tables
        float64[term, node, node].
    terms
        float64[star, term].
    fx, fy
        float64[star], place in the middle pixel.
    weight
        float64[star, side, side]; pixels of weight 0 are passed over.
    out
        float64[star, side, side].
    """
    n, side = tables.shape[1], weight.shape[1]
    half, middle = side // 2, (tables.shape[1] - 1) // 2
    work = np.empty((n, n))
    wx, wy, slope = np.empty(4), np.empty(4), np.empty(4)
    for s in range(fx.size):
        combine(tables, terms[s], 0, n, 0, n, work)
        left, top = (
            _corner(fx[s], middle, step, half, wx, slope),
            _corner(fy[s], middle, step, half, wy, slope),
        )
        for j in range(side):
            for i in range(side):
                out[s, j, i] = 0.0
                a, b = left + i * step, top + j * step
                if weight[s, j, i] == 0.0 or a < 0 or b < 0 or a + 4 > n or b + 4 > n:
                    continue
                total = 0.0
                for q in range(4):
                    row = work[b + q]
                    total += wy[q] * (
                        wx[0] * row[a] + wx[1] * row[a + 1] + wx[2] * row[a + 2] + wx[3] * row[a + 3]
                    )
                out[s, j, i] = total


@njit(nogil=True, cache=True, error_model="numpy")
def gather(values, terms, step, fx, fy, weight, out):
    """Add the transpose of `project` of ``weight * values`` to float64[term, node, node] `out`, zeroed."""
    n, side = out.shape[1], weight.shape[1]
    half, middle = side // 2, (out.shape[1] - 1) // 2
    work = np.empty((n, n))
    wx, wy, slope = np.empty(4), np.empty(4), np.empty(4)
    out[:] = 0.0
    for s in range(fx.size):
        work[:] = 0.0
        left, top = (
            _corner(fx[s], middle, step, half, wx, slope),
            _corner(fy[s], middle, step, half, wy, slope),
        )
        for j in range(side):
            for i in range(side):
                a, b = left + i * step, top + j * step
                if weight[s, j, i] == 0.0 or a < 0 or b < 0 or a + 4 > n or b + 4 > n:
                    continue
                value = weight[s, j, i] * values[s, j, i]
                for q in range(4):
                    c = wy[q] * value
                    row = work[b + q]
                    row[a] += c * wx[0]
                    row[a + 1] += c * wx[1]
                    row[a + 2] += c * wx[2]
                    row[a + 3] += c * wx[3]
        for k in range(terms.shape[1]):
            q = terms[s, k]
            for j in range(n):
                for i in range(n):
                    out[k, j, i] += q * work[j, i]


@njit(nogil=True, cache=True, error_model="numpy")
def squares(terms, step, fx, fy, weight, out):
    """Fill the diagonal of the normal matrix of `project` into float64[term, node, node] `out`."""
    n, side = out.shape[1], weight.shape[1]
    half, middle = side // 2, (out.shape[1] - 1) // 2
    wx, wy, slope = np.empty(4), np.empty(4), np.empty(4)
    out[:] = 0.0
    for s in range(fx.size):
        left, top = (
            _corner(fx[s], middle, step, half, wx, slope),
            _corner(fy[s], middle, step, half, wy, slope),
        )
        for j in range(side):
            for i in range(side):
                a, b = left + i * step, top + j * step
                w = weight[s, j, i]
                if w == 0.0 or a < 0 or b < 0 or a + 4 > n or b + 4 > n:
                    continue
                for q in range(4):
                    for p in range(4):
                        c = w * (wy[q] * wx[p]) ** 2
                        for k in range(terms.shape[1]):
                            out[k, b + q, a + p] += c * terms[s, k] ** 2


@njit(nogil=True, cache=True, error_model="numpy")
def roughness(tables, stiffness, pull, out):
    """Add the gradient of the prior to float64[term, node, node] `out`.

    The prior is ``sum stiffness (second difference)^2 + pull c^2`` along both axes; ``stiffness`` and
    ``pull`` float64[term, node, node].
    """
    terms, n, _ = tables.shape
    for k in range(terms):
        for j in range(n):
            for i in range(n):
                out[k, j, i] += pull[k, j, i] * tables[k, j, i]
                if 0 < i < n - 1:
                    d = stiffness[k, j, i] * (
                        tables[k, j, i - 1] - 2.0 * tables[k, j, i] + tables[k, j, i + 1]
                    )
                    out[k, j, i - 1] += d
                    out[k, j, i] -= 2.0 * d
                    out[k, j, i + 1] += d
                if 0 < j < n - 1:
                    d = stiffness[k, j, i] * (
                        tables[k, j - 1, i] - 2.0 * tables[k, j, i] + tables[k, j + 1, i]
                    )
                    out[k, j - 1, i] += d
                    out[k, j, i] -= 2.0 * d
                    out[k, j + 1, i] += d
