"""What clear air lets through: Rayleigh scattering, dust and ozone; no lines of water and oxygen.

Rayleigh: Bodhaine et al. 1999 (J. Atmos. Oceanic Technol. 16, 1854), eq. 30, times pressure over 1013.25 hPa.
Dust: Angstrom's law, ``a550 (lambda / 550)^-1.3``, falling with altitude by e per 1.5 km. Ozone: the Chappuis
band as a Gaussian of optical depth 0.041 at 602 nm (300 Dobson units; cross section 5.1e-21 cm2), ours, good
to some 20 %. Telluric lines (O2 at 687 and 761 nm, H2O) are left out.
"""

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError
from sciastro.photometry.bandpass import Bandpass

__all__ = ["air", "optical_depth", "pressure_at", "rayleigh_depth"]

Floats = npt.NDArray[np.float64]

STANDARD = 1013.25  # hPa


def pressure_at(altitude: float) -> float:
    """Return the pressure of the standard atmosphere at `altitude` [m] [hPa] (ISA, below 11 km)."""
    return float(STANDARD * (1 - 2.25577e-5 * altitude) ** 5.25588)


def rayleigh_depth(wavelength: npt.ArrayLike, pressure: float = STANDARD) -> Floats:
    """Return the optical depth of molecules toward the zenith at `wavelength` [nm] and `pressure` [hPa]."""
    micron = np.asarray(wavelength, dtype=np.float64) / 1000
    low, high = micron**-2, micron**2
    depth = (
        0.0021520
        * (1.0455996 - 341.29061 * low - 0.90230850 * high)
        / (1 + 0.0027059889 * low - 85.968563 * high)
    )
    return np.asarray(depth * pressure / STANDARD)


def optical_depth(
    wavelength: npt.ArrayLike, *, pressure: float = STANDARD, altitude: float = 0.0, dust: float = 0.08
) -> Floats:
    """Return the optical depth of clear air toward the zenith.

    Parameters
    ----------
    wavelength
        [nm].
    pressure
        At the site [hPa].
    altitude
        Of the site [m].
    dust
        Optical depth of dust at 550 nm at sea level.
    """
    there = np.asarray(wavelength, dtype=np.float64)
    haze = dust * np.exp(-max(altitude, 0.0) / 1500) * (there / 550) ** -1.3
    ozone = 0.041 * np.exp(-0.5 * ((there - 602) / 48) ** 2)
    return np.asarray(rayleigh_depth(there, pressure) + haze + ozone)


def air(
    airmass: float, *, altitude: float = 0.0, pressure: float | None = None, dust: float = 0.08
) -> Bandpass:
    """Return the transmission of clear air along `airmass` as a passband, 300 to 1100 nm.

    `pressure` [hPa] is that of the standard atmosphere at `altitude` [m] unless told.

    Raises
    ------
    OptionError
        For an airmass below 1 or beyond 40, an altitude outside -500 to 9000 m, or a pressure that no
        site has.
    """
    if not 1 <= airmass <= 40:
        raise OptionError(f"is {airmass:g}.", where="airmass", remedy="Give 1 (zenith) to 40 (horizon).")
    if not -500 <= altitude <= 9000:
        raise OptionError(f"is {altitude:g} m.", where="altitude", remedy="Give -500 to 9000 m.")
    there = pressure_at(altitude) if pressure is None else pressure
    if not 250 <= there <= 1100:
        raise OptionError(f"is {there:g} hPa.", where="pressure", remedy="Give 250 to 1100 hPa.")
    wavelength = np.arange(300.0, 1101.0, 2.0)
    depth = optical_depth(wavelength, pressure=there, altitude=altitude, dust=dust)
    return Bandpass(
        name=f"air at airmass {airmass:.2f}", wavelength=wavelength, throughput=np.exp(-airmass * depth),
        source="Bodhaine et al. 1999; dust and ozone: sciastro",
    )  # fmt: skip
