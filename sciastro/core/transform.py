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
    "invert",
    "jacobian",
    "n_terms",
    "pad",
    "solve",
    "substitute",
]

Floats = npt.NDArray[np.float64]

ORIGIN = 0.0
SCALE = 1000.0
CONVERGED, INVERTED = 1e-9, 1e-6  # pixel: where Newton's method stops, and what counts as found


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
    out = np.empty((*np.broadcast_shapes(u.shape, v.shape), n_terms(degree)))
    across, down = [np.ones_like(u)], [np.ones_like(v)]
    for _ in range(degree):
        across.append(across[-1] * u)
        down.append(down[-1] * v)
    for k, (total, j) in enumerate(_orders(degree)):
        np.multiply(across[total - j], down[j], out=out[..., k])
    return out


def evaluate(coefficients: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the mapped x and y [pixel] of positions `x`, `y` [pixel] (any equal shapes)."""
    c = np.asarray(coefficients, dtype=np.float64)
    if c.shape[1] == n_terms(1):  # most maps, and most calls
        u = (np.asarray(x, dtype=np.float64) - ORIGIN) / SCALE
        v = (np.asarray(y, dtype=np.float64) - ORIGIN) / SCALE
        (a, b, d), (e, f, g) = c.tolist()
        return a + b * u + d * v, e + f * u + g * v
    matrix = design(x, y, degree_of(c.shape[1]))
    return matrix @ c[0], matrix @ c[1]


def identity(degree: int = 1) -> Floats:
    """Return the map that moves nothing."""
    c = np.zeros((2, n_terms(max(degree, 1))))
    c[:, 0] = ORIGIN
    c[0, 1] = c[1, 2] = SCALE
    return c


def pad(coefficients: npt.ArrayLike, degree: int) -> Floats:
    """Return the same map, (2, terms of `degree`), with zero for the terms that it did not have."""
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
    return solve(matrix, target, weight)


def solve(matrix: Floats, target: Floats, weight: npt.ArrayLike | None = None) -> Floats:
    """Return the least-squares map of points whose design matrix is at hand.

    Parameters
    ----------
    matrix
        (n, term), from `design`.
    target
        (n, 2) mapped positions [pixel].
    weight
        As for `fit`.
    """
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

    Raises
    ------
    TypeError
        If `function` cannot be called.
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


def substitute(
    coefficients: npt.ArrayLike, factor: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Floats:
    """Return the map of ``(factor * x + shift[0], factor * y + shift[1])``, exactly; the degree stays.

    What moves the origin of a canvas or changes its scale; binomial theorem, term by term.
    """
    c = np.asarray(coefficients, dtype=np.float64)
    if factor == 1.0 and shift == (0.0, 0.0):
        return c.copy()
    degree = degree_of(c.shape[1])
    along = [_powers(factor, (factor * ORIGIN + by - ORIGIN) / SCALE, degree) for by in shift]
    out = np.zeros_like(c)
    places = {(total - j, j): k for k, (total, j) in enumerate(_orders(degree))}
    for total, j in _orders(degree):
        i = total - j
        for p in range(i + 1):
            for q in range(j + 1):
                out[:, places[p, q]] += c[:, places[i, j]] * along[0][i, p] * along[1][j, q]
    return out


def _orders(degree: int) -> list[tuple[int, int]]:
    """Return total degree and power of v of each term, in order."""
    return [(total, j) for total in range(degree + 1) for j in range(total + 1)]


def _powers(factor: float, shift: float, degree: int) -> Floats:
    """Return the coefficients [power, term] of (factor * u + shift) ** power."""
    out = np.zeros((degree + 1, degree + 1))
    for power in range(degree + 1):
        for k in range(power + 1):
            out[power, k] = math.comb(power, k) * factor**k * shift ** (power - k)
    return out


def jacobian(coefficients: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
    """Return d(mapped x, mapped y) / d(x, y), float64 (..., 2, 2), at positions `x`, `y` [pixel]."""
    c = np.asarray(coefficients, dtype=np.float64)
    degree = degree_of(c.shape[1])
    u = (np.asarray(x, dtype=np.float64) - ORIGIN) / SCALE
    v = (np.asarray(y, dtype=np.float64) - ORIGIN) / SCALE
    out = np.zeros((*np.broadcast_shapes(u.shape, v.shape), 2, 2))
    for k, (total, j) in enumerate(_orders(degree)):
        i = total - j
        if i:
            out[..., 0] += c[:, k] * (i / SCALE * u ** (i - 1) * v**j)[..., None]
        if j:
            out[..., 1] += c[:, k] * (j / SCALE * u**i * v ** (j - 1))[..., None]
    return out


def invert(
    coefficients: npt.ArrayLike,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    near: tuple[float, float] | None = None,
    steps: int = 12,
) -> tuple[Floats, Floats]:
    """Return the positions that the map takes to (x, y); NaN where there is none on the branch of `near`.

    Newton's method, walked from `near` outward in `steps` steps, so that a map that bends does not throw the
    iteration onto another branch.

    Parameters
    ----------
    x, y
        Mapped positions [pixel], equal shapes.
    near
        A position [pixel] where the map is well behaved; None is where its linear part takes the mean of
        (x, y).
    """
    c = np.asarray(coefficients, dtype=np.float64)
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    goal = np.stack([x.ravel(), y.ravel()], axis=-1)
    if near is None:
        start = np.linalg.solve(c[:, 1:3] / SCALE, goal.mean(axis=0) - c[:, 0]) + ORIGIN
    else:
        start = np.asarray(near, dtype=np.float64)
    here = np.repeat(start[None], len(goal), axis=0)
    begin = np.stack(evaluate(c, here[:, 0], here[:, 1]), axis=-1)
    shares = [1.0] if c.shape[1] == n_terms(1) else [(k + 1) / steps for k in range(steps)]
    left = np.full(len(goal), np.inf)
    with np.errstate(all="ignore"):
        for share in shares:
            target = begin + share * (goal - begin)
            for _ in range(2 if share < 1 else 8):
                found = np.stack(evaluate(c, here[:, 0], here[:, 1]), axis=-1)
                left = np.hypot(*(target - found).T)
                if not np.any(left > CONVERGED):
                    break
                here = here + _solved(jacobian(c, here[:, 0], here[:, 1]), target - found)
        found = np.stack(evaluate(c, here[:, 0], here[:, 1]), axis=-1)
        left = np.hypot(*(goal - found).T)
    here[~(left < INVERTED)] = np.nan
    return here[:, 0].reshape(x.shape), here[:, 1].reshape(x.shape)


def _solved(matrix: Floats, right: Floats) -> Floats:
    """Return the solution of each 2 x 2 system; infinite or NaN where singular."""
    (a, b), (d, e) = matrix[:, 0].T, matrix[:, 1].T
    determinant = a * e - b * d
    return np.stack(
        [
            (e * right[:, 0] - b * right[:, 1]) / determinant,
            (a * right[:, 1] - d * right[:, 0]) / determinant,
        ],
        axis=-1,
    )
