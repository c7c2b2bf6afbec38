"""Orbital elements that users bring: lines of the Minor Planet Center's MPCORB, or a table.

MPCORB columns: 1-7 packed designation, 9-13 H, 15-19 G, 21-25 packed epoch, 27-35 mean anomaly,
38-46 argument of perihelion, 49-57 node, 60-68 inclination, 71-79 eccentricity, 93-103 semi-major axis.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sciastro.errors import FileError, OptionError
from sciastro.io.designations import BASE62, unpack

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ELEMENTS", "read_orbits"]

ELEMENTS = (
    "epoch",
    "anomaly",
    "perihelion",
    "node",
    "inclination",
    "eccentricity",
    "axis",
    "magnitude",
    "slope",
)
"""Columns that `read_orbits` gives besides ``name``: JD (TT), deg, deg, deg, deg, 1, au, mag, 1."""

ALIASES = {
    "name": ("name", "designation", "desig", "full_name", "targetname", "object"),
    "epoch": ("epoch", "epoch_jd", "epoch_mjd"),
    "anomaly": ("m", "ma", "mean_anomaly", "anomaly"),
    "perihelion": ("w", "peri", "argperi", "arg_perihelion", "perihelion", "omega_small"),
    "node": ("om", "node", "ascnode", "asc_node", "longnode"),
    "inclination": ("i", "incl", "inclination"),
    "eccentricity": ("e", "ecc", "eccentricity"),
    "axis": ("a", "semimajor_axis", "axis"),
    "magnitude": ("h", "absmag", "magnitude"),
    "slope": ("g", "slope"),
}
FIELDS = ((26, 35), (37, 46), (48, 57), (59, 68), (70, 79), (92, 103))
Row = tuple[str, tuple[float, ...]]


def read_orbits(path: str | Path) -> "Table":
    """Return elements: ``name`` and `ELEMENTS`; ``meta["left_out"]`` counts rows that hold no closed orbit.

    Raises
    ------
    FileError
        If the file cannot be read or holds no elements of closed orbits.
    """
    from astropy.table import Table

    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise FileError(
            f"cannot be read ({error.strerror}).", where=str(path), remedy="Check the name."
        ) from error
    read = [_mpcorb(line) for line in lines if _may_be_mpcorb(line)]
    rows = [row for row in read if row is not None]
    total = len(read)
    if not rows:
        rows, total = _table_rows(path)
    rows = [row for row in rows if 0 <= row[1][5] < 1 and row[1][6] > 0 and np.isfinite(row[1][:7]).all()]
    if not rows:
        raise FileError(
            "holds no elements of closed orbits.", where=str(path),
            remedy=f"Give lines of MPCORB, or columns name, {', '.join(ELEMENTS)}.",
        )  # fmt: skip
    table = Table(meta={"left_out": total - len(rows)})
    table["name"] = [name for name, _ in rows]
    values = np.array([one for _, one in rows], dtype=np.float64)
    for k, name in enumerate(ELEMENTS):
        table[name] = values[:, k]
    return table


def _may_be_mpcorb(line: str) -> bool:
    """Return whether a line is as long as one of MPCORB, and no heading, which has no digits there."""
    return len(line) >= 103 and line[7] == " " and any(char.isdigit() for char in line[20:103])


def _mpcorb(line: str) -> Row | None:
    """Return name and elements of a line; None where they cannot be read."""
    try:
        epoch = _packed_epoch(line[20:25])
        six = tuple(float(line[a:b]) for a, b in FIELDS)
        bright, slope = (float(text) if text.strip() else float("nan") for text in (line[8:13], line[14:19]))
        code = line[:7].rstrip()
        name = str(unpack(f"{code:<12}" if len(code) == 5 else f"     {code:<7}"))
    except (ValueError, OptionError):  # damaged: it is counted
        return None
    anomaly, perihelion, node, inclination, eccentricity, axis = six
    return name, (epoch, anomaly, perihelion, node, inclination, eccentricity, axis, bright, slope)


def _packed_epoch(text: str) -> float:
    """Return the Julian date (TT) of an epoch such as K24AH (2024 October 17.0)."""
    year = 100 * BASE62.index(text[0]) + int(text[1:3])
    day = datetime(year, BASE62.index(text[3]), BASE62.index(text[4]), tzinfo=UTC)
    return day.timestamp() / 86_400 + 2_440_587.5


def _table_rows(path: Path) -> tuple[list[Row], int]:
    """Return the rows that hold numbers, and how many there are in all."""
    from astropy.table import Table

    try:
        kind = "ascii.ecsv" if path.suffix.lower() == ".ecsv" else "ascii"
        table = Table.read(path, format=kind, guess=kind == "ascii")
    except (OSError, ValueError, TypeError, IndexError, KeyError) as error:
        raise FileError(
            "is no table of orbits that can be read.", where=str(path),
            remedy=f"Give lines of MPCORB, or columns name, {', '.join(ELEMENTS)}.",
        ) from error  # fmt: skip
    names = {name.lower(): name for name in table.colnames}
    found = {key: next((names[w] for w in words if w in names), None) for key, words in ALIASES.items()}
    missing = [key for key in ("name", *ELEMENTS[:7]) if found[key] is None]
    if missing:
        raise FileError(
            f"has no column for {', '.join(missing)}.", where=str(path),
            remedy=f"Name them {', '.join(('name', *ELEMENTS))}.",
        )  # fmt: skip
    rows: list[Row] = []
    for row in table:
        try:
            values = [
                float(row[name]) if (name := found[key]) is not None else float("nan") for key in ELEMENTS
            ]
        except (ValueError, TypeError):  # not a number: it is counted
            continue
        if values[0] < 1e6:  # a modified Julian date
            values[0] += 2_400_000.5
        rows.append((str(row[found["name"]]), tuple(values)))
    return rows, len(table)
