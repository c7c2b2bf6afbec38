"""Smooth surfaces through scattered sky samples, and the choice among them by cross-validation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

__all__ = ["Surface", "choose_surface", "polynomial_surface", "spline_surface"]

Floats = npt.NDArray[np.float64]
STIFFNESSES = (1e-1, 1e-2, 1e-3)  # thin-plate lambda over the mean kernel, stiff to soft
BLOCK = 1 / 6  # side of a left-out block, in units of the longer side of the image
FOLDS = 5  # groups of blocks left out in turn
MAX_KNOTS = 300  # of a spline; its cost grows with their cube


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A function of position (units of the longer side, 0 at the center) with its name and its test error.

    Attributes
    ----------
    name
        Such as "polynomial of degree 2" or "thin-plate spline, stiffness 0.01".
    evaluate
        ``evaluate(x, y) -> level`` on arrays of one shape.
    error
        Root mean square of the cross-validation residuals without the worst 5 %, unit of the samples; NaN if
        it was not tested.
    """

    name: str
    evaluate: Callable[[Floats, Floats], Floats]
    error: float = float("nan")

    def __call__(self, x: Floats, y: Floats) -> Floats:
        """Return the level at (x, y)."""
        return self.evaluate(x, y)


Fitter = Callable[[Floats, Floats, Floats], Surface]


def _terms(x: Floats, y: Floats, degree: int) -> Floats:
    x, y = 2 * x, 2 * y  # to -1..1: the normal equations stay well conditioned
    columns = [x**i * y**j for total in range(degree + 1) for j in range(total + 1) for i in (total - j,)]
    return np.stack(columns, axis=-1)


