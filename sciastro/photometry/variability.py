"""Does a star vary? Indices over all stars of a field.

Reads relative magnitudes (star, frame) with errors. Formulas as collected by Sokolovsky et al. 2017 (MNRAS
464, 274): reduced chi2 about the weighted mean, median absolute deviation (scaled to sigma), interquartile
range, von Neumann's eta (1941; 2 for white noise, small for slow changes), Stetson's J (1996) of pairs in a
row.
"""

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import mad_sigma

__all__ = ["INDICES", "variability"]

Floats = npt.NDArray[np.float64]

INDICES = {
    "n_good": "Measurements that count",
    "mean_mag": "Weighted mean of the relative magnitude",
    "scatter": "Standard deviation",
    "chi2_reduced": "chi2 about the weighted mean over n - 1",
    "mad": "Median absolute deviation, 1.4826 times: sigma of a Gaussian",
    "iqr": "Interquartile range",
    "von_neumann_eta": "Mean square of successive differences over the variance; 2 for white noise",
    "stetson_j": "Stetson's J of pairs of successive measurements",
}
FEWEST = 5  # points of a light curve that can be told variable


def variability(mag: Floats, err: Floats, time: Floats) -> dict[str, Floats]:
    """Return each index of `INDICES` for every star; NaN below five measurements.

    Parameters
    ----------
    mag, err
        (star, frame) [mag]; NaN is missing.
    time
        (frame) [d], in order; pairs of Stetson's J are successive measurements less than three typical steps
        apart.
    """
    n_stars = mag.shape[0]
    out = {name: np.full(n_stars, np.nan) for name in INDICES}
    finite = time[np.isfinite(time)]
    step = float(np.median(np.diff(finite))) if finite.size > 1 else float("inf")
    for i in range(n_stars):
        ok = np.isfinite(mag[i]) & np.isfinite(err[i]) & (err[i] > 0) & np.isfinite(time)
        out["n_good"][i] = ok.sum()
        if ok.sum() >= FEWEST:
            for name, value in _of_star(mag[i][ok], err[i][ok], time[ok], 3 * step).items():
                out[name][i] = value
    return out


def _of_star(m: Floats, e: Floats, t: Floats, reach: float) -> dict[str, float]:
    n = m.size
    weight = 1 / e**2
    mean = float(np.average(m, weights=weight))
    residual = m - mean
    variance = float(np.var(m, ddof=1))
    low, high = np.percentile(m, [25, 75])
    delta = np.sqrt(n / (n - 1)) * residual / e
    pair = np.diff(t) <= reach
    product = (delta[1:] * delta[:-1])[pair]
    # A measurement without a near one counts by itself, with half the weight.
    alone = np.flatnonzero(~np.append(pair, False) & ~np.append(False, pair))
    terms = np.append(product, delta[alone] ** 2 - 1)
    weights = np.append(np.ones(product.size), np.full(alone.size, 0.5))
    j = (
        float(np.sum(weights * np.sign(terms) * np.sqrt(np.abs(terms))) / np.sum(weights))
        if terms.size
        else 0.0
    )
    return {
        "mean_mag": mean,
        "scatter": float(np.sqrt(variance)),
        "chi2_reduced": float(np.sum(weight * residual**2) / (n - 1)),
        "mad": mad_sigma(m),
        "iqr": float(high - low),
        "von_neumann_eta": float(np.mean(np.diff(m) ** 2) / variance) if variance > 0 else float("nan"),
        "stetson_j": j,
    }
