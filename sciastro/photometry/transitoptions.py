"""How a transit is looked for, and what the user knows of it beforehand: orbit, limb darkening."""

from dataclasses import dataclass, replace

import numpy as np

from sciastro.core.options import Options, option
from sciastro.errors import OptionError
from sciastro.photometry.knownorbit import KnownOrbit
from sciastro.photometry.limbdarkening import UNKNOWN, LimbPrior, given_prior
from sciastro.photometry.transitsearch import LARGEST

__all__ = ["GIVEN", "TransitOptions", "check_orbit", "known_orbit", "prior_of"]

KNOWN = 0.05  # relative error of a / Rs that is given without one: a guess on the wide side
TILT = 1.0  # deg: error of an inclination that is given without one: as wide as most that are published
FAR = 3.0  # standard errors: that a planet passes the star must be sure before it is refused
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
        None,
        "a / Rs of a circular orbit where it is known, beside a period; a Gaussian prior.",
        low=1.0,
        high=1e4,
    )
    a_rs_error: float | None = option(None, "Standard error of a_rs; none: 5 % of it.", low=1e-6, high=1e4)
    inclination: float | None = option(
        None, "Of the orbit where it is known, beside a period; a Gaussian prior.", unit="deg", low=0.0,
        high=90.0,
    )  # fmt: skip
    inclination_error: float | None = option(
        None, "Standard error of the inclination; none: 1 degree.", unit="deg", low=1e-6
    )
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


def check_orbit(options: TransitOptions) -> None:
    """Check that what is known of a circular orbit is whole, and that the planet then passes the star's disk.

    Raises
    ------
    OptionError
        If there is no period, an error of nothing, or no transit.
    """
    for name in ("a_rs", "inclination"):
        flag = "--" + name.replace("_", "-")
        if getattr(options, name) is None:
            if getattr(options, f"{name}_error") is not None:
                raise OptionError(
                    "is an error of nothing.", where=f"{flag}-error", remedy=f"Give {flag}, too."
                )
        elif options.period is None:
            raise OptionError(
                "tells nothing of a transit without the orbital period.", where=flag,
                remedy="Give --period, too.",
            )  # fmt: skip
    known = known_orbit(options)
    if len(known) == 2:
        (a_rs, err), (tilt, tilt_err) = known["a_rs"], np.radians(known["inclination"])
        b = a_rs * np.cos(tilt)
        spread = np.hypot(err * np.cos(tilt), a_rs * np.sin(tilt) * tilt_err)
        if b - FAR * spread > 1 + LARGEST:
            raise OptionError(
                f"lead the planet past the star: {b:.2f} +- {spread:.2f} of its radii from its center.",
                where="--a-rs and --inclination", remedy="Give those of an orbit with transits, or neither.",
            )  # fmt: skip


def known_orbit(options: TransitOptions) -> KnownOrbit:
    """Return what is known of the orbit: a_rs and inclination [deg], each with its standard error."""
    known = {}
    if options.a_rs is not None:
        known["a_rs"] = options.a_rs, options.a_rs_error or KNOWN * options.a_rs
    if options.inclination is not None:
        known["inclination"] = options.inclination, options.inclination_error or TILT
    return known


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
