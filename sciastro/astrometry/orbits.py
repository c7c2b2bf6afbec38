"""Where minor planets with known orbits are: two bodies, light time, and an observer on the turning Earth.

Elements are osculating ones about the Sun in the ecliptic of J2000. Kepler's equation gives the place in the
orbit; the planets' pull since the epoch of the elements is left out, which makes positions wrong by about an
arcsecond after a few weeks and by arcminutes after a year or two for main-belt objects (much more for near
ones): use elements of an epoch near the night. The Earth is that of astropy's built-in ephemeris, offline.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from astropy.time import Time

__all__ = ["Orbits", "earth_places", "sky_places"]

Floats = npt.NDArray[np.float64]

GAUSS = 0.01720209895  # square root of the Sun's gravity [au**1.5 / day]
OBLIQUITY = np.deg2rad(84381.448 / 3600)  # of the ecliptic of J2000 (IAU 1976), which elements refer to
LIGHT = 173.14463267424031  # au / day
TURNS = 40  # of Newton's method
SPIN = 2 * np.pi * 1.00273781191135448  # radian / day


@dataclass(frozen=True, slots=True)
class Orbits:
    """Elements of many objects, (n,) each.

    Attributes
    ----------
    name
        Designations.
    epoch
        [JD, TT].
    anomaly
        Mean anomaly at the epoch [deg].
    perihelion, node, inclination
        Argument of perihelion, longitude of the ascending node, inclination [deg].
    eccentricity, axis
        Below 1; semi-major axis [au].
    magnitude, slope
        H and G; NaN unknown.
    """

    name: tuple[str, ...]
    epoch: Floats
    anomaly: Floats
    perihelion: Floats
    node: Floats
    inclination: Floats
    eccentricity: Floats
    axis: Floats
    magnitude: Floats
    slope: Floats


def _heliocentric(orbits: Orbits, jd: Floats) -> Floats:
    """Return equatorial places about the Sun [au] at times [JD TT], (n, 3)."""
    motion = GAUSS / orbits.axis**1.5
    mean = np.deg2rad(orbits.anomaly) + motion * (jd - orbits.epoch)
    mean = np.mod(mean + np.pi, 2 * np.pi) - np.pi
    e = orbits.eccentricity
    big = mean + e * np.sin(mean) / (1 - np.sin(mean + e) + np.sin(mean))  # Danby's starting value
    big = np.where(np.isfinite(big), big, mean)
    for _ in range(TURNS):
        step = (big - e * np.sin(big) - mean) / (1 - e * np.cos(big))
        big = big - np.clip(step, -1, 1)
        if np.all(np.abs(step) < 1e-13):
            break
    x = orbits.axis * (np.cos(big) - e)
    y = orbits.axis * np.sqrt(1 - e**2) * np.sin(big)
    w, o, i = (np.deg2rad(v) for v in (orbits.perihelion, orbits.node, orbits.inclination))
    cw, sw, co, so, ci, si = np.cos(w), np.sin(w), np.cos(o), np.sin(o), np.cos(i), np.sin(i)
    ex = (cw * co - sw * so * ci) * x + (-sw * co - cw * so * ci) * y
    ey = (cw * so + sw * co * ci) * x + (-sw * so + cw * co * ci) * y
    ez = sw * si * x + cw * si * y
    c, s = np.cos(OBLIQUITY), np.sin(OBLIQUITY)
    return np.stack([ex, c * ey - s * ez, s * ey + c * ez], axis=1)


def earth_places(time: "Time", site: tuple[float, float, float | None] | None) -> Floats:
    """Return where the observer is about the Sun [au], equatorial (n, 3).

    Parameters
    ----------
    time
        (n,).
    site
        Latitude, longitude east [deg], height [m] (None: 0); None is the center of the Earth.
    """
    from astropy.coordinates import EarthLocation, get_body_barycentric
    from astropy.utils import iers

    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "warn"):
        earth = get_body_barycentric("earth", time, ephemeris="builtin").xyz.to_value("au")
        sun = get_body_barycentric("sun", time, ephemeris="builtin").xyz.to_value("au")
    place = np.asarray((earth - sun).T, dtype=np.float64)
    if site is None:
        return place
    where = EarthLocation.from_geodetic(site[1], site[0], site[2] or 0.0)
    x, y, z = (float(v.to_value("au")) for v in (where.x, where.y, where.z))
    # The Earth's rotation angle from UTC, to a second: 0.5 km on the ground, nothing at these distances.
    turn = np.deg2rad(280.46061837) + SPIN * (np.asarray(time.utc.jd) - 2451545.0)
    c, s = np.cos(turn), np.sin(turn)
    turned = np.stack([c * x - s * y, s * x + c * y, np.full(c.shape, z)], axis=1)
    return np.asarray(place + turned, dtype=np.float64)


def sky_places(orbits: Orbits, jd: float, observer: Floats) -> tuple[Floats, Floats, Floats]:
    """Return astrometric ra, dec [deg] and V of every object, seen from one place at one time.

    Parameters
    ----------
    jd
        [JD TT].
    observer
        About the Sun [au] (3,).
    """
    moment = np.full(orbits.axis.size, jd)
    delay = np.zeros(orbits.axis.size)
    for _ in range(3):
        place = _heliocentric(orbits, moment - delay)
        seen = place - observer
        apart = np.linalg.norm(seen, axis=1)
        delay = apart / LIGHT
    ra = np.rad2deg(np.arctan2(seen[:, 1], seen[:, 0])) % 360
    dec = np.rad2deg(np.arcsin(seen[:, 2] / apart))
    sun = np.linalg.norm(place, axis=1)
    cosine = np.clip(np.sum(place * seen, axis=1) / (sun * apart), -1, 1)
    half = np.tan(np.arccos(cosine) / 2)
    one, two = np.exp(-3.33 * half**0.63), np.exp(-1.87 * half**1.22)  # Bowell et al. 1989
    slope = np.where(np.isfinite(orbits.slope), orbits.slope, 0.15)
    dim = -2.5 * np.log10((1 - slope) * one + slope * two)
    return ra, dec, orbits.magnitude + 5 * np.log10(sun * apart) + dim
