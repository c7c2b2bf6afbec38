"""Places to be measured, as a user gives them: a table, a ds9 region file, or "RA DEC" as text.

No row is ever dropped or moved: a row without a position keeps its place, and is NaN.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.tables import column_numbers, numbers_if_there
from sciastro.errors import CatalogError, OptionError
from sciastro.io.foreigntables import DEC, RA, angle_column, first_column, number_column, read_any
from sciastro.io.paths import atomic_path
from sciastro.io.readers import reason_of
from sciastro.io.usercatalog import IDS

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "Positions",
    "joined",
    "on_sky",
    "positions_from_regions",
    "positions_from_table",
    "positions_from_text",
    "read_positions",
    "write_regions",
]

Floats = npt.NDArray[np.float64]

X = ("x", "xcentroid", "x_center", "xcenter", "x_fit", "x_0", "xcen", "xpos", "x_pixel")
Y = ("y", "ycentroid", "y_center", "ycenter", "y_fit", "y_0", "ycen", "ypos", "y_pixel")
X_FITS = ("x_image", "xwin_image", "xpsf_image", "xpeak_image")  # SExtractor: the first pixel is 1
Y_FITS = ("y_image", "ywin_image", "ypsf_image", "ypeak_image")
NO_REGIONS = "Install it with `pip install sciastro[regions]`."


@dataclass(frozen=True, slots=True)
class Positions:
    """Places on the sky or on an image; the pair that was not given is NaN.

    Attributes
    ----------
    ra, dec
        ICRS [deg].
    x, y
        [pixel], 0 is the center of the first pixel.
    names
        As given; "" where none is.
    source
        Where they are from.
    """

    ra: Floats
    dec: Floats
    x: Floats
    y: Floats
    names: npt.NDArray[np.str_]
    source: str = ""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.names)


def on_sky(ra: npt.ArrayLike, dec: npt.ArrayLike, names: npt.ArrayLike, source: str) -> Positions:
    """Return places on the sky [deg]."""
    first, second = (np.asarray(one, dtype=np.float64) for one in (ra, dec))
    nothing = np.full(first.size, np.nan)
    return Positions(first, second, nothing, nothing, np.asarray(names, dtype=np.str_), source)


def joined(parts: Sequence[Positions]) -> Positions:
    """Return the places of `parts`, one after the other."""
    return Positions(
        ra=np.concatenate([one.ra for one in parts]), dec=np.concatenate([one.dec for one in parts]),
        x=np.concatenate([one.x for one in parts]), y=np.concatenate([one.y for one in parts]),
        names=np.concatenate([one.names for one in parts]),
        source=", ".join(dict.fromkeys(one.source for one in parts)),
    )  # fmt: skip


def positions_from_text(text: str) -> Positions:
    """Return the place "RA DEC": degrees, or sexagesimal with right ascension in hours.

    Raises
    ------
    OptionError
        If it is none.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    parts = text.replace(",", " ").split()
    try:
        if len(parts) == 2 and all(_is_number(part) for part in parts):
            if not -180 <= float(parts[0]) <= 360:  # it would be turned by whole circles
                raise ValueError("beyond a circle")
            place = SkyCoord(float(parts[0]), float(parts[1]), unit=(u.deg, u.deg))
        else:
            place = SkyCoord(" ".join(parts), unit=(u.hourangle, u.deg))
        ra, dec = float(place.ra.deg), float(place.dec.deg)
        if not (np.isfinite(ra) and np.isfinite(dec)):
            raise ValueError("not a number")
    except (ValueError, u.UnitsError, TypeError, IndexError) as error:
        raise OptionError(
            f"is '{text}', which is no position.", where="--at",
            remedy="Give degrees, '250.4235 36.4613', or hours and degrees, '16:41:41 +36:27:41'; pixels go "
            "by a file with columns x and y.",
        ) from error  # fmt: skip
    return on_sky([ra], [dec], [text], "text")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_positions(path: Path) -> Positions:
    """Return the places in a CSV, ECSV, FITS or VOTable file, or in a ds9 region file (``.reg``).

    A table has columns for right ascension and declination (degrees, or sexagesimal text), or ``x`` and
    ``y`` (pixel, from 0; SExtractor's ``X_IMAGE`` from 1).

    Raises
    ------
    CatalogError
        If the file cannot be read, names no positions, or has no row whose position can be read.
    """
    found = (
        _regions(path) if path.suffix.lower() == ".reg" else positions_from_table(read_any(path), str(path))
    )
    known = np.isfinite(found.ra + found.dec) | np.isfinite(found.x + found.y)
    if not known.any():
        told = f"has {len(found)} rows, and no position in them that can be read."
        raise CatalogError(
            told if len(found) else "has no rows.",
            where=str(path), remedy="Give RA and Dec (degrees, or sexagesimal), or x and y (pixel, from 0).",
        )  # fmt: skip
    return found


