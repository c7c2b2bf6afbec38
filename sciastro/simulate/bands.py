"""What each filter lets through: photons of a star of given V and B-V, of nebulae and of the air.

Simple on purpose: one photon rate for V = 0, B-V = 0 per band and one color slope. Broad bands follow
the flux of an A0 star (AB zero point: 5.48e6 / lambda[Angstrom] photons / s / cm2 / Angstrom) times the
band's width; slopes are those of main-sequence stars (for g and r: Jester et al. 2005, stars with
R-I < 1.15), good to about 0.1 mag. The simulator defines its own truth, so they need not be better.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.errors import OptionError

__all__ = ["BANDS", "Band", "Telescope", "band_named", "color_channels", "star_rates", "surface_rate"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """One filter.

    Attributes
    ----------
    photons
        Photons of a star of V = 0, B-V = 0 above the air [1 / s / cm2].
    slope
        Magnitudes by which a star is fainter in this band, relative to V, per magnitude of B-V.
    emission, reflection
        Light of an emission and of a reflection nebula, relative to red and blue.
    extinction
        Of clear air [mag / airmass].
    """

    photons: float
    slope: float
    emission: float
    reflection: float
    extinction: float


def _band(photons: float, slope: float, emission: float, reflection: float, extinction: float) -> Band:
    return Band(photons=photons, slope=slope, emission=emission, reflection=reflection, extinction=extinction)


BANDS: dict[str, Band] = {
    #                photons slope  emission reflection extinction
    "L": _band(3.00e6, -0.05, 1.30, 2.10, 0.15),
    "R": _band(0.87e6, -0.50, 1.00, 0.45, 0.11),
    "G": _band(0.92e6, 0.08, 0.22, 0.75, 0.15),
    "B": _band(1.21e6, 0.80, 0.16, 1.00, 0.25),
    "V": _band(0.88e6, 0.00, 0.20, 0.70, 0.15),
    "U": _band(0.80e6, 1.80, 0.10, 0.80, 0.50),
    "I": _band(1.02e6, -1.00, 0.08, 0.25, 0.07),
    "g": _band(1.58e6, 0.60, 0.30, 1.20, 0.20),
    "r": _band(1.20e6, -0.42, 1.00, 0.60, 0.11),
    "i": _band(1.10e6, -0.92, 0.10, 0.30, 0.08),
    "Ha": _band(5.85e4, -0.55, 0.95, 0.04, 0.10),
    "OIII": _band(7.10e4, 0.30, 0.20, 0.30, 0.16),
    "SII": _band(5.30e4, -0.60, 0.14, 0.04, 0.09),
    # The three colors of a Bayer sensor, wider and with more overlap than a filter wheel's.
    "OSC-R": _band(0.75e6, -0.45, 0.80, 0.42, 0.11),
    "OSC-G": _band(1.05e6, 0.10, 0.25, 0.80, 0.15),
    "OSC-B": _band(0.85e6, 0.70, 0.16, 0.80, 0.23),
}

_PHASES = {"R": "OSC-R", "G": "OSC-G", "B": "OSC-B"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Telescope(Options):
    """How much light arrives and how it is spread."""

    aperture: float = option(100.0, "Clear aperture.", unit="mm", low=0.5, high=20000.0)
    focal_length: float = option(500.0, "Focal length.", unit="mm", low=1.0, high=100000.0)
    efficiency: float = option(0.6, "Fraction of the photons that become electrons.", low=0.001, high=1.0)


def band_named(name: str) -> Band:
    """Return the band called `name`.

    Raises
    ------
    OptionError
        For an unknown name; the message lists the known ones.
    """
    if name not in BANDS:
        known = ", ".join([*BANDS, "OSC"])
        raise OptionError(f"is {name!r}.", where="band", remedy=f"Known bands: {known}.")
    return BANDS[name]


def color_channels(band: str) -> tuple[str, ...]:
    """Return the bands that a frame in `band` records at once: one, or the three of "OSC"."""
    if band == "OSC":
        return tuple(_PHASES.values())
    band_named(band)
    return (band,)


def _per_photon(telescope: Telescope) -> float:
    return float(np.pi / 4 * (telescope.aperture / 10) ** 2 * telescope.efficiency)


def star_rates(
    bands: tuple[str, ...], mag: npt.ArrayLike, color: npt.ArrayLike, telescope: Telescope
) -> Floats:
    """Return electrons / s above the air, (star, band).

    Parameters
    ----------
    mag, color
        V and B-V [mag]; a NaN color counts as 0.65, the Sun's.
    """
    v = np.asarray(mag, dtype=np.float64)
    b_v = np.nan_to_num(np.asarray(color, dtype=np.float64), nan=0.65)
    columns = [band_named(name).photons * 10 ** (-0.4 * (v + band_named(name).slope * b_v)) for name in bands]
    return np.stack(columns, axis=-1) * _per_photon(telescope)


def surface_rate(band: str, mag: float, color: float, telescope: Telescope, scale: float) -> float:
    """Return the light of a surface of `mag` [V / arcsec2] and `color` [electron / s / pixel].

    Parameters
    ----------
    scale
        Pixel scale [arcsec / pixel].
    """
    return float(star_rates((band,), [mag], [color], telescope)[0, 0] * scale**2)
