"""What is told of optics and view, against views made by hand."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from star_lists import distort

from sciastro.astrometry.field import compass, field_maps, rms_by, tilt_of
from sciastro.astrometry.plane import deproject
from sciastro.core.tpv import sip_to_tpv
from sciastro.core.wcs import tan_wcs
from sciastro.simulate.optics import centered, frame_wcs

SHAPE = (1400, 2000)


@pytest.mark.parametrize("center", [(0.0, 30.0), (200.0, 89.9999), (83.0, -89.99)])
def test_which_way_is_north(center):
    seen = compass(tan_wcs(*center, 2.0, SHAPE, angle=20.0), SHAPE)  # +y points 20 deg east of north
    assert seen.north == pytest.approx(20.0, abs=0.01) and seen.east == pytest.approx(-70.0, abs=0.01)
    assert seen.sentence() == (
        "North is up and east is left, both turned 20.0 deg clockwise; the view is as seen on the sky."
    )
    flipped = compass(tan_wcs(*center, 2.0, SHAPE, angle=20.0), SHAPE, top_down=True)
    assert flipped.sentence() == (
        "North is down and east is left, both turned 20.0 deg counterclockwise; "
        "the view is mirrored: east is clockwise from north."
    )


def test_words_of_plain_views():
    assert compass(tan_wcs(10.0, 0.0, 2.0, SHAPE), SHAPE).sentence() == (
        "North is up and east is left; the view is as seen on the sky."
    )
    assert compass(tan_wcs(10.0, 0.0, 2.0, SHAPE, angle=180.0, parity=-1), SHAPE).sentence() == (
        "North is down and east is left; the view is mirrored: east is clockwise from north."
    )
    assert "lower left" in compass(tan_wcs(10.0, 0.0, 2.0, SHAPE, angle=-135.0), SHAPE).sentence()


def test_maps_show_the_distortion_that_is_there():
    bent = frame_wcs(centered(0.001, 60.0, 2.0, SHAPE, angle=30.0, at_corner=3.0))
    maps = field_maps(bent, SHAPE)
    # A cubic of 3 pixel at the corner, less the best linear map: about 1.5 there.
    assert 0.8 < np.hypot(maps.dx, maps.dy)[0, 0] < 2.5
    # The local scale of r (1 + k r2): its area grows by 1 + 4 k r2, and a pixel shrinks by 2 k r2 on the sky.
    k, r2 = 3.0 / np.hypot(999.5, 699.5) ** 3, 999.5**2 + 699.5**2
    flat = field_maps(tan_wcs(0.001, 60.0, 2.0, SHAPE, angle=30.0), SHAPE)
    assert np.abs(flat.dx).max() < 1e-6
    assert maps.scale[0, 0] / flat.scale[0, 0] == pytest.approx(1 - 2 * k * r2, abs=2e-4)
    converted = field_maps(sip_to_tpv(bent)[0], SHAPE)
    np.testing.assert_allclose(converted.dx, maps.dx, atol=1e-5)
    np.testing.assert_allclose(converted.scale, maps.scale, rtol=1e-6)


def matched(tilt, n=800, noise=0.02, off=0.0):
    """Return stars on a detector tilted by `tilt` (x, y) [deg], and the plain WCS about its middle."""
    wcs = tan_wcs(50.0, 20.0, 20.0, SHAPE, angle=15.0)
    rng = np.random.default_rng(5)
    focal, half = 206264.806 / 20.0, (np.array(SHAPE[::-1]) - 1) / 2
    p = rng.uniform(-1, 1, (n, 2)) * half
    ra, dec = deproject((p @ wcs.wcs.cd.T), 50.0, 20.0)
    q = p * (1 + (p @ np.deg2rad(tilt)) / focal)[:, None] + half
    q = distort(q - off, SHAPE, 3.0) + off + rng.normal(0, noise, (n, 2))
    one = np.ones(n)
    return QTable(
        {
            "x": q[:, 0] * u.pix, "y": q[:, 1] * u.pix, "ra": ra * u.deg, "dec": dec * u.deg,
            "error": noise * one * u.pix, "used": one > 0,
        }
    ), wcs  # fmt: skip


@pytest.mark.parametrize("off", [0.0, 80.0])
def test_a_tilt_is_found_beside_a_decentered_distortion(off):
    table, wcs = matched((0.3, -0.2), off=off)
    found = tilt_of(table, wcs, SHAPE)
    assert found.error < 0.03
    assert found.x == pytest.approx(0.3, abs=4 * found.error)
    assert found.y == pytest.approx(-0.2, abs=4 * found.error)
    assert found.sentence().startswith("The detector is tilted by 0.3")
    # Edge to edge along the tilt: 1.5 t 2 R / f
    reach, focal = np.hypot(999.5, 699.5), 206264.806 / 20.0
    assert found.gradient == pytest.approx(3 * np.deg2rad(found.angle) * reach / focal, rel=1e-6)


def test_no_tilt_is_told_where_there_is_none():
    found = tilt_of(*matched((0.0, 0.0)), SHAPE)
    assert found.sentence().startswith("No tilt is seen")
    table, wcs = matched((0.3, 0.3))
    assert tilt_of(table[:20], wcs, SHAPE) is None


def test_rms_in_bins():
    values, length = np.array([1.0, 2.0, 3.0, 4.0, np.nan]), np.array([3.0, 4.0, 1.0, 1.0, 9.0])
    assert rms_by(values, length, least=2) == [(1.5, 2, pytest.approx(12.5**0.5)), (3.5, 2, 1.0)]
    assert rms_by(values * np.nan, length) == []
