"""Where in a light curve a transit is: a grid of times, durations and depths, then the least chi2.

Also decides whether there is one: the Bayesian information criterion with and without it, each with its own
best set of causes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.photometry.baselines import Points
from sciastro.photometry.trends import Trends

__all__ = ["BEYOND", "EACH", "LARGEST", "Found", "search_transit"]

Floats = npt.NDArray[np.float64]

WORTH = 12  # sets of causes whose shape is refined: those of lowest BIC, of 64
MOST_TIMES = 400  # of mid-transit that are tried: 53 hours of points, every 8 minutes
EACH = 3  # points in a transit and out of it: else it is a trend
LARGEST = 0.7  # Rp/Rs that is looked for: a star before a star, say
BEYOND = 0.2  # d: how far from the points a mid-transit may lie


@dataclass(frozen=True, slots=True)
class Found:
    """The best shape, the causes of lowest BIC, and BIC with and without a transit."""

    shape: Floats
    causes: tuple[str, ...]
    bic: float
    bic_flat: float


def search_transit(
    points: Points,
    trends: Trends,
    every: list[tuple[str, ...]],
    *,
    t0: float | None = None,
    duration: float | None = None,
) -> Found | None:
    """Return where a transit is; None where the points cannot hold one.

    BIC counts chi2 in errors that are scaled so that the richest model has a reduced chi2 of 1.

    Parameters
    ----------
    every
        Sets of causes to try.
    t0, duration
        To begin with [BJD], [h].
    """
    n = points.time.size
    first = max(every, key=len)
    simple = min(every, key=lambda names: (abs(len(names) - 1), "airmass" not in names))
    # A trend that is not in the baseline may look like a transit, and a rich one may hide it: both begin.
    starts = [_start(points, trends.basis(names), t0, duration) for names in dict.fromkeys((simple, first))]
    tries = [_refine(points, trends.basis(first), start) for start in starts if start is not None]
    if not tries:
        return None
    richest = min(tries, key=lambda one: one[1])
    unit = max(richest[1] / max(n - trends.basis(first).shape[1] - 4, 1), 1e-12)
    found = {}
    for names in _worth(every, points, trends, richest[0]):
        basis = trends.basis(names)
        shape, chi2 = _refine(points, basis, richest[0])
        found[names] = (chi2 / unit + (basis.shape[1] + 4) * np.log(n), shape)
    chosen = min(found, key=lambda names: found[names][0])
    flat = {names: _flat(points, trends.basis(names)) for names in every}
    bic_flat = min(chi2 / unit + trends.basis(names).shape[1] * np.log(n) for names, chi2 in flat.items())
    return Found(found[chosen][1], chosen, float(found[chosen][0]), float(bic_flat))


def _worth(
    every: list[tuple[str, ...]], points: Points, trends: Trends, shape: Floats
) -> list[tuple[str, ...]]:
    """Return the sets of causes of lowest BIC with a shape that is held; the others cannot win."""
    n = points.time.size
    rows = []
    chi2_least = min(points.chi2(shape, trends.basis(names)) for names in every)
    unit = max(chi2_least / max(n - 8, 1), 1e-12)
    for names in every:
        basis = trends.basis(names)
        rows.append((points.chi2(shape, basis) / unit + basis.shape[1] * np.log(n), names))
    return [names for _, names in sorted(rows)[:WORTH]]


def _flat(points: Points, basis: Floats) -> float:
    """Return chi2 of the baseline alone."""
    root = np.sqrt(points.weight)
    fit, *_ = np.linalg.lstsq(basis * root[:, None], points.flux * root, rcond=None)
    return float(np.sum(points.weight * (points.flux - basis @ fit) ** 2))


def _start(points: Points, basis: Floats, t0: float | None, duration: float | None) -> Floats | None:
    """Return the best of a grid of mid-transit times, durations and depths."""
    span = float(np.ptp(points.time))
    times = _middles(points, t0)
    lengths = np.array([duration / 24]) if duration else np.array([1, 1.5, 2.2, 3.2, 4.5]) / 24
    best, value = None, np.inf
    for length in lengths[lengths < max(1.2 * span, 1.1 * float(lengths[0]))]:
        for middle in times:
            inside = np.abs(points.time - middle) < length / 2
            if inside.sum() < EACH or (~inside).sum() < EACH:
                continue
            for k in (0.05, 0.1, 0.16):
                shape = np.array([middle, k, length, 0.3, *points.limb])
                chi2 = points.chi2(shape, basis)
                if chi2 < value:
                    best, value = shape, chi2
    return best


def _middles(points: Points, t0: float | None) -> Floats:
    """Return mid-transit times to try: about the one that is given, or every 8 minutes where points are."""
    if t0 is None:
        inside = np.unique(np.round(points.time * 1440 / 8)) * 8 / 1440
        return np.asarray(inside[:: 1 + inside.size // MOST_TIMES])
    epoch = np.round((points.zero + float(np.mean(points.time)) - t0) / points.period) if points.period else 0
    return t0 + epoch * points.period - points.zero + np.linspace(-0.03, 0.03, 7)


def _refine(points: Points, basis: Floats, start: Floats) -> tuple[Floats, float]:
    """Return the shape of least chi2 near `start` (limb darkening held), and chi2."""
    from scipy.optimize import minimize

    low, high = float(points.time[0]) - BEYOND, float(points.time[-1]) + BEYOND

    def chi2(free: Floats) -> float:
        if not (low < free[0] < high and 0 < free[1] < LARGEST and 0 <= free[3] < 1.2):
            return 1e30
        value = points.chi2(np.array([*free, *start[4:]]), basis)
        return value if np.isfinite(value) else 1e30

    simplex = np.vstack([start[:4]] + [start[:4] + step for step in np.diag([0.006, 0.02, 0.012, 0.2])])
    found = minimize(
        chi2, start[:4], method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxiter": 600, "xatol": 1e-6, "fatol": 1e-4},
    )  # fmt: skip
    return np.array([*found.x, *start[4:]]), float(found.fun)
