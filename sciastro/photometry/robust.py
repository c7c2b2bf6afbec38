"""Robust linear fits with an intrinsic scatter: the one estimator behind every calibration constant here.

Method: median start (Theil-Sen for a line, least absolute deviations for more terms), then alternate
clipping at kappa, weighted least squares and the scatter ``s`` that solves
``sum r_i^2 / (e_i^2 + s^2) = n - p`` (Paule & Mandel 1982, J. Res. NBS 87, 377), which, unlike the plain
maximum of the likelihood, is not low for few stars.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

__all__ = ["LinearFit", "fit_linear", "jackknife", "threshold"]

Floats = npt.NDArray[np.float64]

_FLOOR = 1e-9  # keeps weights finite where errors and scatter are both zero


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearFit:
    """Result of `fit_linear`.

    Attributes
    ----------
    coefficients, covariance
        (term,) and (term, term); the covariance counts the intrinsic scatter.
    scatter
        Intrinsic scatter, in the unit of the data; 0 where the errors explain the residuals.
    chi2
        Reduced chi square of the samples used with their quoted errors alone; NaN without any.
    used
        (sample,) True for those that passed the clip.
    """

    coefficients: Floats
    covariance: Floats
    scatter: float
    chi2: float
    used: npt.NDArray[np.bool_]


def _solve(design: Floats, y: Floats, variance: Floats) -> tuple[Floats, Floats]:
    scaled = design / np.sqrt(variance)[:, None]
    covariance = np.asarray(np.linalg.inv(scaled.T @ scaled), dtype=np.float64)
    return covariance @ (scaled.T @ (y / np.sqrt(variance))), covariance


def _scatter(design: Floats, y: Floats, err: Floats) -> float:
    """Return the scatter that makes chi2 equal to the degrees of freedom, 0 where it is smaller already."""
    degrees = len(y) - design.shape[1]
    if degrees < 1:
        return 0.0

    def excess(s: float) -> float:
        variance = err**2 + s**2 + _FLOOR**2
        coefficients, _ = _solve(design, y, variance)
        total: float = float(np.sum((y - design @ coefficients) ** 2 / variance))
        return total - float(degrees)

    low, high = 0.0, float(np.ptp(y)) + _FLOOR
    if excess(0.0) <= 0:
        return 0.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return 0.5 * (low + high)


def _start(design: Floats, y: Floats) -> Floats:
    """Return first coefficients: a median, Theil and Sen's line, or least absolute deviations."""
    if design.shape[1] == 1:
        return np.array([np.median(y)])
    if design.shape[1] > 2:
        return _least_absolute(design, y)
    step = max(1, len(y) // 500)
    x, z = design[::step, 1], y[::step]
    i, j = np.triu_indices(len(x), 1)
    apart = np.abs(x[j] - x[i]) > 0.1 * np.ptp(x)
    slope = float(np.median((z[j] - z[i])[apart] / (x[j] - x[i])[apart])) if apart.any() else 0.0
    return np.array([np.median(y - slope * design[:, 1]), slope])


def _least_absolute(design: Floats, y: Floats) -> Floats:
    """Return the coefficients of the least sum of absolute residuals, by weights 1 / |residual|."""
    weight: Floats = np.ones(len(y))
    coefficients: Floats = np.zeros(design.shape[1])
    for _ in range(30):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        coefficients = np.asarray(found, dtype=np.float64)
        size = np.abs(y - design @ coefficients)
        weight = 1 / np.maximum(size, 1e-3 * max(float(np.median(size)), _FLOOR))
    return coefficients


def jackknife(
    design: Floats, y: Floats, variance: Floats, groups: npt.NDArray[np.int64] | None = None
) -> Floats:
    """Return the covariance of weighted least squares from leaving out one group after the other.

    It asks the residuals, not the quoted errors, how well the coefficients are known, and holds where the
    samples of a group (frames of one star) err together. Leaving a group out is done exactly, without
    another fit: ``-(X'WX)^-1 X_g' W_g (1 - H_g)^-1 r_g``.

    Parameters
    ----------
    design, y, variance
        As the fit had them, (sample, term) and (sample,).
    groups
        (sample,) number of the group; None takes each sample for one.

    Returns
    -------
    float64 (term, term)
        NaN where there are not more groups than terms.
    """
    terms = design.shape[1]
    names = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(names.max()) + 1 if len(names) else 0
    if count <= terms:
        return np.full((terms, terms), np.nan)
    scaled, target = design / np.sqrt(variance)[:, None], y / np.sqrt(variance)
    inverse = np.linalg.inv(scaled.T @ scaled)
    residual = target - scaled @ (inverse @ (scaled.T @ target))
    order = np.argsort(names, kind="stable")
    changes = np.empty((count, terms))
    for k, rows in enumerate(np.split(order, np.cumsum(np.bincount(names))[:-1])):
        part = scaled[rows]
        kept = np.eye(len(rows)) - part @ inverse @ part.T
        changes[k] = inverse @ part.T @ np.linalg.lstsq(kept, residual[rows], rcond=None)[0]
    changes -= changes.mean(axis=0)
    return np.asarray((count - 1) / count * changes.T @ changes)


def threshold(kappa: float, degrees: int) -> float:
    """Return the deviation that is as rare for Student's t as `kappa` is for a Gaussian, at most 6.

    The scatter of few samples is itself uncertain: `kappa` sigma of it would clip good ones and shrink it.
    """
    from scipy.special import ndtr, stdtrit

    return float(min(stdtrit(max(degrees, 1), ndtr(kappa)), max(6.0, kappa)))


def fit_linear(design: Floats, y: Floats, err: Floats, *, kappa: float = 3.5, rounds: int = 25) -> LinearFit:
    """Fit ``y = design @ coefficients`` with outliers and unknown extra scatter.

    Parameters
    ----------
    design
        float64 (sample, term), finite; the first column is ones.
    y, err
        float64 (sample,), data and standard errors; finite, errors not negative.
    kappa
        Samples beyond `kappa` times the root of error squared plus scatter squared are left out; for few
        samples the threshold is wider, see `threshold`.
    rounds
        Most rounds of clipping.

    Returns
    -------
    LinearFit
        With at least as many samples as terms.

    Raises
    ------
    ValueError
        With fewer samples than terms.
    """
    if len(y) < design.shape[1]:
        raise ValueError(f"{len(y)} samples cannot fix {design.shape[1]} terms")
    kappa = threshold(kappa, len(y) - design.shape[1])
    coefficients = _start(design, y)
    residual = y - design @ coefficients
    mad = mad_sigma(residual)
    scatter = float(np.sqrt(max(mad**2 - float(np.median(err**2)), 0.0)))
    used = np.abs(residual) <= kappa * np.sqrt(err**2 + max(scatter, 0.3 * mad) ** 2 + _FLOOR**2)
    if used.sum() < max(design.shape[1], 2, len(y) // 2):
        used = np.ones(len(y), dtype=bool)
    for _ in range(rounds):
        scatter = _scatter(design[used], y[used], err[used])
        coefficients, _ = _solve(design[used], y[used], err[used] ** 2 + scatter**2 + _FLOOR**2)
        again = np.abs(y - design @ coefficients) <= kappa * np.sqrt(err**2 + scatter**2 + _FLOOR**2)
        if again.sum() < max(design.shape[1], 2) or np.array_equal(again, used):
            break
        used = again
    coefficients, covariance = _solve(design[used], y[used], err[used] ** 2 + scatter**2 + _FLOOR**2)
    degrees = int(used.sum()) - design.shape[1]
    known = used & (err > 0)
    total = float(np.sum(((y - design @ coefficients)[known] / err[known]) ** 2))
    chi2 = total / degrees if degrees > 0 and known.sum() == used.sum() else float("nan")
    return LinearFit(coefficients=coefficients, covariance=covariance, scatter=scatter, chi2=chi2, used=used)
