"""Predicted places: against a numerical integration, and against astropy's planets."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import get_body_barycentric, get_body_barycentric_posvel
from astropy.time import Time
from scipy.integrate import solve_ivp

from sciastro.astrometry.orbits import (
    GAUSS,
    OBLIQUITY,
    Orbits,
    _heliocentric,
    earth_places,
    sky_places,
)
from sciastro.astrometry.plane import separation


def orbit(e=0.2, a=2.5, anomaly=40.0, i=10.0, node=80.0, peri=150.0, epoch=2460000.5):
    one = np.array
    values = (epoch, anomaly, peri, node, i, e, a, 15.0, 0.15)
    return Orbits(("x",), *(one([value]) for value in values))


@pytest.mark.parametrize("e", [0.0, 0.2, 0.7, 0.97])
def test_two_bodies_as_integrated(e):
    one = orbit(e=e)
    step = 1e-3
    start = _heliocentric(one, np.array([2460000.5]))[0]
    ahead, behind = (_heliocentric(one, np.array([2460000.5 + sign * step]))[0] for sign in (1, -1))
    speed = (ahead - behind) / (2 * step)

    def fall(_, state):
        r = state[:3]
        return np.concatenate([state[3:], -(GAUSS**2) * r / np.linalg.norm(r) ** 3])

    done = solve_ivp(fall, (0, 300), np.concatenate([start, speed]), rtol=1e-11, atol=1e-13)
    end = _heliocentric(one, np.array([2460300.5]))[0]
    np.testing.assert_allclose(done.y[:3, -1], end, atol=3e-6)


def elements_of(place, speed, epoch):
    """Return osculating elements of an equatorial state [au, au / day]: the textbook way."""
    c, s = np.cos(OBLIQUITY), np.sin(OBLIQUITY)
    turn = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    r, v = turn @ place, turn @ speed
    mu = GAUSS**2
    h = np.cross(r, v)
    ecc = np.cross(v, h) / mu - r / np.linalg.norm(r)
    e, a = np.linalg.norm(ecc), 1 / (2 / np.linalg.norm(r) - v @ v / mu)
    node = np.cross([0, 0, 1], h)
    i = np.arccos(h[2] / np.linalg.norm(h))
    om = np.arctan2(node[1], node[0])
    w = np.arctan2(np.dot(np.cross(node, ecc), h) / np.linalg.norm(h), node @ ecc)
    nu = np.arctan2(np.dot(np.cross(ecc, r), h) / np.linalg.norm(h), ecc @ r)
    big = 2 * np.arctan2(np.sqrt(1 - e) * np.sin(nu / 2), np.sqrt(1 + e) * np.cos(nu / 2))
    one = np.array
    angles = (big - e * np.sin(big), w, om, i)
    values = (epoch, *np.rad2deg(angles), e, a, 0.0, 0.15)
    return Orbits(("Mars",), *(one([value]) for value in values))


def test_mars_as_astropy_has_it():
    start = Time(2460320.5, format="jd", scale="tt")
    mars, sun = (get_body_barycentric_posvel(name, start, ephemeris="builtin") for name in ("mars", "sun"))
    place = (mars[0] - sun[0]).xyz.to_value("au")
    speed = (mars[1] - sun[1]).xyz.to_value("au / day")
    one = elements_of(place, speed, float(start.jd))
    for days, allowed in ((0.0, 0.2), (5.0, 1.0), (20.0, 8.0)):
        when = start + days * u.day
        observer = earth_places(Time([when]), None)[0]
        ra, dec, _ = sky_places(one, float(when.tt.jd), observer)
        earth = get_body_barycentric("earth", when, ephemeris="builtin").xyz.to_value("au")
        delay = 0.0
        for _ in range(3):
            then = get_body_barycentric("mars", when - delay * u.day, ephemeris="builtin").xyz.to_value("au")
            delay = np.linalg.norm(then - earth) / 173.1446
        seen = then - earth
        true_ra = np.rad2deg(np.arctan2(seen[1], seen[0])) % 360
        true_dec = np.rad2deg(np.arcsin(seen[2] / np.linalg.norm(seen)))
        assert 3600 * float(separation(ra, dec, true_ra, true_dec)[0]) < allowed, days


def test_the_observer_stands_on_the_earth():
    when = Time(["2024-01-13T22:00:00", "2024-01-14T04:00:00"], scale="utc")
    center, site = earth_places(when, None), earth_places(when, (28.3, -16.51, 2390.0))
    off = (site - center) * 149597870.7
    np.testing.assert_allclose(np.linalg.norm(off, axis=1), 6375.4, atol=2.0)
    angle = np.rad2deg(np.arctan2(off[0, 1], off[0, 0])) % 360
    turn = float(when[0].earth_rotation_angle(longitude=-16.51 * u.deg).deg)
    assert angle == pytest.approx(turn, abs=0.01)
