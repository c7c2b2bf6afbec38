"""Catalog positions as seen on a date: proper motion, parallax, and what is not known of either.

Reads a star table with the columns that every source has (or fewer), returns positions and their errors. What
is missing is not zero: the star stays where it was seen, and its error grows by what stars like it do.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.motion import moved_vectors, places_of

if TYPE_CHECKING:
    from astropy import units as u
    from astropy.table import QTable, Table

__all__ = ["UNKNOWN_PARALLAX", "UNKNOWN_PM", "at_date", "numbers", "observer"]

Floats = npt.NDArray[np.float64]

UNKNOWN_PM = 15.0  # mas / yr per axis: dispersion of stars whose motion is not known (as `io.reference`)
UNKNOWN_PARALLAX = 3.0  # mas: what stars of the embedded catalog's depth typically have
MAS = np.deg2rad(1 / 3.6e6)
AT_ONCE = 1e-4  # yr: epochs as close as this are the same


def observer(year: float) -> Floats:
    """Return the Earth's place [au, ICRS, barycentric] at a Julian year, offline.

    The ephemeris (ERFA's epv00) is good to 1e-7 au; UTC in the place of TDB is a minute, 1e-5 au.
    """
    from astropy import units as u
    from astropy.coordinates import get_body_barycentric
    from astropy.time import Time

    place = get_body_barycentric("earth", Time(year, format="jyear", scale="tdb"), ephemeris="builtin")
    return np.asarray(place.xyz.to_value(u.au), dtype=np.float64)


def at_date(table: "QTable", year: float | None) -> tuple[Floats, Floats, Floats]:
    """Return positions at a date as seen from the Earth.

    Parameters
    ----------
    table
        ``ra``, ``dec`` [deg]; where known ``epoch`` (column or meta) [Julian year], ``pm_ra_cosdec`` (or
        ``pm_ra``), ``pm_dec`` and their ``_err`` [mas / yr], ``parallax`` and ``parallax_err`` [mas],
        ``ra_err``, ``dec_err`` [arcsec]. NaN and masked values are unknown.
    year
        Julian year; None leaves the positions as they are.

    Returns
    -------
    ra, dec, err
        [deg], [deg] and the error per axis [arcsec]; 0 where the catalog tells none.

    Notes
    -----
    Straight motion in space without radial velocity (ESA 1997, SP-1200, vol. 1, sect. 1.2.8), then parallax:
    the direction from the Earth, u - (parallax) E with E in au. Aberration and light bending move whole
    fields, and a WCS takes them up.
    """
    from astropy import units as u

    ra, dec = numbers(table, "ra", u.deg), numbers(table, "dec", u.deg)
    errors = [numbers(table, name, u.arcsec) for name in ("ra_err", "dec_err")]
    err2 = 0.5e6 * np.sum(np.nan_to_num(errors) ** 2, axis=0)  # mas2, per axis
    if year is None or ra.size == 0:
        return ra % 360, dec, np.sqrt(err2) / 1000
    years = year - _epochs(table, year)
    moves = bool(np.any(np.abs(years) > AT_ONCE))
    parallax = numbers(table, "parallax", u.mas)
    near = np.isfinite(parallax)
    if not moves and not near.any():
        err2 = err2 + 0.5 * UNKNOWN_PARALLAX**2
        return ra % 360, dec, np.sqrt(err2) / 1000
    names = "pm_ra_cosdec" if "pm_ra_cosdec" in table.colnames else "pm_ra", "pm_dec"
    pm_ra, pm_dec = (numbers(table, name, u.mas / u.yr) for name in names)
    there = moved_vectors(ra, dec, pm_ra, pm_dec, years)
    if moves:
        for name, motion in zip(names, (pm_ra, pm_dec), strict=True):
            doubt = numbers(table, f"{name.removesuffix('_cosdec')}_err", u.mas / u.yr)
            doubt = np.where(np.isfinite(motion), np.nan_to_num(doubt), UNKNOWN_PM)
            err2 = err2 + 0.5 * (doubt * years) ** 2
    sin_ra, cos_ra, sin_dec, cos_dec = (f(np.deg2rad(x)) for x in (ra, dec) for f in (np.sin, np.cos))
    east = np.stack([-sin_ra, cos_ra, np.zeros_like(ra)], axis=-1)
    north = np.stack([-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec], axis=-1)
    place = observer(year)
    factor2 = 0.5 * ((east @ place) ** 2 + (north @ place) ** 2)  # au2, per axis
    there = there - (np.nan_to_num(parallax) * MAS)[:, None] * place
    doubt = np.where(near, np.nan_to_num(numbers(table, "parallax_err", u.mas)), UNKNOWN_PARALLAX)
    err2 = err2 + factor2 * doubt**2
    return (*places_of(there), np.sqrt(err2) / 1000)


def _epochs(table: "QTable", year: float) -> Floats:
    """Return the Julian year that each position holds for; `year` where nobody says."""
    from astropy import units as u

    said = table.meta.get("epoch")
    whole = float(said) if isinstance(said, int | float) and np.isfinite(said) else year
    own = numbers(table, "epoch", u.yr)
    return np.where(np.isfinite(own), own, whole)


def numbers(table: "Table", name: str, unit: "u.UnitBase") -> Floats:
    """Return a column as plain numbers in `unit`; NaN where masked, or where there is no such column.

    Magnitudes are taken as they are, whatever the system.
    """
    from astropy import units as u

    if name not in table.colnames:
        return np.full(len(table), np.nan)
    column = table[name]
    if hasattr(column, "filled") and getattr(column, "mask", None) is not None:
        column = column.filled(np.nan)
    if isinstance(column, u.Quantity):
        known = column.unit not in (None, u.dimensionless_unscaled) and unit != u.mag
        values = column.to_value(unit) if known else column.value
    else:
        values = np.asarray(column)
        if getattr(column, "unit", None) is not None and unit != u.mag:
            values = u.Quantity(values, column.unit).to_value(unit)
    return np.asarray(values, dtype=np.float64)
