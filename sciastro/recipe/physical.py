"""Products in physical units: the zero point of `photometry` joined with the files of `io`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sciastro.errors import OptionError, SciastroError
from sciastro.io.fluxproducts import PixelScale, write_flux_product
from sciastro.photometry.references import UNITS, flux_scale

__all__ = ["flux_copy", "flux_name", "to_physical"]


def flux_name(path: Path, unit: str) -> str:
    """Return the name of the copy of a product in a unit: ``M13_V_Jy.fits``."""
    return f"{path.name.removesuffix('.fits')}_{unit}.fits"


def to_physical(
    source: Path, target: Path, unit: str, *, mag: float, err: float, system: str
) -> dict[str, Any]:
    """Write an image product in a physical unit, and return what a summary says of it.

    Parameters
    ----------
    source, target
        The product in electron / s, and the file to make.
    unit
        One of `photometry.references.UNITS`.
    mag, err, system
        The zero point [mag] and its photometric system.

    Raises
    ------
    SciastroError
        If the system has no flux density, or a file cannot be read or written.
    """
    scale = flux_scale(mag, err, system, unit)
    write_flux_product(
        source,
        target,
        PixelScale(
            factor=scale.factor, relative_err=scale.relative_err, unit=scale.unit, meaning=scale.meaning,
            zeropoint=scale.zeropoint, zero_jy=scale.reference.zero_jy, pivot=scale.reference.pivot,
            citation=scale.reference.citation,
        ),
    )  # fmt: skip
    return {
        "unit": scale.unit, "factor": scale.factor, "factor_relative_err": scale.relative_err,
        "zeropoint": scale.zeropoint, "system": system,
    }  # fmt: skip


def flux_copy(
    source: Path, unit: str, zeropoint: Any, folder: Path, warn: Callable[[str], None]
) -> dict[str, Any] | None:
    """Write the copy that ``--bunit`` asks for; where there is none to be had, say why and return None.

    Parameters
    ----------
    zeropoint
        Has ``mag``, ``err`` and ``system``; None where the image has none.

    Raises
    ------
    OptionError
        If the unit is not known.
    """
    if unit == "none":
        return None
    if unit not in UNITS:
        raise OptionError(f"is '{unit}'.", where="--bunit", remedy=f"Allowed values are {', '.join(UNITS)}.")
    name = flux_name(source, unit)
    if zeropoint is None:
        warn(f"{source.name}: no copy in {unit}: the image has no zero point")
        return None
    try:
        row = to_physical(
            source, folder / name, unit, mag=zeropoint.mag, err=zeropoint.err, system=zeropoint.system
        )
    except SciastroError as error:
        warn(f"{source.name}: no copy in {unit}: {error}")
        return None
    return {"image": name, **row}
