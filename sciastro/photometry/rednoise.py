"""How much of a light curve's scatter does not average out.

Method: time averaging (Pont, Zucker & Queloz 2006, MNRAS 373, 231; Winn et al. 2008, ApJ 683, 1076).
Residuals are averaged over N points in a row; white noise falls as ``sigma_1 / sqrt(N)``, and beta is how
much larger the scatter of the averages is. Gaps end a bin.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RedNoise", "red_noise"]

Floats = npt.NDArray[np.float64]

SCALES = (10.0, 30.0)  # minutes: those of ingress and egress
FEWEST = 4  # bins that tell a scatter


@dataclass(frozen=True, slots=True)
class RedNoise:
    """Noise of averages.

    Attributes
    ----------
    points, minutes, scatter, white
        By size of a bin: points, their mean length [min], scatter of the averages, what white noise gives.
    beta, beta_err
        Mean of scatter / white between `low` and `high` minutes, and about its error; NaN where there are too
        few bins. Not below 1 when it is used as a factor.
    sigma_white, sigma_red
        Of ``scatter^2 = sigma_white^2 / N + sigma_red^2``, the latter 0 or more; unit of the residuals.
    low, high
        Range of `beta` [min].
    """

    points: npt.NDArray[np.int64]
    minutes: Floats
    scatter: Floats
    white: Floats
    beta: float
    beta_err: float
    sigma_white: float
    sigma_red: float
    low: float
    high: float

    @property
    def factor(self) -> float:
        """What errors are multiplied with: beta, at least 1; 1 where it is unknown."""
        return max(self.beta, 1.0) if np.isfinite(self.beta) else 1.0


def red_noise(time: Floats, residual: Floats, *, low: float = SCALES[0], high: float = SCALES[1]) -> RedNoise:
    """Measure red noise.

    Parameters
    ----------
    time, residual
        [d], in order; any unit. NaN is left out.
    low, high
        Range of time scales for beta [min].
    """
    ok = np.isfinite(time) & np.isfinite(residual)
    t, r = time[ok], residual[ok]
    step = float(np.median(np.diff(t))) if t.size > 1 else float("nan")
    nothing = np.empty(0)
    if t.size < 2 * FEWEST or not step > 0:
        sigma = float(np.std(r, ddof=1)) if r.size > 1 else float("nan")
        none = float("nan")
        return RedNoise(np.empty(0, np.int64), nothing, nothing, nothing, none, none, sigma, none, low, high)
    run = np.cumsum(np.append(0, np.diff(t) > 3 * step))
    first = float(np.std(r, ddof=1))
    rows = []
    for n in range(1, t.size // FEWEST + 1):
        means, lengths = _binned(t, r, run, n)
        m = means.size
        if m < FEWEST:
            break
        rows.append(
            (n, 1440 * float(np.mean(lengths)) if n > 1 else 1440 * step, float(np.std(means, ddof=1)), m)
        )
    points = np.array([row[0] for row in rows], np.int64)
    minutes, scatter, bins = (np.array([row[k] for row in rows], np.float64) for k in (1, 2, 3))
    white = first / np.sqrt(points)  # np.std with ddof = 1 holds the factor sqrt(M / (M - 1))
    near = (minutes >= low) & (minutes <= high) & (points > 1)
    beta = float(np.mean(scatter[near] / white[near])) if near.any() else float("nan")
    err = float(np.mean(beta / np.sqrt(2 * (bins[near] - 1)))) if near.any() else float("nan")
    red = _red(points, scatter, bins)
    return RedNoise(points, minutes, scatter, white, beta, err, red[0], red[1], low, high)


def _binned(t: Floats, r: Floats, run: npt.NDArray[np.int64], n: int) -> tuple[Floats, Floats]:
    means, lengths = [], []
    for number in np.unique(run):
        rows = np.flatnonzero(run == number)
        whole = rows[: rows.size // n * n].reshape(-1, n)
        means += r[whole].mean(axis=1).tolist()
        lengths += ((t[whole[:, -1]] - t[whole[:, 0]]) * n / max(n - 1, 1)).tolist()
    return np.array(means), np.array(lengths)


def _red(points: npt.NDArray[np.int64], scatter: Floats, bins: Floats) -> tuple[float, float]:
    """Return white and red sigma by least squares of variances, whose relative errors are sqrt(2 / M)."""
    design = np.column_stack([1 / points, np.ones(points.size)])
    weight = np.sqrt(np.maximum(bins - 1, 1) / 2) / scatter**2
    fit, *_ = np.linalg.lstsq(design * weight[:, None], scatter**2 * weight, rcond=None)
    if fit[1] <= 0:
        return float(scatter[0]), 0.0
    return float(np.sqrt(max(fit[0], 0.0))), float(np.sqrt(fit[1]))
