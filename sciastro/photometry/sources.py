"""From measured apertures to the table of sources that is published: sky positions, magnitudes, names."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.wcs import pixel_scale
from sciastro.photometry.errorterms import TERMS
from sciastro.photometry.zeropoint import ZeroPoint

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS

__all__ = ["add_positions", "source_table"]

Floats = npt.NDArray[np.float64]

COLUMNS: dict[str, str] = {
    "id": "Number of the source, from 1",
    "x": "Column of the center; 0 is the center of the first pixel",
    "y": "Row of the center; 0 is the center of the first pixel",
    "x_err": "Standard error of x",
    "y_err": "Standard error of y",
    "ra": "Right ascension, ICRS",
    "dec": "Declination, ICRS",
    "ra_err": "Standard error of ra times cos(dec), from x_err and y_err",
    "dec_err": "Standard error of dec, from x_err and y_err",
    "flux": "Rate of all the light of the source, aperture corrected",
    "flux_err": "Standard error of flux, without that of the aperture correction",
    "mag": "Magnitude",
    "mag_err": "Standard error of mag, without that of the zero point, which is common to all rows",
    "snr": "flux / flux_err",
    "fwhm": "Full width at half maximum",
    "flags": "Bits, see flag_meanings",
    "catalog_id": "Name in the catalog; empty where none matches",
    "color": "Catalog color; NaN unknown, the reference color of the zero point then counts",
    "mag_inst": "-2.5 log10(flux); NaN where too faint",
    "mag_inst_err": "Standard error of mag_inst",
    "sky": "Local sky per pixel",
    "sky_err": "Standard error of sky",
    "n_sky": "Pixels that sky is from",
    "area": "Area of the aperture",
    "crowding": "Light of known neighbors in the aperture over the source's own; estimated, not taken off",
}
"""Column -> what it says, in the order of the published table."""


def add_positions(measured: "Table", wcs: "WCS") -> "Table":
    """Return `measured` with ``ra``, ``dec`` [deg] and their errors [arcsec] from `wcs`.

    The errors are those of x and y through the local Jacobian; NaN positions stay NaN.
    """
    from astropy import units as u

    table = measured.copy()
    x, y = (np.asarray(table[name].value, dtype=np.float64) for name in ("x", "y"))
    ra, dec = wcs.all_pix2world(x, y, 0)
    cosine = np.cos(np.deg2rad(dec))
    steps = []
    for dx, dy in ((0.5, 0.0), (0.0, 0.5)):
        ra2, dec2 = wcs.all_pix2world(x + dx, y + dy, 0)
        ra1, dec1 = wcs.all_pix2world(x - dx, y - dy, 0)
        steps.append((((ra2 - ra1 + 180) % 360 - 180) * cosine * 3600, (dec2 - dec1) * 3600))
    x_err, y_err = (np.asarray(table[name].value, dtype=np.float64) for name in ("x_err", "y_err"))
    table["ra"], table["dec"] = ra * u.deg, dec * u.deg
    table["ra_err"] = np.hypot(steps[0][0] * x_err, steps[1][0] * y_err) * u.arcsec
    table["dec_err"] = np.hypot(steps[0][1] * x_err, steps[1][1] * y_err) * u.arcsec
    table.meta["pixel_scale"] = pixel_scale(wcs)
    return table


def source_table(
    measured: "Table",
    *,
    wcs: "WCS | None" = None,
    zeropoint: ZeroPoint | None = None,
    catalog_id: npt.NDArray[np.str_] | None = None,
    color: Floats | None = None,
) -> "Table":
    """Return the table of sources as it is published; columns beyond `COLUMNS` follow these.

    Parameters
    ----------
    measured
        From `aperture.measure_sources`, with positions (`add_positions`) or without.
    wcs
        Gives positions where `measured` has none; without either they are NaN.
    zeropoint
        Calibrates ``mag``; None leaves it instrumental; description and ``meta["mag_system"]`` say so.
    catalog_id, color
        Per row: name of the matched star ("" none) and its color [mag] (NaN unknown).

    Returns
    -------
    Table
        Columns of `COLUMNS`, each with unit and description. ``mag_err`` is that of the source alone; what
        is common to all rows (zero point, color term, aperture correction) stands in ``meta``.
    """
    from astropy import units as u

    table = measured.copy()
    n = len(table)
    if "ra" not in table.colnames and wcs is not None:
        table = add_positions(table, wcs)
    for name, unit in (("ra", u.deg), ("dec", u.deg), ("ra_err", u.arcsec), ("dec_err", u.arcsec)):
        if name not in table.colnames:
            table[name] = np.full(n, np.nan) * unit
    hue = np.full(n, np.nan) if color is None else np.asarray(color, dtype=np.float64)
    table["color"] = hue * u.mag
    table["catalog_id"] = (
        np.full(n, "", dtype="U1") if catalog_id is None else np.asarray(catalog_id, dtype=np.str_)
    )
    mag, mag_err, facts = _calibrated(table, hue, zeropoint)
    table["mag"], table["mag_err"] = mag * u.mag, mag_err * u.mag
    more = [name for name in table.colnames if name not in COLUMNS]
    for name in [one for one in more if one.startswith("mag_inst_") and one[9:].isdigit()]:
        end = name.removeprefix("mag_inst")
        other, other_err, _ = _calibrated(table, hue, zeropoint, end)
        table[f"mag{end}"], table[f"mag_err{end}"] = other * u.mag, other_err * u.mag
        more += [f"mag{end}", f"mag_err{end}"]
    table = table[[name for name in COLUMNS if name in table.colnames] + more]
    for name in table.colnames:
        table[name].info.description = table[name].info.description or _description(name)
    if zeropoint is None:
        table["mag"].info.description = "INSTRUMENTAL magnitude -2.5 log10(flux); no zero point was found"
    else:
        table["mag"].info.description = f"Magnitude, {zeropoint.system or 'system of the catalog'}"
    table.meta |= facts
    return table


def _description(name: str) -> str:
    """Return what a column says; ``flux_2`` is the flux through the second aperture, and so on."""
    if name in COLUMNS:
        return COLUMNS[name]
    stem, _, number = name.rpartition("_")
    if number.isdigit() and (stem in COLUMNS or stem in TERMS):
        return f"{COLUMNS.get(stem) or TERMS[stem]}; aperture {number}"
    return TERMS.get(name, "")


def _calibrated(
    table: "Table", hue: Floats, zeropoint: ZeroPoint | None, end: str = ""
) -> tuple[Floats, Floats, dict[str, Any]]:
    inst, inst_err = table[f"mag_inst{end}"].value, table[f"mag_inst_err{end}"].value
    if zeropoint is None:
        return inst, inst_err, {"mag_system": "instrumental"}
    x, y = (np.asarray(table[name].value, dtype=np.float64) for name in ("x", "y"))
    mag = inst + zeropoint.at(zeropoint.design(hue, x, y))[0]
    fit = zeropoint.as_dict() | {"covariance": [list(row) for row in zeropoint.covariance]}
    return mag, inst_err, {"mag_system": zeropoint.system, "zeropoint": fit}
