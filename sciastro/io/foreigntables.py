"""Tables of others: text, FITS, VOTable, VizieR's, and their columns as numbers and angles; NaN: unknown."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from sciastro.errors import CatalogError
from sciastro.io.readers import reason_of

if TYPE_CHECKING:
    from astropy.table import Table


__all__ = ["DEC", "RA", "angle_column", "first_column", "number_column", "read_any"]

Floats: TypeAlias = npt.NDArray[np.float64]


RA = (
    "ra_icrs", "ra", "raj2000", "ra_j2000", "radeg", "ra_deg", "ra_degrees", "alpha", "alpha_j2000",
    "alphawin_j2000", "raj", "rightascension", "right_ascension", "ra_hours", "rahours", "ra_hour",
)  # fmt: skip
DEC = (
    "de_icrs", "dec_icrs", "dec", "dej2000", "decj2000", "dec_j2000", "de_j2000", "dedeg", "decdeg",
    "dec_deg", "dec_degrees", "de", "delta", "delta_j2000", "deltawin_j2000", "decj", "declination",
)  # fmt: skip


def read_any(path: Path) -> "Table":
    """Return the table in a CSV, ECSV, FITS, VOTable or VizieR file, as it is.

    Raises
    ------
    CatalogError
        If the file is not there, or no table that can be read.
    """
    if not path.is_file():
        raise CatalogError("does not exist.", where=str(path), remedy="Check the path of the catalog.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unit spellings and VOTable versions are not the user's concern
        try:
            return _read_format(path)
        except Exception as error:  # each of astropy's readers has exceptions of its own
            reason = reason_of(error)
            if isinstance(error, UnicodeDecodeError):
                reason = "neither text nor FITS"
            raise CatalogError(
                f"cannot be read as a table ({reason}).",
                where=str(path),
                remedy="Give a CSV, ECSV, FITS or VOTable file.",
            ) from error


def _read_format(path: Path) -> "Table":
    from astropy.table import Table

    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"SIMPLE"):
        return Table.read(path, format="fits")
    if head.startswith(b"# %ECSV"):
        return Table.read(path, format="ascii.ecsv")
    if b"<VOTABLE" in head or b":VOTABLE" in head:
        return Table.read(path, format="votable")
    if b"#RESOURCE=" in head or b"VizieR" in head:
        return _read_vizier(path)
    return Table.read(path, format="ascii.csv", comment=r"\s*#")


def _read_vizier(path: Path) -> "Table":
    """Read VizieR's text form: comments, a line of names and one of units in either order, dashes, rows."""
    from astropy.table import Table

    lines = [
        x
        for x in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if x.strip() and x[0] != "#"
    ]
    mark = next((c for c in ("|", "\t", ";") if c in lines[0]), ",")
    cells = [[cell.strip() for cell in line.split(mark)] for line in lines]
    known = {*RA, *DEC}
    at = next(k for k, row in enumerate(cells[:4]) if {x.lower().lstrip("_") for x in row} & known)
    names = cells[at]
    used = [row for row in cells[at + 1 :] if len(row) == len(names) and not set("".join(row)) <= {"-"}]
    start = next(k for k, row in enumerate(used) if re.search(r"\d", row[_index(names, RA)]))
    return Table({n: [row[k] for row in used[start:]] for k, n in enumerate(names)})


def _index(names: list[str], wanted: Iterable[str]) -> int:
    low = [x.lower().lstrip("_") for x in names]
    return next(low.index(x) for x in wanted if x in low)


def first_column(names: dict[str, str], aliases: Iterable[str]) -> str | None:
    """Return the first of `aliases` among `names` (lower case to as written); None without one."""
    return next((names[a] for a in aliases if a in names), None)


def number_column(table: "Table", name: str | None) -> Floats:
    """Return a column as float64, NaN where masked, empty or not a number."""
    if name is None:
        return np.full(len(table), np.nan)
    column = table[name]
    if column.dtype.kind in "OSU":
        return np.array([_number(x) for x in column], dtype=np.float64)
    plain = np.ma.asarray(getattr(column, "value", column))
    return np.asarray(np.ma.filled(plain.astype(np.float64), np.nan), dtype=np.float64)


def _number(text: object) -> float:
    try:
        return float(text.decode() if isinstance(text, bytes) else str(text))
    except ValueError:
        return np.nan


def angle_column(table: "Table", name: str, path: Path, *, hours: bool) -> Floats:
    """Return degrees from numbers, in the column's unit, or from sexagesimal text.

    Raises
    ------
    CatalogError
        If the column holds no angles.
    """
    from astropy import units as u
    from astropy.coordinates import Angle

    values, unit = number_column(table, name), table[name].unit
    if np.any(np.isfinite(values)):
        if hours and ("hour" in name.lower() or unit == u.hourangle or unit == u.hour):
            return values * 15
        angular = unit is not None and getattr(unit, "physical_type", None) == "angle"
        return np.asarray(values * unit.to(u.deg), dtype=np.float64) if angular else values
    try:
        texts = [x.decode() if isinstance(x, bytes) else str(x) for x in table[name]]
        return np.asarray(
            Angle(texts, unit=u.hourangle if hours else u.deg).to_value(u.deg), dtype=np.float64
        )
    except (ValueError, u.UnitsError) as error:
        raise CatalogError(
            f"column '{name}' holds neither degrees nor sexagesimal text ({error}).",
            where=str(path),
            remedy="Write positions as degrees, or as '18 36 56.3' and '+38 47 01'.",
        ) from error
