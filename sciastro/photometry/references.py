"""What a magnitude of a photometric system is in physical units: AB or Vega, flux density of magnitude 0.

Johnson-Cousins: Bessell, Castelli & Plez 1998 (A&A 333, 231), table A2. Gaia: the difference of the AB and
Vega zero points of Riello et al. 2021 (A&A 649, A3), table 3. SDSS: AB but for u (-0.04) and z (+0.02 mag),
as the SDSS states. Pan-STARRS: AB (Tonry et al. 2012, ApJ 750, 99). Pivot wavelengths are those of the curves
(SDSS DR7 with 1.3 airmasses, Tonry et al. table 3) per photon, which the tables of effective wavelengths are
not. Tycho has no entry: no flux density that could be checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from sciastro.core.options import Options, option
from sciastro.errors import OptionError

__all__ = [
    "AB_JY",
    "REFERENCES",
    "UNITS",
    "FluxScale",
    "Reference",
    "UnitOptions",
    "flux_scale",
    "kind_of",
    "surface_brightness",
]

AB_JY = 10 ** (-0.4 * (48.60 - 23 * 2.5))  # 3630.78 Jy; Oke & Gunn 1983: m = -2.5 log10(f_nu [cgs]) - 48.60
_C = 2.99792458e18  # angstrom / s


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """One band of one system.

    Attributes
    ----------
    kind
        "AB" or "Vega".
    zero_jy
        Flux density of magnitude 0 [Jy].
    pivot
        Pivot wavelength [angstrom]: f_lambda = f_nu c / pivot^2.
    citation
        Where it is from.
    """

    kind: str
    zero_jy: float
    pivot: float
    citation: str


def _bessell(f_nu: float, f_lambda: float) -> Reference:
    """From f_nu [1e-20 erg / s / cm2 / Hz] and f_lambda [1e-11 erg / s / cm2 / angstrom] of magnitude 0."""
    return Reference(
        kind="Vega",
        zero_jy=f_nu * 1e3,
        pivot=float(np.sqrt(_C * f_nu * 1e-20 / (f_lambda * 1e-11))),
        citation="Bessell et al. 1998, A&A 333, 231, table A2",
    )


def _ab(offset: float, pivot: float, citation: str, kind: str = "AB") -> Reference:
    """For a system with m_AB = m + offset."""
    return Reference(kind=kind, zero_jy=float(AB_JY * 10 ** (-0.4 * offset)), pivot=pivot, citation=citation)


_GAIA = "Riello et al. 2021, A&A 649, A3, table 3"
_SDSS = "SDSS: AB, u -0.04, z +0.02 mag"
_PS1 = "Tonry et al. 2012, ApJ 750, 99"

REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {
        "Johnson U": _bessell(1.790, 417.5),
        "Johnson B": _bessell(4.063, 632.0),
        "Johnson V": _bessell(3.636, 363.1),
        "Cousins R": _bessell(3.064, 217.7),
        "Cousins I": _bessell(2.416, 112.6),
        "Gaia G": _ab(25.8010 - 25.6874, 6218.0, _GAIA, "Vega"),
        "Gaia BP": _ab(25.3540 - 25.3385, 5110.0, _GAIA, "Vega"),
        "Gaia RP": _ab(25.1040 - 24.7479, 7769.0, _GAIA, "Vega"),
        "SDSS u": _ab(-0.04, 3556.5, _SDSS),
        "SDSS g": _ab(0.0, 4702.5, _SDSS),
        "SDSS r": _ab(0.0, 6175.6, _SDSS),
        "SDSS i": _ab(0.0, 7490.0, _SDSS),
        "SDSS z": _ab(0.02, 8946.7, _SDSS),
        "Pan-STARRS g": _ab(0.0, 4849.1, _PS1),
        "Pan-STARRS r": _ab(0.0, 6201.2, _PS1),
        "Pan-STARRS i": _ab(0.0, 7535.0, _PS1),
        "Pan-STARRS z": _ab(0.0, 8674.2, _PS1),
        "Pan-STARRS y": _ab(0.0, 9627.7, _PS1),
    }
)
"""System and band -> what magnitude 0 is."""


def kind_of(system: str) -> str:
    """Return "AB" or "Vega" for a system, or "" where it is unknown."""
    if system in REFERENCES:
        return REFERENCES[system].kind
    return "Vega" if system.startswith("Tycho ") else ""


UNITS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Jy": ("Jy", "Jy per pixel"),
        "nJy": ("nJy", "nJy per pixel"),
        "erg": ("erg / (s cm2 Angstrom)", "erg/s/cm2/angstrom per pixel, at the pivot wavelength"),
        "erg-hz": ("erg / (s cm2 Hz)", "erg/s/cm2/Hz per pixel"),
    }
)
"""Choice of ``--bunit`` -> unit text, and what it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitOptions(Options):
    """Which physical unit products are also written in."""

    bunit: str = option(
        "none",
        "Unit of a copy of each image that has a zero point: Jy, nJy, erg (per angstrom) or erg-hz.",
        choices=("none", *UNITS),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FluxScale:
    """What turns electron / s into a physical unit.

    Attributes
    ----------
    factor
        Unit per electron / s.
    relative_err
        Of `factor` [1]: the zero point's error, common to all pixels.
    unit, meaning
        As astropy spells it, and in words.
    zeropoint
        Magnitude of 1 unit in the same system [mag].
    reference
        What it rests on.
    """

    factor: float
    relative_err: float
    unit: str
    meaning: str
    zeropoint: float
    reference: Reference


def flux_scale(mag: float, err: float, system: str, unit: str) -> FluxScale:
    """Return what 1 electron / s is in a physical unit.

    Parameters
    ----------
    mag, err
        Zero point, and its standard error [mag].
    system
        System of the zero point, such as "Johnson V".
    unit
        One of `UNITS`.

    Raises
    ------
    OptionError
        If the unit or the system is not in the tables, or the zero point is unknown.
    """
    if unit not in UNITS:
        raise OptionError(f"is '{unit}'.", where="bunit", remedy=f"Allowed values are {', '.join(UNITS)}.")
    reference = REFERENCES.get(system)
    if reference is None:
        raise OptionError(
            f"has no flux density of magnitude 0 in the table ({', '.join(REFERENCES)}).",
            where=f"photometric system '{system or 'unknown'}'",
            remedy="Calibrate to one of those systems, or leave the image in electron / s.",
        )
    if not np.isfinite(mag):
        raise OptionError(
            "is unknown.", where="the zero point", remedy="Flux units need one: give stars of a catalog."
        )
    janskys = reference.zero_jy * 10 ** (-0.4 * mag)
    per_jansky = {"Jy": 1.0, "nJy": 1e9, "erg": 1e-23 * _C / reference.pivot**2, "erg-hz": 1e-23}[unit]
    text, meaning = UNITS[unit]
    factor = janskys * per_jansky
    return FluxScale(
        factor=float(factor),
        relative_err=float(0.4 * np.log(10) * err),
        unit=text,
        meaning=meaning,
        zeropoint=float(mag + 2.5 * np.log10(factor)),
        reference=reference,
    )


def surface_brightness(rate: npt.ArrayLike, zeropoint: float, pixel_scale: float) -> npt.NDArray[np.float64]:
    """Return mag / arcsec2 of a brightness per pixel; NaN where it is not positive.

    Parameters
    ----------
    rate
        [electron / s / pixel].
    zeropoint
        Magnitude of 1 electron / s.
    pixel_scale
        [arcsec].
    """
    value = np.asarray(rate, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mag = zeropoint - 2.5 * np.log10(value / pixel_scale**2)
    return np.asarray(np.where(value > 0, mag, np.nan))
