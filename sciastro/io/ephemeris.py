"""Ephemerides that users bring: where an object is on the sky, row by row.

Three kinds of file are read: tables with columns for time, right ascension and declination (CSV, ECSV),
text of JPL Horizons (observer tables between ``$$SOE`` and ``$$EOE``, with or without commas), and text of
the Minor Planet Center's ephemeris service. Positions must be astrometric (ICRF, J2000); apparent places of
date are refused, since they are far off the catalog's. Between rows, a cubic spline of unit vectors.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciastro.core.directions import unit_vectors
from sciastro.errors import FileError, OptionError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Ephemeris", "read_ephemeris"]

Floats = npt.NDArray[np.float64]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
TIMES = (
    "time",
    "utc",
    "date",
    "datetime",
    "datetime_utc",
    "date_utc",
    "time_utc",
    "obstime",
    "t",
    "date-obs",
)
JDS = ("jd", "jd_utc", "jdut", "datetime_jd", "julian_date")
MJDS = ("mjd", "mjd_utc", "mjd_obs")
# Not "alpha" and "delta": in tables of Horizons they are the phase angle and the distance.
RAS = ("ra", "ra_icrs", "ra_icrf", "raj2000", "ra_deg", "ra_j2000", "r.a.", "rightascension")
DECS = (
    "dec",
    "dec_icrs",
    "dec_icrf",
    "dej2000",
    "decj2000",
    "dec_deg",
    "dec_j2000",
    "decl",
    "decl.",
)
LATER = ("tdb", "tt", "tai")
HOW = "Give time (UTC), ra and dec as columns, or text of JPL Horizons or of the Minor Planet Center."


@dataclass(frozen=True, slots=True)
class Ephemeris:
    """Where an object is.

    Attributes
    ----------
    time
        UTC [s since 1970], growing (n,).
    ra, dec
        ICRS [deg] (n,).
    path
        The file.
    """

    time: Floats
    ra: Floats
    dec: Floats
    path: Path

    def at(self, time: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return ra and dec [deg] at times [s since 1970].

        Raises
        ------
        OptionError
            Outside of the rows: nothing is extrapolated.
        """
        when = np.atleast_1d(np.asarray(time, dtype=np.float64))
        if when.size and (when.min() < self.time[0] or when.max() > self.time[-1]):
            raise OptionError(
                f"covers {_said(self.time[0])} to {_said(self.time[-1])}, and the frames reach from "
                f"{_said(float(when.min()))} to {_said(float(when.max()))} UTC.",
                where=str(self.path), remedy="Get one that covers all frames; nothing is extrapolated.",
            )  # fmt: skip
        return _sky(_spline(self.time, unit_vectors(self.ra, self.dec))(when))

    def roughness(self) -> float:
        """Return how far rows are off a spline through every other row, over 16 [arcsec].

        That is what the interpolation is off at most, for motions that a cubic follows; NaN below 7 rows.
        """
        if self.time.size < 7:
            return float("nan")
        vectors = unit_vectors(self.ra, self.dec)
        middle = _spline(self.time[::2], vectors[::2])(self.time[1:-1:2])
        off = np.linalg.norm(middle - vectors[1:-1:2], axis=1)
        return float(np.rad2deg(off.max()) * 3600 / 16)


def _said(time: float) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=time)).strftime("%Y-%m-%d %H:%M:%S")


def _sky(vectors: Floats) -> tuple[Floats, Floats]:
    x, y, z = vectors.T
    return np.rad2deg(np.arctan2(y, x)) % 360, np.rad2deg(np.arctan2(z, np.hypot(x, y)))


def _spline(time: Floats, vectors: Floats) -> Any:
    from scipy.interpolate import make_interp_spline

    return make_interp_spline(time, vectors, k=min(3, time.size - 1))


