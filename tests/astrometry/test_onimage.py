import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip

from sciastro.astrometry.onimage import frame_of
from sciastro.astrometry.plane import separation
from sciastro.core.wcs import tan_wcs

SHAPE = (800, 1000)


@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("angle", [0.0, 30.0, 135.0, -100.0])
def test_an_ellipse_turns_with_the_image(parity, angle):
    frame = frame_of(tan_wcs(83.8, -5.4, 1.2, SHAPE, angle=angle, parity=parity), SHAPE)
    pa = 25.0
    got = frame.ellipse(83.8, -5.4, 0.05, 0.02, pa)
    assert got.a == pytest.approx(0.05 * 3600 / 1.2, rel=1e-4)
    assert got.b == pytest.approx(0.02 * 3600 / 1.2, rel=1e-4)
    # where the end of the major axis lies, by astropy
    end = SkyCoord(83.8, -5.4, unit="deg").directional_offset_by(pa * u.deg, 0.05 * u.deg)
    x0, y0 = frame.pixels(83.8, -5.4)
    x1, y1 = frame.pixels(end.ra.deg, end.dec.deg)
    truth = np.degrees(np.arctan2(y1 - y0, x1 - x0)) % 180
    assert (got.angle - truth + 90) % 180 - 90 == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("ra", "dec"), [(0.0, 20.0), (359.999, -60.0), (10.0, 89.9), (0.0, 90.0), (7.0, -90.0)]
)
def test_axes_are_true_at_poles_and_at_zero(ra, dec):
    frame = frame_of(tan_wcs(ra, dec, 2.0, SHAPE), SHAPE)
    local = frame.axes(ra, dec)
    assert np.linalg.norm(local, axis=0) == pytest.approx([1800, 1800], rel=1e-4)
    assert local[:, 0] @ local[:, 1] == pytest.approx(0, abs=2)
    assert frame.scale == pytest.approx(2.0, rel=1e-6)


def test_positions_are_those_of_the_wcs_and_the_back_of_the_sky_has_none():
    frame = frame_of(tan_wcs(359.9, 40.0, 60.0, SHAPE), SHAPE)
    ra, dec = np.array([0.0, 359.5, 2.0, 180.0, 179.9]), np.array([40.0, 41.0, 38.0, -40.0, 50.0])
    x, y = frame.pixels(ra, dec)
    truth = frame.wcs.wcs_world2pix(ra[:3], dec[:3], 0)
    assert np.allclose(x[:3], truth[0])
    assert np.allclose(y[:3], truth[1])
    assert np.isnan(x[3:]).all()


def test_distortion_is_inverted_or_refused():
    wcs = tan_wcs(10.0, 10.0, 3.0, SHAPE)
    a = np.zeros((3, 3))
    a[2, 0] = 5e-5
    wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    frame = frame_of(wcs, SHAPE)
    px, py = np.array([20.0, 500.0, 980.0]), np.array([30.0, 400.0, 790.0])
    ra, dec = frame.sky(px, py)
    x, y = frame.pixels(ra, dec)
    assert np.abs(x - px).max() < 1e-2
    assert np.abs(y - py).max() < 1e-2
    far_x, _ = frame.pixels([10.0, 14.0, 190.0], [14.0, 10.0, -10.0])
    assert not frame.inside(far_x, np.full(3, 400.0)).any()


def test_a_wcs_without_distortion_object_works():
    assert isinstance(frame_of(tan_wcs(1, 2, 3, SHAPE), SHAPE).wcs, WCS)


def test_separation_is_that_of_astropy():
    a = SkyCoord([10, 0, 359.9999], [0, 90, 10], unit="deg")
    b = SkyCoord([190, 77, 0.0001], [0, 89, 10], unit="deg")
    assert np.allclose(separation(a.ra.deg, a.dec.deg, b.ra.deg, b.dec.deg), a.separation(b).deg, atol=1e-12)
