"""Radii as astronomers say them: "4", "4px", "2.5arcsec", "1.5fwhm", several with commas between them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from sciastro.errors import OptionError

__all__ = ["pixels_of", "radii_from"]

_UNITS = {
    "": "pixel", "px": "pixel", "pix": "pixel", "pixel": "pixel", "pixels": "pixel", "arcsec": "arcsec",
    '"': "arcsec", "as": "arcsec", "arcmin": "arcmin", "fwhm": "fwhm",
}  # fmt: skip
_ONE = re.compile(r"^\s*([0-9.eE+-]+?)\s*([a-zA-Z\"]*)\s*$")
HOW = "Give numbers with px, arcsec or fwhm, such as '4px,2.5arcsec,1.5fwhm'; a bare number is pixels."


def radii_from(given: Any) -> list[tuple[float, str]]:
    """Return numbers with their units ("pixel", "arcsec", "fwhm"), in order.

    Parameters
    ----------
    given
        A text, a number (pixel), a Quantity, or a list of these.

    Raises
    ------
    OptionError
        If one of them is no positive length.
    """
    items: Sequence[Any]
    if given is None:
        return []
    if isinstance(given, str):
        items = [part for part in given.split(",") if part.strip()]
        if not items:
            raise OptionError("is empty.", where="radius", remedy=HOW)
    elif hasattr(given, "unit"):
        items = list(given) if np.ndim(given.value) else [given]
    elif isinstance(given, list | tuple | np.ndarray):
        items = [part for one in given for part in (one.split(",") if isinstance(one, str) else [one])]
    else:
        items = [given]
    return [_one(item) for item in items]


def _one(item: Any) -> tuple[float, str]:
    if hasattr(item, "unit"):
        from astropy import units as u

        if item.unit == u.pix:
            value, unit = float(item.value), "pixel"
        elif item.unit.is_equivalent(u.arcsec):
            value, unit = float(item.to_value(u.arcsec)), "arcsec"
        else:
            raise OptionError(f"is in {item.unit}.", where="radius", remedy="Give pixels or an angle.")
    elif isinstance(item, str):
        match = _ONE.match(item)
        known = _UNITS.get(match[2].lower()) if match else None
        try:
            value = float(match[1]) if match else float("nan")
        except ValueError:
            value = float("nan")
        if known is None or not np.isfinite(value):
            raise OptionError(f"is '{item.strip()}'.", where="radius", remedy=HOW)
        value, unit = (value * 60, "arcsec") if known == "arcmin" else (value, known)
    else:
        value, unit = float(item), "pixel"
    if not (np.isfinite(value) and 0 < value < 1e4):
        raise OptionError(f"is {item}.", where="radius", remedy="Let it be above 0 and below 10000. " + HOW)
    return value, unit


def pixels_of(radii: Sequence[tuple[float, str]], *, fwhm: float, scale: float, where: str) -> list[float]:
    """Return radii in pixels.

    Parameters
    ----------
    radii
        From `radii_from`.
    fwhm, scale
        Of stars [pixel]; of the image [arcsec / pixel], NaN unknown.
    where
        Name of the image.

    Raises
    ------
    OptionError
        If one is in arcsec and the scale of the image is unknown, or in FWHM and no star tells it.
    """
    out = []
    for value, unit in radii:
        if unit == "arcsec" and not (np.isfinite(scale) and scale > 0):
            raise OptionError(
                f"of {value:g} arcsec needs the scale of the image, and neither world coordinates nor the "
                "header tell it.", where=f"radius for {where}",
                remedy="Give the radius in pixels or fwhm, or run `sciastro solve` on the image first.",
            )  # fmt: skip
        factor = {"pixel": 1.0, "arcsec": 1 / scale if scale else np.nan, "fwhm": fwhm}[unit]
        out.append(float(value * factor))
    return out
