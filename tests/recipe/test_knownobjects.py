"""Movers named by orbits that the user gives."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time

from sciastro.astrometry.evenmotion import Motion
from sciastro.astrometry.orbits import Orbits, earth_places, sky_places
from sciastro.errors import OptionError
from sciastro.io.orbitfile import ELEMENTS
from sciastro.recipe import knownobjects
from sciastro.recipe.clocks import site_from_text
from sciastro.recipe.knownobjects import _match
from sciastro.recipe.moverplaces import Errors, Mover
from sciastro.recipe.movers import Found

WHEN = Time("2024-01-13T22:00:00", scale="utc")
SITE = (28.3, -16.51, 2390.0)


def three():
    """Return a main-belt object and two others elsewhere."""
    values = np.array([
        [2460320.5, 40.0, 150.0, 80.0, 10.0, 0.15, 2.6, 15.0, 0.15],
        [2460320.5, 140.0, 10.0, 280.0, 4.0, 0.05, 2.3, 16.0, 0.15],
        [2460320.5, 240.0, 50.0, 180.0, 20.0, 0.25, 3.1, 14.0, 0.15],
    ]).T  # fmt: skip
    return Orbits(("A", "B", "C"), *values)


def seen(orbits, k, site):
    """Return where one of them is, and its rate [arcsec / min] and position angle [deg]."""
    times = Time([WHEN, WHEN + 1 * u.min])
    spots = earth_places(times, site)
    places = [sky_places(orbits, float(t.tt.jd), s) for t, s in zip(times, spots, strict=True)]
    (ra, dec, _), (ra1, dec1, _) = places
    east, north = 3600 * (ra1[k] - ra[k]) * np.cos(np.deg2rad(dec[k])), 3600 * (dec1[k] - dec[k])
    return ra[k], dec[k], float(np.hypot(east, north)), float(np.rad2deg(np.arctan2(east, north)))


@pytest.mark.parametrize("k", [0, 1, 2])
def test_what_is_there_and_moves_so_is_it(k):
    orbits, slack = three(), np.full(3, 60.0)
    ra, dec, rate, angle = seen(orbits, k, SITE)
    assert _match(orbits, WHEN, SITE, (ra, dec + 20 / 3600, rate, angle), slack) == k
    assert _match(orbits, WHEN, SITE, (ra, dec + 200 / 3600, rate, angle), slack) == -1
    assert _match(orbits, WHEN, SITE, (ra, dec, rate, angle + 60), slack) == -1
    assert _match(orbits, WHEN, SITE, (ra, dec, 2 * rate + 0.1, angle), slack) == -1


def test_what_cannot_be_told_apart_has_no_label():
    orbits = three()
    twin = Orbits(("A", "A2"), *(np.repeat(getattr(orbits, name)[:1], 2) for name in ELEMENTS))
    place = seen(orbits, 0, SITE)
    assert _match(orbits, WHEN, SITE, place, np.full(3, 60.0)) == 0
    assert _match(twin, WHEN, SITE, place, np.full(2, 60.0)) == -1


def test_one_object_names_one_mover(monkeypatch):
    orbits, said = three(), []
    frame = SimpleNamespace(time=0.0, side=2.0)
    field = SimpleNamespace(
        frames=[frame], looks=[SimpleNamespace(shape=(100, 100), frame=frame)], scale=2.0, target="T",
        center=(10.0, 10.0), sky=lambda x, y: (np.array([10.0]), np.array([10.0])),
    )  # fmt: skip
    motion = Motion(0.0, 0.0, 0.0, 1.0, 0.0, 0.1, 0.1, 1.0, 2, 9.0)
    movers = [Mover((), motion, None, (0, 0, 0), 18.0, 0.1, False, 0.0, name) for name in ("M001", "M002")]
    night = Found(field, tuple(movers), Errors(), 0.0, {}, 2)
    monkeypatch.setattr(knownobjects, "_match", lambda *_: 1)
    monkeypatch.setattr(knownobjects, "sky_motion", lambda *_: (1.0, 0.1, 90.0, 1.0))
    labeled = knownobjects._labeled(night, orbits, SITE, said.append)
    assert [one.label for one in labeled.movers] == ["B", ""]
    assert any("M002 could be B, as another" in text for text in said)


def test_parallax_of_the_site_is_seconds_of_arc():
    orbits = three()
    a, b = seen(orbits, 0, SITE), seen(orbits, 0, None)
    off = 3600 * np.hypot((a[0] - b[0]) * np.cos(np.deg2rad(a[1])), a[1] - b[1])
    assert 0.5 < off < 9.0  # 8.8 arcsec at 1 au


def test_sites():
    assert site_from_text("28.3,-16.51,2390") == SITE
    sea = site_from_text("28.3, -16.51")
    assert sea == (28.3, -16.51, None)
    np.testing.assert_array_equal(
        earth_places(Time([WHEN]), sea), earth_places(Time([WHEN]), (*sea[:2], 0.0))
    )
    for text in ("28.3", "a,b,c"):
        with pytest.raises(OptionError, match=r"--site: is .* Give latitude, longitude"):
            site_from_text(text, "--site")
    with pytest.raises(OptionError, match="latitude 100"):
        site_from_text("100,0,0")
