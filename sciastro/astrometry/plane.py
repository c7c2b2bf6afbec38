"""The tangent plane: gnomonic projection of sky positions (Calabretta & Greisen 2002, A&A 395, 1077).

xi grows to the east and eta to the north, both in degrees, as in the intermediate world coordinates of a WCS.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["deproject", "offset", "offsets", "project", "separation"]

Floats = npt.NDArray[np.float64]


def project(ra: npt.ArrayLike, dec: npt.ArrayLike, ra0: float, dec0: float) -> Floats:
    """Return xi, eta [deg], (n, 2), of positions [deg] about the tangent point; NaN beyond 89 deg of it."""
    a, d = np.deg2rad(np.asarray(ra, dtype=np.float64) - ra0), np.deg2rad(np.asarray(dec, dtype=np.float64))
    sin0, cos0 = np.sin(np.deg2rad(dec0)), np.cos(np.deg2rad(dec0))
    cosine = sin0 * np.sin(d) + cos0 * np.cos(d) * np.cos(a)
    cosine = np.where(cosine > np.cos(np.deg2rad(89.0)), cosine, np.nan)
    xi = np.cos(d) * np.sin(a) / cosine
    eta = (cos0 * np.sin(d) - sin0 * np.cos(d) * np.cos(a)) / cosine
    return np.asarray(np.rad2deg(np.column_stack([xi, eta])))


def deproject(plane: Floats, ra0: float, dec0: float) -> tuple[Floats, Floats]:
    """Return ra and dec [deg] of xi, eta (n, 2) [deg]."""
    xi, eta = np.deg2rad(plane[:, 0]), np.deg2rad(plane[:, 1])
    sin0, cos0 = np.sin(np.deg2rad(dec0)), np.cos(np.deg2rad(dec0))
    below = cos0 - eta * sin0
    ra = ra0 + np.rad2deg(np.arctan2(xi, below))
    dec = np.rad2deg(np.arctan2(sin0 + eta * cos0, np.hypot(xi, below)))
    return np.mod(ra, 360.0), dec


def offset(ra: float, dec: float, east: float, north: float) -> tuple[float, float]:
    """Return the position [deg] that lies `east` and `north` [deg] of another, on its tangent plane."""
    r, d = deproject(np.array([[east, north]]), ra, dec)
    return float(r[0]), float(d[0])


def separation(ra1: npt.ArrayLike, dec1: npt.ArrayLike, ra2: npt.ArrayLike, dec2: npt.ArrayLike) -> Floats:
    """Return angular distances [deg] (Vincenty's form: exact at all angles)."""
    a1, d1, a2, d2 = (np.deg2rad(np.asarray(v, dtype=np.float64)) for v in (ra1, dec1, ra2, dec2))
    da = a2 - a1
    y = np.hypot(np.cos(d2) * np.sin(da), np.cos(d1) * np.sin(d2) - np.sin(d1) * np.cos(d2) * np.cos(da))
    x = np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(da)
    return np.asarray(np.rad2deg(np.arctan2(y, x)))


def offsets(
    ra0: npt.ArrayLike, dec0: npt.ArrayLike, ra: npt.ArrayLike, dec: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Return how far east and north [deg] of each first position the second lies, on its tangent plane.

    Right next to a pole, too, where differences of right ascension mean nothing.
    """
    a0, d0, a, d = (np.deg2rad(np.asarray(v, dtype=np.float64)) for v in (ra0, dec0, ra, dec))
    cosine = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a - a0)
    east = np.cos(d) * np.sin(a - a0) / cosine
    north = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a - a0)) / cosine
    return np.asarray(np.rad2deg(east)), np.asarray(np.rad2deg(north))
