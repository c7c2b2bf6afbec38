"""Transit, trends and red noise of a light curve, and the points that lie far from the fit."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.quality import Quality
from sciastro.core.robust import mad_sigma
from sciastro.photometry.blackbody import temperature
from sciastro.photometry.lightcurve import Curves
from sciastro.photometry.limbdarkening import LimbPrior, limb_prior
from sciastro.photometry.rednoise import RedNoise, red_noise
from sciastro.photometry.transit import fit_transit
from sciastro.photometry.transitfit import TransitFit, pool
from sciastro.photometry.transitoptions import TransitOptions, prior_of
from sciastro.photometry.trends import Trends, make_trends
from sciastro.recipe.lightcurvecatalog import CatalogLevel
from sciastro.recipe.lightcurveframes import FieldSeries
from sciastro.recipe.lightcurvenoise import causes_of, nights_of, noise_of_field
from sciastro.recipe.lightcurveverdicts import OUTLIER, Verdicts, spikes

__all__ = ["Fitted", "fitted", "limb_of"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COLOR_ERROR = 0.1  # mag, of B-V: Tycho's at V = 11 (Hog et al. 2000), and some reddening


@dataclass(frozen=True)
class Fitted:
    """What a fit says of the target; attributes as `LightCurve` has them."""

    fitted_in: tuple[int, ...]

    verdicts: Verdicts
    trends: Trends
    transit: TransitFit | None
    noise: RedNoise
    baseline: Floats
    model: Floats
    scatter: float
    scatter_points: float


def limb_of(options: TransitOptions, band: str, level: CatalogLevel | None) -> LimbPrior:
    """Return the prior of limb darkening for a filter and the target, and where it is from."""
    heat, err_heat = options.temperature or math.nan, 0.0
    told = "given"
    if options.temperature is None and level is not None and level.zeropoint.color_name == "B-V":
        color = float(level.color[0])
        heat, told = float(temperature(color)), f"by B-V = {color:.2f}"
        err_heat = float(temperature(color - COLOR_ERROR) - temperature(color + COLOR_ERROR)) / 2
    prior = limb_prior(band, heat, err_heat)
    if math.isfinite(heat):
        prior = replace(prior, source=f"{prior.source} (temperature {told})")
    return prior_of(options, prior)


def fitted(
    series: FieldSeries,
    curves: Curves,
    times: tuple[Floats, Floats],
    judged: Verdicts,
    options: TransitOptions,
    limb: LimbPrior,
    tell: Callable[[str], None],
) -> Fitted:
    """Return the fit of the target's light curve, and its points judged again by what it says.

    Parameters
    ----------
    times
        (frame) BJD_TDB of the target [d], its airmass; NaN unknown.
    judged
        Points that count so far; at least one.
    options, limb
        Of the fit; prior of limb darkening.
    """
    bjd = times[0]
    exposure = np.array([one.exposure for one in series.frames]) / 86400
    flux, err = curves.flux[0], curves.err[0]
    causes, night = causes_of(series, *times), nights_of(bjd)
    use = judged.use.copy()
    if options.transit != "no":
        use &= ~spikes(flux, err, use)

    def once(points: tuple[Floats, Floats], how: TransitOptions, **rest: Any) -> TransitFit | None:
        one, one_err = points
        some = bjd[use], one[use], one_err[use], exposure[use], trends.take(use)
        return fit_transit(*some, options=how, limb=limb, **rest)

    for _ in range(2):
        trends = make_trends(causes, use, night)
        fit = once((flux, err), options, draw=False)
        if fit is None:  # what stands out may be the star's own
            break
        residual = (flux[use] - fit.model) / err[use]
        width = mad_sigma(residual)
        far = np.abs(residual) > OUTLIER * max(width, 1e-12)
        use[np.flatnonzero(use)[far]] = False
        if not far.any():
            break
    found: dict[int, TransitFit] = {}
    if fit is not None:
        trends, kinds = make_trends(causes, use, night), noise_of_field(series, curves, times, use)
        tell(f"a transit is fitted; drawing from its posterior (noise as {kinds.n_stars} stars have it)")
        sure = replace(options, transit="yes")
        fit = once((flux, err), options, kinds=kinds)
    if fit is None:  # without the last points that stood out there is none any more
        use, trends = judged.use, make_trends(causes, judged.use, night)
    else:
        found[curves.aperture] = fit
        for k, points in curves.others.items():
            if all(np.isfinite(one[use]).all() for one in points):
                other = once(points, sure, kinds=kinds)
                if other is not None:
                    found[k] = other
        fit = pool(list(found.values()))
    return _told(flux, bjd, _left_out(judged, use), trends, fit, tuple(found))


def _left_out(judged: Verdicts, use: Bools) -> Verdicts:
    """Return the verdicts with the points that a fit left out."""
    flags, reason = judged.flags.copy(), list(judged.reason)
    for j in np.flatnonzero(judged.use & ~use):
        flags[j] |= np.uint32(int(Quality.OUTLIER))
        reason[j] = f"more than {OUTLIER:g} sigma from the fit, or from its neighbors"
    return Verdicts(flags, use, reason)


def _told(
    flux: Floats,
    bjd: Floats,
    judged: Verdicts,
    trends: Trends,
    fit: TransitFit | None,
    fitted_in: tuple[int, ...],
) -> Fitted:
    use = judged.use
    baseline, model = np.ones(use.size), np.full(use.size, np.nan)
    if fit is not None:
        values = np.array([value for value, _ in fit.coefficients.values()])
        baseline = trends.basis(fit.columns) @ values
        model[use] = fit.model / fit.baseline
    residual = flux[use] - (fit.model if fit is not None else np.median(flux[use]))
    steps = np.diff(flux[use])
    return Fitted(
        fitted_in=fitted_in, verdicts=judged, trends=trends, transit=fit,
        noise=red_noise(bjd[use], residual), baseline=baseline, model=model,
        scatter=float(np.std(residual, ddof=1)) if residual.size > 1 else 0.0,
        scatter_points=float(np.std(steps) / np.sqrt(2)) if steps.size > 1 else float("nan"),
    )  # fmt: skip
