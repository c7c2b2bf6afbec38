"""A planet before its star: found, fitted together with the baseline, with posterior.

Reads relative fluxes with errors, and causes of trends. Method: the quadratic law of Mandel & Agol 2002
(`kernels.transit`) on a circular orbit, or a straight chord where nobody gives the period; the baseline
(constant and causes) multiplies it, is linear and integrated out. Noise may remember what it was
(`noisekinds`), and its scale is integrated out. Walkers draw t0, Rp/Rs, duration, impact parameter and limb
darkening, the latter with Gaussian priors, from the posterior that is averaged over all sets of causes and
kinds of noise (`baselines`).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.errors import DatasetError, OptionError
from sciastro.photometry.baselines import Baselines, Points, make_baselines
from sciastro.photometry.limbdarkening import UNKNOWN, LimbPrior, given_prior
from sciastro.photometry.noisekinds import UNKNOWN_NOISE, NoiseKinds
from sciastro.photometry.rednoise import RedNoise, red_noise
from sciastro.photometry.sampler import LENGTHS, Draws
from sciastro.photometry.transitfit import NoiseFound, TransitFit, told
from sciastro.photometry.transitposterior import LARGEST, KnownOrbit, draw_shapes, orbit
from sciastro.photometry.transitsearch import Found, search_transit
from sciastro.photometry.trends import Trends, subsets

__all__ = ["GIVEN", "TransitOptions", "causes_to_try", "check_orbit", "fit_transit", "prior_of"]

Floats = npt.NDArray[np.float64]

NAMES = ("t0", "rp_rs", "duration", "b", "u1", "u2")
FEWEST = 12  # points: six of a shape, and as many that tell a baseline and the noise
KNOWN = 0.05  # relative error of a / Rs that is given without one: a guess on the wide side
FAR = 3.0  # standard errors: that a planet passes the star must be sure before it is refused
WORSE = 6.0  # ln of what a known orbit costs the best shape: 0.25 % by chance, so they disagree
GIVEN = 0.10  # sigma of limb darkening that the user gives: stars differ from models by so much


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitOptions(Options):
    """How a transit is looked for and fitted."""

    transit: str = option(
        "auto", "Whether to fit one; auto: where BIC asks for it.", choices=("auto", "yes", "no")
    )
    period: float | None = option(
        None, "Orbital period; none: a straight chord.", unit="d", low=0.05, high=1e5
    )
    a_rs: float | None = option(
        None, "a / Rs of the orbit where it is known, beside a period; a Gaussian prior.", low=1.0, high=1e4
    )
    a_rs_error: float | None = option(None, "Standard error of a_rs; none: 5 % of it.", low=1e-6, high=1e4)
    inclination: float | None = option(
        None, "Of the orbit where it is known, beside a period; a Gaussian prior.", unit="deg", low=0.0,
        high=90.0,
    )  # fmt: skip
    inclination_error: float = option(1.0, "Standard error of the inclination.", unit="deg", low=1e-6)
    t0: float | None = option(None, "A mid-transit time, BJD_TDB.", unit="d", low=0.0)
    duration: float | None = option(None, "Duration to begin with.", unit="h", low=0.05, high=100.0)
    limb_darkening: str = option(
        "auto", "u1,u2 of the quadratic law: center of their prior; auto: by filter and temperature."
    )
    limb_error: float | None = option(
        None, "Sigma of the prior of u1 and u2; 0 fixes them; none: 0.1, or that of auto.", low=0.0, high=1.0
    )
    temperature: float | None = option(
        None, "Of the star, for its limb darkening; none: by its color.", unit="K", low=1500.0, high=60_000.0
    )
    detrend: str = option(
        "auto", "Causes of trends: auto (average over all sets), none, or names with commas."
    )
    least_gain: float = option(10.0, "Gain of BIC that makes a transit of a dip.", low=0.0)
    steps: int = option(
        20_000,
        "Most steps of the walkers, who stop earlier where they have converged.",
        low=200,
        high=1_000_000,
    )
    seconds: float = option(
        600.0,
        "A safety: most time of the walkers. Where it ends them the summary says so.",
        unit="s",
        low=1.0,
    )
    seed: int = option(1, "Of the walkers.", low=0)


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
        (point) BJD_TDB [d], relative, [d]; all finite, in order of time.
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
    basis = trends.basis(found.causes)
    transit = data.transit(found.shape)
    residual = data.flux - transit * (basis @ data.solved(transit, basis))
    freedom = max(time.size - basis.shape[1] - 4, 1)
    reduced = float(np.sum(data.weight * residual**2) / freedom)
    noise = red_noise(time, residual)
    if options.transit == "auto" and (found.bic_flat - found.bic) / noise.factor**2 < options.least_gain:
        return None
    scale = float(np.sqrt(reduced))
    scaled = data.with_errors(scale)
    baselines = make_baselines(scaled, trends, every, kinds)
    draws, best = None, found.shape
    if draw:
        drawn = draw_shapes(scaled, baselines, best, prior, _known_orbit(options), options)
        if drawn is None:
            return None
        draws, best = drawn
    kind = _kind(kinds, baselines.averaged(scaled, best).kinds, baselines.filters.deviation)
    return _result(
        scaled, trends, baselines, draws, best, found, (scale, reduced), (noise, kind, prior), options
    )


def check_orbit(options: TransitOptions) -> None:
    """Check that what is known of a circular orbit is whole, and that the planet then passes the star's disk.

    Raises
    ------
    OptionError
        If there is no period, an error of nothing, or no transit.
    """
    for name in ("a_rs", "inclination"):
        if options.period is None and getattr(options, name) is not None:
            raise OptionError(
                "tells nothing of a transit without the orbital period.", where="--" + name.replace("_", "-"),
                remedy="Give --period, too.",
            )  # fmt: skip
    if options.a_rs is None:
        if options.a_rs_error is not None:
            raise OptionError("is an error of nothing.", where="--a-rs-error", remedy="Give --a-rs, too.")
        return
    a_rs, err = _known_orbit(options)["a_rs"]
    if options.inclination is not None:
        tilt = np.radians(options.inclination)
        b = a_rs * np.cos(tilt)
        spread = np.hypot(err * np.cos(tilt), a_rs * np.sin(tilt) * np.radians(options.inclination_error))
        if b - FAR * spread > 1 + LARGEST:
            raise OptionError(
                f"lead the planet past the star: {b:.2f} +- {spread:.2f} of its radii from its center.",
                where="--a-rs and --inclination", remedy="Give those of an orbit with transits, or neither.",
            )  # fmt: skip


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


def prior_of(options: TransitOptions, auto: LimbPrior = UNKNOWN) -> LimbPrior:
    """Return the prior of limb darkening that the options ask for; `auto` where they leave it open.

    Raises
    ------
    OptionError
        For limb darkening that no star has.
    """
    error = options.limb_error
    if options.limb_darkening != "auto":
        return given_prior(options.limb_darkening, GIVEN if error is None else error)
    return auto if error is None else replace(auto, err1=error, err2=error, correlation=0.0)


def _points(
    time: Floats, flux: Floats, err: Floats, exposure: Floats, prior: LimbPrior, options: TransitOptions
) -> Points:
    zero = float(np.floor(np.mean(time)))
    # An exposure smears ingress where it takes more than a few minutes.
    steps = int(np.clip(np.ceil(np.median(exposure) * 1440 / 2), 1, 11))
    time, flux, err, exposure = (np.ascontiguousarray(one) for one in (time - zero, flux, err, exposure))
    return Points(time, flux, err, exposure, steps, options.period or 0.0, zero, (prior.u1, prior.u2))


def _known_orbit(options: TransitOptions) -> KnownOrbit:
    """Return what is known of the orbit: a_rs and inclination [deg], each with its standard error."""
    known = {}
    if options.a_rs is not None:
        known["a_rs"] = options.a_rs, options.a_rs_error or KNOWN * options.a_rs
    if options.inclination is not None:
        known["inclination"] = options.inclination, options.inclination_error
    return known


def _result(
    data: Points, trends: Trends, baselines: Baselines, draws: Draws | None, best: Floats, found: Found,
    scales: tuple[float, float], assumed: tuple[RedNoise, NoiseFound, LimbPrior], options: TransitOptions,
) -> TransitFit:  # fmt: skip
    mean = baselines.averaged(data, best)
    flat = draws.flat[:: max(1, len(draws.flat) // 20_000)] if draws is not None else best[None]
    table = _derived(flat, data, options)
    values, spread = told(table, drawn=draws is not None)
    notes = []
    if draws is not None and not draws.converged:
        notes.append(
            f"the walkers' chain is short of {LENGTHS:g} autocorrelation times: "
            + ("time ended it, so another machine may find other digits: give it more (--seconds), or "
               if draws.late else "it has all the steps it may: ")
            + "trust values less than errors say"
        )  # fmt: skip
    known = _known_orbit(options)
    if known:
        ln = baselines.log_likelihood(data, np.array([found.shape, best]))
        at = dict(zip(("a_rs", "inclination"), orbit(best[1], best[2], best[3], data.period), strict=True))
        away = 0.5 * sum(((at[name] - value) / err) ** 2 for name, (value, err) in known.items())
        if ln[0] - ln[1] + away > WORSE:
            notes.append(
                "the light curve and the orbit that is given disagree (orbits are taken to be circular): "
                "another orbit fits much better, so errors say too little"
            )
    if options.period is None:
        notes.append("no period is given: a straight chord, so a/Rs and inclination are not known")
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
        orbit=known, samples=table, notes=notes,
    )  # fmt: skip


def _kind(kinds: NoiseKinds, share: Floats, deviation: Floats) -> NoiseFound:
    red = share[1:].sum()
    if not red > 1e-9:
        return NoiseFound(0.0, float("nan"), float("nan"), kinds.n_stars)
    size, minutes = (float(np.exp(share[1:] @ np.log(v[1:]) / red)) for v in (deviation, kinds.minutes))
    return NoiseFound(float(red), size, minutes, kinds.n_stars)


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