def polynomial_surface(x: Floats, y: Floats, z: Floats, degree: int) -> Surface:
    """Fit a polynomial of total `degree`, robustly (Tukey's biweight, c = 4.685, from a least-squares start).

    The degree is lowered until there are two samples per coefficient.

    Parameters
    ----------
    x, y, z
        (sample,) places and values; finite.
    degree
        At most.
    """
    while degree > 0 and 2 * ((degree + 1) * (degree + 2) // 2) > z.size:
        degree -= 1
    shift = float(np.median(z)) if z.size else 0.0
    matrix, target = _terms(x, y, degree), z - shift
    weight = np.ones(z.size)
    solution: Floats = np.zeros(matrix.shape[1])
    ridge = 1e-12 * np.eye(matrix.shape[1])  # few samples on a line must not break the solution
    for _ in range(8):
        weighted = matrix * weight[:, None]
        normal = weighted.T @ matrix
        solution = np.asarray(
            np.linalg.solve(normal + ridge * np.trace(normal), weighted.T @ target), np.float64
        )
        residual = target - matrix @ solution
        sigma = mad_sigma(residual)
        if sigma <= 1e-12 * (float(np.abs(z).max()) + 1e-300):
            break
        u = residual / (4.685 * sigma)
        weight = np.where(np.abs(u) < 1, (1 - u**2) ** 2, 0.0)

    def evaluate(px: Floats, py: Floats) -> Floats:
        return np.asarray(_terms(px, py, degree) @ solution + shift)

    return Surface(f"polynomial of degree {degree}", evaluate)


def _kernel(r2: Floats) -> Floats:
    """Return the thin-plate kernel ``r^2 ln r`` from r squared; 0 at r = 0."""
    return np.asarray(0.5 * r2 * np.log(np.maximum(r2, 1e-300)))


def spline_surface(x: Floats, y: Floats, z: Floats, stiffness: float) -> Surface:
    """Fit a smoothing thin-plate spline.

    Solves ``[[K + lambda I, P], [P^T, 0]] [w; c] = [z; 0]`` with ``K(r) = r^2 ln r`` and ``P = [1, x, y]``
    (Wahba 1990; Duchon 1977); ``lambda = stiffness * mean |K| * n``. More
    than 300 samples are thinned evenly.
    """
    if z.size > MAX_KNOTS:
        keep = np.linspace(0, z.size - 1, MAX_KNOTS).round().astype(np.int64)
        x, y, z = x[keep], y[keep], z[keep]
    n = z.size
    shift = float(np.median(z))
    r2 = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    kernel = _kernel(r2)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = kernel + stiffness * float(np.abs(kernel).mean()) * n * np.eye(n)
    system[:n, n:] = np.stack([np.ones(n), x, y], axis=1)
    system[n:, :n] = system[:n, n:].T
    solution = np.linalg.solve(system, np.concatenate([z - shift, np.zeros(3)]))
    w, c = solution[:n], solution[n:]

    def evaluate(px: Floats, py: Floats) -> Floats:
        out = c[0] + c[1] * px + c[2] * py + shift
        for k in range(n):
            out = out + w[k] * _kernel((px - x[k]) ** 2 + (py - y[k]) ** 2)
        return np.asarray(out)

    return Surface(f"thin-plate spline, stiffness {stiffness:g}", evaluate)


def choose_surface(
    x: Floats, y: Floats, z: Floats, *, max_degree: int, splines: bool, noise: float = 0.0
) -> Surface:
    """Return the simplest surface whose cross-validation error is within one standard error of the best.

    Parameters
    ----------
    x, y, z
        Samples; positions in units of the longer side of the image.
    max_degree
        Highest polynomial degree that competes.
    splines
        Whether thin-plate splines compete too.
    noise
        Scatter of one sample; splines are not tried where a polynomial already predicts as well as that.
    """
    degrees = range(max_degree + 1)
    fitters: list[Fitter] = [partial(polynomial_surface, degree=degree) for degree in degrees]
    folds = _block_folds(x, y)
    soft = splines and z.size >= 20 and all(_spread(x[folds != k], y[folds != k]) for k in np.unique(folds))
    if z.size < 12 or np.unique(folds).size < 2 or (len(fitters) == 1 and not soft):
        return fitters[0](x, y, z)
    errors = [_validation(fitter, x, y, z, folds) for fitter in fitters]
    if soft and min(_score(e) for e in errors) > noise**2:
        extra: list[Fitter] = [partial(spline_surface, stiffness=stiffness) for stiffness in STIFFNESSES]
        fitters += extra
        errors += [_validation(fitter, x, y, z, folds) for fitter in extra]
    scores = np.array([_score(e) for e in errors])
    best = int(np.argmin(scores))
    threshold = scores[best] + float(np.std(errors[best]) / np.sqrt(z.size))
    chosen = next(k for k in range(len(fitters)) if scores[k] <= threshold)
    winner = fitters[chosen](x, y, z)
    return Surface(winner.name, winner.evaluate, float(np.sqrt(scores[chosen])))


def _spread(x: Floats, y: Floats) -> bool:
    """Return whether samples fix a plane; on one line (a strip of an image) no spline exists."""
    return x.size >= 3 and int(np.linalg.matrix_rank(np.stack([np.ones_like(x), x, y]), tol=1e-9)) == 3


def _score(squared: Floats) -> float:
    """Return the mean of `squared` without its worst 5 %: a few faint objects decide nothing."""
    return float(np.mean(np.sort(squared)[: int(0.95 * squared.size) + 1]))


def _block_folds(x: Floats, y: Floats) -> npt.NDArray[np.int64]:
    """Return the fold of every sample: neighboring blocks never share one (a knight's-move pattern)."""
    i = np.floor(x / BLOCK).astype(np.int64)
    j = np.floor(y / BLOCK).astype(np.int64)
    return (i + 2 * j) % FOLDS


def _validation(fitter: Fitter, x: Floats, y: Floats, z: Floats, folds: npt.NDArray[np.int64]) -> Floats:
    squared = np.empty(z.size)
    for fold in np.unique(folds):
        out = folds == fold
        model = fitter(x[~out], y[~out], z[~out])
        squared[out] = (z[out] - model(x[out], y[out])) ** 2
    return squared
