"""Passbands: what part of the photons of each wavelength a filter and a sensor turn into electrons.

Synthetic photometry in photons: ``rate = integral f_lambda lambda / (h c) T(lambda) d lambda``;
``m_AB = -2.5 log10(integral f_lambda lambda T dl / integral (c / lambda) T dl) - 48.60`` in cgs units
(Oke & Gunn 1983; Fukugita et al. 1996, eq. 7). `magnitude` gives each system's own: AB, or against Vega.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.datafiles import shipped_columns, shipped_names
from sciastro.errors import OptionError
from sciastro.photometry.spectra import Spectrum, check_samples, overlap, vega

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = [
    "Bandpass",
    "ab_magnitude",
    "box",
    "load",
    "magnitude",
    "names",
    "synthetic_photons",
    "vega_magnitude",
]

Floats = npt.NDArray[np.float64]

_HC = 1.98644586e-8  # erg Angstrom, h c
_LIGHT = 2.99792458e18  # Angstrom / s
_FOLDER = "passbands"
STEP = 1.0  # nm, grid of integrals

# VEGAMAG = AB - this: differences of the zero points of Riello et al. 2021 (A&A 649, A3), table 6.
_GAIA = {"gaia_G": 25.8010 - 25.6874, "gaia_BP": 25.3540 - 25.3385, "gaia_RP": 25.1040 - 24.7479}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bandpass:
    """A transmission or response curve per photon.

    Attributes
    ----------
    name
        What it is called in reports.
    wavelength
        float64, increasing [nm].
    throughput
        Electrons per photon, or share of the photons passed [1]; linear between samples, 0 outside.
    source
        Where it is from.
    """

    name: str
    wavelength: Floats
    throughput: Floats
    source: str = ""

    def __post_init__(self) -> None:
        """Check the curve.

        Raises
        ------
        OptionError
            If the wavelengths do not increase, or the throughput is negative, not finite or zero everywhere.
        """
        wavelength = np.array(self.wavelength, dtype=np.float64)
        throughput = np.array(self.throughput, dtype=np.float64)
        where = f"passband {self.name!r}"
        _check(wavelength, throughput, where)
        for name, value in (("wavelength", wavelength), ("throughput", throughput)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    def at(self, wavelength: npt.ArrayLike) -> Floats:
        """Return the throughput at `wavelength` [nm]."""
        there = np.asarray(wavelength, dtype=np.float64)
        return np.asarray(np.interp(there, self.wavelength, self.throughput, left=0.0, right=0.0))

    def __mul__(self, other: "Bandpass") -> "Bandpass":
        """Return both, one behind the other.

        Raises
        ------
        OptionError
            Where no photon passes both.
        """
        grid = np.union1d(self.wavelength, other.wavelength)
        grid = grid[(grid >= self.wavelength[0]) & (grid <= self.wavelength[-1])]
        product = self.at(grid) * other.at(grid)
        if not (product > 0).any():
            raise OptionError(
                f"share no wavelength: {self.range_text()} and {other.range_text()}.",
                where=f"passbands {self.name!r} and {other.name!r}",
                remedy="Check the unit of the curves (nm or Angstrom), or choose others.",
            )
        return Bandpass(
            name=f"{self.name} x {other.name}",
            wavelength=grid,
            throughput=product,
            source=_joined(self, other),
        )

    def grid(self) -> Floats:
        """Return wavelengths [nm] dense enough to integrate over the band."""
        inside = np.flatnonzero(self.throughput > 0)
        first = float(self.wavelength[max(inside[0] - 1, 0)])
        last = float(self.wavelength[min(inside[-1] + 1, len(self.wavelength) - 1)])
        steps = max(int(np.ceil((last - first) / STEP)), 40)
        own = self.wavelength[(self.wavelength >= first) & (self.wavelength <= last)]
        return np.asarray(np.union1d(np.linspace(first, last, steps + 1), own))

    @property
    def pivot(self) -> float:
        """Pivot wavelength [nm], ``sqrt(integral T lambda dl / integral T / lambda dl)``."""
        grid = self.grid()
        curve = self.at(grid)
        return float(np.sqrt(np.trapezoid(curve * grid, grid) / np.trapezoid(curve / grid, grid)))

    @property
    def width(self) -> float:
        """Equivalent width [nm]: integral over largest throughput."""
        grid = self.grid()
        return float(np.trapezoid(self.at(grid), grid) / self.throughput.max())

    def range_text(self) -> str:
        """Return the range of wavelengths where anything passes, in words."""
        inside = self.wavelength[self.throughput > 0]
        return f"{inside[0]:.0f} to {inside[-1]:.0f} nm"

    def to_table(self) -> "QTable":
        """Return the curve as a table with units."""
        from astropy import units as u
        from astropy.table import QTable

        columns = {"wavelength": self.wavelength * u.nm, "throughput": self.throughput * u.one}
        return QTable(columns, meta={"name": self.name, "source": self.source})


def _check(wavelength: Floats, throughput: Floats, where: str) -> None:
    check_samples(wavelength, throughput, where, "throughput")
    if wavelength[0] < 100 or wavelength[-1] > 30_000:
        raise OptionError(
            f"covers {wavelength[0]:g} to {wavelength[-1]:g} nm.", where=where,
            remedy="State the unit of its wavelengths: nm, Angstrom or um.",
        )  # fmt: skip
    if (throughput < 0).any():
        raise OptionError(
            f"is negative at {wavelength[np.argmin(throughput)]:g} nm ({throughput.min():g}).", where=where,
            remedy="Set small negative values to 0; larger ones mean that this is no throughput.",
        )  # fmt: skip
    if not (throughput > 0).any():
        raise OptionError("lets nothing pass.", where=where, remedy="Give a curve above 0.")


def _joined(*bands: Bandpass) -> str:
    return "; ".join(dict.fromkeys(band.source for band in bands if band.source))


def box(center: float, width: float, *, name: str = "") -> Bandpass:
    """Return a narrow band that passes everything within `width` [nm] about `center` [nm].

    Raises
    ------
    OptionError
        If the width is not positive or the band reaches beyond 100 nm to 30 um.
    """
    label = name or f"{center:g}/{width:g}"
    if not (width > 0 and np.isfinite(center) and width < center):
        raise OptionError(
            f"is centered on {center:g} nm and {width:g} nm wide.", where=f"passband {label!r}",
            remedy="Write center and full width in nm, such as 656.3/7.",
        )  # fmt: skip
    edge, soft = width / 2, min(width / 200, 0.01)
    wavelength = np.array([center - edge - soft, center - edge, center + edge, center + edge + soft])
    return Bandpass(name=label, wavelength=wavelength, throughput=np.array([0.0, 1.0, 1.0, 0.0]))


def names() -> tuple[str, ...]:
    """Return the names of the passbands that come with sciastro."""
    return shipped_names(_FOLDER)


def load(name: str) -> Bandpass:
    """Return a passband that comes with sciastro, such as ``bessell_V``, ``gaia_BP``, ``bayer_G``, ``cmos``.

    Raises
    ------
    OptionError
        For an unknown name; the message lists the known ones.
    """
    known = {one.lower(): one for one in names()}
    if name.strip().lower() not in known:
        raise OptionError(
            f"{name!r} is unknown.", where="passband",
            remedy=f"Known: {', '.join(names())}; or CENTER/WIDTH in nm; or a file.",
        )  # fmt: skip
    found = known[name.strip().lower()]
    wavelength, throughput = shipped_columns(_FOLDER, found)
    return Bandpass(name=found, wavelength=wavelength, throughput=throughput, source="catalogs/passbands")


def synthetic_photons(spectrum: Spectrum, band: Bandpass) -> float:
    """Return the photons (electrons) per second and cm2 of `spectrum` through `band`.

    Raises
    ------
    OptionError
        If the spectrum covers less than 99 % of the band.
    """
    overlap(spectrum, band.grid(), band.at(band.grid()), band.name)
    grid = band.grid()
    angstrom = 10 * grid
    return float(np.trapezoid(spectrum.at(grid) * angstrom * band.at(grid), angstrom) / _HC)


def ab_magnitude(spectrum: Spectrum, band: Bandpass) -> float:
    """Return the AB magnitude of `spectrum` [erg / s / cm2 / Angstrom] in `band`."""
    overlap(spectrum, band.grid(), band.at(band.grid()), band.name)
    grid = band.grid()
    curve, angstrom = band.at(grid), 10 * grid
    light = np.trapezoid(spectrum.at(grid) * angstrom * curve, angstrom)
    norm = np.trapezoid(_LIGHT / angstrom * curve, angstrom)
    return float(-2.5 * np.log10(light / norm) - 48.60)


def vega_magnitude(spectrum: Spectrum, band: Bandpass, *, vega_is: float = 0.03) -> float:
    """Return the magnitude of `spectrum` in `band` where Vega (CALSPEC) has `vega_is` [mag].

    0.03 is its V in Johnson's system and, by convention, its magnitude in every other band of it.
    """
    return float(
        -2.5 * np.log10(synthetic_photons(spectrum, band) / synthetic_photons(vega(), band)) + vega_is
    )


def magnitude(spectrum: Spectrum, band: Bandpass) -> float:
    """Return the magnitude of `spectrum` in the system that the band's name belongs to.

    ``sdss_`` and ``ps1_``: AB. ``gaia_``: VEGAMAG by the zero points of Riello et al. (2021), whose Vega
    is not quite CALSPEC's of today (0.018 mag in BP-RP). Others: Vega of 0.03 mag.
    """
    if band.name.startswith(("sdss_", "ps1_")):
        return ab_magnitude(spectrum, band)
    if band.name in _GAIA:
        return ab_magnitude(spectrum, band) - _GAIA[band.name]
    return vega_magnitude(spectrum, band)
