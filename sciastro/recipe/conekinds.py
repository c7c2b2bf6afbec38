"""Stars of a cone from the embedded catalog, from a file of the user, and from the tiles of a remote catalog.

Reads `io.reference`, `io.usercatalog` and `tiling`; writes a QTable with the columns of
`remote.columns.COLUMNS`. `catalogs.cone` chooses which, and checks what the user says.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.errors import OptionError
from sciastro.io import reference
from sciastro.io.usercatalog import read_user_catalog
from sciastro.recipe.starchoice import at_epoch, brightest_first, magnitude_name, moved_into
from sciastro.recipe.tiling import Answer, joined, joined_names, queries_of, tiles_of
from sciastro.remote.columns import COLUMNS, Region, Source, star_table
from sciastro.remote.counts import depth_for

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["embedded_cone", "file_cone", "remote_cone"]

Floats = npt.NDArray[np.float64]

FASTEST = 0.0030  # deg / yr: Barnard's star, the fastest of all, moves 0.00288
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


def _asked(region: Region) -> str:
    return f"cone RA {region.ra:.6f}, Dec {region.dec:+.6f}, radius {region.radius:g} deg (ICRS)"


def embedded_cone(
    region: Region, epoch: float | None, limit: float | None, brightest: int | None
) -> "QTable":
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


def file_cone(path: Path, region: Region, epoch: float | None) -> "QTable":
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


def remote_cone(
    source: Source,
    region: Region,
    epoch: float | None,
    limits: tuple[float | None, float | None],
    band: str | None,
    brightest: int | None,
    *,
    offline: bool,
    cache: int,
) -> "QTable":
    """Return stars of a remote catalog, chosen already: deeper tiles are fetched until they are enough.

    Parameters
    ----------
    source, region, epoch, limits, band, brightest
        As `recipe.catalogs.cone` has them, checked.
    offline
        Whether nothing may be fetched.
    cache
        Bytes that all kept catalogs may have.

    Raises
    ------
    OptionError
        If the source has no such band.
    CatalogError
        If a tile is missing and cannot be had.
    """
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
        answer = tiles_of(source, reach, faintest, offline=offline, limit=cache)
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
