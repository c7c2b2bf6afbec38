"""Products in physical units: a copy of an image product, scaled by its zero point.

SCI and ERR are multiplied by one factor; quality, coverage and the noise's correlation stay. ERR does not
hold the error of the factor, which all pixels share: the header tells it (CALFERR). MAGZP is then the
magnitude of 1 BUNIT, and the zero point in electron / s stands in MAGZPEL.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits

from sciastro.io.product_cards import FLUX
from sciastro.io.scaledcopies import Cards, write_scaled

__all__ = ["PixelScale", "write_flux_product"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelScale:
    """What turns the pixels of a product into a physical unit.

    Attributes
    ----------
    factor, relative_err
        Unit per electron / s, and its relative standard error.
    unit, meaning
        FITS unit, and in words.
    zeropoint, zero_jy, pivot
        Magnitude of 1 unit; flux density of magnitude 0 [Jy]; pivot wavelength [angstrom].
    citation
        What these rest on.
    """

    factor: float
    relative_err: float
    unit: str
    meaning: str
    zeropoint: float
    zero_jy: float
    pivot: float
    citation: str


def write_flux_product(source: Path, target: Path, scale: PixelScale) -> Path:
    """Write the image product `source` in the unit of `scale`.

    Parameters
    ----------
    source
        FITS file of `products.write_image_product`.
    target
        The file to make or replace, in one step.

    Raises
    ------
    FileError
        If `source` is no image product of ours in electron / s.
    OutputError
        If the file cannot be written.
    """
    return write_scaled(
        source,
        target,
        scale.factor,
        product=FLUX,
        bunit=(scale.unit, scale.meaning),
        cards=lambda primary: _cards(primary, scale),
        carriers=("PRIMARY", "SCI"),
    )


def _cards(primary: fits.Header, scale: PixelScale) -> Cards:
    cards: dict[str, tuple[Any, str]] = {
        "MAGZP": (scale.zeropoint, "[mag] magnitude of 1 BUNIT"),
        "MAGZPEL": (primary.get("MAGZP"), "[mag] magnitude of 1 electron/s"),
        "CALFAC": (scale.factor, "BUNIT per electron/s"),
        "CALFERR": (scale.relative_err, "relative error of CALFAC, not in ERR"),
        "ZEROJY": (scale.zero_jy, "[Jy] flux density of magnitude 0"),
        "PIVOTWL": (scale.pivot, "[Angstrom] pivot wavelength of PHOTSYS"),
        "ZEROREF": (scale.citation, ""),
    }
    color, reference = primary.get("COLNAME"), primary.get("COLREF")
    if color is not None and reference is not None and math.isfinite(float(reference)):
        cards["FLUXCOL"] = (f"{color} = {float(reference):.3f}", "color that the flux is right for")
    return cards
