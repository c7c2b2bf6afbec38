"""Stars around a place, from whichever catalog, in the same columns: embedded, online, or a file.

Reads the embedded catalog (`io.reference`), a file (`io.usercatalog`), or a remote catalog through its cache
(`tiling`); writes a QTable with the columns of `remote.columns.COLUMNS` and ``mag_<band>`` and
``mag_<band>_err`` for every band of the catalog.
Method: stars are moved to the epoch where their motion is known, their errors grow with the time, and only
then are they chosen by distance, magnitude and number. Where a remote catalog gives no answer, the embedded
one takes its place, and a warning says so and what is lost.
"""

import logging
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sciastro.core.checks import finite_number, whole_number
from sciastro.core.userconfig import user_config
from sciastro.errors import CatalogError, OptionError, RegionError
from sciastro.recipe.conekinds import embedded_cone, file_cone, remote_cone
from sciastro.recipe.naming import resolve
from sciastro.recipe.starchoice import chosen, only_columns
from sciastro.remote.catalogs import source_names, source_of
from sciastro.remote.columns import Region, Source
from sciastro.remote.limits import offline as switched_off

if TYPE_CHECKING:
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable

__all__ = ["EMBEDDED", "CatalogWarning", "cache_limit", "cone", "is_remote", "network_off", "region_of"]

log = logging.getLogger(__name__)

MagLimit: TypeAlias = "float | tuple[float | None, float | None] | None"

EMBEDDED = "embedded"
YEARS = "Give a Julian year from 1000 to 3000, such as 2026.5."
MAGNITUDES = "Give the faintest magnitude, or (brightest, faintest)."
SIZE = "SCIASTRO_CATALOG_GB"  # environment: gigabytes that the cache may have
EMBEDDED_BANDS = ("V", "B", "G", "BT", "VT")  # what its V, B-V and G are, or stand for


class CatalogWarning(UserWarning):
    """Another catalog than the one asked for was used."""


def cone(
    center: "SkyCoord | tuple[Any, Any] | str",
    radius: "float | u.Quantity",
    *,
    catalog: str | Path = EMBEDDED,
    epoch: float | None = None,
    mag_limit: MagLimit = None,
    band: str | None = None,
    brightest: int | None = None,
    columns: Sequence[str] | None = None,
    offline: bool | None = None,
    fallback: bool = True,
) -> "QTable":
    """Return the stars around a place, brightest first, in the same columns whatever the catalog.

    Parameters
    ----------
    center
        A `SkyCoord` (any frame), or ICRS (right ascension, declination), each in degrees or a Quantity; or
        a name of the embedded tables, "M 13".
    radius
        Degrees, or a Quantity.
    catalog
        "embedded" (2 million stars; no network), "gaia-dr3" and the other names of `source_names` (fetched
        once, then from the cache), or the path of a file of your own.
    epoch
        Julian year that the stars are moved to, and selected at; None leaves each where the catalog has it
        (the embedded one: 2016.0).
    mag_limit
        Faintest magnitude, or (brightest, faintest), either None; stars without that magnitude are left out.
    band
        Band that `mag_limit` and `brightest` count in ("G" for Gaia's, see the ``mag_<band>`` columns); None
        is ``mag``, Johnson V wherever the catalog gives it.
    brightest
        At most this many stars, the brightest.
    columns
        Names of the columns to return; None is all.
    offline
        Fetch nothing; None does what ``SCIASTRO_OFFLINE`` or config.toml says.
    fallback
        Whether the embedded catalog takes the place of a remote one that cannot be had. If so, a
        `CatalogWarning` is given, and ``meta["fallback"]`` says why.

    Returns
    -------
    QTable
        ``id``; ``ra``, ``dec`` [deg, ICRS] and ``ra_err`` (times cos dec), ``dec_err`` [arcsec] at
        ``epoch`` [yr], seen by the catalog at ``epoch_obs``; ``pm_ra_cosdec``, ``pm_dec`` and their
        ``pm_ra_err``, ``pm_dec_err`` [mas / yr];
        ``parallax``, ``parallax_err`` [mas]; ``mag``, ``mag_err`` (``meta["system"]``), ``color`` (B-V),
        ``g_mag``, ``bp_rp`` [mag]; ``mag_<band>``, ``mag_<band>_err`` [mag]. NaN where unknown.
        A star without a known motion stays where it was seen, and its error grows by 15 mas / yr; where
        not even the catalog's epoch is known, ``epoch`` and errors are NaN. ``meta``: catalog, query,
        date, license, citation, system, epoch, complete.

    Raises
    ------
    OptionError
        For a catalog, band or column that does not exist, and an epoch, limit or number that is none.
    RegionError
        For a center or radius that is none; it is a `CatalogError`, too.
    CatalogError
        For a name that is not known; without `fallback`, if a remote catalog cannot be had.
    """
    region = region_of(center, radius)
    low, high = _range(mag_limit)
    if epoch is not None:
        epoch = finite_number(epoch, where="epoch", remedy=YEARS, low=1000, high=3000)
    if brightest is not None:
        brightest = whole_number(
            brightest, where="brightest", remedy="Give how many stars, such as 500.", low=1
        )
    columns = _names(columns)
    lost = ""
    if is_remote(catalog):
        source = source_of(str(catalog))
        try:
            return only_columns(
                remote_cone(
                    source,
                    region,
                    epoch,
                    (low, high),
                    band,
                    brightest,
                    offline=network_off(offline),
                    cache=cache_limit(),
                ),
                columns,
            )
        except CatalogError as error:
            if not fallback:
                raise
            lost, band = _instead(source, error), None
            log.info("%s", lost)
            warnings.warn(lost, CatalogWarning, stacklevel=2)
    elif str(catalog) != EMBEDDED:
        return only_columns(
            chosen(file_cone(Path(catalog), region, epoch), (low, high), band, brightest), columns
        )
    simple = band in (None, "V") and low is None
    found = embedded_cone(region, epoch, high if simple else None, brightest if simple else None)
    found.meta["fallback"] = lost
    return only_columns(chosen(found, (low, high), band, brightest), columns)


