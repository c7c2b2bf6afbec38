"""A region of a remote catalog from whole tiles: those that are kept are read, the missing ones are fetched.

Reads tiles of `io.skytiles` and answers of a `remote.columns.Source`; writes tiles, and columns of stars.
Method: the tiles (HEALPix) that a cone touches are looked for in the cache, to the depth that is needed.
Those that are missing are asked for a few at a time, by the smallest circle around them, and cut out of the
answer by position. An answer that the server cut is thrown away and asked for in smaller pieces; only what is
whole becomes a tile.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.core.directions import unit_vectors
from sciastro.core.healpix import MAX_ORDER, bounding_cone, tile_of, tiles_in_cone
from sciastro.errors import CatalogError, OutputError
from sciastro.io.skytiles import Columns, Tile, TileStore, shrink
from sciastro.remote.columns import Depth, Region, Source
from sciastro.remote.counts import area_of, expected_stars

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = [
    "Answer",
    "MOST_TILES",
    "missing_tiles",
    "queries_of",
    "columns_of",
    "joined",
    "joined_names",
    "region_tiles",
    "tiles_of",
]

Floats: TypeAlias = npt.NDArray[np.float64]

log = logging.getLogger(__name__)

MOST_TILES = 3000  # of one cone: 2,500 square degrees of order 6
WASTE = 3.0  # area of a query over that of its tiles, from which it is better asked in two
AT_ONCE = 150_000  # stars that one query should bring
DENSE = 6  # order from which a catalog's tiles say that it is as deep as Gaia's
DEEPER = 4  # how often a tile that is too dense for one answer is cut in four
PRECISE = ("ra", "dec")  # the others are kept as float32


@dataclass(slots=True)
class Answer:
    """The tiles of a region.

    Attributes
    ----------
    stars
        Columns, per tile.
    told
        What the descriptions of the tiles say; empty mappings where they could not be kept.
    fetched
        Tiles that came over the network.
    notes
        What the user should hear (a cache that cannot be written).
    """

    stars: list[Columns] = field(default_factory=list)
    told: list[Mapping[str, Any]] = field(default_factory=list)
    fetched: int = 0
    notes: list[str] = field(default_factory=list)


def region_tiles(source: Source, region: Region) -> list[int]:
    """Return the tiles of a catalog that a region touches.

    Raises
    ------
    CatalogError
        If they are too many to be fetched one by one.
    """
    tiles = tiles_in_cone(region.ra, region.dec, region.radius, source.order)
    if len(tiles) > MOST_TILES:
        raise CatalogError(
            f"takes {len(tiles)} tiles for a radius of {region.radius:g} deg (at most {MOST_TILES}).",
            where=source.title,
            remedy="Ask for a smaller region, or use the embedded catalog.",
        )
    return [int(tile) for tile in tiles]


def missing_tiles(source: Source, region: Region, faintest: float | None) -> tuple[list[int], int]:
    """Return the tiles of a region that are not kept to a depth, and how many tiles it has."""
    store = TileStore(source.name, source.order, source.version)
    tiles = region_tiles(source, region)
    return [number for number in tiles if store.find(number, faintest) is None], len(tiles)


def tiles_of(
    source: Source,
    region: Region,
    faintest: float | None,
    *,
    offline: bool,
    limit: int,
    advance: Callable[[int, int], None] | None = None,
) -> Answer:
    """Return the tiles that a region touches, fetched where they are not kept.

    Parameters
    ----------
    source
        The catalog.
    region
        A cone.
    faintest
        Depth in `Source.band`; None: all.
    offline
        Fetch nothing.
    limit
        Bytes that all kept catalogs may have.
    advance
        Told how many missing tiles are there, and of how many.

    Raises
    ------
    CatalogError
        If a tile is missing and cannot be fetched; what was fetched by then is kept.
    """
    store = TileStore(source.name, source.order, source.version)
    answer, used, missing = Answer(), [], []
    for number in region_tiles(source, region):
        tile = store.find(number, faintest)
        stars = store.read(tile) if tile is not None else None
        if tile is None or stars is None:
            missing.append(number)
            continue
        used.append(tile)
        answer.stars.append(stars)
        answer.told.append(tile.told)
    if missing and offline:
        raise CatalogError(
            f"is not asked: the network is switched off, and {len(missing)} of "
            f"{len(missing) + len(used)} tiles of this region are not in the cache.",
            where=source.title,
            remedy="Go online, or fetch the region beforehand (sciastro catalog fetch).",
        )
    if missing:
        used += _fetch_missing(source, missing, faintest, store, answer, advance)
        shrink(limit, store.folder.parent, spare=[tile.path for tile in used])
    store.touch(used)
    return answer


def _fetch_missing(
    source: Source,
    missing: Sequence[int],
    faintest: float | None,
    store: TileStore,
    answer: Answer,
    advance: Callable[[int, int], None] | None,
) -> list[Tile]:
    kept: list[Tile] = []
    for number, table in _fetched(source, missing, source.order, faintest):
        stars, told = columns_of(table), _told(table)
        answer.fetched += 1
        try:
            tile = store.keep(number, stars, faintest, told)
            kept.append(tile)
            told = dict(tile.told)
        except OutputError as error:
            if not answer.notes:  # the others go the same way
                answer.notes.append(f"the catalog cache is not used: {error}")
                log.warning("%s", answer.notes[0])
        answer.stars.append(stars)
        answer.told.append(told)
        if advance is not None:
            advance(answer.fetched, len(missing))
    return kept


def _told(table: "QTable") -> dict[str, Any]:
    """Return what the description of a tile says about where its stars are from."""
    return {key: value for key, value in table.meta.items() if key != "complete"}


def _fetched(
    source: Source, tiles: Sequence[int], order: int, faintest: float | None
) -> "Iterator[tuple[int, QTable]]":
    """Yield tiles with all their stars."""
    region = Region(*bounding_cone(tiles, order))
    area = len(tiles) * 41_253 / (12 * 4**order)
    too_many = _expected(source, region, faintest) > AT_ONCE
    if len(tiles) > 1 and (too_many or area_of(region) > WASTE * area + 1e-6):
        yield from _halves(source, tiles, order, faintest)
        return
    table = source.tile(region, Depth(faintest))
    if not table.meta.get("complete", True):
        if len(tiles) > 1:
            yield from _halves(source, tiles, order, faintest)
            return
        yield tiles[0], _in_pieces(source, tiles[0], order, faintest)
        return
    places = np.asarray(table["ra"].value), np.asarray(table["dec"].value)
    _check_places(source, region, *places)
    numbers = tile_of(*places, order)
    by_tile = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[by_tile], tiles)
    ends = np.searchsorted(numbers[by_tile], tiles, side="right")
    for number, start, end in zip(tiles, starts, ends, strict=True):
        yield number, table[by_tile[start:end]]


def _expected(source: Source, region: Region, faintest: float | None) -> float:
    """Return about how many stars a source has in a region; 0 where it is sparse, as its tiles tell."""
    own = getattr(source, "expected", None)
    if own is not None:
        return float(own(region, Depth(faintest)))
    return expected_stars(region, faintest) if source.order >= DENSE else 0.0


def _halves(
    source: Source, tiles: Sequence[int], order: int, faintest: float | None
) -> "Iterator[tuple[int, QTable]]":
    middle = len(tiles) // 2  # neighbors in the nested order are neighbors in the sky, mostly
    yield from _fetched(source, tiles[:middle], order, faintest)
    yield from _fetched(source, tiles[middle:], order, faintest)


def _in_pieces(source: Source, tile: int, order: int, faintest: float | None) -> "QTable":
    """Return a tile that has more stars than one answer may: its four quarters, each asked for alone."""
    from astropy.table import vstack

    if order >= min(source.order + DEEPER, MAX_ORDER):
        raise CatalogError(
            f"has more stars than one answer may have, even in a tile of order {order}.",
            where=source.title,
            remedy="Ask for a brighter limit (mag_limit).",
        )
    parts = [part for _, part in _fetched(source, range(4 * tile, 4 * tile + 4), order + 1, faintest)]
    together = vstack(parts, metadata_conflicts="silent")
    asked = [query for part in parts for query in queries_of(part.meta)]
    together.meta = dict(parts[0].meta, query=list(dict.fromkeys(asked)))
    return together


def queries_of(told: Mapping[str, Any]) -> list[str]:
    """Return what was asked for a tile: one query, or several."""
    asked = told.get("query")
    return [str(query) for query in asked] if isinstance(asked, list) else [str(asked)]


def _check_places(source: Source, region: Region, ra: Floats, dec: Floats) -> None:
    """Refuse an answer that is for another part of the sky: it would be kept as empty tiles."""
    if not len(ra):
        return
    chord = np.linalg.norm(unit_vectors(ra, dec) - unit_vectors(region.ra, region.dec), axis=-1)
    reach = 2 * np.sin(np.radians(min(region.radius + 0.05, 180.0)) / 2)
    outside = int(np.sum(chord > reach))
    if 2 * outside > len(ra):
        raise CatalogError(
            f"sent {outside} of {len(ra)} stars from another part of the sky, so the answer is not used.",
            where=source.title,
            remedy="Try again later, or use the embedded catalog.",
        )


def columns_of(table: "QTable") -> Columns:
    """Return the columns that a tile keeps, brightest first: positions float64, the rest float32.

    Columns without any value are left out.
    """
    order = np.argsort(np.asarray(table["mag"].value), kind="stable")
    names = np.asarray(table["id"]).astype(np.str_)[order]
    out: Columns = {"id": np.char.encode(names, "utf-8") if len(names) else np.array([], "S1")}
    for name in table.colnames[1:]:
        values = np.asarray(table[name].value, np.float64)[order]
        if name in PRECISE:
            out[name] = values
        elif np.isfinite(values).any():
            out[name] = values.astype(np.float32)
    return out


def joined(stars: Sequence[Columns], name: str) -> Floats:
    """Return a column of all tiles (float64 or float32), NaN where a tile does not have it."""
    parts = [one[name] if name in one else np.full(len(one["id"]), np.nan, np.float32) for one in stars]
    return np.concatenate(parts) if parts else np.array([])


def joined_names(stars: Sequence[Columns], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    """Return the names (n,) of some rows of all tiles, counted through."""
    if not len(rows):
        return np.array([], "U1")
    chosen = np.concatenate([one["id"] for one in stars])[rows]
    width, letters = chosen.dtype.itemsize, chosen.view(np.uint8)
    if letters.max() > 127:
        return np.char.decode(chosen, "utf-8")
    # ASCII is the same in both: widening bytes to code points is 20 times faster than decoding names.
    return letters.reshape(-1, width).astype(np.uint32).view(f"U{width}").ravel()
