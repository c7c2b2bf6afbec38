"""The mean spectrum of stars of a given color: a smooth model between 330 and 1050 nm.

ln of photons per wavelength, relative to 550 nm, is a cubic in BP-RP at nodes 10 nm apart, fitted to
spectra of Gaia DR3 (XP) and CALSPEC with BP-RP of -0.5 to 1.4 (``catalogs/build_locus.py``); single stars
scatter about it by 1 to 2 % per node between 440 and 900 nm and by 3 to 11 % below. Beyond `COLORS`
nothing is told: cool dwarfs and giants part there. Reddened stars follow it roughly: reddening moves a
star nearly along the locus.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sciastro.core.datafiles import shipped_columns
from sciastro.errors import OptionError
from sciastro.photometry.bandpass import Bandpass, load, magnitude
from sciastro.photometry.spectra import Spectrum

__all__ = ["COLORS", "WAVELENGTHS", "bp_rp_from", "color_of", "locus_photons", "locus_spectrum"]

Floats = npt.NDArray[np.float64]

COLORS = (-0.5, 1.6)  # BP-RP [mag] that the model is told for
WAVELENGTHS: Floats = np.arange(330.0, 1050.5, 2.0)
_NORM = 550.0  # nm: where spectra of the locus are 1


def locus_photons(bp_rp: npt.ArrayLike) -> Floats:
    """Return photons per wavelength relative to 550 nm, (star, wavelength) at `WAVELENGTHS`.

    NaN for colors outside `COLORS`.
    """
    color = np.atleast_1d(np.asarray(bp_rp, dtype=np.float64))
    nodes, *terms, _ = shipped_columns("spectra", "locus")
    low, high = COLORS
    inside = np.where((color >= low) & (color <= high), color, np.nan)
    log = sum(inside[:, None] ** k * term[None, :] for k, term in enumerate(terms))
    place = np.clip((WAVELENGTHS - nodes[0]) / (nodes[1] - nodes[0]), 0, len(nodes) - 1 - 1e-9)
    left = place.astype(np.int64)
    part = place - left
    return np.asarray(np.exp(log[:, left] * (1 - part) + log[:, left + 1] * part))


def locus_spectrum(bp_rp: float) -> Spectrum:
    """Return the mean spectrum of stars of `bp_rp` [mag], relative.

    Raises
    ------
    OptionError
        For a color outside `COLORS`.
    """
    low, high = COLORS
    if not low <= bp_rp <= high:
        raise OptionError(
            f"is {bp_rp:g} mag.", where="BP-RP of a star", remedy=f"Choose {low:g} to {high:g} mag."
        )
    flux = locus_photons(bp_rp)[0] * _NORM / WAVELENGTHS
    return Spectrum(name=f"star of BP-RP {bp_rp:.2f}", wavelength=WAVELENGTHS, flux=flux)


def color_of(spectrum: Spectrum, first: Bandpass, second: Bandpass) -> float:
    """Return the color [mag] of a spectrum between two bands, each in its own system.

    Ends of a spectrum that miss a little of a band are continued by their last sample.
    """
    whole = Spectrum(
        name=spectrum.name,
        wavelength=np.concatenate([[200.0], spectrum.wavelength, [1300.0]])
        if spectrum.wavelength[0] > 200 and spectrum.wavelength[-1] < 1300
        else spectrum.wavelength,
        flux=np.concatenate([spectrum.flux[:1], spectrum.flux, spectrum.flux[-1:]])
        if spectrum.wavelength[0] > 200 and spectrum.wavelength[-1] < 1300
        else spectrum.flux,
    )
    return magnitude(whole, first) - magnitude(whole, second)


@lru_cache(maxsize=8)
def _relation(first: str, second: str) -> tuple[Floats, Floats]:
    bp_rp = np.linspace(*COLORS, 85)
    bands = load(first), load(second)
    return bp_rp, np.array([color_of(locus_spectrum(float(one)), *bands) for one in bp_rp])


def bp_rp_from(color: npt.ArrayLike, first: str = "bessell_B", second: str = "bessell_V") -> Floats:
    """Return BP-RP [mag] of stars of another color on the locus; NaN beyond its ends."""
    value = np.asarray(color, dtype=np.float64)
    bp_rp, other = _relation(first, second)
    rising = np.maximum.accumulate(other)
    return np.asarray(np.interp(value, rising, bp_rp, left=np.nan, right=np.nan))
