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
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.core.checks import finite_number, whole_number
from sciastro.core.userconfig import user_config
from sciastro.errors import CatalogError, OptionError, RegionError
from sciastro.io import reference
from sciastro.io.usercatalog import read_user_catalog
from sciastro.recipe.naming import resolve
from sciastro.recipe.starchoice import (
    at_epoch,
    brightest_first,
    chosen,
    magnitude_name,
    moved_into,
    only_columns,
)
from sciastro.recipe.tiling import Answer, joined, joined_names, queries_of, tiles_of
from sciastro.remote.catalogs import source_names, source_of
from sciastro.remote.columns import COLUMNS, Region, Source, star_table
from sciastro.remote.counts import depth_for
from sciastro.remote.limits import offline as switched_off

if TYPE_CHECKING:
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable

__all__ = ["CatalogWarning", "cache_limit", "cone", "is_remote", "network_off", "region_of"]

log = logging.getLogger(__name__)

Floats: TypeAlias = npt.NDArray[np.float64]
MagLimit: TypeAlias = "float | tuple[float | None, float | None] | None"

EMBEDDED = "embedded"
YEARS = "Give a Julian year from 1000 to 3000, such as 2026.5."
MAGNITUDES = "Give the faintest magnitude, or (brightest, faintest)."
FASTEST = 0.0030  # deg / yr: Barnard's star, the fastest of all, moves 0.00288
SIZE = "SCIASTRO_CATALOG_GB"  # environment: gigabytes that the cache may have
STEP, DEEP = 2.0, 20.0  # magnitudes deeper, where too few stars came; from here on: everything
# How much fainter in the first band than in the second a star can be [mag]; other pairs: all are fetched.
FAINTER = {
    ("G", "V"): 0.1,
    ("G", "BP"): 0.5,
    ("G", "RP"): 2.5,
    ("VT", "V"): 0.3,
    ("r", "V"): 0.6,
    ("r", "g"): 0.6,
}
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
                _remote(source, region, epoch, (low, high), band, brightest, network_off(offline)), columns
            )
        except CatalogError as error:
            if not fallback:
                raise
            lost, band = _instead(source, error), None
            log.info("%s", lost)
            warnings.warn(lost, CatalogWarning, stacklevel=2)
    elif str(catalog) != EMBEDDED:
        return only_columns(
            chosen(_own_file(Path(catalog), region, epoch), (low, high), band, brightest), columns
        )
    simple = band in (None, "V") and low is None
    found = _embedded(region, epoch, high if simple else None, brightest if simple else None)
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


# --- the three kinds of catalogs ------------------------------------------------------------------


def _asked(region: Region) -> str:
    return f"cone RA {region.ra:.6f}, Dec {region.dec:+.6f}, radius {region.radius:g} deg (ICRS)"


def _embedded(region: Region, epoch: float | None, limit: float | None, brightest: int | None) -> "QTable":
    """Return stars of the embedded catalog in the common columns, at `epoch`, else 2016.0."""
    table = reference.cone(
        region.ra, region.dec, region.radius, epoch=epoch, mag_limit=limit, brightest=brightest
    )
    stars = reference.catalog_info()["stars"]
    meta = {
        "catalog": stars["name"], "query": _asked(region), "license": stars["license"],
        "citation": "; ".join(dict.fromkeys(one["citation"] for one in stars["sources"])),
        "system": stars["system"], "epoch": table.meta["epoch"],
    }  # fmt: skip
    bands = {"V": (table["mag"], table["mag_err"]), "G": (table["g_mag"], None)}
    return star_table(table["id"], {n: table[n] for n in table.colnames if n in COLUMNS}, bands, meta=meta)


@lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, int]) -> "QTable":
    return read_user_catalog(path)


def _own_file(path: Path, region: Region, epoch: float | None) -> "QTable":
    """Return stars of a file in the common columns, moved to `epoch` where the file tells its own."""
    try:
        state = path.stat()
        table = _read(path, (state.st_mtime_ns, state.st_size))
    except OSError:
        table = read_user_catalog(path)  # which says what is wrong
    own = table.meta["epoch"]
    plain = {name: np.asarray(table[name].value, np.float64) for name in table.colnames[1:]}
    at = np.full(len(table), np.nan if own is None else own)
    vectors, inside = moved_into(plain, at, region, epoch)
    rows = np.flatnonzero(inside)
    bands = [name[4:] for name in plain if name.startswith("mag_") and f"{name}_err" in plain]
    if "G" in bands:
        plain["g_mag"] = plain["mag_G"]
    if "BP" in bands and "RP" in bands:
        plain["bp_rp"] = plain["mag_BP"] - plain["mag_RP"]
    columns = {name: plain[name][rows] for name in COLUMNS if name in plain}
    columns |= at_epoch(columns, at[rows], vectors[rows] if vectors is not None else None, epoch)
    meta = {"catalog": table.meta["catalog"], "query": _asked(region), "license": table.meta["license"],
            "system": table.meta["system"], "epoch": own if epoch is None else epoch}  # fmt: skip
    pairs = {band: (plain[f"mag_{band}"][rows], plain[f"mag_{band}_err"][rows]) for band in bands}
    return star_table(np.asarray(table["id"])[rows], columns, pairs, meta=meta)


