"""Polynomial maps fitted to star pairs: robust, weighted, and only as bent as the stars can prove.

Shared by registration (pixel to pixel) and by the plate solution (pixel to tangent plane).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.trianglevotes import similarity
from sciastro.core import transform

__all__ = [
    "Fit",
    "clipped_fit",
    "coverage",
    "extra_scatter",
    "fit_map",
    "needs",
    "residuals",
    "select_model",
    "supported_degree",
]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RAYLEIGH_MEDIAN = 1.17741  # median length of a 2-D residual, in sigma per axis
FOLDS = 6  # groups left out in turn to test a similarity; higher degrees leave out single stars
SHARES = (0.0, 0.1, 0.35, 0.5, 0.6, 0.65)  # of the frame, that the hull of stars covers for each degree


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted map.

    Attributes
    ----------
    coefficients
        `core.transform` map (2, term).
    model
        "similarity", "affine", "degree n", or a model by name (`models`).
    degree
        Degree of the polynomial (1 for a similarity).
    keep
        Which pairs survived clipping.
    rms
        Root mean square length of the kept residuals [unit of the target].
    scatter
        Error per axis that the residuals show beyond the stars' own errors [unit of the target].
    cross_validated
        Root mean square residual of pairs left out of the fit, of the kept ones [unit of the target].
    shortfall
        Why it is not the model that was asked for: what that needs and what was found; empty if it is.
    """

    coefficients: Floats
    model: str
    degree: int
    keep: Mask
    rms: float
    scatter: float
    cross_validated: float
    shortfall: str = ""


def fit_map(source: Floats, target: Floats, sigma: Floats, degree: int, parity: int = 1) -> Floats:
    """Return the weighted least-squares map source -> target; degree 0 means a similarity.

    Parameters
    ----------
    source, target
        (n, 2) positions [pixel].
    sigma
        (n,) error of a target per axis [pixel].
    parity
        -1 where a similarity mirrors.
    """
    if degree == 0:
        return similarity(source, target, parity, 1 / sigma**2)
    return transform.fit(source[:, 0], source[:, 1], target[:, 0], target[:, 1], degree, 1 / sigma)


def residuals(coefficients: Floats, source: Floats, target: Floats) -> Floats:
    """Return target minus mapped source, (n, 2)."""
    return target - np.column_stack(transform.evaluate(coefficients, source[:, 0], source[:, 1]))


def coverage(points: Floats, shape: tuple[int, int], *, enough: float = math.inf) -> float:
    """Return the share of the frame inside the hull of `points` (n, 2); 0 for fewer than 3.

    A share above `enough` may be told too small, by that of the octagon inside the hull, but never below it.
    """
    if len(points) < 3:
        return 0.0
    corners = _octagon(points)
    inside = _area(corners) / (shape[0] * shape[1])
    if inside >= enough:
        return inside
    hull = _hull(_outer(points, corners))
    return _area(hull) / (shape[0] * shape[1]) if len(hull) > 2 else 0.0


def _hull(points: Floats) -> Floats:
    """Return the corners (n, 2) of the convex hull, counterclockwise.

    The monotone chain of Andrew (1979, Information Processing Letters 9, 216); SciPy's takes 0.1 s to load.
    """
    rows = np.unique(points, axis=0).tolist()
    corners: list[list[float]] = []
    for way in (rows, rows[::-1]):
        chain: list[list[float]] = []
        for x, y in way:
            while len(chain) > 1 and (
                (chain[-1][0] - chain[-2][0]) * (y - chain[-2][1])
                <= (chain[-1][1] - chain[-2][1]) * (x - chain[-2][0])
            ):
                chain.pop()
            chain.append([x, y])
        corners += chain[:-1]
    return np.array(corners, dtype=np.float64)


def _octagon(points: Floats) -> Floats:
    """Return the points (8, 2) that lie farthest in eight directions, counterclockwise; some may be equal."""
    x, y = points[:, 0], points[:, 1]
    ways = ((x, y), (x + y, y - x))  # each corner of the octagon is the farthest point in one direction
    return np.array(
        [
            points[one.argmax() if sign > 0 else one.argmin()]
            for one, sign in (
                (ways[0][0], 1), (ways[1][0], 1), (ways[0][1], 1), (ways[1][1], 1),
                (ways[0][0], -1), (ways[1][0], -1), (ways[0][1], -1), (ways[1][1], -1),
            )
        ]
    )  # fmt: skip


