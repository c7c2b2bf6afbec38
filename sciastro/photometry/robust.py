"""Robust linear fits with an intrinsic scatter: the one estimator behind every calibration constant here.

Method: median start (Theil-Sen for a line), then alternate clipping at kappa, weighted least squares and
the scatter ``s`` that solves ``sum r_i^2 / (e_i^2 + s^2) = n - p`` (Paule & Mandel 1982, J. Res. NBS 87,
377), which, unlike the plain maximum of the likelihood, is not low for few stars.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LinearFit", "fit_linear"]

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
    """Return first coefficients from medians: a constant, or a line; further terms start at 0."""
    if design.shape[1] != 2:
        return np.array([np.median(y), *np.zeros(design.shape[1] - 1)])
    step = max(1, len(y) // 500)
    x, z = design[::step, 1], y[::step]
    i, j = np.triu_indices(len(x), 1)
    apart = np.abs(x[j] - x[i]) > 0.1 * np.ptp(x)
    slope = float(np.median((z[j] - z[i])[apart] / (x[j] - x[i])[apart])) if apart.any() else 0.0
    return np.array([np.median(y - slope * design[:, 1]), slope])


def _threshold(kappa: float, degrees: int) -> float:
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
        samples the threshold is wider, see `_threshold`.
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
    kappa = _threshold(kappa, len(y) - design.shape[1])
    coefficients = _start(design, y)
    residual = y - design @ coefficients
    mad = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
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