def _remote(
    source: Source,
    region: Region,
    epoch: float | None,
    limits: tuple[float | None, float | None],
    band: str | None,
    brightest: int | None,
    offline: bool,
) -> "QTable":
    """Return stars of a remote catalog, chosen already: deeper tiles are fetched until they are enough."""
    if band is not None and band not in (*source.bands, "V"):
        raise OptionError(
            f"is '{band}', and {source.title} has {', '.join(source.bands)}.",
            where="band", remedy="Choose one of these, or none for V.",
        )  # fmt: skip
    years = abs(epoch - (source.epoch or 1990.0)) if epoch is not None else 0.0
    reach = Region(region.ra, region.dec, min(region.radius + FASTEST * years, 180.0))
    faintest = _depth(source, limits[1], band)
    enough = brightest if faintest is None else None
    if enough is not None and _depth(source, 0.0, band) is not None:
        faintest = float(np.ceil(depth_for(region, 2.0 * enough)))
    while True:
        answer = tiles_of(source, reach, faintest, offline=offline, limit=cache_limit())
        found = _selected(source, answer, region, epoch, limits, band, brightest)
        if enough is None or faintest is None or _whole(found, source, faintest, band) >= enough:
            found.meta["faintest"] = faintest
            return found
        faintest = faintest + STEP if faintest + STEP < DEEP else None


def _depth(source: Source, limit: float | None, band: str | None) -> float | None:
    """Return the depth (whole magnitudes of the source's band) that holds all down to `limit` in `band`."""
    fainter = _fainter(source, band)
    return None if limit is None or fainter is None else float(np.ceil(limit + fainter))


def _fainter(source: Source, band: str | None) -> float | None:
    """Return how much fainter in the source's band than in `band` a star can be [mag]; None: unknown."""
    name = band or ("V" if "Johnson V" in source.system else source.band)
    return 0.0 if name == source.band else FAINTER.get((source.band, name))


def _whole(found: "QTable", source: Source, faintest: float, band: str | None) -> int:
    """Return how many stars are so bright in `band` that a depth in the source's band has all like them."""
    magnitude = found[magnitude_name(band, source.bands)].value
    return int(np.count_nonzero(magnitude <= faintest - (_fainter(source, band) or 0.0)))


def _selected(
    source: Source,
    answer: Answer,
    region: Region,
    epoch: float | None,
    limits: tuple[float | None, float | None],
    band: str | None,
    brightest: int | None,
) -> "QTable":
    """Return the stars of tiles that lie in the region at the epoch, within limits, brightest first."""
    stars = answer.stars
    places = {name: joined(stars, name) for name in ("ra", "dec", "pm_ra_cosdec", "pm_dec")}
    at = joined(stars, "epoch")
    if source.epoch is not None:
        at = np.where(np.isfinite(at), at, source.epoch)
    vectors, inside = moved_into(places, at, region, epoch)
    magnitude = joined(stars, magnitude_name(band, source.bands))
    rows = brightest_first(magnitude, limits, brightest, np.flatnonzero(inside))

    def taken(name: str) -> Floats:
        return (places[name] if name in places else joined(stars, name))[rows].astype(np.float64, copy=False)

    columns = {name: taken(name) for name in COLUMNS}
    columns |= at_epoch(
        columns, at[rows].astype(np.float64), vectors[rows] if vectors is not None else None, epoch
    )
    bands = {one: (taken(f"mag_{one}"), taken(f"mag_{one}_err")) for one in source.bands}
    return star_table(joined_names(stars, rows), columns, bands, meta=_meta(source, answer, epoch))


def _meta(source: Source, answer: Answer, epoch: float | None) -> dict[str, Any]:
    """Return what is told of a table that was put together from tiles."""
    distinct = list(dict.fromkeys(query for told in answer.told for query in queries_of(told)))
    lacking = sorted({name for told in answer.told for name in told.get("lacking", [])})
    return {
        "catalog": source.title, "query": distinct[0] if len(distinct) == 1 else distinct,
        "date": min((str(told.get("date")) for told in answer.told), default=None),
        "license": source.license, "citation": source.citation, "system": source.system,
        "epoch": source.epoch if epoch is None else epoch, "complete": True,
        "tiles": len(answer.stars), "fetched": answer.fetched, "notes": answer.notes, "lacking": lacking,
    }  # fmt: skip


def _instead(source: Source, error: CatalogError) -> str:
    """Return what is said when the embedded catalog takes the place of another."""
    lost = ", ".join(band for band in source.bands if band not in EMBEDDED_BANDS)
    bands = f", no magnitudes in {lost}" if lost else ""
    return (
        f"{error} The embedded catalog takes its place: stars to V = 11.5 or so, positions to 0.01 to 0.1 "
        f"arcsec{bands}; limits count in V."
    )
