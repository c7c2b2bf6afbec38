"""Robust linear fits of several tied quantities per star, with an intrinsic scatter matrix and a ridge.

Model: ``y_i = X_i b + s_i + e_i`` with known error covariances ``cov(e_i)`` (color indices of one star share
its green flux) and an unknown scatter matrix S of the ``s_i``, found by expectation and maximization with the
degrees of freedom of the fit taken off. Outliers are clipped by their Mahalanobis distance.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.photometry.robust import threshold

__all__ = ["JointFit", "distance", "fit_joint"]

Floats = npt.NDArray[np.float64]

_FLOOR = 1e-12  # keeps matrices invertible where stars agree exactly
_ROUNDS = 10  # of clipping, at most
_EM = 25  # rounds of expectation and maximization, at most


@dataclass(frozen=True, kw_only=True, slots=True)
class JointFit:
    """Result of `fit_joint`.

    Attributes
    ----------
    coefficients, covariance
        (term,) and (term, term); the covariance counts the scatter, and few stars by Student's t.
    scatter
        (m, m), intrinsic covariance of single stars.
    chi2
        Of the stars used by their quoted errors alone, per degree of freedom.
    used
        (star,) True for those that passed the clip.
    residuals
        (star, m), data minus model.
    """

    coefficients: Floats
    covariance: Floats
    scatter: Floats
    chi2: float
    used: npt.NDArray[np.bool_]
    residuals: Floats


def distance(residuals: Floats, covariance: Floats) -> Floats:
    """Return squared Mahalanobis distances, (star,), of residuals (star, m) by covariances (star, m, m)."""
    return _distance(residuals, _inverse(covariance))


def _inverse(matrices: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)


def _distance(residuals: Floats, precision: Floats) -> Floats:
    return np.asarray((np.matmul(precision, residuals[..., None])[..., 0] * residuals).sum(axis=1))


def _solve(design: Floats, y: Floats, precision: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """Return coefficients and covariance by inverse covariances (star, m, m) of the data."""
    terms = design.shape[2]
    weighted = np.matmul(precision, design).reshape(-1, terms)
    normal = weighted.T @ design.reshape(-1, terms) + np.diag(prior)
    inverse = _inverse(normal)
    return inverse @ (weighted.T @ y.ravel()), inverse


def _start(design: Floats, y: Floats, error: Floats, prior: Floats) -> Floats:
    """Return first coefficients by iterated weights that fall as 1 / distance beyond 1.5 sigma (Huber)."""
    precision = _inverse(error)
    soft = np.ones(len(y))
    coefficients = np.zeros(design.shape[2])
    for _ in range(6):
        coefficients, _ = _solve(design, y, precision * soft[:, None, None], prior)
        left = y - design @ coefficients
        sigma = MAD_TO_SIGMA * np.median(np.abs(left - np.median(left, axis=0)), axis=0) + _FLOOR
        off = np.sqrt(np.mean((left / sigma) ** 2, axis=1))
        soft = np.minimum(1.0, 1.5 / np.maximum(off, 1e-9)) ** 2
    return coefficients


def _scatter(residuals: Floats, error: Floats, start: Floats, terms: float) -> Floats:
    """Return the scatter matrix of stars about the model, by expectation and maximization."""
    n, m = residuals.shape
    grown = residuals * np.sqrt(n / max(n - terms / m, 1.0))
    found = _weighted_moment(grown, error, start)
    for _ in range(_EM):
        gain = found @ _inverse(error + found)
        mean = np.matmul(gain, grown[..., None])[..., 0]
        again = (mean.T @ mean + (found - gain @ found).sum(axis=0)) / n
        done = np.abs(again - found).max() < 1e-3 * np.trace(again) + _FLOOR
        found = 0.5 * (again + again.T)
        if done:
            break
    return _scaled(found, residuals, error, n * m - terms) + _FLOOR * np.eye(m)


def _weighted_moment(residuals: Floats, error: Floats, start: Floats) -> Floats:
    """Return what the spread of the residuals has beyond their errors, precise stars counting most."""
    found, m = start, residuals.shape[1]
    excess = residuals[:, :, None] * residuals[:, None, :] - error
    for _ in range(3):
        weight = np.trace(error + found, axis1=1, axis2=2) ** -2.0
        values, vectors = np.linalg.eigh(np.tensordot(weight, excess, axes=1) / weight.sum())
        floor = max(1e-3 * float(values[-1]), 1e-3 * float(np.trace(start)) / m)
        found = (vectors * np.maximum(values, floor)) @ vectors.T
    return np.asarray(found)


def _scaled(scatter: Floats, residuals: Floats, error: Floats, degrees: float) -> Floats:
    """Return the scatter times the factor that makes chi square equal to the degrees of freedom.

    As Paule & Mandel 1982 for one quantity; the shape is kept, 0 where the errors explain the residuals.
    """
    low, high = 0.0, 16.0
    if _distance(residuals, _inverse(error)).sum() <= degrees:
        return 0.0 * scatter
    for _ in range(20):
        middle = 0.5 * (low + high)
        more = _distance(residuals, _inverse(error + middle * scatter)).sum() > degrees
        low, high = (middle, high) if more else (low, middle)
    return 0.5 * (low + high) * scatter


def _moment(residuals: Floats, error: Floats) -> Floats:
    """Return a first guess of the scatter: what the spread of the residuals has beyond typical errors."""
    sigma = MAD_TO_SIGMA * np.median(np.abs(residuals), axis=0)
    typical = np.median(np.diagonal(error, axis1=1, axis2=2), axis=0)
    return np.diag(np.maximum(sigma**2 - typical, 0.04 * sigma**2) + _FLOOR)


def fit_joint(
    design: Floats,
    y: Floats,
    error: Floats,
    *,
    prior: Floats | None = None,
    scatter: Floats | None = None,
    kappa: float = 3.5,
) -> JointFit:
    """Fit ``y = design @ coefficients`` over stars with tied errors, outliers and an unknown scatter.

    Parameters
    ----------
    design
        float64 (star, m, term), finite.
    y
        float64 (star, m), finite.
    error
        float64 (star, m, m), error covariances.
    prior
        (term,) inverse variances of a prior about 0 on each term (ridge); none without it.
    scatter
        (m, m), taken as it is; found from the stars without it.
    kappa
        Clipping threshold in sigma of a Gaussian; wider for few stars.

    Raises
    ------
    ValueError
        With fewer data than terms that no prior holds.
    """
    n, m, terms = design.shape
    ridge = np.zeros(terms) if prior is None else np.asarray(prior, dtype=np.float64)
    free = int((ridge == 0).sum())
    if n * m < free:
        raise ValueError(f"{n} stars cannot fix {free} terms")
    error = error + _FLOOR * np.eye(m)
    coefficients = _start(design, y, error + _moment(y - np.median(y, axis=0), error), ridge)
    left = y - design @ coefficients
    found = _moment(left, error) if scatter is None else scatter
    used = np.ones(n, dtype=bool)
    limit = _limit(kappa, n * m - free, m)
    for _ in range(_ROUNDS):
        precision = _inverse(error + found)
        again = _distance(left, precision) <= limit
        if again.sum() * m < free + m or again.sum() < n // 2:
            again = np.ones(n, dtype=bool)
        if scatter is None:
            found = _scatter(left[again], error[again], found, free)
            precision = _inverse(error + found)
        coefficients, _ = _solve(design[again], y[again], precision[again], ridge)
        left = y - design @ coefficients
        if np.array_equal(again, used):
            break
        used = again
    coefficients, covariance = _solve(design[used], y[used], _inverse(error[used] + found), ridge)
    left = y - design @ coefficients
    degrees = int(used.sum()) - free / m
    chi2 = float(distance(left[used], error[used]).sum()) / (m * degrees) if degrees > 0 else float("nan")
    return JointFit(
        coefficients=coefficients, covariance=covariance * _student(degrees) ** 2, scatter=found, chi2=chi2,
        used=used, residuals=left,
    )  # fmt: skip


def _limit(kappa: float, degrees: int, m: int) -> float:
    """Return the squared distance in m dimensions that is as rare as `kappa` sigma in one."""
    from scipy.special import chdtri, ndtr

    wide = threshold(kappa, degrees) / kappa
    return float(chdtri(m, 2 * (1 - ndtr(kappa)))) * wide**2


def _student(degrees: float) -> float:
    """Return by how much a 95 % interval is wider where the scatter comes from so few degrees of freedom."""
    from scipy.special import stdtrit

    return float(min(stdtrit(max(degrees, 1.0), 0.975) / 1.959964, 6.5))
