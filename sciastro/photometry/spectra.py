"""Spectra above the air: the ones that come with sciastro, black bodies, and white references."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.datafiles import shipped_columns
from sciastro.errors import OptionError

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = [
    "HC_OVER_K",
    "LEAST_OVERLAP",
    "WHITES",
    "Spectrum",
    "black_body",
    "check_samples",
    "flat",
    "overlap",
    "vega",
    "white_spectrum",
]

Floats = npt.NDArray[np.float64]

HC_OVER_K = 1.438776877e7  # nm K
LEAST_OVERLAP = 0.99  # share of a band that a spectrum must cover

WHITES = ("G2V", "spiral", "Vega", "flat")
"""White references by name: the Sun, an average spiral galaxy, Vega, the same photons at every wavelength."""


def check_samples(wavelength: Floats, values: Floats, where: str, what: str) -> None:
    """Raise unless two columns are finite numbers with increasing wavelengths.

    Raises
    ------
    OptionError
        Naming `where`; `what` is the second column.
    """
    if wavelength.ndim != 1 or wavelength.shape != values.shape or len(wavelength) < 2:
        raise OptionError(
            "needs two columns of at least 2 numbers.", where=where, remedy=f"Give wavelength and {what}."
        )
    if not (np.isfinite(wavelength).all() and np.isfinite(values).all()):
        raise OptionError("holds values that are no numbers.", where=where, remedy="Remove those rows.")
    if not (np.diff(wavelength) > 0).all():
        raise OptionError(
            "has wavelengths that do not increase.", where=where, remedy="Sort it; each wavelength once."
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spectrum:
    """Flux density per wavelength.

    Attributes
    ----------
    wavelength
        float64, increasing [nm].
    flux
        [erg / s / cm2 / Angstrom], or relative to it; linear between samples, 0 outside.
    flux_err
        Its standard error, same unit; None where unknown.
    """

    name: str
    wavelength: Floats
    flux: Floats
    flux_err: Floats | None = None

    def __post_init__(self) -> None:
        """Check the spectrum.

        Raises
        ------
        OptionError
            If the wavelengths do not increase or the flux is not finite or nowhere positive.
        """
        wavelength, flux = (np.array(part, dtype=np.float64) for part in (self.wavelength, self.flux))
        where = f"spectrum {self.name!r}"
        check_samples(wavelength, flux, where, "flux")
        if not (flux > 0).any():
            raise OptionError("is nowhere above 0.", where=where, remedy="Give flux per wavelength.")
        object.__setattr__(self, "wavelength", wavelength)
        object.__setattr__(self, "flux", flux)

    def at(self, wavelength: npt.ArrayLike) -> Floats:
        """Return the flux density at `wavelength` [nm]."""
        there = np.asarray(wavelength, dtype=np.float64)
        return np.asarray(np.interp(there, self.wavelength, self.flux, left=0.0, right=0.0))

    def to_table(self) -> "QTable":
        """Return it as a table with units."""
        from astropy import units as u
        from astropy.table import QTable

        unit = u.erg / (u.s * u.cm**2 * u.AA)
        columns = {"wavelength": self.wavelength * u.nm, "flux": self.flux * unit}
        if self.flux_err is not None:
            columns["flux_err"] = self.flux_err * unit
        return QTable(columns, meta={"name": self.name})


def overlap(spectrum: Spectrum, grid: Floats, curve: Floats, band: str) -> float:
    """Return the share of a band's throughput that the spectrum covers.

    Raises
    ------
    OptionError
        If it is below 99 %.
    """
    covered = (grid >= spectrum.wavelength[0]) & (grid <= spectrum.wavelength[-1])
    total = float(np.trapezoid(curve, grid))
    share = float(np.trapezoid(np.where(covered, curve, 0.0), grid)) / total if total > 0 else 0.0
    if share < LEAST_OVERLAP:
        raise OptionError(
            f"covers {spectrum.wavelength[0]:.0f} to {spectrum.wavelength[-1]:.0f} nm, "
            f"{100 * share:.0f} % of passband {band!r}.",
            where=f"spectrum {spectrum.name!r}",
            remedy="Give a spectrum that covers the band, or check the unit of its wavelengths.",
        )
    return share


@lru_cache(maxsize=8)
def _shipped(name: str) -> Spectrum:
    wavelength, flux = shipped_columns("spectra", name)
    return Spectrum(name=name, wavelength=wavelength, flux=flux)


def vega() -> Spectrum:
    """Return CALSPEC's spectrum of Vega (alpha_lyr_stis_011), mean per nm."""
    return _shipped("vega")


def black_body(temperature: float) -> Spectrum:
    """Return a black body of `temperature` [K], 1 at 550 nm, from 200 to 1200 nm.

    Raises
    ------
    OptionError
        If the temperature is not between 500 and 1e6 K.
    """
    if not 500 <= temperature <= 1e6:
        raise OptionError(f"is {temperature} K.", where="temperature", remedy="Choose 500 to 1e6 K.")
    wavelength = np.arange(200.0, 1201.0)
    energy = wavelength**-5.0 / np.expm1(HC_OVER_K / (wavelength * temperature))
    return Spectrum(
        name=f"black body of {temperature:.0f} K", wavelength=wavelength, flux=energy / energy[350]
    )


def flat() -> Spectrum:
    """Return the same number of photons at every wavelength: flux per wavelength falls as 1 / wavelength."""
    wavelength = np.arange(200.0, 1201.0)
    return Spectrum(name="photon-flat", wavelength=wavelength, flux=550.0 / wavelength)


def white_spectrum(name: str) -> Spectrum:
    """Return a white reference by name (`WHITES`).

    Raises
    ------
    OptionError
        For an unknown name.
    """
    key = name.strip().lower().replace("_", "-")
    if key in ("flat", "photon-flat"):
        return flat()
    shipped = {
        "g2v": "sun", "sun": "sun", "spiral": "spiral", "average-spiral": "spiral", "vega": "vega",
        "a0v": "vega",
    }  # fmt: skip
    if key not in shipped:
        raise OptionError(
            f"is {name!r}.", where="white reference",
            remedy=f"Known: {', '.join(WHITES)}; or the B-V of a star; or a file with a spectrum.",
        )  # fmt: skip
    found = _shipped(shipped[key])
    said = {"sun": "G2V (the Sun, CALSPEC)", "vega": "Vega (CALSPEC)", "spiral": "average spiral galaxy"}
    return Spectrum(name=said[shipped[key]], wavelength=found.wavelength, flux=found.flux)
