"""Regions of the sky that a user names: places, objects, files, folders of frames."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sciastro.core.wcs import celestial_from_header, center, footprint_radius
from sciastro.errors import CatalogError, FileError, UsageError
from sciastro.io.fitsunits import integer, walk
from sciastro.io.framefacts import FrameFacts
from sciastro.io.headers import facts_from_header
from sciastro.io.reader import probe
from sciastro.recipe.catalogs import network_off
from sciastro.recipe.naming import resolve
from sciastro.recipe.session import scan
from sciastro.remote.columns import Region

if TYPE_CHECKING:
    from astropy.io import fits


__all__ = ["Wanted", "regions_of"]


MARGIN = 1.05  # a field is fetched with this much around it
SAME = 0.3  # of the radius: fields closer than this are one


@dataclass(frozen=True, slots=True)
class Wanted:
    """A region and what it is called."""

    name: str
    region: Region


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
