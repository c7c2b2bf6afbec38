"""Smooth maps between pixel grids as polynomials, the one form in which steps exchange them.

A map is a float64 array (axis, term): axis 0 gives x, axis 1 gives y; the terms are
``u**i * v**j`` with i + j <= degree, ordered by total degree, then by j:
1; u, v; u2, uv, v2; ... where ``u = (x - X0) / SCALE`` and ``v = (y - Y0) / SCALE``. All maps use
the same fixed origin and scale (`ORIGIN`, `SCALE`), so that coefficients of different frames can be
compared and stored together. Pixel (0, 0) is the center of the first pixel.
"""

import math

import numpy as np
import numpy.typing as npt

__all__ = [
    "ORIGIN",
    "SCALE",
    "compose_fit",
    "degree_of",
    "design",
    "evaluate",
    "fit",
    "identity",
    "n_terms",
    "pad",
]

Floats = npt.NDArray[np.float64]

ORIGIN = 0.0
SCALE = 1000.0


def n_terms(degree: int) -> int:
    """Return the number of terms of a bivariate polynomial of total `degree`."""
    return (degree + 1) * (degree + 2) // 2


def degree_of(terms: int) -> int:
    """Return the degree of a map with `terms` terms."""
    return round((math.sqrt(8 * terms + 1) - 3) / 2)


def design(x: npt.ArrayLike, y: npt.ArrayLike, degree: int) -> Floats:
    """Return the design matrix (..., term) of pixel positions `x`, `y`."""
    u = (np.asarray(x, dtype=np.float64) - ORIGIN) / SCALE
    v = (np.asarray(y, dtype=np.float64) - ORIGIN) / SCALE
    return np.stack(
        [u ** (total - j) * v**j for total in range(degree + 1) for j in range(total + 1)], axis=-1
    )


def evaluate(coefficients: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the mapped x and y [pixel] of positions `x`, `y` [pixel] (any equal shapes)."""
    c = np.asarray(coefficients, dtype=np.float64)
    matrix = design(x, y, degree_of(c.shape[1]))
    return matrix @ c[0], matrix @ c[1]


def identity(degree: int = 1) -> Floats:
    """Return the map that moves nothing."""
    c = np.zeros((2, n_terms(max(degree, 1))))
    c[:, 0] = ORIGIN
    c[0, 1] = c[1, 2] = SCALE
    return c


def pad(coefficients: npt.ArrayLike, degree: int) -> Floats:
    """Return the same map with zero terms up to `degree`."""
    c = np.asarray(coefficients, dtype=np.float64)
    out = np.zeros((2, n_terms(degree)))
    out[:, : c.shape[1]] = c
    return out


def fit(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    to_x: npt.ArrayLike,
    to_y: npt.ArrayLike,
    degree: int,
    weight: npt.ArrayLike | None = None,
) -> Floats:
    """Return the least-squares map of `degree` from (x, y) to (to_x, to_y), all in pixel.

    Parameters
    ----------
    weight
        Square root of the statistical weight per point; None weighs all alike.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    matrix = design(x, y, degree)
    target = np.stack([np.asarray(to_x, dtype=np.float64), np.asarray(to_y, dtype=np.float64)], axis=-1)
    if weight is not None:
        w = np.asarray(weight, dtype=np.float64)[:, None]
        matrix, target = matrix * w, target * w
    norm = np.sqrt((matrix**2).sum(axis=0))
    norm[norm == 0] = 1.0
    solution, *_ = np.linalg.lstsq(matrix / norm, target, rcond=1e-15)
    return np.ascontiguousarray((solution / norm[:, None]).T)


def compose_fit(
    function: object, width: int, height: int, degree: int, nodes: int = 24, margin: float = 0.0
) -> tuple[Floats, float]:
    """Return the map of `degree` nearest to ``function(x, y) -> (x, y)`` over a pixel grid.

    Parameters
    ----------
    function
        Callable of two float64 arrays [pixel].
    width, height
        Extent of the grid [pixel].
    nodes
        Samples along each axis.
    margin
        How far beyond the grid to sample [pixel].

    Returns
    -------
    coefficients, residual
        The map and its largest deviation [pixel].
    """
    if not callable(function):
        raise TypeError("function must be callable")
    grid_x, grid_y = np.meshgrid(
        np.linspace(-margin, width - 1 + margin, nodes), np.linspace(-margin, height - 1 + margin, nodes)
    )
    x, y = grid_x.ravel(), grid_y.ravel()
    to_x, to_y = function(x, y)
    good = np.isfinite(to_x) & np.isfinite(to_y)
    c = fit(x[good], y[good], to_x[good], to_y[good], degree)
    fx, fy = evaluate(c, x[good], y[good])
    return c, float(np.max(np.hypot(fx - to_x[good], fy - to_y[good])))
