"""The aperture correction over the field: stars grow toward the corners, and a small aperture sees it.

A polynomial of degree 0, 1 or 2 in position, of the degree that the stars prove: the Bayesian information
criterion (Schwarz 1978, Ann. Statist. 6, 461) must fall, and there must be eight stars per term. In a crowded
field, where neighbors differ more than profiles, it is a constant.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.photometry.growth import flux_ratio
from sciastro.photometry.plane import Plane, Profile, SkyLevels
from sciastro.photometry.robust import LinearFit, fit_linear

__all__ = ["GrowthMap", "growth_map"]

Floats = npt.NDArray[np.float64]

_TERMS = (1, 3, 6)
_STARS_PER_TERM = 8
_CROWDED = 0.08  # relative scatter of the ratios beyond which neighbors, not profiles, make them differ


@dataclass(frozen=True, kw_only=True, slots=True)
class GrowthMap:
    """Aperture correction as a function of position.

    Attributes
    ----------
    coefficients
        (term,) of 1, u, v, u2, uv, v2 with u, v = (x, y - center) / scale.
    center, scale
        [pixel].
    low, high
        Range of (u, v) that the stars cover; outside, the value at the border counts.
    err, scatter
        Standard error at the middle of the stars; relative scatter of profiles about the map.
    n_stars
        Stars used.
    """

    coefficients: Floats
    center: tuple[float, float]
    scale: float
    low: Floats
    high: Floats
    err: float
    scatter: float
    n_stars: int

    def at(self, x: Floats, y: Floats) -> Floats:
        """Return the correction at positions [pixel]; NaN positions give NaN."""
        u, v = _scaled(x, y, self.center, self.scale)
        u, v = np.clip(u, self.low[0], self.high[0]), np.clip(v, self.low[1], self.high[1])
        return np.asarray(_design(u, v, len(self.coefficients)) @ self.coefficients)


def _scaled(x: Floats, y: Floats, center: tuple[float, float], scale: float) -> tuple[Floats, Floats]:
    return (x - center[0]) / scale, (y - center[1]) / scale


def _design(u: Floats, v: Floats, terms: int) -> Floats:
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v][:terms], axis=-1)


def growth_map(
    plane: Plane,
    x: Floats,
    y: Floats,
    sky: SkyLevels,
    stars: npt.NDArray[np.intp],
    radius: float,
    total: float,
    profile: Profile | None = None,
) -> GrowthMap | None:
    """Fit the flux within `total` over that within `radius` [pixel] of the `stars` (indices).

    With a `profile`, over the flux that its weights give within `radius`.

    Returns
    -------
    GrowthMap or None
        None where fewer than three stars have a ratio.
    """
    chosen = sky.at(stars)
    part = plane.weighted(x[stars], y[stars], radius, profile)
    ratio, err = flux_ratio(plane.sums(x[stars], y[stars], total), part, chosen)
    near, near_err = flux_ratio(plane.sums(x[stars], y[stars], 2 * radius), part, chosen)
    good = np.isfinite(ratio) & np.isfinite(near) & (ratio > 0)
    if good.sum() < 3:
        return None
    rows, columns = plane.image.shape
    center, scale = ((columns - 1) / 2, (rows - 1) / 2), float(np.hypot(rows, columns)) / 2
    u, v = _scaled(x[stars][good], y[stars][good], center, scale)
    fit = _best(u, v, ratio[good], err[good])
    terms = len(fit.coefficients)
    design = _design(u, v, terms)
    middle = design[fit.used].mean(axis=0)
    alike = fit_linear(design, near[good], near_err[good], kappa=3.0)
    relative = near[good] / (design @ alike.coefficients) - 1
    relative_err = near_err[good] / (design @ alike.coefficients)
    mad = 1.4826 * float(np.median(np.abs(relative - np.median(relative))))
    return GrowthMap(
        coefficients=fit.coefficients,
        center=center,
        scale=scale,
        low=np.array([u[fit.used].min(), v[fit.used].min()]),
        high=np.array([u[fit.used].max(), v[fit.used].max()]),
        err=float(np.sqrt(middle @ fit.covariance @ middle)),
        scatter=float(np.sqrt(max(mad**2 - float(np.median(relative_err**2)), 0.0))),
        n_stars=int(fit.used.sum()),
    )


def _best(u: Floats, v: Floats, ratio: Floats, err: Floats) -> LinearFit:
    """Return the fit of the degree with the least BIC, all judged on the same stars with the same errors."""
    n = len(ratio)
    fits = [fit_linear(_design(u, v, 1), ratio, err, kappa=3.0)]
    if fits[0].scatter > _CROWDED * float(fits[0].coefficients[0]):
        return fits[0]
    for terms in _TERMS[1:]:
        if n >= _STARS_PER_TERM * terms:
            fits.append(fit_linear(_design(u, v, terms), ratio, err, kappa=3.0))
    used = fits[-1].used
    variance = err[used] ** 2 + fits[-1].scatter ** 2 + 1e-12
    scores = []
    for fit in fits:
        terms = len(fit.coefficients)
        residual = ratio[used] - _design(u[used], v[used], terms) @ fit.coefficients
        scores.append(float(np.sum(residual**2 / variance)) + terms * np.log(used.sum()))
    return fits[int(np.argmin(scores))]
