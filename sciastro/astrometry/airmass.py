"""Altitude and airmass from place and time, offline: no Earth-orientation download can stall a run.

Accuracy about 0.02 degree in altitude (sidereal time from UTC as UT1, mean precession, no nutation),
which is 0.1 per cent in airmass at 60 degrees from the zenith.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["airmass", "altitude", "relative_airmass"]

Floats = npt.NDArray[np.float64]
J2000 = np.datetime64("2000-01-01T12:00:00", "us")


def altitude(
    ra: npt.ArrayLike, dec: npt.ArrayLike, latitude: float, longitude: float, time: npt.ArrayLike
) -> Floats:
    """Return the geometric altitude [deg] of ICRS positions seen from a site.

    Parameters
    ----------
    ra, dec
        Position [deg].
    latitude, longitude
        Site [deg], east positive.
    time
        UTC as datetime64; NaT gives NaN.
    """
    when = np.asarray(time, dtype="datetime64[us]")
    days = np.where(np.isnat(when), np.nan, (when - J2000) / np.timedelta64(1, "D"))
    # Greenwich mean sidereal time, leading terms (IAU 1982, Aoki et al. 1982).
    sidereal = 280.46061837 + 360.98564736629 * days
    a, d = np.asarray(ra, dtype=np.float64), np.deg2rad(np.asarray(dec, dtype=np.float64))
    century = days / 36525.0
    # General precession from J2000 (Lieske et al. 1977): m = 4612.4", n = 2004.3" per century.
    shifted_a = a + (4612.4 + 2004.3 * np.sin(np.deg2rad(a)) * np.tan(d)) / 3600 * century
    shifted_d = d + np.deg2rad(2004.3 / 3600 * np.cos(np.deg2rad(a)) * century)
    hour_angle = np.deg2rad(sidereal + longitude - shifted_a)
    phi = np.deg2rad(latitude)
    sine = np.sin(phi) * np.sin(shifted_d) + np.cos(phi) * np.cos(shifted_d) * np.cos(hour_angle)
    return np.asarray(np.rad2deg(np.arcsin(np.clip(sine, -1, 1))))


def relative_airmass(altitude_deg: npt.ArrayLike) -> Floats:
    """Return the relative optical airmass (Kasten & Young 1989); NaN below the horizon.

    Parameters
    ----------
    altitude_deg
        Geometric altitude [deg].
    """
    h = np.asarray(altitude_deg, dtype=np.float64)
    safe = np.where(h > 0, h, np.nan)
    return np.asarray(1.0 / (np.sin(np.deg2rad(safe)) + 0.50572 * (safe + 6.07995) ** -1.6364))


def airmass(
    ra: npt.ArrayLike, dec: npt.ArrayLike, latitude: float, longitude: float, time: npt.ArrayLike
) -> Floats:
    """Return the airmass of ICRS positions [deg] at a site [deg, east positive]; NaN below the horizon.

    Parameters
    ----------
    ra, dec
        ICRS [deg]; broadcast against `time`.
    latitude, longitude
        [deg], east positive.
    time
        UTC: datetime64, datetime, ISO text or astropy `Time`.
    """
    return relative_airmass(altitude(ra, dec, latitude, longitude, time))
