"""What ``sciastro catalog status|fetch|clear|verify`` does with the catalogs that are kept.

Reads the cache of catalogs (`io.skytiles`), and regions as the user names them; writes tiles, and lines to
print.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence

from sciastro.core.checks import finite_number
from sciastro.errors import CatalogError, FileError, UsageError
from sciastro.io import reference
from sciastro.io.keptspectra import clear_spectra, spectra_folder, spectra_status
from sciastro.io.skytiles import TileStore, tile_stores, tiles_folder
from sciastro.recipe.catalogs import cache_limit, is_remote, network_off
from sciastro.recipe.skyregions import regions_of
from sciastro.recipe.tiling import tiles_of
from sciastro.remote.catalogs import source_names, source_of

__all__ = ["clear_lines", "fetch_lines", "status_lines", "status_rows", "verify_lines"]


# --- which region -----------------------------------------------------------------------------------


# --- what is done -----------------------------------------------------------------------------------


def fetch_lines(
    words: Sequence[str],
    *,
    catalog: str,
    radius: float | None = None,
    faintest: float | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Iterator[str]:
    """Fetch what is missing of regions, and yield what came.

    Raises
    ------
    SciastroError
        If a region is none, or the catalog cannot be had; what came by then is kept.
    """
    if not is_remote(catalog):
        raise UsageError(
            f"is '{catalog}', which needs no fetching.",
            where="--catalog",
            remedy=f"Choose from {', '.join(source_names())}.",
        )
    source = source_of(catalog)
    if faintest is not None:
        faintest = finite_number(faintest, where="--faintest", remedy="Give a magnitude, such as 17.")
    depth = None if faintest is None else float(math.ceil(faintest))
    for wanted in regions_of(words, radius):
        start, region = time.monotonic(), wanted.region
        answer = tiles_of(source, region, depth, offline=network_off(), limit=cache_limit(), advance=advance)
        yield from answer.notes
        total = sum(len(one["id"]) for one in answer.stars)
        to = "all stars" if depth is None else f"stars to {source.band} = {depth:g}"
        yield (
            f"{wanted.name} (RA {region.ra:.4f}, Dec {region.dec:+.4f}, radius {region.radius:.3g} deg): "
            f"{len(answer.stars)} tiles of {source.title}, {answer.fetched} of them fetched now; "
            f"{to}: {total}; {time.monotonic() - start:.1f} s"
        )


def status_rows() -> list[dict[str, object]]:
    """Return what is kept, one row per catalog: stars, tiles, bytes, dates, depths, license."""
    rows: list[dict[str, object]] = []
    for store in tile_stores():
        tiles = list(store.tiles())
        if not tiles:
            continue
        dates = sorted(str(tile.told.get("date", "")) for tile in tiles)
        depths = sorted({"all" if tile.faintest is None else f"{tile.faintest:g}" for tile in tiles})
        first = tiles[0].told
        rows.append(
            {
                "name": store.folder.name, "catalog": first.get("catalog"), "tiles": len(tiles),
                "orders": sorted({tile.order for tile in tiles}),
                "square_degrees": round(sum(41_252.96 / (12 * 4**tile.order) for tile in tiles), 2),
                "stars": sum(tile.rows for tile in tiles), "bytes": sum(tile.size for tile in tiles),
                "oldest": dates[0], "newest": dates[-1], "depths": depths, "epoch": first.get("epoch"),
                "license": first.get("license"), "citation": first.get("citation"),
                "servers": sorted({str(tile.told.get("server", "")) for tile in tiles}),
            }
        )  # fmt: skip
    return rows


def status_lines() -> Iterator[str]:
    """Yield what is kept, where, and what may be."""
    info = reference.catalog_info()["stars"]
    rows, limit = status_rows(), cache_limit()
    yield f"embedded: {info['name']}, {info['counts']['rows']} stars, always there ({info['license']})"
    used = sum(int(str(row["bytes"])) for row in rows)
    most = f"{limit / 1e6:.0f} MB (SCIASTRO_CATALOG_GB)"
    yield f"cache: {tiles_folder()}, {used / 1e6:.1f} MB of at most {most}"
    network = "switched off" if network_off() else "asked only for catalogs that are named"
    yield f"network: {network}"
    for row in rows:
        yield (
            f"{row['name']}: {row['catalog']}: {row['stars']} stars in {row['tiles']} tiles "
            f"({row['square_degrees']} square degrees), {int(str(row['bytes'])) / 1e6:.1f} MB"
        )
        depths, servers = (", ".join(row[key]) for key in ("depths", "servers"))  # type: ignore[arg-type]
        yield f"  depth: {depths}; epoch {row['epoch']}; {row['oldest']} to {row['newest']} from {servers}"
        yield f"  license: {row['license']}"
        yield f"  cite: {row['citation']}"
    spectra, size = spectra_status()
    if spectra:
        yield f"spectra: {spectra} of Gaia DR3 (XP), {size / 1e6:.1f} MB; {spectra_folder()}"
    if not rows:
        yield f"nothing is kept yet; `sciastro catalog fetch` brings {', '.join(source_names())}"


def verify_lines() -> Iterator[str]:
    """Check the embedded catalog and every tile against their digests; yield what is well.

    Raises
    ------
    FileError
        If something is damaged.
    """
    problems = reference.verify()
    if problems:
        raise FileError(
            f"is damaged: {'; '.join(problems)}.", where="star catalog", remedy="Install sciastro again."
        )
    yield "the star catalog is complete and unchanged"
    damaged: list[str] = []
    for store in tile_stores():
        wrong = store.damaged()
        damaged += [f"{store.folder.name}: {text}" for text in wrong]
        if not wrong:
            yield f"{store.folder.name}: {sum(1 for _ in store.tiles())} tiles are complete and unchanged"
    if damaged:
        more = f" and {len(damaged) - 5} more" if len(damaged) > 5 else ""
        raise FileError(
            f"is damaged: {' '.join(damaged[:5])}{more}",
            where=str(tiles_folder()),
            remedy="`sciastro catalog clear --damaged` removes that; it is fetched again when needed.",
        )


def clear_lines(catalog: str | None, *, damaged: bool = False) -> Iterator[str]:
    """Remove the tiles of one catalog, or of all; or only those that are damaged.

    Raises
    ------
    OutputError
        If they cannot be removed.
    CatalogError
        If nothing is kept of that catalog.
    """
    stores = tile_stores()
    if catalog is not None:
        name = TileStore(source_of(catalog).name, 0, 0).folder.name
        stores = [store for store in stores if store.folder.name == name]
        if not stores:
            raise CatalogError(
                "is not in the cache.", where=catalog, remedy="See `sciastro catalog status` for what is."
            )
    for store in stores:
        if damaged:
            yield f"{store.folder.name}: {store.mend()} files removed"
        else:
            count, freed = store.clear()
            yield f"{store.folder.name}: {count} tiles removed, {freed / 1e6:.1f} MB"
    spectra = clear_spectra() if catalog is None and not damaged else (0, 0)
    if spectra[0]:
        yield f"spectra: {spectra[0]} removed, {spectra[1] / 1e6:.1f} MB"
    if not stores and not spectra[0]:
        yield "nothing is kept"