def _area(corners: Floats) -> float:
    """Return the area of a polygon with `corners` (n, 2) counterclockwise."""
    x, y = (corners - corners[0]).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _outer(points: Floats, corners: Floats) -> Floats:
    """Return the points without those inside the octagon of their extremes, which no hull touches.

    Akl & Toussaint (1978, Information Processing Letters 7, 219).
    """
    x, y = points[:, 0], points[:, 1]
    edge = np.roll(corners, -1, axis=0) - corners
    cross = edge[:, :1] * (y - corners[:, 1:]) - edge[:, 1:] * (x - corners[:, :1])
    real = np.any(edge != 0, axis=1)
    return np.asarray(points[~np.all(cross[real] > 0, axis=0)], dtype=np.float64)


def select_model(
    source: Floats,
    target: Floats,
    sigma: Floats,
    shape: tuple[int, int],
    *,
    max_degree: int,
    parity: int = 1,
    clip: float = 4.0,
    min_degree: int = 0,
    gain: float = 0.02,
) -> Fit:
    """Fit similarity, affine and polynomials in turn; keep the last that predicts unseen stars better.

    Parameters
    ----------
    source, target
        Pairs (n, 2).
    sigma
        Error per axis of each pair [unit of the target].
    shape
        Rows and columns of the source frame, for the guard against extrapolation.
    max_degree
        Highest degree tried. Degree d also needs three stars per term and a hull over a
        share of the frame that grows with d, else corners would be extrapolated.
    parity
        -1 if a similarity must mirror.
    clip
        Pairs beyond this many sigma of the residuals are left out, then tried again.
    min_degree
        0 allows a similarity, 1 starts from affine.
    gain
        Relative fall of the cross-validated residual that a higher degree must bring.

    Raises
    ------
    ValueError
        If `min_degree` exceeds `max_degree`.
    """
    hull = coverage(source, shape, enough=max(SHARES))
    best: Fit | None = None
    for degree in range(min_degree, max_degree + 1):
        if best is not None and not _supported(degree, int(best.keep.sum()), hull):
            break
        trial = clipped_fit(source, target, sigma, degree, parity, clip)
        if best is None or _better(trial, best, gain):
            best = trial
        elif degree > best.degree + 1:
            break  # two degrees in a row brought nothing
    if best is None:
        raise ValueError("min_degree exceeds max_degree")
    return best


def needs(degree: int) -> tuple[int, float]:
    """Return the stars, and the share of the frame inside their hull, that a degree takes."""
    stars = 6 if degree <= 1 else 3 * transform.n_terms(degree)
    return stars, SHARES[min(degree, 5)]


def _supported(degree: int, stars: int, hull: float) -> bool:
    needed, share = needs(degree)
    return stars >= needed and hull >= share


def supported_degree(source: Floats, shape: tuple[int, int], highest: int) -> int:
    """Return the highest degree, up to `highest`, that the number and the spread of stars allow.

    `source` are their places (n, 2) [pixel] on a frame of `shape` (rows, columns).
    """
    hull = coverage(source, shape, enough=max(SHARES))
    return max((d for d in range(1, highest + 1) if _supported(d, len(source), hull)), default=1)


def _better(trial: Fit, best: Fit, gain: float) -> bool:
    stars, before = int(trial.keep.sum()), int(best.keep.sum())
    if stars > 1.1 * before:  # it explains stars that the lower degree had to clip
        return trial.cross_validated < 1.05 * best.cross_validated
    return stars >= 0.9 * before and trial.cross_validated < (1 - gain) * best.cross_validated


