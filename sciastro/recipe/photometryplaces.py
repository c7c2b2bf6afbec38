"""Where light is measured: positions given, of a catalog, or of an object, put on the pixels of an image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

from sciastro.core.tables import as_table
from sciastro.core.wcs import center, footprint_radius
from sciastro.errors import CatalogError, OptionError
from sciastro.io.positions import (
    Positions,
    joined,
    on_sky,
    positions_from_regions,
    positions_from_table,
    positions_from_text,
    read_positions,
)
from sciastro.recipe.catalogs import cone
from sciastro.recipe.naming import resolve
from sciastro.recipe.photometryimages import Target

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["OnImage", "gather", "of_catalog", "on_image"]

Floats = npt.NDArray[np.float64]

ON_PIXEL = 0.1  # pixel: a place that goes to the sky and comes back farther off is not on the image
SOLVE = "Run `sciastro solve` on the image first, or give x and y."


@dataclass(frozen=True, slots=True)
class OnImage:
    """Places on one image: pixels (NaN where there is none), sky [deg], and which are beyond the image."""

    x: Floats
    y: Floats
    ra: Floats
    dec: Floats
    off: npt.NDArray[np.bool_]
    names: npt.NDArray[np.str_]


def _is_pair(given: Any) -> TypeGuard[tuple[Any, Any]]:
    """Return whether this is (ra, dec): two numbers [deg] or angles."""
    return isinstance(given, tuple) and len(given) == 2 and all(
        isinstance(one, Real) or (hasattr(one, "unit") and np.ndim(one) == 0) for one in given
    )  # fmt: skip


def gather(given: "str | Path | Any | Sequence[Any]") -> Positions | None:
    """Return positions from files, texts ("RA DEC"), names of objects, tables or sky coordinates, in order.

    Tables may be astropy's or pandas', regions those of the package `regions`; a pair is (ra, dec) [deg].

    Raises
    ------
    OptionError
        If one of them is no position.
    CatalogError
        If a file cannot be read, or an object is not known.
    """
    if given is None:
        return None
    items = list(given) if isinstance(given, list | tuple) and not _is_pair(given) else [given]
    found = [_one(item) for item in items]
    return joined(found) if found else None


def _pair(given: tuple[Any, Any]) -> Positions:
    from astropy.coordinates import SkyCoord
    from astropy.units import UnitsError

    try:
        item = SkyCoord(given[0], given[1], unit="deg").icrs
    except (ValueError, TypeError, UnitsError) as error:
        raise OptionError(
            f"is ({given[0]}, {given[1]}), which is no place on the sky.", where="positions",
            remedy="Give (ra, dec) in degrees or as angles, dec from -90 to 90.",
        ) from error  # fmt: skip
    return on_sky(np.array([item.ra.deg]), np.array([item.dec.deg]), [""], "sky coordinates")


def _one(item: Any) -> Positions:
    if isinstance(item, Positions):
        return item
    if isinstance(item, Path) or (isinstance(item, str) and Path(item).is_file()):
        return read_positions(Path(item))
    if isinstance(item, str):
        return _text(item)
    if _is_pair(item):
        return _pair(item)
    if hasattr(item, "colnames"):
        return positions_from_table(item)
    if hasattr(item, "itertuples"):  # pandas
        return positions_from_table(as_table(item, "positions"))
    if type(item).__module__.startswith("regions."):
        return positions_from_regions(item if hasattr(item, "regions") else [item], "regions")
    if hasattr(item, "icrs"):
        ra, dec = (np.atleast_1d(np.asarray(one.deg, dtype=np.float64)) for one in
                   (item.icrs.ra, item.icrs.dec))  # fmt: skip
        return on_sky(ra, dec, [""] * len(ra), "sky coordinates")
    raise OptionError(
        f"is {type(item).__name__}.", where="positions",
        remedy="Give a file, 'RA DEC', (ra, dec), a table with ra, dec or x, y, a SkyCoord, or regions.",
    )  # fmt: skip


def _text(text: str) -> Positions:
    """Return the place that a text names: coordinates, else an object."""
    if Path(text).suffix.lower() in (".csv", ".ecsv", ".fits", ".reg", ".xml", ".vot", ".txt"):
        return read_positions(Path(text))  # which tells that it is not there
    try:
        return positions_from_text(text)
    except OptionError as error:
        if not any(char.isalpha() for char in text):
            raise
        try:
            place = resolve(text).coord.icrs
        except CatalogError as unknown:
            raise OptionError(
                f"is '{text}': no file, no position, and no object that is known here: it {unknown.found}",
                where="--at", remedy=error.remedy,
            ) from unknown  # fmt: skip
    return on_sky([float(place.ra.deg)], [float(place.dec.deg)], [text], "object")


def of_catalog(
    target: Target, catalog: "str | Path", *, faintest: float | None, epoch: float | None
) -> Positions:
    """Return the stars of a catalog over an image, at its epoch, brightest first.

    Raises
    ------
    OptionError
        If the image has no world coordinates.
    CatalogError
        If the catalog cannot be had.
    """
    if target.wcs is None:
        raise OptionError(
            "needs world coordinates, and the image has none.", where=f"--catalog for {target.name}",
            remedy=SOLVE,
        )  # fmt: skip
    shape = (target.image.shape[0], target.image.shape[1])
    stars = cone(
        center(target.wcs, shape), min(1.02 * footprint_radius(target.wcs, shape), 180.0), catalog=catalog,
        mag_limit=faintest, epoch=epoch,
    )  # fmt: skip
    ra, dec = (np.asarray(stars[name].value, dtype=np.float64) for name in ("ra", "dec"))
    names = np.asarray(stars["id"]).astype(np.str_) if len(stars) else np.empty(0, dtype=np.str_)
    everything = on_sky(ra, dec, names, str(stars.meta.get("catalog", catalog)))
    placed = on_image(everything, target)
    keep = np.isfinite(placed.x)
    return replace(
        everything,
        **{name: getattr(everything, name)[keep] for name in ("ra", "dec", "x", "y", "names")},
    )


def on_image(positions: Positions, target: Target) -> OnImage:
    """Return positions on the pixels of an image.

    Raises
    ------
    OptionError
        If they are on the sky, and the image has no world coordinates.
    """
    x, y = positions.x.copy(), positions.y.copy()
    ra, dec = positions.ra.copy(), positions.dec.copy()
    sky = np.isfinite(ra) & np.isfinite(dec) & ~(np.isfinite(x) & np.isfinite(y))
    off = np.zeros(len(x), dtype=bool)
    rows, columns = target.image.shape
    if sky.any():
        if target.wcs is None:
            raise OptionError(
                "are on the sky, and the image has no world coordinates.",
                where=f"positions for {target.name}", remedy=SOLVE,
            )  # fmt: skip
        x[sky], y[sky] = _to_pixel(target.wcs, ra[sky], dec[sky], (rows, columns))
        off[sky] = ~np.isfinite(x[sky])
    elif target.wcs is not None:
        known = np.isfinite(x) & np.isfinite(y)
        ra[known], dec[known] = target.wcs.all_pix2world(x[known], y[known], 0)
    with np.errstate(invalid="ignore"):
        off |= (x < -0.5) | (x > columns - 0.5) | (y < -0.5) | (y > rows - 0.5)
    return OnImage(x, y, ra, dec, off, positions.names)


def _to_pixel(wcs: "WCS", ra: Floats, dec: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return pixels of sky positions; NaN where they are not near the image.

    Far from the image a distortion of high degree may bend a place back into it: only those count that go
    back to where they came from, and lie within its circle.
    """
    from astropy.coordinates import angular_separation

    middle = np.deg2rad(center(wcs, shape))
    away = angular_separation(np.deg2rad(ra), np.deg2rad(dec), middle[0], middle[1])
    near = np.rad2deg(away) < 1.2 * footprint_radius(wcs, shape) + 1e-3
    x, y = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    if near.any():
        px, py = wcs.all_world2pix(ra[near], dec[near], 0, quiet=True, maxiter=40)
        back = wcs.all_pix2world(px, py, 0)
        step = np.hypot((((back[0] - ra[near]) + 180) % 360 - 180) * np.cos(np.deg2rad(dec[near])),
                        back[1] - dec[near])  # fmt: skip
        same = step < ON_PIXEL * _degrees_per_pixel(wcs)
        x[near], y[near] = np.where(same, px, np.nan), np.where(same, py, np.nan)
    return x, y


def _degrees_per_pixel(wcs: "WCS") -> float:
    from sciastro.core.wcs import pixel_scale

    return pixel_scale(wcs) / 3600
