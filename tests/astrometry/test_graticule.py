import numpy as np
import pytest
from astropy.coordinates import SkyCoord, get_constellation

from sciastro.astrometry.graticule import (
    boundaries,
    constellation_of,
    dec_text,
    figure,
    graticule,
    ra_text,
)
from sciastro.astrometry.onimage import frame_of
from sciastro.core.wcs import tan_wcs
from sciastro.io.skydata import regions

FIELDS = {
    "telescope": (250.4, 36.5, 1.6, (2000, 1500)),
    "ra zero": (0.01, 20.0, 3.0, (1000, 1500)),
    "arcseconds": (83.8, -5.4, 0.1, (600, 600)),
    "pole": (30.0, 90.0, 60.0, (1000, 1000)),
    "near pole": (20.0, 89.5, 5.0, (1000, 1000)),
    "south pole": (10.0, -90.0, 0.5, (1000, 1000)),
    "wide": (200.0, -10.0, 80.0, (2400, 3600)),
}


@pytest.mark.parametrize("name", FIELDS)
def test_lines_lie_where_they_say(name):
    ra, dec, scale, shape = FIELDS[name]
    frame = frame_of(tan_wcs(ra, dec, scale, shape, angle=20), shape)
    lines = graticule(frame)
    assert 2 <= sum(line.kind == "dec" for line in lines) <= 12
    assert 2 <= sum(line.kind == "ra" for line in lines) <= 24
    assert len({(line.kind, line.label) for line in lines}) == len(lines)
    for line in lines:
        for x, y in zip(line.x, line.y, strict=True):
            assert frame.inside(x, y, margin=1e-6).all()
            along, across = frame.sky(x, y)
            if line.kind == "dec":
                assert np.ptp(across) < scale / 3600 * 1.5  # the cut ends lie on straight pieces
            else:
                spread = (along - along[len(along) // 2] + 180) % 360 - 180
                assert (np.abs(spread) * np.cos(np.radians(across))).max() < scale / 3600 * 1.5


def test_pieces_end_at_the_border():
    frame = frame_of(tan_wcs(250.4, 36.5, 1.6, (2000, 1500)), (2000, 1500))
    for line in graticule(frame):
        for x, y in zip(line.x, line.y, strict=True):
            for k in (0, -1):
                distance = min(x[k] + 0.5, 1499.5 - x[k], y[k] + 0.5, 1999.5 - y[k])
                assert abs(distance) < 1e-6


@pytest.mark.parametrize(
    ("ra", "step", "text"),
    [(0.0, 15.0, "0ʰ"), (359.99999999, 0.5, "0ʰ00ᵐ"), (250.0, 0.25, "16ʰ40ᵐ"), (250.125, 0.125, "16ʰ40ᵐ30ˢ"),
     (10.0 + 15 / 36000, 15 / 36000, "0ʰ40ᵐ00.1ˢ")],
)  # fmt: skip
def test_right_ascensions_as_text(ra, step, text):
    assert ra_text(ra, step) == text


@pytest.mark.parametrize(
    ("dec", "step", "text"),
    [(0.0, 10.0, "0°"), (-5.0, 1.0, "−5°"), (36.5, 0.5, "+36°30′"), (-0.25, 1 / 12, "−0°15′"),
     (89.999999999, 1 / 60, "+90°00′"), (1 / 3600, 1 / 3600, "+0°00′01″")],
)  # fmt: skip
def test_declinations_as_text(dec, step, text):
    assert dec_text(dec, step) == text


def test_constellations_are_those_of_astropy():
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))
    truth = get_constellation(SkyCoord(ra, dec, unit="deg"), short_name=True)
    mine = [constellation_of(a, d, regions()) for a, d in zip(ra, dec, strict=True)]
    assert mine == list(truth)


def test_boundaries_part_constellations():
    frame = frame_of(tan_wcs(84.0, 0.0, 120.0, (800, 800)), (800, 800))
    checked = 0
    for line in boundaries(frame, regions()):
        for x, y in zip(line.x, line.y, strict=True):
            i = len(x) // 2
            if len(x) < 3:
                continue
            normal = np.array([y[i] - y[i - 1], x[i - 1] - x[i]])
            normal = normal / np.linalg.norm(normal)
            step = 0.5 * np.array([-1, 1])
            ra, dec = frame.sky(x[i] + step * normal[0], y[i] + step * normal[1])
            sides = [constellation_of(a, d, regions()) for a, d in zip(ra, dec, strict=True)]
            assert sides[0] != sides[1]
            checked += 1
    assert checked > 10


def test_figures_follow_great_circles_and_are_none_far_away():
    frame = frame_of(tan_wcs(0.0, 0.0, 60.0, (800, 800)), (800, 800))
    line = figure(frame, (357.0, 1.0, 3.0, 1.0))
    _, dec = frame.sky(line.x[0], line.y[0])
    assert dec.max() == pytest.approx(1.00137, abs=1e-4)  # tan(dec) = tan(1 deg) / cos(3 deg) on the way
    assert figure(frame, (170.0, 0.0, 175.0, 0.0)) is None


def test_a_fisheye_of_the_whole_sky():
    wcs = tan_wcs(100.0, 40.0, 900.0, (800, 1000))
    wcs.wcs.ctype = ["RA---ARC", "DEC--ARC"]
    wcs.wcs.set()
    frame = frame_of(wcs, (800, 1000))
    lines = graticule(frame)
    assert sum(line.kind == "ra" for line in lines) == 24
    for line in lines:
        for x, y in zip(line.x, line.y, strict=True):
            assert frame.inside(x, y, margin=1e-6).all()
    assert np.isfinite(frame.pixels(100.0, -40.0)).all()