def read_ephemeris(path: str | Path) -> Ephemeris:
    """Return the ephemeris in a file.

    Raises
    ------
    FileError
        If it cannot be read, is none, has apparent places, or fewer than two rows.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise FileError(
            f"cannot be read ({error.strerror}).", where=str(path), remedy="Check the name."
        ) from error
    if "$$SOE" in text:
        time, ra, dec = _horizons(text, path)
    else:
        rows = [row for line in text.splitlines() if (row := _mpc_row(line)) is not None]
        time, ra, dec = np.array(rows).T if len(rows) >= 2 else _of_table(path)
    good = np.isfinite(time) & np.isfinite(ra) & np.isfinite(dec)
    if not good.all() or np.any(np.abs(dec) > 90):
        _refuse(path, "has rows whose time or position makes no sense")
    order = np.argsort(time, kind="stable")
    time, ra, dec = time[order], ra[order] % 360, dec[order]
    if time.size < 2 or np.any(np.diff(time) <= 0):
        found = "has fewer than two rows" if time.size < 2 else "has two rows for one time"
        _refuse(path, found)
    return Ephemeris(time, ra, dec, path)


def _refuse(path: Path, found: str, remedy: str = HOW) -> None:
    raise FileError(f"{found}.", where=str(path), remedy=remedy)


# ------------------------------------------------------------------------------------------ Horizons
_STAMP = re.compile(
    r"(\d{4})-(\w{3})-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?)?|(\d{7}\.\d+)", re.IGNORECASE
)
_HEXAGESIMAL = r"(\d\d)[ :](\d\d)[ :](\d\d(?:\.\d+)?)\s*,?\s*([+-]\d\d)[ :](\d\d)[ :](\d\d(?:\.\d+)?)"
_DECIMAL = r"(\d{1,3}\.\d+)\s*,?\s*([+-]?\d{1,2}\.\d+)"


def _horizons(text: str, path: Path) -> tuple[Floats, Floats, Floats]:
    head, _, rest = text.partition("$$SOE")
    if "$$EOE" not in rest:
        _refuse(path, "has no $$EOE: it is cut off", "Get it again.")
    names = next((line for line in reversed(head.splitlines()) if "date" in line.lower()), "")
    where, apparent = re.search(r"R\.?A\.?_*\(?_*(ICRF|J2000)", names), names.find("app")
    if where is None or 0 <= apparent < where.start():
        _refuse(
            path, "has no astrometric positions (R.A. (ICRF))",
            "Ask Horizons for an observer table with quantity 1, astrometric RA and DEC.",
        )  # fmt: skip
    scale = next((name for name in LATER if f"({name.upper()})" in names.upper()), "utc")
    # Between stamp and place stand only the marks of daylight and the Moon.
    pattern = re.compile(rf"[\s,*A-Za-z]{{0,16}}?(?:{_HEXAGESIMAL}|{_DECIMAL})")
    rows = []
    for line in rest.partition("$$EOE")[0].splitlines():
        if not line.strip():
            continue
        stamp = _STAMP.search(line)
        place = pattern.match(line, stamp.end()) if stamp is not None else None
        if stamp is None or place is None:
            _refuse(path, f"has a row that cannot be read: {line.strip()[:60]!r}")
            continue
        rows.append((_horizons_time(stamp), *_place(place.groups())))
    time, ra, dec = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return _to_utc(time, scale), ra, dec


def _horizons_time(m: "re.Match[str]") -> float:
    if m[7]:
        return (float(m[7]) - 2_440_587.5) * 86_400
    if m[2].lower() not in MONTHS:
        return float("nan")
    try:
        day = datetime(int(m[1]), MONTHS.index(m[2].lower()) + 1, int(m[3]), tzinfo=UTC)
    except ValueError:
        return float("nan")
    return day.timestamp() + 3600 * int(m[4] or 0) + 60 * int(m[5] or 0) + float(m[6] or 0)


def _place(groups: tuple[str | None, ...]) -> tuple[float, float]:
    """Return ra, dec [deg] of six sexagesimal groups followed by two decimal ones."""
    if groups[0] is None:
        return float(groups[6] or "nan"), float(groups[7] or "nan")
    h, m, s, d, dm, ds = (str(one) for one in groups[:6])
    sign = -1 if d.startswith("-") else 1
    ra = 15 * (int(h) + int(m) / 60 + float(s) / 3600)
    return ra, sign * (abs(int(d)) + int(dm) / 60 + float(ds) / 3600)


def _to_utc(time: Floats, scale: str) -> Floats:
    if scale == "utc":
        return time
    from astropy.time import Time

    return np.asarray(Time(time / 86_400 + 2_440_587.5, format="jd", scale=scale).utc.unix)


# ----------------------------------------------------------------------------------------------- MPC
_MPC = re.compile(
    r"\s*(\d{4}) (\d\d) (\d\d)(\.\d+)?(?:\s+(\d{2})(\d{2})?(\d{2})?)?\s+" + _HEXAGESIMAL.replace(",?", "")
)


def _mpc_row(line: str) -> tuple[float, float, float] | None:
    m = _MPC.match(line)
    if m is None:
        return None
    try:
        day = datetime(int(m[1]), int(m[2]), int(m[3]), tzinfo=UTC)
    except ValueError:
        return None
    seconds = 86_400 * float(m[4] or 0) + 3600 * int(m[5] or 0) + 60 * int(m[6] or 0) + int(m[7] or 0)
    ra, dec = _place(m.groups()[7:13])
    return day.timestamp() + seconds, ra, dec


# --------------------------------------------------------------------------------------------- table
def _of_table(path: Path) -> tuple[Floats, Floats, Floats]:
    from astropy.table import Table

    try:
        kind = "ascii.ecsv" if path.suffix.lower() == ".ecsv" else "ascii"
        table = Table.read(path, format=kind, guess=kind == "ascii")
    except (OSError, ValueError, TypeError, IndexError, KeyError) as error:
        raise FileError("is no ephemeris that can be read.", where=str(path), remedy=HOW) from error
    names = {name.lower().strip(): name for name in table.colnames}
    ra = next((names[name] for name in RAS if name in names), None)
    dec = next((names[name] for name in DECS if name in names), None)
    if ra is None or dec is None:
        _refuse(path, f"has no columns ra and dec among {', '.join(table.colnames)[:120]}")
    return _table_time(table, names, path), _angle(table[ra], path, hours=True), _angle(table[dec], path)


def _table_time(table: "Table", names: dict[str, str], path: Path) -> Floats:
    from astropy.time import Time

    for words, kind in ((JDS, "jd"), (MJDS, "mjd"), (TIMES, "")):
        name = next((names[word] for word in words if word in names), None)
        if name is None:
            continue
        column = table[name]
        if isinstance(column, Time):
            return np.asarray(column.utc.unix, dtype=np.float64)
        try:
            if kind or np.asarray(column).dtype.kind == "f":
                values = np.asarray(column, dtype=np.float64)
                days = kind or ("jd" if np.nanmin(values) > 1e6 else "mjd")
                return np.asarray(Time(values, format=days, scale="utc").unix)
            return np.array([_iso(str(value)) for value in column])
        except (ValueError, TypeError) as error:
            raise FileError(
                f"has times that cannot be read in column '{name}'.", where=str(path),
                remedy="Write 2024-01-13T22:00:00, or JD or MJD (UTC).",
            ) from error  # fmt: skip
    _refuse(path, f"has no column of times among {', '.join(table.colnames)[:120]}")
    raise AssertionError


def _iso(text: str) -> float:
    """Return the time of an ISO 8601 text; without a time zone it is UTC."""
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _angle(column: Any, path: Path, *, hours: bool = False) -> Floats:
    from astropy.coordinates import Angle

    values = getattr(column, "filled", lambda fill: column)(np.nan) if hasattr(column, "mask") else column
    if np.asarray(values).dtype.kind in "fi":
        unit = str(getattr(column, "unit", "") or "deg")
        factor = 15.0 if unit in ("h", "hourangle") else 57.29577951308232 if unit == "rad" else 1.0
        return factor * np.asarray(values, dtype=np.float64)
    try:
        return np.asarray(Angle([str(one) for one in values], unit="hourangle" if hours else "deg").deg)
    except (ValueError, TypeError) as error:
        raise FileError("has positions that cannot be read.", where=str(path), remedy=HOW) from error
