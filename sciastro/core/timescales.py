"""Time scales, offline: UTC with its leap seconds, TAI, TT, TDB, GPS, UT1, from and to each other.

Times are UTC as ``datetime64[us]``; continuous scales are pairs of Julian days whose sum is the date (ERFA's
way: a whole and a fraction keep nanoseconds). Leap seconds are those that the installed ERFA knows; one that
is announced later is missing, and costs one second. No network, no warning, no exception by date.

Limits, by year: UTC of 1960 to 1971 (rubber seconds) is followed; before 1960 there is no UTC, so that a
stamp is Universal Time, and TT - UT is Espenak & Meeus's polynomial (1860 to 1961; good to about 0.5 s).
A moment inside a leap second (23:59:60) has no datetime64, and becomes the second after it.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import erfa
import numpy as np
import numpy.typing as npt

__all__ = [
    "SCALES",
    "Julian",
    "dut1",
    "julian_utc",
    "julian_year",
    "scale_of",
    "tdb_minus_tt",
    "to_utc",
    "tt_of",
    "utc_of",
]

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]
Julian = tuple[Floats, Floats]

DAY = 86400.0
TT_TAI, TAI_GPS = 32.184, 19.0  # seconds
UNIX_EPOCH_JD = 2440587.5
FIRST_UTC = np.datetime64("1960-01-01", "us")
SCALES = {
    "utc": "utc", "gmt": "utc", "z": "utc", "zulu": "utc", "ut": "utc",
    "ut1": "ut1",
    "tai": "tai", "iat": "tai", "gps": "gps",
    "tt": "tt", "tdt": "tt", "et": "tt",
    "tdb": "tdb", "tcg": "tcg", "tcb": "tcb",
}  # fmt: skip
"""Spellings of FITS (Rots et al. 2015, A&A 574, A36, table 2) to the scale; GMT and UT are read as UTC."""

# Espenak & Meeus 2006 (NASA/TP-2006-214141), TT - UT [s]: first year, year of the origin, coefficients.
_DELTA_T = (
    (1860.0, 1860.0, (7.62, 0.5737, -0.251754, 0.01680668, -0.0004473624, 1 / 233174)),
    (1900.0, 1900.0, (-2.79, 1.494119, -0.0598939, 0.0061966, -0.000197)),
    (1920.0, 1920.0, (21.20, 0.84493, -0.076100, 0.0020936)),
    (1941.0, 1950.0, (29.07, 0.407, -1 / 233, 1 / 2547)),
)


def scale_of(text: str) -> str:
    """Return the scale that a TIMESYS card spells, "" for one that is not known.

    A realization in parentheses, such as "UTC(NIST)", is left out.
    """
    return SCALES.get(text.partition("(")[0].strip().lower(), "")


def _split(utc: npt.ArrayLike) -> tuple[Dates, Floats]:
    """Return the days and the seconds of the day."""
    when = np.asarray(utc, dtype="datetime64[us]")
    day = when.astype("datetime64[D]")
    seconds = (when - day) / np.timedelta64(1, "s")
    return day, np.where(np.isnat(when), np.nan, seconds)


def julian_utc(utc: npt.ArrayLike) -> Julian:
    """Return the Julian date (UTC) as midnight and fraction of a day of 86400 s; NaN where NaT."""
    day, seconds = _split(utc)
    whole = np.where(np.isnat(day), np.nan, day.astype("datetime64[D]").astype(np.int64).astype(np.float64))
    return whole + UNIX_EPOCH_JD, seconds / DAY


def julian_year(seconds: float) -> float:
    """Return the Julian epoch [yr] of UTC [s since 1970]; 2000.0 is JD 2451545.0 (Lieske 1979).

    UTC stands for TT, which costs 2e-6 yr: a star that moves by 10 arcsec / yr, 0.02 mas.
    """
    return 2000.0 + (seconds / DAY + UNIX_EPOCH_JD - 2451545.0) / 365.25


def _tai_minus_utc(utc: npt.ArrayLike) -> Floats:
    """Return TAI - UTC [s]; before 1960, TT - UT less 32.184 s, so that TT comes out right."""
    day, seconds = _split(utc)
    known = np.where(np.isnat(day), np.datetime64("2000-01-01"), day)
    months = known.astype("datetime64[M]")
    year = months.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    number = (known - months).astype(np.int64) + 1
    offset, _ = erfa.ufunc.dat(year, month, number, np.nan_to_num(seconds) / DAY)
    early = known < FIRST_UTC
    if np.any(early):
        start = known.astype("datetime64[Y]")
        length = (start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")
        days = (known - start.astype("datetime64[D]")).astype(np.int64) + np.nan_to_num(seconds) / DAY
        decimal = year + days / length.astype(np.int64)
        offset = np.where(early, _delta_t(decimal) - TT_TAI, offset)
    return np.asarray(np.where(np.isnat(day), np.nan, offset))


def _delta_t(year: Floats) -> Floats:
    """Return TT - UT [s] for years before 1961; those before 1860 have that of 1860."""
    out = np.zeros_like(year)
    for first, origin, terms in _DELTA_T:
        t = np.maximum(year, 1860.0) - origin
        out = np.where(np.maximum(year, 1860.0) >= first, np.polynomial.polynomial.polyval(t, terms), out)
    return out


def tt_of(utc: npt.ArrayLike) -> Julian:
    """Return terrestrial time of UTC as two parts of a Julian date [d]; NaN where NaT."""
    whole, fraction = julian_utc(utc)
    return whole, fraction + (_tai_minus_utc(utc) + TT_TAI) / DAY


def utc_of(tt: Julian) -> Dates:
    """Return UTC (datetime64[us], rounded) of terrestrial time; the inverse of `tt_of`."""
    whole = np.asarray(np.floor(tt[0] - 0.5) + 0.5)
    rest = (tt[0] - whole) + tt[1]
    bad = ~(np.isfinite(whole) & np.isfinite(rest))
    days = np.where(bad, 0, whole - UNIX_EPOCH_JD).astype(np.int64).astype("datetime64[D]")
    tai = days.astype("datetime64[us]") + _microseconds(np.where(bad, 0.0, rest) * DAY - TT_TAI)
    first = tai - _microseconds(_tai_minus_utc(tai))
    for _ in range(2):  # inside a leap second two answers alternate: the later is the second after it
        last, first = first, tai - _microseconds(_tai_minus_utc(first))
    out = np.maximum(first, last)
    return np.asarray(np.where(bad, np.datetime64("NaT", "us"), out))


def _microseconds(seconds: npt.ArrayLike) -> npt.NDArray[np.timedelta64]:
    return np.asarray(np.rint(np.asarray(seconds) * 1e6).astype(np.int64).astype("timedelta64[us]"))


def tdb_minus_tt(
    tt: Julian, ut: npt.ArrayLike = 0.0, place: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Floats:
    """Return TDB - TT [s] (Fairhead & Bretagnon 1990, as ERFA has it; good to some nanoseconds today).

    Parameters
    ----------
    tt
        Terrestrial time; two parts.
    ut
        Universal time as a fraction of the day.
    place
        Longitude east [rad], distance from the axis of the Earth and from its equator [km]; zeros are the
        geocenter, and leave out up to 2 microseconds.
    """
    return np.asarray(erfa.ufunc.dtdb(tt[0], tt[1], np.asarray(ut, np.float64), *place))


def to_utc(moment: datetime, scale: str) -> datetime:
    """Return the UTC (with its zone) of a moment that a clock of another scale shows.

    Parameters
    ----------
    moment
        As read; its own zone is not looked at.
    scale
        One of the values of `SCALES`.

    Raises
    ------
    KeyError
        For a scale that is not known.
    """
    shown = np.datetime64(moment.replace(tzinfo=None), "us")
    if scale == "utc":
        return moment.replace(tzinfo=UTC)
    if scale == "ut1":
        out = shown - _microseconds(dut1(shown))
    else:
        out = utc_of(_terrestrial(julian_utc(shown), scale))
    microseconds = int(np.asarray(out).astype("datetime64[us]").astype(np.int64))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _terrestrial(date: Julian, scale: str) -> Julian:
    """Return TT of a date in another continuous scale."""
    whole, fraction = date
    if scale == "tcb":
        whole, fraction, _ = erfa.ufunc.tcbtdb(whole, fraction)
    if scale in ("tdb", "tcb"):
        return whole, fraction - tdb_minus_tt((whole, fraction)) / DAY
    if scale == "tcg":
        whole, fraction, _ = erfa.ufunc.tcgtt(whole, fraction)
        return whole, fraction
    ahead = {"tt": 0.0, "tai": TT_TAI, "gps": TT_TAI + TAI_GPS}[scale]
    return whole, fraction + ahead / DAY


def dut1(utc: npt.ArrayLike) -> Floats:
    """Return UT1 - UTC [s] from the table of the IERS that comes with astropy.

    Outside of it (before 1973, or more than a year after the table was made) it is 0, which by the definition
    of UTC is right to 0.9 s. (Before 1960 stamps are UT1 already.)
    """
    table = _earth_rotation()
    whole, fraction = julian_utc(utc)
    ok = np.isfinite(whole)
    values, status = table.ut1_utc(
        np.where(ok, whole, 2451545.0), np.nan_to_num(fraction), return_status=True
    )
    return np.asarray(np.where(ok & (np.asarray(status) >= 0), np.asarray(values.to_value("s")), 0.0))


@lru_cache(maxsize=1)
def _earth_rotation() -> Any:
    """Return the bundled table, opened by its path: astropy then looks for no newer one."""
    from astropy.utils import iers
    from astropy_iers_data import IERS_A_FILE

    return iers.IERS_A.open(IERS_A_FILE)
