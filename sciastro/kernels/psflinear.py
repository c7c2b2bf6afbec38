"""Normal equations of stars that are fit at once: sums over the pixels that discs share, the solution."""

import numpy as np

from sciastro.kernels.jit import njit

__all__ = ["cholesky", "cholesky_solve", "normal_equations", "pair_sums", "pin", "scale_equations"]


@njit(nogil=True, cache=True, error_model="numpy")
def cholesky(a, n):
    """Replace the lower triangle of a[:n, :n] by its Cholesky factor; False where it is not positive."""
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                a[i, i] = np.sqrt(total)
            else:
                a[i, j] = total / a[j, j]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def cholesky_solve(a, n, b):
    """Solve in place for the vector `b` with the factor in `a`."""
    for i in range(n):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]


@njit(nogil=True, cache=True, error_model="numpy")
def pair_sums(g1, w1, x1, y1, h1, g2, w2, x2, y2, h2, out):
    """Fill out[3, 3] with the sums of products of two stars' gradients over the pixels of both discs."""
    out[:] = 0.0
    for row in range(max(y1 - h1, y2 - h2), min(y1 + h1, y2 + h2) + 1):
        j1, j2 = row - y1 + h1, row - y2 + h2
        for column in range(max(x1 - h1, x2 - h2), min(x1 + h1, x2 + h2) + 1):
            i1, i2 = column - x1 + h1, column - x2 + h2
            w = w1[j1, i1]
            if w == 0.0 or w2[j2, i2] == 0.0:
                continue
            for a in range(3):
                c = w * g1[a, j1, i1]
                for b in range(3):
                    out[a, b] += c * g2[b, j2, i2]


@njit(nogil=True, cache=True, error_model="numpy")
def normal_equations(gradient, weight, cx, cy, half, n, out):
    """Fill the lower triangle of out[3 n, 3 n] with the normal equations of n stars (flux, x, y of each)."""
    pair = np.empty((3, 3))
    for m in range(n):
        for q in range(m + 1):
            pair_sums(
                gradient[m], weight[m], cx[m], cy[m], half[m], gradient[q], weight[q], cx[q], cy[q], half[q],
                pair,
            )  # fmt: skip
            for a in range(3):
                for b in range(3):
                    out[3 * m + a, 3 * q + b] = pair[a, b]


@njit(nogil=True, cache=True, error_model="numpy")
def pin(a, r, n):
    """Take unknown `r` out of the n normal equations in the lower triangle of `a`."""
    for q in range(n):
        if q <= r:
            a[r, q] = 0.0
        else:
            a[q, r] = 0.0
    a[r, r] = 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def scale_equations(a, n, scale):
    """Give `a` (lower triangle) a diagonal of 1, as unknowns are of very different size; fill scale[n]."""
    for r in range(n):
        scale[r] = 1.0 / np.sqrt(a[r, r])
    for r in range(n):
        for q in range(r + 1):
            a[r, q] *= scale[r] * scale[q]
