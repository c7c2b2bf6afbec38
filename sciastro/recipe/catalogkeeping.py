"""What ``sciastro catalog status|fetch|clear|verify`` does with the catalogs that are kept.

Reads the cache of catalogs (`io.skytiles`), and regions as the user names them; writes tiles, and lines to
print.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sciastro.core.checks import finite_number
from sciastro.core.wcs import celestial_from_header, center, footprint_radius
from sciastro.errors import CatalogError, FileError, UsageError
from sciastro.io import reference
from sciastro.io.fitsunits import integer, walk
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header
from sciastro.io.keptspectra import clear_spectra, spectra_folder, spectra_status
from sciastro.io.reader import probe
from sciastro.io.skytiles import TileStore, tile_stores, tiles_folder
from sciastro.recipe.catalogs import cache_limit, is_remote, network_off
from sciastro.recipe.naming import resolve
from sciastro.recipe.session import scan
from sciastro.recipe.tiling import tiles_of
from sciastro.remote.catalogs import source_names, source_of
from sciastro.remote.columns import Region

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["clear_lines", "fetch_lines", "regions_of", "status_lines", "status_rows", "verify_lines"]

MARGIN = 1.05  # a field is fetched with this much around it
SAME = 0.3  # of the radius: fields closer than this are one


@dataclass(frozen=True, slots=True)
class Wanted:
    """A region and what it is called."""

    name: str
    region: Region


# --- which region -----------------------------------------------------------------------------------


def regions_of(words: Sequence[str], radius: float | None) -> list[Wanted]:
    """Return the regions that the user names.

    Parameters
    ----------
    words
        "RA DEC RADIUS" (degrees; the radius may be left out), the name of an object, an image with world
        coordinates, or a folder of frames or products.
    radius
        Radius [deg] where `words` do not tell; None: 0.5, or that of the image.

    Raises
    ------
    UsageError
        If there are no words, or they are none of these.
    RegionError
        If numbers are no region.
    CatalogError
        If a name is not known.
    FileError
        If a file or folder says nothing of where it is.
    """
    if not words:
        raise UsageError(
            "is missing.",
            where="REGION",
            remedy="Give RA DEC RADIUS, an object's name, an image or a folder.",
        )
    numbers = _numbers(words)
    if numbers is not None:
        if not 2 <= len(numbers) <= 3:
            raise UsageError(
                f"has {len(numbers)} numbers.", where="REGION", remedy="Give RA DEC RADIUS, in degrees."
            )
        size = numbers[2] if len(numbers) == 3 else _size(radius)
        return [Wanted(" ".join(words), Region(numbers[0] % 360, numbers[1], size))]
    strange = next((word for word in words if word.startswith("-") and _numbers([word]) is None), None)
    if strange is not None:
        raise UsageError(f"is no option: '{strange}'.", where="sciastro catalog", remedy="See --help.")
    path = Path(" ".join(words))
    if path.is_dir():
        return _of_folder(path, radius)
    if path.is_file():
        found = _of_file(path, radius)
        if found is None:
            raise FileError(
                "has no world coordinates.", where=str(path), remedy="Solve it first: `sciastro solve`."
            )
        return [found]
    if len(words) == 1 and (path.suffix or "/" in words[0]):
        raise FileError("does not exist.", where=str(path), remedy="Check the path.")
    try:
        named = resolve(" ".join(words))
    except CatalogError:
        if network_off():
            raise
        named = resolve(" ".join(words), online=True)  # SIMBAD knows many more names
    return [Wanted(named.name, Region(float(named.coord.ra.deg), float(named.coord.dec.deg), _size(radius)))]


def _size(radius: float | None) -> float:
    return 0.5 if radius is None else radius


def _numbers(words: Sequence[str]) -> list[float] | None:
    try:
        return [float(word.rstrip("d°")) for word in words]
    except ValueError:
        return None


def _of_file(path: Path, radius: float | None) -> Wanted | None:
    """Return where the first image of a file with world coordinates is."""
    if path.suffix.lower() == ".wcs":
        return _of_wcs(path, radius)
    besides = (path.with_name(f"{path.name}.wcs"), path.with_suffix(".wcs"))
    beside = next((one for one in besides if one.is_file()), None)
    try:
        images = probe(path)
    except FileError:
        if beside is None:
            raise
        images = []  # a picture, which is no frame; where it looks is told beside it
    for image in images:
        found = _of_header(path, image.header, (image.shape[0], image.shape[1]), radius)
        if found is not None:
            return found
    return _of_wcs(beside, radius) if beside is not None else None


def _of_wcs(path: Path, radius: float | None) -> Wanted | None:
    """Return where the image of a ``.wcs`` file is: a header that tells its size, too."""
    header = next((unit.header for unit in walk(path)), None)
    if header is None:
        return None
    return _of_header(path, header, (integer(header, "IMAGEH", 0), integer(header, "IMAGEW", 0)), radius)


def _of_header(
    path: Path, header: "fits.Header", shape: tuple[int, int], radius: float | None
) -> Wanted | None:
    wcs = celestial_from_header(header)
    if wcs is None or (min(shape) < 1 and radius is None):
        return None
    if min(shape) < 1:
        ra, dec = (float(value) for value in wcs.wcs.crval)
    else:
        ra, dec = center(wcs, shape)
    size = min(MARGIN * footprint_radius(wcs, shape), 180.0) if radius is None else radius
    return Wanted(path.name, Region(ra % 360, dec, size))


def _of_folder(folder: Path, radius: float | None) -> list[Wanted]:
    """Return the fields of a session, or of the products of a run; those close together are one."""
    found: list[Wanted] = []
    products = sorted((folder / "products").glob("*.fits"))
    if products:
        for path in products:
            with contextlib.suppress(FileError):  # a table of sources holds no image
                one = _of_file(path, radius)
                found += [one] if one is not None else []
    else:
        for frame in scan(folder).of_kind("light"):
            one = _of_frame(folder, frame, radius)
            found += [one] if one is not None and not any(_near(one, other) for other in found) else []
    if not found:
        raise FileError(
            "has no image that tells where it points.",
            where=str(folder),
            remedy="Give RA DEC RADIUS, or solve a frame first: `sciastro solve`.",
        )
    apart: list[Wanted] = []
    for one in found:
        if not any(_near(one, other) for other in apart):
            apart.append(one)
    return apart


def _of_frame(folder: Path, frame: FrameFacts, radius: float | None) -> Wanted | None:
    if frame.has_wcs:
        for image in probe(folder / frame.path):
            if image.hdu == frame.hdu:
                facts = facts_from_header(
                    image.header, image.path.name, image.shape, str(image.dtype), image.hdu
                )
                if facts.has_wcs:
                    return _of_header(Path(frame.path), image.header, image.shape[:2], radius)
    if frame.pointing is None:
        return None
    half = math.hypot(*frame.shape[:2]) / 2 * (frame.scale or 0.0) / 3600
    size = (1.2 * half or 1.0) if radius is None else radius  # where a telescope says it points is not exact
    return Wanted(Path(frame.path).name, Region(frame.pointing[0] % 360, frame.pointing[1], min(size, 180.0)))


def _near(one: Wanted, other: Wanted) -> bool:
    a, b = one.region, other.region
    east = ((a.ra - b.ra + 180) % 360 - 180) * math.cos(math.radians(a.dec))
    return math.hypot(east, a.dec - b.dec) < SAME * b.radius and a.radius <= 1.1 * b.radius


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