def is_remote(catalog: str | Path) -> bool:
    """Return whether `catalog` names a catalog behind a network, rather than "embedded" or a file.

    Raises
    ------
    OptionError
        If it is no name that is known, and no file either.
    """
    if not isinstance(catalog, str | Path):
        raise OptionError(
            f"is {catalog!r}.", where="catalog", remedy=f"Choose from {', '.join(source_names())}."
        )
    if isinstance(catalog, Path) or catalog == EMBEDDED or Path(catalog).is_file():
        return False
    if os.sep in catalog or Path(catalog).suffix:
        return False  # a path; reading it tells what is wrong
    return source_of(catalog) is not None


def region_of(center: "SkyCoord | tuple[Any, Any] | str", radius: "float | u.Quantity") -> Region:
    """Return a cone of degrees.

    Raises
    ------
    RegionError
        If the center or the radius is none.
    CatalogError
        If the name is not known.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    if isinstance(center, str):
        center = resolve(center).coord
    try:
        if isinstance(center, SkyCoord):
            place = center.icrs
            ra, dec = float(place.ra.deg), float(place.dec.deg)
        else:
            ra, dec = (float(u.Quantity(x, u.deg).value) for x in center)
        size = float(u.Quantity(radius, u.deg).value)
    except (TypeError, ValueError, AttributeError, u.UnitConversionError) as error:
        raise RegionError(
            f"is center={center!r}, radius={radius!r}.",
            where="cone",
            remedy="Give cone((ra, dec), radius) in degrees, or a SkyCoord and a Quantity.",
        ) from error
    return Region(ra % 360 if np.isfinite(ra) else ra, dec, size)


def _range(limit: MagLimit) -> tuple[float | None, float | None]:
    pair = tuple(limit) if isinstance(limit, tuple | list) else (None, limit)
    if len(pair) != 2:
        raise OptionError(f"is {limit!r}.", where="mag_limit", remedy=MAGNITUDES)
    low, high = (
        None if value is None else finite_number(value, where="mag_limit", remedy=MAGNITUDES)
        for value in pair
    )
    return low, high


def _names(columns: Sequence[str] | None) -> list[str] | None:
    """Return names of columns; a single text is one name."""
    if columns is None or isinstance(columns, str):
        return None if columns is None else [columns]
    found = list(columns) if isinstance(columns, Iterable) else [columns]
    if not all(isinstance(name, str) for name in found):
        raise OptionError(f"is {columns!r}.", where="columns", remedy='Give names, such as ["ra", "dec"].')
    return found


def network_off(offline: bool | None = None) -> bool:
    """Return whether nothing may be fetched: as the caller, the environment or config.toml says."""
    return bool(offline) or switched_off()


def cache_limit() -> int:
    """Return how many bytes the cache of catalogs may have.

    Raises
    ------
    OptionError
        If the environment variable SCIASTRO_CATALOG_GB, or config.toml, tells no size.
    """
    text = os.environ.get(SIZE, "").strip()
    try:
        gigabytes = float(text) if text else user_config().catalog_gigabytes
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < 1e6:
        raise OptionError(f"is '{text}'.", where=SIZE, remedy="Give gigabytes, such as 2.")
    return int(gigabytes * 1e9)


def _instead(source: Source, error: CatalogError) -> str:
    """Return what is said when the embedded catalog takes the place of another."""
    lost = ", ".join(band for band in source.bands if band not in EMBEDDED_BANDS)
    bands = f", no magnitudes in {lost}" if lost else ""
    return (
        f"{error} The embedded catalog takes its place: stars to V = 11.5 or so, positions to 0.01 to 0.1 "
        f"arcsec{bands}; limits count in V."
    )