def clipped_fit(source: Floats, target: Floats, sigma: Floats, degree: int, parity: int, clip: float) -> Fit:
    """Return the polynomial of `degree` (0: similarity) without the pairs beyond `clip` sigma.

    Parameters
    ----------
    source, target
        (n, 2) positions [pixel].
    sigma
        (n,) error of a pair per axis [pixel]; the scatter that it does not explain is added.
    parity
        -1 where a similarity mirrors.
    clip
        Sigma of the two-dimensional residual.
    """
    keep = np.ones(len(source), bool)
    scatter = 0.0
    error = sigma
    matrix = transform.design(source[:, 0], source[:, 1], max(degree, 1))

    def fitted(now: Mask | slice) -> Floats:
        if degree == 0:
            return similarity(source[now], target[now], parity, 1 / error[now] ** 2)
        return transform.solve(matrix[now], target[now], 1 / error[now])

    coefficients = fitted(slice(None))
    for _ in range(8):
        left = target - matrix @ coefficients.T
        size = np.hypot(left[:, 0], left[:, 1])
        kept = size[keep]
        scatter = extra_scatter(kept, sigma[keep])
        error = np.hypot(sigma, scatter)
        ratio = size / error
        typical = max(middle(ratio[keep]) / RAYLEIGH_MEDIAN, 0.5)
        now = ratio <= clip * typical
        if now.sum() < max(4, transform.n_terms(degree) + 1):
            break
        coefficients = fitted(now)
        if np.array_equal(now, keep):
            break
        keep = now
    left = target[keep] - matrix[keep] @ coefficients.T
    rms = float(np.sqrt(np.mean(np.sum(left**2, axis=1))))
    crossed = _cross_validated(source[keep], target[keep], error[keep], degree, parity, matrix[keep])
    model = ("similarity", "affine")[degree] if degree < 2 else f"degree {degree}"
    return Fit(coefficients, model, max(degree, 1), keep, rms, scatter, crossed)


def middle(values: Floats) -> float:
    """Return the median of finite numbers (n,), n > 0; `np.median` takes longer to begin than to sort."""
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    part = np.partition(values, (half - 1, half))
    return float(0.5 * (part[half - 1] + part[half]))


def extra_scatter(size: Floats, sigma: Floats) -> float:
    """Return the error per axis to add in quadrature so that the median residual is what errors predict.

    Parameters
    ----------
    size
        (n,) lengths of the residuals [pixel].
    sigma
        (n,) errors per axis [pixel].
    """
    excess = (size / RAYLEIGH_MEDIAN) ** 2 - sigma**2  # of each pair: the squared error that explains it
    return float(np.sqrt(max(middle(excess), 0.0)))


def _cross_validated(
    source: Floats,
    target: Floats,
    error: Floats,
    degree: int,
    parity: int,
    matrix: Floats | None = None,
) -> float:
    """Return the weighted rms residual of stars left out of the fit.

    Polynomials leave out each star in turn: with leverage h, its residual grows to r / (1 - h), exactly
    (Allen 1974, Technometrics 16, 125). A similarity is fitted anew without each of `FOLDS` groups.
    """
    weight = 1 / error**2
    if degree == 0:
        left = _folded(source, target, error, parity)
    else:
        if len(source) <= transform.n_terms(degree):
            return float("inf")
        if matrix is None:
            matrix = transform.design(source[:, 0], source[:, 1], degree)
        matrix = matrix / error[:, None]
        q, _ = np.linalg.qr(matrix / np.sqrt(np.sum(matrix**2, axis=0)))
        scaled = target / error[:, None]
        stays = np.maximum(1 - np.sum(q**2, axis=1), 1e-9)
        left = (scaled - q @ (q.T @ scaled)) / stays[:, None] * error[:, None]
    return float(np.sqrt(np.sum(weight * np.sum(left**2, axis=1)) / np.sum(weight)))


def _folded(source: Floats, target: Floats, error: Floats, parity: int) -> Floats:
    """Return the residuals of a similarity that has not seen the star's group."""
    group = np.arange(len(source)) % min(FOLDS, len(source))
    left = np.empty_like(target)
    for k in range(int(group.max()) + 1):
        out = group == k
        coefficients = fit_map(source[~out], target[~out], error[~out], 0, parity)
        left[out] = residuals(coefficients, source[out], target[out])
    return left
