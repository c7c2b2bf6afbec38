"""When the light passed the barycenter of the solar system: BJD_TDB, HJD and Julian dates, offline.

Method: Eastman, Siverd & Gaudi 2010 (PASP 122, 935), their eq. 3: ``BJD_TDB = JD_UTC + clock + Einstein +
Roemer``. Clock: leap seconds and 32.184 s. Einstein: TDB - TT of Fairhead & Bretagnon 1990, with the term of
the site. Roemer: r . n / c of the observer from the barycenter: the Earth by ERFA's ``epv00`` (VSOP2000,
1900 to 2100) or by a JPL ephemeris of the user, the site by the rotation of the Earth (IAU 2006/2000A).

What is left out: Shapiro's delay (below 7 microseconds more than 90 degrees from the Sun, 0.1 ms at its
limb); UT1 - UTC and the motion of the pole (2 microseconds); aberration and refraction do not matter, since
directions are those of the catalog. Without a site the observer is at the geocenter: up to 21.3 ms off.
A direction that is wrong by 1 arcsec costs up to 2.4 ms, so stars need their proper motion. For bodies of the
solar system none of this holds: their distance matters.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import erfa
import numpy as np
import numpy.typing as npt

from sciastro.core.checks import numbers
from sciastro.core.timescales import DAY, Julian, julian_utc, tdb_minus_tt, tt_of
from sciastro.errors import DatasetError, FileError, OptionError

__all__ = ["GEOCENTER_ERROR", "Site", "bjd_tdb", "hjd_utc", "julian_date", "light_travel_time", "meaning_of"]

Floats = npt.NDArray[np.float64]

MOMENT = "Give UTC as datetime64, datetime or ISO text (2026-11-26T21:04:05), or an astropy Time."
AU_KM = 149597870.7  # exact (IAU 2012, resolution B2)
LIGHT_KM_S = 299792.458  # exact
AU_SECONDS = AU_KM / LIGHT_KM_S
GEOCENTER_ERROR = 0.0213
"""Light time over the radius of the Earth at the equator [s]: the error of a time without a site."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place on the Earth: geodetic latitude, longitude east [deg], height above the ellipsoid [m] (WGS84).

    An unknown height is taken as 0: each kilometer costs 3.3 microseconds.
    """

    latitude: float
    longitude: float
    height: float | None = None

    def __post_init__(self) -> None:
        """Check that it is a place.

        Raises
        ------
        OptionError
            If an angle is out of its range or a number is none.
        """
        try:
            values = [float(one) for one in (self.latitude, self.longitude, self.height or 0.0)]
        except (TypeError, ValueError):
            values = [math.nan]
        if not all(map(math.isfinite, values)) or abs(values[0]) > 90 or abs(values[1]) > 360:
            raise OptionError(
                f"is latitude {self.latitude}, longitude {self.longitude}, height {self.height}.",
                where="site",
                remedy="Give degrees (north and east positive) and meters.",
            )

    def geocentric(self) -> tuple[float, float, float]:
        """Return longitude [rad], distances from the axis and from the equatorial plane [km]."""
        elong = math.radians(self.longitude)
        xyz = erfa.gd2gc(1, elong, math.radians(self.latitude), self.height or 0.0)
        return elong, math.hypot(xyz[0], xyz[1]) / 1000, float(xyz[2]) / 1000


def julian_date(time: npt.ArrayLike) -> Floats:
    """Return the Julian date (UTC) [d] of UTC (datetime64); a float keeps 40 microseconds. NaN where NaT."""
    whole, fraction = julian_utc(_moments(time))
    return np.asarray(whole + fraction)


def bjd_tdb(
    time: npt.ArrayLike,
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    site: Site | None = None,
    *,
    parallax: npt.ArrayLike = 0.0,
    ephemeris: Path | None = None,
) -> Floats:
    """Return the barycentric Julian date in TDB [d] at which the light of a direction arrives.

    Parameters
    ----------
    time
        Mid-exposure, UTC, as datetime64, datetime, ISO text or astropy `Time`; NaT (None) gives NaN.
    ra, dec
        ICRS at the date, proper motion applied [deg]; broadcast against `time`.
    site
        None is the geocenter: up to 21.3 ms off (`GEOCENTER_ERROR`).
    parallax
        [mas]; the curved wave front of the nearest stars, up to 1 ms.
    ephemeris
        A JPL kernel (.bsp) instead of the analytic ephemeris; needs the package `jplephem`.

    Returns
    -------
    ndarray
        A float keeps 40 microseconds. The analytic ephemeris is within 0.05 ms of DE421 from 1900 to 2050.

    Raises
    ------
    FileError
        If the kernel cannot be read or does not hold the date.
    DatasetError
        If times are none (Julian dates, too), directions are no angles, or lengths do not fit.
    OptionError
        If angles or the parallax are no numbers, or the site is no `Site`.
    """
    known, when = _known(time)
    _check_lengths(when, ra, dec, parallax)
    whole, fraction = _tdb(when, site)
    delay = light_travel_time(when, ra, dec, site, parallax=parallax, ephemeris=ephemeris)
    return np.where(known, whole + (fraction + delay / DAY), np.nan)


def hjd_utc(time: npt.ArrayLike, ra: npt.ArrayLike, dec: npt.ArrayLike, site: Site | None = None) -> Floats:
    """Return the heliocentric Julian date in UTC [d], as old exports of light curves want it.

    Its zero follows the Sun around the barycenter (up to 4 s from BJD) and its clock jumps with every leap
    second (69 s behind TDB today): only for comparison with old data.

    Parameters
    ----------
    time, ra, dec, site
        As for `bjd_tdb`; None is the geocenter.
    """
    known, when = _known(time)
    _check_lengths(when, ra, dec)
    whole, fraction = julian_utc(when)
    where = _epv00(_tdb(when, site))[0]
    if site is not None:
        where = where + _site_vector(when, site)
    delay = np.sum(where * _direction(ra, dec), axis=-1) * AU_SECONDS
    return np.where(known, whole + (fraction + delay / DAY), np.nan)


def light_travel_time(
    time: npt.ArrayLike,
    ra: npt.ArrayLike,
    dec: npt.ArrayLike,
    site: Site | None = None,
    *,
    parallax: npt.ArrayLike = 0.0,
    ephemeris: Path | None = None,
) -> Floats:
    """Return what is added to TDB at the observer for TDB at the barycenter [s]; arguments of `bjd_tdb`."""
    known, when = _known(time)
    _check_lengths(when, ra, dec, parallax)
    tdb = _tdb(when, site)
    where = _from_kernel(tdb, ephemeris) if ephemeris is not None else _epv00(tdb)[1]
    if site is not None:
        where = where + _site_vector(when, site)
    n = _direction(ra, dec)
    along = np.sum(where * n, axis=-1)
    angle = np.radians(
        numbers(parallax, where="parallax", remedy="Give milliarcseconds.") / 3.6e6
    )  # 1 / distance in au
    curved = (np.sum(where * where, axis=-1) - along**2) * angle / 2
    return np.where(known, (along - curved) * AU_SECONDS, np.nan)


def meaning_of(site: Site | None, ephemeris: Path | None = None) -> dict[str, str]:
    """Return the attributes of a column of `bjd_tdb`: scale, reference, site, ephemeris, accuracy."""
    if site is None:
        place, accuracy = "geocenter (no site is known)", "22 ms: the light time to the observer is unknown"
    else:
        height = "height unknown, 0 m taken" if site.height is None else f"height {site.height:.0f} m"
        place = f"latitude {site.latitude:.5f} deg, longitude {site.longitude:.5f} deg east, {height}"
        accuracy = "0.1 ms, and that of the camera's clock"
    return {
        "scale": "tdb",
        "reference": "solar system barycenter",
        "site": place,
        "ephemeris": "ERFA epv00 (VSOP2000)" if ephemeris is None else ephemeris.name,
        "accuracy": accuracy,
    }


def _moments(time: npt.ArrayLike) -> npt.NDArray[np.datetime64]:
    """Return times as datetime64.

    Raises
    ------
    DatasetError
        If they are none. A bare number is refused: days or seconds, and since when, nobody says.
    """
    utc = getattr(time, "utc", None)  # astropy's Time, in whatever scale
    try:
        given = np.asarray(time if utc is None else utc.datetime64)
        if given.dtype.kind not in "biufc":
            return given.astype("datetime64[us]")
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"is {time!r}.", where="time", remedy=MOMENT) from error
    raise DatasetError(f"is {time!r}, a number.", where="time", remedy=MOMENT)


def _check_lengths(time: npt.ArrayLike, *others: npt.ArrayLike) -> None:
    """Check that times, directions and parallaxes fit together.

    Raises
    ------
    DatasetError
        If they do not.
    """
    shapes = [np.shape(one) for one in (time, *others)]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        text = ", ".join(str(shape) for shape in shapes)
        raise DatasetError(
            f"have shapes {text}.", where="time, ra, dec", remedy="Give one direction, or one for each time."
        ) from None


def _known(time: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.datetime64]]:
    """Return where there is a time, and the times with some other in the place of NaT."""
    when = _moments(time)
    known = ~np.isnat(when)
    return known, np.where(known, when, np.datetime64("2000-01-01", "us"))


def _tdb(time: npt.ArrayLike, site: Site | None) -> Julian:
    if site is not None and not isinstance(site, Site):
        raise OptionError(f"is {site!r}.", where="site", remedy="Give Site(latitude, longitude, height).")
    tt = tt_of(time)
    ut = julian_utc(time)[1]
    einstein = tdb_minus_tt(tt, ut, site.geocentric()) if site is not None else tdb_minus_tt(tt)
    return tt[0], tt[1] + einstein / DAY


def _direction(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Floats:
    """Return unit vectors, last axis of 3.

    Raises
    ------
    DatasetError
        If a declination is beyond a pole.
    """
    a, d = (numbers(value, where=name, remedy="Give degrees.") for name, value in (("ra", ra), ("dec", dec)))
    if np.any(np.abs(d) > 90):
        raise DatasetError(
            f"goes to {np.nanmax(np.abs(d))}.", where="declination", remedy="Give degrees from -90 to 90."
        )
    return np.asarray(erfa.ufunc.s2c(np.radians(a), np.radians(d)))


def _epv00(tdb: Julian) -> tuple[Floats, Floats]:
    """Return the Earth from the Sun and from the barycenter [au]; beyond 1900 to 2100 errors grow slowly."""
    heliocentric, barycentric, _ = erfa.ufunc.epv00(*tdb)
    return np.asarray(heliocentric["p"]), np.asarray(barycentric["p"])


def _site_vector(time: npt.ArrayLike, site: Site) -> Floats:
    """Return the site from the geocenter [au] in the axes of the ICRS, with UT1 taken as UTC."""
    tt, ut = tt_of(time), julian_utc(time)
    elong, axis, equator = site.geocentric()
    theta = erfa.ufunc.era00(*ut)
    turning = np.stack(
        [axis * np.cos(theta + elong), axis * np.sin(theta + elong), np.broadcast_to(equator, theta.shape)],
        axis=-1,
    )
    to_intermediate = np.asarray(erfa.ufunc.c2i06a(*tt))
    return np.asarray(np.einsum("...ji,...j->...i", to_intermediate, turning) / AU_KM)


@lru_cache(maxsize=4)
def _kernel(path: str) -> Callable[[Julian], Floats]:
    try:
        from jplephem.spk import SPK
    except ModuleNotFoundError as error:
        raise FileError(
            "needs the package jplephem.", where=path, remedy="Install it: pip install 'sciastro[ephemeris]'."
        ) from error
    try:
        kernel = SPK.open(path)
        segments = [kernel[0, 3], kernel[3, 399]]
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"is no JPL kernel with the Earth in it ({error}).",
            where=path,
            remedy="Give a planetary .bsp file such as de440s.bsp.",
        ) from error

    def position(tdb: Julian) -> Floats:
        total: Floats = np.sum([segment.compute(*tdb) for segment in segments], axis=0) / AU_KM
        return total

    return position


def _from_kernel(tdb: Julian, path: Path) -> Floats:
    """Return the Earth from the barycenter [au] by a JPL kernel."""
    try:
        xyz: Floats = np.moveaxis(_kernel(str(path))(tdb), 0, -1)
        return xyz
    except ValueError as error:  # jplephem's OutOfRangeError is one
        raise FileError(
            f"does not hold the date ({error}).", where=str(path), remedy="Give a kernel that covers it."
        ) from error
