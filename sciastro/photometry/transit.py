"""A planet before its star: found, fitted together with the baseline, with posterior.

Reads relative fluxes with errors, and causes of trends. Method: the quadratic law of Mandel & Agol 2002
(`kernels.transit`) on a circular orbit, or a straight chord where nobody gives the period; the baseline
(constant and causes) multiplies it, is linear and integrated out. Noise may remember what it was
(`noisekinds`), and its scale is integrated out. Walkers draw t0, Rp/Rs, duration, impact parameter and limb
darkening, the latter with Gaussian priors, from the posterior that is averaged over all sets of causes and
kinds of noise (`baselines`).
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import DatasetError
from sciastro.photometry.baselines import Baselines, Points, make_baselines
from sciastro.photometry.knownorbit import departure, orbit
from sciastro.photometry.limbdarkening import LimbPrior
from sciastro.photometry.noisekinds import UNKNOWN_NOISE, NoiseKinds
from sciastro.photometry.rednoise import RedNoise, red_noise
from sciastro.photometry.sampler import LENGTHS, Draws
from sciastro.photometry.transitfit import NoiseFound, TransitFit, told
from sciastro.photometry.transitoptions import TransitOptions, check_orbit, known_orbit, prior_of
from sciastro.photometry.transitposterior import draw_shapes
from sciastro.photometry.transitsearch import Found, search_transit
from sciastro.photometry.trends import Trends, subsets

__all__ = ["causes_to_try", "fit_transit"]

Floats = npt.NDArray[np.float64]

NAMES = ("t0", "rp_rs", "duration", "b", "u1", "u2")
FEWEST = 12  # points: six of a shape, and as many that tell a baseline and the noise
WORSE = 6.0  # ln of what a known orbit costs the best shape: 0.25 % by chance, so they disagree


def fit_transit(
    time: Floats,
    flux: Floats,
    err: Floats,
    exposure: Floats,
    trends: Trends,
    *,
    options: TransitOptions,
    limb: LimbPrior | None = None,
    kinds: NoiseKinds = UNKNOWN_NOISE,
    draw: bool = True,
) -> TransitFit | None:
    """Fit a transit; None where there is none, or too few points.

    Parameters
    ----------
    time, flux, err, exposure
        (point) BJD_TDB [d]; relative, and its error in white noise; [d]. All finite, in order of time.
    trends
        Of the same points.
    limb
        Prior of limb darkening; None: that of the options, "auto" any star's (`UNKNOWN`).
    kinds
        Of noise, and how often other stars of the field have them.
    draw
        Whether walkers draw from the posterior; else errors are NaN.

    Raises
    ------
    OptionError
        For limb darkening that no star has, causes that the frames do not tell, and an orbit without period.
    DatasetError
        If times are not in order: what noise remembers would have no meaning.
    """
    check_orbit(options)
    if options.transit == "no" or time.size < FEWEST:
        return None
    if not (np.diff(time) >= 0).all():
        raise DatasetError(
            "are not in order, or not all known.", where="times of a transit",
            remedy="Sort the points by their times.",
        )  # fmt: skip
    every = causes_to_try(trends, options.detrend)
    prior = limb or prior_of(options)
    data = _points(time, flux, err, exposure, prior, options)
    found = search_transit(data, trends, every, t0=options.t0, duration=options.duration) if every else None
    if found is None:
        return None
    noise, reduced = _residuals(data, trends, found)
    if options.transit == "auto" and (found.bic_flat - found.bic) / noise.factor**2 < options.least_gain:
        return None
    scale = float(np.sqrt(reduced))
    scaled = data.with_errors(scale)
    baselines = make_baselines(scaled, trends, every, kinds)
    drawn: tuple[Draws | None, Floats] | None
    if draw:
        drawn = draw_shapes(scaled, baselines, found.shape, prior, known_orbit(options), options)
    else:
        drawn = None, found.shape
    if drawn is None:
        return None
    draws, best = drawn
    kind = _kind(kinds, baselines.averaged(scaled, best).kinds, baselines.filters.deviation)
    return _result(
        scaled, trends, baselines, draws, best, found, (scale, reduced), (noise, kind, prior), options
    )


def causes_to_try(trends: Trends, wanted: str) -> list[tuple[str, ...]]:
    """Return the sets of causes that the points can tell.

    Raises
    ------
    OptionError
        For a cause that does not exist, or of which the frames do not tell.
    """
    n = next(iter(trends.columns.values())).shape[0]
    return [
        names
        for names in subsets(trends, wanted)
        if trends.basis(names).shape[1] + 5 < n and trends.determined(names)
    ]


def _points(
    time: Floats, flux: Floats, err: Floats, exposure: Floats, prior: LimbPrior, options: TransitOptions
) -> Points:
    zero = float(np.floor(np.mean(time)))
    # An exposure smears ingress where it takes more than a few minutes.
    steps = int(np.clip(np.ceil(np.median(exposure) * 1440 / 2), 1, 11))
    time, flux, err, exposure = (np.ascontiguousarray(one) for one in (time - zero, flux, err, exposure))
    return Points(time, flux, err, exposure, steps, options.period or 0.0, zero, (prior.u1, prior.u2))


def _residuals(data: Points, trends: Trends, found: Found) -> tuple[RedNoise, float]:
    """Return the red noise and the reduced chi2 of what a shape with its baseline leaves in white noise."""
    basis = trends.basis(found.causes)
    transit = data.transit(found.shape)
    residual = data.flux - transit * (basis @ data.solved(transit, basis))
    freedom = max(residual.size - basis.shape[1] - 4, 1)
    return red_noise(data.time, residual), float(np.sum(data.weight * residual**2) / freedom)


def _result(
    data: Points, trends: Trends, baselines: Baselines, draws: Draws | None, best: Floats, found: Found,
    scales: tuple[float, float], assumed: tuple[RedNoise, NoiseFound, LimbPrior], options: TransitOptions,
) -> TransitFit:  # fmt: skip
    mean = baselines.averaged(data, best)
    flat = draws.flat[:: max(1, len(draws.flat) // 20_000)] if draws is not None else best[None]
    table = _derived(flat, data, options)
    values, spread = told(table, drawn=draws is not None)
    share = mean.probability
    return TransitFit(
        values=values, errors=spread, best=np.asarray(best) + np.array([data.zero, 0, 0, 0, 0, 0]),
        coefficients={
            label: (float(c), float(e))
            for label, c, e in zip(
                trends.labels(baselines.causes), mean.coefficients, mean.errors, strict=True
            )
        },
        columns=baselines.causes, causes=baselines.names[int(np.argmax(share))],
        share={
            cause: float(sum(share[k] for k, names in enumerate(baselines.names) if cause in names))
            for cause in baselines.causes
        },
        n_sets=len(baselines.names), model=data.transit(best) * mean.baseline, baseline=mean.baseline,
        bic=found.bic, bic_flat=found.bic_flat, scale=scales[0], noise=assumed[0], kind=assumed[1],
        chi2_reduced=scales[1], period=options.period, limb=assumed[2], draws=draws,
        orbit=known_orbit(options), samples=table, notes=_notes(data, baselines, draws, best, found, options),
    )  # fmt: skip


def _notes(
    data: Points, baselines: Baselines, draws: Draws | None, best: Floats, found: Found,
    options: TransitOptions,
) -> list[str]:  # fmt: skip
    """Return what makes values or errors less sure: walkers that did not end, an orbit that does not fit."""
    notes = []
    if draws is not None and not draws.converged:
        notes.append(
            f"the walkers' chain is short of {LENGTHS:g} autocorrelation times: "
            + ("time ended it, so another machine may find other digits: give it more (--seconds), or "
               if draws.late else "it has all the steps it may: ")
            + "trust values less than errors say"
        )  # fmt: skip
    known = known_orbit(options)
    if known and draws is not None:  # the best shape is then that of likelihood and prior
        ln = baselines.log_likelihood(data, np.array([found.shape, best]))
        if ln[0] - ln[1] + float(departure(known, best[None], data.period)[0]) > WORSE:
            notes.append(
                "the light curve and the orbit that is given disagree (orbits are taken to be circular): "
                "another orbit fits much better, so errors say too little. Give the a/Rs and inclination of "
                "a circular solution, or leave them out"
            )
    if options.period is None:
        notes.append("no period is given: a straight chord, so a/Rs and inclination are not known")
    return notes


def _kind(kinds: NoiseKinds, share: Floats, deviation: Floats) -> NoiseFound:
    red = share[1:].sum()
    if not red > 1e-9:
        return NoiseFound(0.0, float("nan"), float("nan"), kinds.n_stars, kinds.trend)
    size, minutes = (float(np.exp(share[1:] @ np.log(v[1:]) / red)) for v in (deviation, kinds.minutes))
    return NoiseFound(float(red), size, minutes, kinds.n_stars, kinds.trend)


def _derived(flat: Floats, data: Points, options: TransitOptions) -> dict[str, Floats]:
    if flat.shape[1] == 4:
        flat = np.column_stack([flat, np.broadcast_to(data.limb, (len(flat), 2))])
    t0, k, duration, b, u1, u2 = flat.T
    out: dict[str, Any] = {
        "t0": t0 + data.zero, "rp_rs": k, "duration": duration, "b": b, "u1": u1, "u2": u2, "depth": k**2,
    }  # fmt: skip
    middle = []
    for row in flat[:: max(1, len(flat) // 500)]:
        one = replace(
            data, time=row[:1], flux=np.ones(1), err=np.ones(1), exposure=np.zeros(1), steps=1
        )  # at the middle
        middle.append(1 - one.transit(row)[0])
    out["depth_flux"] = np.array(middle)
    if options.period:
        out["a_rs"], out["inclination"] = orbit(k, duration, b, options.period)
    return {name: np.asarray(column, np.float64) for name, column in out.items()}
