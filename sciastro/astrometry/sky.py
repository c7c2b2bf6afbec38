"""Catalog stars and hints in the plain form that the solver works with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciastro.astrometry.motion import at_date, numbers
from sciastro.astrometry.plane import project
from sciastro.core.neighbors import close_pairs
from sciastro.errors import CatalogError

if TYPE_CHECKING:
    from astropy.table import QTable
    from astropy.wcs import WCS

__all__ = ["CatalogStars", "Hint", "StarsAt", "catalog_stars", "isolated", "pixels_of", "within"]

Floats = npt.NDArray[np.float64]
StarsAt = Callable[[float, float, float], "QTable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """What is known about the field before it is solved.

    Attributes
    ----------
    wcs
        WCS of the header, if it has one; it is tried first.
    ra, dec
        Rough center [deg]; taken from `wcs` where None.
    scale
        Rough pixel scale [arcsec / pixel]; taken from `wcs` where None.
    radius
        How far from (ra, dec) the true center may lie [deg].
    angle
        Position angle of the +y axis [deg], if known.
    parity
        +1 sky as seen, -1 mirrored, None unknown.
    scale_tolerance
        Relative error that the scale may have.
    """

    wcs: "WCS | None" = None
    ra: float | None = None
    dec: float | None = None
    scale: float | None = None
    radius: float = 1.0
    angle: float | None = None
    parity: int | None = None
    scale_tolerance: float = 0.15


@dataclass(frozen=True, slots=True)
class CatalogStars:
    """Stars of a catalog, brightest first (stars without magnitude last).

    Attributes
    ----------
    id, ra, dec, mag
        Name, position at the epoch of the image [deg, ICRS], magnitude (NaN unknown).
    name
        Name of the catalog.
    err
        Error of the position at that epoch, per axis [arcsec]; 0 where the catalog tells none.
    color
        Color index (NaN unknown).
    """

    id: npt.NDArray[np.generic]
    ra: Floats
    dec: Floats
    mag: Floats
    name: str
    err: Floats
    color: Floats

    def __len__(self) -> int:
        """Return the number of stars."""
        return int(self.ra.size)

    def take(self, index: npt.NDArray[np.generic]) -> "CatalogStars":
        """Return the stars of an index or mask."""
        return CatalogStars(
            self.id[index], self.ra[index], self.dec[index], self.mag[index], self.name,
            self.err[index], self.color[index],
        )  # fmt: skip


def catalog_stars(table: "QTable", year: float | None = None) -> CatalogStars:
    """Return the rows of a star table that have a position.

    Parameters
    ----------
    table
        Columns ``ra`` and ``dec`` [deg, or with a unit]; ``mag``, ``color``, ``id``, motion, parallax and
        errors where known (`motion.at_date`); ``table.meta["catalog"]`` names it.
    year
        Julian year that positions are brought to, as seen from the Earth; None leaves them.

    Raises
    ------
    CatalogError
        If there is no position.
    """
    from astropy import units as u

    for name in ("ra", "dec"):
        if name not in table.colnames:
            raise CatalogError(
                f"has no column '{name}' (columns: {', '.join(table.colnames[:12])}).",
                where="star table",
                remedy="Name the ICRS positions 'ra' and 'dec', in degrees.",
            )
    ra, dec, err = at_date(table, year)
    mag, color = numbers(table, "mag", u.mag), numbers(table, "color", u.mag)
    names = np.asarray(table["id"]) if "id" in table.colnames else np.arange(ra.size)
    good = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    order = good[np.argsort(np.where(np.isfinite(mag[good]), mag[good], np.inf), kind="stable")]
    name = str(table.meta.get("catalog", table.meta.get("name", "")))
    return CatalogStars(
        names[order], np.mod(ra[order], 360.0), dec[order], mag[order], name, err[order], color[order]
    )


def pixels_of(wcs: "WCS", stars: CatalogStars) -> Floats:
    """Return pixel positions (n, 2) of catalog stars, distortion included; NaN behind the tangent plane."""
    plane = project(stars.ra, stars.dec, *(float(v) for v in wcs.wcs.crval))
    out = np.full((len(stars), 2), np.nan)
    ok = np.isfinite(plane[:, 0])
    if ok.any():
        if wcs.sip is None:
            out[ok] = np.column_stack(wcs.wcs_world2pix(stars.ra[ok], stars.dec[ok], 0))
        else:  # quiet: far outside the frame the polynomial need not converge; such stars are cut later
            out[ok] = np.column_stack(wcs.all_world2pix(stars.ra[ok], stars.dec[ok], 0, quiet=True))
    return out


def isolated(points: Floats, magnitude: Floats, radius: float, contrast: float) -> npt.NDArray[np.bool_]:
    """Return which points have no neighbor within `radius` brighter than their magnitude plus `contrast`.

    `points` (n, 2) in the unit of `radius`; `magnitude` (n,): NaN on either side of a pair is not fainter.
    """
    good = np.ones(len(points), bool)
    first, second = close_pairs(points, radius)
    good[first[~(magnitude[second] > magnitude[first] + contrast)]] = False
    good[second[~(magnitude[first] > magnitude[second] + contrast)]] = False
    return good


def within(table: "QTable", ra: float, dec: float, radius: float) -> "QTable":
    """Return the rows of a star table (``ra``, ``dec`` [deg]) within `radius` [deg] of a place."""
    a, d = np.deg2rad(np.asarray(table["ra"].value)), np.deg2rad(np.asarray(table["dec"].value))
    a0, d0 = np.deg2rad(ra), np.deg2rad(dec)
    cosine = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a - a0)
    return table[cosine >= np.cos(np.deg2rad(radius))]