def positions_from_table(table: "Table", where: str = "table") -> Positions:
    """Return the places in a table; see `read_positions`.

    Raises
    ------
    CatalogError
        If it has no columns of positions.
    """
    names = {name.lower().lstrip("_"): name for name in reversed(table.colnames)}
    n = len(table)
    nothing = np.full(n, np.nan)
    ra, dec = first_column(names, RA), first_column(names, DEC)
    label = first_column(names, IDS)
    words = np.array([str(one) for one in table[label]] if label else [""] * n, dtype=np.str_)
    if ra is not None and dec is not None:
        if n == 0:
            return on_sky(nothing, nothing, words, where)
        path = Path(where)
        sky = [angle_column(table, ra, path, hours=True), angle_column(table, dec, path, hours=False)]
        bad = ~(np.abs(sky[1]) <= 90)
        return on_sky(np.where(bad, np.nan, sky[0] % 360), np.where(bad, np.nan, sky[1]), words, where)
    for first, second, origin in ((X, Y, 0.0), (X_FITS, Y_FITS, 1.0)):
        x, y = first_column(names, first), first_column(names, second)
        if x is not None and y is not None:
            return Positions(
                nothing, nothing, number_column(table, x) - origin, number_column(table, y) - origin, words,
                where,
            )  # fmt: skip
    raise CatalogError(
        f"has no columns of positions among {', '.join(table.colnames) or 'none'}.", where=where,
        remedy="Name them 'ra' and 'dec' (degrees), or 'x' and 'y' (pixel, from 0).",
    )  # fmt: skip


def _package() -> Any:
    try:
        import regions
    except ImportError as error:
        raise OptionError(
            "need the package `regions`, which is not installed.", where="ds9 regions", remedy=NO_REGIONS
        ) from error
    return regions


def _regions(path: Path) -> Positions:
    """Return the centers of the regions of a ds9 file."""
    regions = _package()
    if not path.is_file():
        raise CatalogError("does not exist.", where=str(path), remedy="Check the path.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes that it does not know are told below
        try:
            found = regions.Regions.read(str(path), format="ds9")
        except Exception as error:  # its parser has exceptions of its own
            reason = reason_of(error)
            raise CatalogError(
                f"cannot be read as ds9 regions ({reason}).", where=str(path),
                remedy="Save it from ds9 in the format 'ds9'.",
            ) from error  # fmt: skip
    return positions_from_regions(found, str(path))


def positions_from_regions(found: Iterable[Any], where: str) -> Positions:
    """Return the centers of regions of the package `regions`, on the sky or on pixels; NaN without a center.

    Raises
    ------
    CatalogError
        If there are none.
    """
    rows = []
    for one in found:
        center = getattr(one, "center", None)
        name = str(one.meta.get("text", one.meta.get("label", "")))
        if center is None:
            rows.append((np.nan, np.nan, np.nan, np.nan, name))
        elif hasattr(center, "icrs"):
            rows.append((float(center.icrs.ra.deg), float(center.icrs.dec.deg), np.nan, np.nan, name))
        else:
            rows.append((np.nan, np.nan, float(center.x), float(center.y), name))
    if not rows:
        raise CatalogError(
            "holds no regions.", where=where, remedy="Give circles, points or ellipses with a center."
        )
    ra, dec, x, y = (np.array([row[k] for row in rows], dtype=np.float64) for k in range(4))
    return Positions(ra, dec, x, y, np.array([row[4] for row in rows], dtype=np.str_), where)


def write_regions(path: Path, table: "Table", *, radius: float) -> Path:
    """Write a circle per source as ds9 regions: on the sky where it is known, else on pixels.

    Parameters
    ----------
    table
        With ``id, x, y`` and, where known, ``ra, dec`` and ``flags``.
    radius
        Of the circles [pixel].

    Raises
    ------
    OptionError
        If the package `regions` is not installed.
    OutputError
        If the file cannot be written.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    regions = _package()
    x, y = (column_numbers(table, n) for n in ("x", "y"))
    ra, dec = (numbers_if_there(table, n) for n in ("ra", "dec"))
    scale = float(table.meta.get("pixel_scale", np.nan))
    flags = np.asarray(table["flags"]) if "flags" in table.colnames else np.zeros(len(table), int)
    out = []
    for k in range(len(table)):
        how = {
            "meta": regions.RegionMeta({"text": str(table["id"][k])}),
            "visual": regions.RegionVisual({"color": "green" if flags[k] == 0 else "yellow"}),
        }
        if np.isfinite(ra[k]) and np.isfinite(dec[k]) and np.isfinite(scale):
            center = SkyCoord(ra[k], dec[k], unit=u.deg)
            out.append(regions.CircleSkyRegion(center, radius * scale * u.arcsec, **how))
        elif np.isfinite(x[k]) and np.isfinite(y[k]):
            out.append(regions.CirclePixelRegion(regions.PixCoord(x[k], y[k]), radius, **how))
    with atomic_path(path) as part:
        part.write_text(
            regions.Regions(out).serialize(format="ds9", precision=8) if out else "", encoding="utf-8"
        )
    return path
