"""Calibrate a table of fluxes against a table of stars: `QTable` in, `QTable` out."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.core.tables import as_table
from sciastro.errors import DatasetError, MatchError
from sciastro.photometry.magnitudes import LimitOptions, calibrate_table
from sciastro.photometry.steps import BandCalibration, calibrate_bands
from sciastro.photometry.zeropoint import ZeroPointOptions

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["calibrate_sources"]

_DEFAULTS = ZeroPointOptions(spatial="auto")
_LIMITS = LimitOptions()


def calibrate_sources(
    sources: "QTable",
    catalog: "QTable",
    *,
    band: str,
    system: str = "",
    shape: tuple[int, int] | None = None,
    airmass: float | None = None,
    options: ZeroPointOptions = _DEFAULTS,
    limits: LimitOptions = _LIMITS,
) -> "QTable":
    """Return `sources` with magnitudes in the system of `catalog`.

    Parameters
    ----------
    sources
        A table (of astropy or pandas) with ``ra``, ``dec``, ``flux``, ``flux_err``; where there ``x``, ``y``
        [pixel], ``flags``. Not modified.
        Any unit of flux will do; the zero point is the magnitude of 1 of it.
    catalog
        As `sciastro.cone` gives it, at the epoch of the image.
    band
        Filter of the image.
    system
        Photometric system, such as "Johnson V" or "SDSS r"; empty takes the one that the filter is named for.
    shape
        Rows and columns of the image, for the field term; None takes the range of the sources.
    airmass
        Of the image, for ``options.extinction``.

    Returns
    -------
    QTable
        With ``mag``, ``mag_err``, ``mag_zp_err``, ``color``, ``color_assumed``, ``mag_limit``,
        ``catalog_id``, ``flags`` (see `magnitudes.add_limits`), ``calibrates`` (whether the star set the zero
        point), and ``meta["zeropoint"]``: every term with its covariance, system, color and what was assumed.

    Raises
    ------
    DatasetError
        If a column is missing.
    MatchError
        If there is no zero point; the message says why.
    """
    sources, catalog = as_table(sources, "sources"), as_table(catalog, "catalog")
    table = _prepared(sources)
    table.meta |= {"band": band, "shape": list(shape) if shape is not None else None, "airmass": airmass}
    how = replace(options, system=system) if system else options
    fit = calibrate_bands({band: table}, catalog, options=how)[band]
    if fit.zeropoint is None or fit.matches is None:
        raise MatchError(
            f"have no zero point: {fit.reason}.",
            where=f"sources in {band}",
            remedy="Give a catalog with that band, more or fainter stars, or another system.",
        )
    color, names = _of_stars(len(table), catalog, fit)
    out = calibrate_table(table, fit.zeropoint, color=color, airmass=airmass, options=limits)
    out["catalog_id"] = names
    used = np.zeros(len(out), np.bool_)
    used[fit.source[fit.zeropoint.used]] = True
    out["calibrates"] = used
    for name in ("mag_inst", "mag_inst_err"):
        if name not in sources.colnames:
            out.remove_column(name)
    return out


def _prepared(sources: "QTable") -> "QTable":
    """Return a copy with the columns that matching and fitting read."""
    from astropy import units as u
    from astropy.table import QTable

    missing = [name for name in ("ra", "dec", "flux", "flux_err") if name not in sources.colnames]
    if missing:
        raise DatasetError(
            f"has no column {', '.join(missing)}.",
            where="the table of sources",
            remedy="Give ra, dec [deg], flux and flux_err.",
        )
    table = QTable(sources, copy=True)
    n = len(table)
    for name, unit in (
        ("flux", u.electron / u.s),
        ("flux_err", u.electron / u.s),
        ("ra", u.deg),
        ("dec", u.deg),
    ):
        if not isinstance(table[name], u.Quantity):
            table[name] = np.ma.filled(np.ma.asarray(table[name], dtype=np.float64), np.nan) * unit
    for name in ("x", "y"):
        if name not in table.colnames:
            table[name] = np.full(n, np.nan) * u.pix
        elif not isinstance(table[name], u.Quantity):
            table[name] = np.asarray(table[name], dtype=np.float64) * u.pix
    if "flags" not in table.colnames:
        table["flags"] = np.zeros(n, np.uint32)
    flux, err = table["flux"].value, table["flux_err"].value
    positive = np.where(flux > 0, flux, np.nan)
    table["mag_inst"] = -2.5 * np.log10(positive) * u.mag
    table["mag_inst_err"] = 2.5 / np.log(10) * err / positive * u.mag
    return table


def _of_stars(
    n: int, catalog: "QTable", fit: BandCalibration
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    """Return color and name of the matched star of every source."""
    color = np.full(n, np.nan)
    ids = np.asarray(catalog["id"]).astype(np.str_) if "id" in catalog.colnames else np.full(len(catalog), "")
    names = np.full(n, "", dtype=ids.dtype if ids.dtype.itemsize else "U1")
    if fit.matches is not None and fit.truth is not None:
        color[fit.matches.source] = fit.truth.color[fit.matches.star]
        names[fit.matches.source] = ids[fit.matches.star]
    return color, names
