"""Where stars land, exactly."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from sciastro.core.wcs import parity, pixel_scale, rotation, text_to_wcs, wcs_to_text
from sciastro.simulate.optics import centered, frame_wcs, pixel_to_sky, pointed, sky_to_pixel

SHAPE = (1200, 1600)


def grid(n=9):
    x, y = np.meshgrid(np.linspace(0, SHAPE[1] - 1, n), np.linspace(0, SHAPE[0] - 1, n))
    return x.ravel(), y.ravel()


@pytest.mark.parametrize("dec", [-89.9, -30.0, 0.0, 61.5, 89.95])
@pytest.mark.parametrize("handed", [1, -1])
def test_pixel_to_sky_and_back(dec, handed):
    geometry = centered(0.01, dec, 1.7, SHAPE, angle=31.0, parity=handed, at_corner=2.5)
    x, y = grid()
    back = sky_to_pixel(geometry, *pixel_to_sky(geometry, x, y))
    np.testing.assert_allclose(back, (x, y), atol=1e-7)


def test_corners_move_by_the_distortion():
    plain = centered(83.0, 20.0, 1.7, SHAPE)
    lens = centered(83.0, 20.0, 1.7, SHAPE, at_corner=2.5)
    ra, dec = pixel_to_sky(plain, [0.0, SHAPE[1] - 1.0], [0.0, SHAPE[0] - 1.0])
    x, y = sky_to_pixel(lens, ra, dec)
    moved = np.hypot(x - [0, SHAPE[1] - 1], y - [0, SHAPE[0] - 1])
    np.testing.assert_allclose(moved, 2.5, atol=1e-9)
    assert x[0] < 0 and y[0] < 0  # pincushion: outward


@pytest.mark.parametrize("handed", [1, -1])
def test_wcs_of_a_frame_is_its_geometry(handed):
    geometry = pointed(
        centered(92.3, 24.35, 1.74, SHAPE, angle=211.3, parity=handed, at_corner=2.5), 17.0, -24.0
    )
    wcs = text_to_wcs(wcs_to_text(frame_wcs(geometry)))
    x, y = grid()
    ra, dec = pixel_to_sky(geometry, x, y)
    sky = SkyCoord(*wcs.all_pix2world(x, y, 0), unit="deg")
    apart = sky.separation(SkyCoord(ra, dec, unit="deg")).to_value(u.arcsec)
    assert apart.max() < 0.002 * 1.74  # 0.002 pixel
    fx, fy = wcs.all_world2pix(ra, dec, 0)
    assert np.hypot(fx - x, fy - y).max() < 0.002
    assert parity(wcs) == handed
    assert pixel_scale(wcs) == pytest.approx(1.74, rel=1e-9)
    assert rotation(wcs) == pytest.approx(211.3 - 360)


def test_dither_moves_the_target_by_what_it_says():
    base = centered(150.0, 60.0, 2.0, SHAPE, angle=77.0, parity=-1)
    x, y = sky_to_pixel(pointed(base, 21.5, -13.25), 150.0, 60.0)
    # Not exactly: north turns by 1e-4 on the way to the new axis, and the position angle is kept.
    assert x == pytest.approx(base.axis_x + 21.5, abs=0.005)
    assert y == pytest.approx(base.axis_y - 13.25, abs=0.005)


def test_position_angle_and_parity_by_hand():
    # North up, east left: one arcsec per pixel; a star 100 arcsec north and one 100 arcsec east.
    seen = centered(10.0, 0.0, 1.0, (401, 401))
    x, y = sky_to_pixel(seen, [10.0, 10.0 + 100 / 3600], [100 / 3600, 0.0])
    np.testing.assert_allclose([x, y], [[200, 100], [300, 200]], atol=1e-4)
    mirrored = centered(10.0, 0.0, 1.0, (401, 401), parity=-1)
    assert sky_to_pixel(mirrored, 10.0 + 100 / 3600, 0.0)[0] == pytest.approx(300, abs=1e-4)


def test_other_side_of_the_sky_is_nan():
    x, y = sky_to_pixel(centered(10.0, 20.0, 1.0, SHAPE), [190.0], [-20.0])
    assert np.isnan(x).all() and np.isnan(y).all()
