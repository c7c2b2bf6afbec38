"""Where a transit's limb darkening is looked for: quadratic coefficients by filter and temperature.

Cubics in temperature, fitted here to the least-squares coefficients of Claret & Bloemen 2011 (A&A 529, A75)
for solar metallicity, log g 4.0 to 4.5, microturbulence 2 km / s, 4000 to 7500 K, ATLAS and PHOENIX models
with the same weight. The covariance holds what the models differ among each other about the cubics (u1 and u2
against each other: their sum is known best), and `APART` in each for what stars differ from models; where the
star's temperature is unknown, that of stars from F5 to K2, too.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sciastro.errors import OptionError

__all__ = ["UNKNOWN", "LimbPrior", "given_prior", "limb_from_text", "limb_prior"]

APART = 0.05  # by which a coefficient of a star differs from that of models
LOW, HIGH = 4000.0, 7500.0  # K
TYPICAL, SPREAD = 5750.0, 600.0  # K: of stars whose transits are looked at (F5 to K2)

# u1 and u2 in powers of (T - 5500 K) / 1000 K, each with its scatter between models; correlation of these
_TABLE: dict[str, tuple[tuple[float, ...], float, tuple[float, ...], float, float]] = {
    "B": ((0.779, -0.281, -0.029, 0.044), 0.056, (0.045, 0.229, 0.015, -0.034), 0.047, -0.98),
    "V": ((0.564, -0.237, 0.031, 0.018), 0.071, (0.185, 0.148, -0.032, -0.008), 0.053, -0.98),
    "R": ((0.437, -0.186, 0.045, 0.003), 0.069, (0.238, 0.092, -0.041, 0.005), 0.055, -0.96),
    "I": ((0.341, -0.146, 0.009, 0.015), 0.038, (0.248, 0.062, -0.004, -0.010), 0.029, -0.84),
    "g": ((0.689, -0.257, -0.002, 0.033), 0.058, (0.104, 0.196, -0.006, -0.024), 0.050, -0.97),
    "r": ((0.469, -0.199, 0.046, 0.004), 0.071, (0.227, 0.106, -0.041, 0.004), 0.057, -0.97),
    "i": ((0.363, -0.155, 0.020, 0.010), 0.045, (0.247, 0.068, -0.015, -0.005), 0.033, -0.89),
    "Kepler": ((0.473, -0.188, 0.026, 0.011), 0.051, (0.214, 0.104, -0.025, -0.004), 0.041, -0.95),
}
_LIKE = {"Rc": "R", "Ic": "I", "Bj": "B", "G": "V", "L": "Kepler", "Clear": "Kepler"}


@dataclass(frozen=True, slots=True)
class LimbPrior:
    """Prior of u1 and u2, a Gaussian: center, sigma, correlation; and where it is from. Sigma 0: held."""

    u1: float
    u2: float
    err1: float
    err2: float
    correlation: float
    source: str

    @property
    def free(self) -> bool:
        """Whether u1 and u2 are looked for."""
        return self.err1 > 0 and self.err2 > 0

    def log(self, u1: Any, u2: Any) -> Any:
        """Return ln of the density of numbers or arrays, up to a constant."""
        x, y, r = (u1 - self.u1) / self.err1, (u2 - self.u2) / self.err2, self.correlation
        return -0.5 * (x * x - 2 * r * x * y + y * y) / (1 - r * r)


UNKNOWN = LimbPrior(0.41, 0.24, 0.14, 0.09, -0.70, "that of F5 to K2 stars between V and I")
"""Mean and covariance of what the table says of them, each filter with the same weight."""


def limb_prior(band: str, temperature: float, error: float = 0.0) -> LimbPrior:
    """Return the prior for a filter and a star; a wide one where there is none for them.

    Parameters
    ----------
    temperature, error
        Of the star [K], NaN unknown; its standard error [K].
    """
    name = _LIKE.get(band, band)
    outside = bool(np.isfinite(temperature)) and not LOW <= temperature <= HIGH
    if name not in _TABLE or outside:
        why = f"filter {band}" if name not in _TABLE else f"a star of {temperature:.0f} K"
        return replace(UNKNOWN, source=f"{UNKNOWN.source}, for want of one for {why}")
    first, scatter1, second, scatter2, together = _TABLE[name]
    known = bool(np.isfinite(temperature))
    x = ((temperature if known else TYPICAL) - 5500) / 1000
    u1, u2 = (float(np.polynomial.polynomial.polyval(x, one)) for one in (first, second))
    slope = np.array([np.polynomial.polynomial.polyval(x, np.polynomial.polynomial.polyder(one))
                      for one in (first, second)])  # fmt: skip
    heat = (error if known else SPREAD) / 1000
    covariance = np.outer(slope, slope) * heat**2 + np.diag([APART**2, APART**2])
    cross = together * scatter1 * scatter2
    covariance += np.array([[scatter1**2, cross], [cross, scatter2**2]])
    err1, err2 = np.sqrt(np.diag(covariance))
    who = f"at {temperature:.0f} K" if known else f"at {TYPICAL:.0f} +- {SPREAD:.0f} K, the star's is unknown"
    return LimbPrior(
        round(u1, 3), round(u2, 3), round(float(err1), 3), round(float(err2), 3),
        round(float(covariance[0, 1] / (err1 * err2)), 2),
        f"Claret & Bloemen 2011 {who}, filter {name} for {band}",
    )  # fmt: skip


def given_prior(text: str, error: float) -> LimbPrior:
    """Return the prior that the user gives: u1,u2 with an error of each, uncorrelated.

    Raises
    ------
    OptionError
        As `limb_from_text`.
    """
    u1, u2 = limb_from_text(text) or (UNKNOWN.u1, UNKNOWN.u2)
    return LimbPrior(u1, u2, error, error, 0.0, "given")


def limb_from_text(text: str) -> tuple[float, float] | None:
    """Return u1 and u2, None for "auto".

    Raises
    ------
    OptionError
        If they are not two numbers of a law that a star can have.
    """
    if text.strip() == "auto":
        return None
    try:
        u1, u2 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(
            f"is {text!r}.", where="--limb-darkening", remedy="Give u1,u2, such as 0.40,0.25; or auto."
        ) from error
    if not (u1 + u2 <= 1 and u1 >= 0 and u1 + 2 * u2 >= 0):
        raise OptionError(
            f"is {text!r}, and no star darkens so.", where="--limb-darkening",
            remedy="u1 and u1 + 2 u2 are at least 0, u1 + u2 at most 1 (Kipping 2013).",
        )  # fmt: skip
    return u1, u2
