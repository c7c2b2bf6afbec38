"""WCS fits against astropy: exact where the truth is a polynomial, honest round trips."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs.utils import fit_wcs_from_points
from star_lists import distort

from sciastro.astrometry.plane import deproject, project, separation
from sciastro.astrometry.refine import fit_wcs, propagate, round_trip
from sciastro.core import transform
from sciastro.core.wcs import pixel_scale, tan_wcs, text_to_wcs, wcs_to_text
from sciastro.errors import SolveError

SHAPE = (2822, 4144)


def stars(wcs, n=300, distortion=2.5, seed=1):
    """Return pixel positions through distorted optics, and the sky positions of them."""
    points = np.random.default_rng(seed).uniform(0, 1, (n, 2)) * [SHAPE[1] - 1, SHAPE[0] - 1]
    ra, dec = wcs.wcs_pix2world(*distort(points, SHAPE, distortion).T, 0)
    return points[:, 0], points[:, 1], ra, dec


def error(wcs, x, y, ra, dec):
    return separation(*wcs.all_pix2world(x, y, 0), ra, dec).max() * 3600 / pixel_scale(wcs)


@pytest.mark.parametrize("center", [(0.01, 41.0), (123.0, -89.9), (359.99, 0.0), (250.0, 89.99)])
@pytest.mark.parametrize("parity", [1, -1])
def test_a_cubic_distortion_is_fitted_exactly(center, parity):
    truth = tan_wcs(*center, 1.2, SHAPE, angle=33.0, parity=parity)
    found = fit_wcs(*stars(truth), start=truth, order=3)
    assert error(found, *stars(truth, seed=2)) < 1e-6
    assert pixel_scale(found) == pytest.approx(1.2, rel=1e-9)
    assert round_trip(found, SHAPE) < 0.01
    assert error(text_to_wcs(wcs_to_text(found)), *stars(truth, seed=2)) < 1e-6


def test_a_shifted_start_does_not_matter():
    truth = tan_wcs(80.0, 20.0, 1.2, SHAPE)
    off = tan_wcs(80.3, 20.2, 1.1, SHAPE, angle=5.0)
    found = fit_wcs(*stars(truth), start=off, order=3)
    assert error(found, *stars(truth, seed=2)) < 1e-3


def test_tan_equals_astropy():
    truth = tan_wcs(80.0, 20.0, 1.2, SHAPE, angle=12.0)
    x, y, ra, dec = stars(truth, distortion=0.0)
    ours = fit_wcs(x, y, ra, dec, start=truth, order=1)
    theirs = fit_wcs_from_points((x, y), SkyCoord(ra, dec, unit="deg"), proj_point="center", projection="TAN")
    # The stars follow a TAN exactly: ours is linear and exact, astropy iterates to 0.02 arcsec.
    assert error(ours, x, y, ra, dec) < 1e-7
    assert separation(*ours.all_pix2world(x, y, 0), *theirs.all_pix2world(x, y, 0)).max() * 3600 < 0.05


def test_inverse_terms_agree_with_the_solver_of_astropy():
    truth = tan_wcs(80.0, 20.0, 1.2, SHAPE)
    x, y, ra, dec = stars(truth, distortion=8.0)
    found = fit_wcs(x, y, ra, dec, start=truth, order=3)
    by_iteration = np.array(found.all_world2pix(ra, dec, 0))
    corner = found.wcs.crpix[:, None] - 1
    u, v = np.array(found.wcs_world2pix(ra, dec, 0)) - corner
    back = [
        sum(t[i, j] * u**i * v**j for i, j in zip(*np.nonzero(t), strict=True))
        for t in (found.sip.ap, found.sip.bp)
    ]
    by_terms = np.array([u, v]) + back + corner  # Shupe et al. 2005, equations 5 and 6
    assert np.abs(by_iteration - by_terms).max() < 0.01
    assert round_trip(found, SHAPE) < 0.01


def test_weights_count():
    truth = tan_wcs(80.0, 20.0, 1.2, SHAPE)
    x, y, ra, dec = stars(truth, distortion=0.0)
    weight = np.ones(x.size)
    x[::3] += 5.0
    weight[::3] = 1e-10
    found = fit_wcs(x, y, ra, dec, weight, start=truth, order=1)
    assert error(found, *stars(truth, distortion=0.0, seed=2)) < 1e-3


def test_too_few_or_degenerate_stars():
    truth = tan_wcs(80.0, 20.0, 1.2, SHAPE)
    x, y, ra, dec = stars(truth, n=5)
    with pytest.raises(SolveError, match="are 5, and a WCS of order 2 needs 6"):
        fit_wcs(x, y, ra, dec, start=truth, order=2)
    line = np.linspace(0, 1000, 10)
    with pytest.raises(SolveError, match="lie on one line"):
        fit_wcs(line, line, *truth.wcs_pix2world(line, line, 0), start=truth, order=1)


def test_propagated_wcs_follows_the_map():
    truth = tan_wcs(80.0, 20.0, 1.2, SHAPE)
    reference = fit_wcs(*stars(truth), start=truth, order=3)
    flip = np.array(
        [[SHAPE[1] + 20.0, -1000.0, 3.0, 0.5, 0.2, 0.1], [SHAPE[0] - 10.0, -3.0, -1000.0, 0.1, 0.3, 0.4]]
    )
    frame, residual = propagate(reference, flip, SHAPE)
    assert residual < 0.02
    rng = np.random.default_rng(3)
    x, y = rng.uniform(50, SHAPE[1] - 50, 500), rng.uniform(50, SHAPE[0] - 50, 500)
    fx, fy = transform.evaluate(flip, x, y)
    on = (fx > 0) & (fx < SHAPE[1] - 1) & (fy > 0) & (fy < SHAPE[0] - 1)
    assert error(frame, fx[on], fy[on], *reference.all_pix2world(x[on], y[on], 0)) < 0.02
    assert round_trip(frame, SHAPE) < 0.01
    assert frame.pixel_shape == (SHAPE[1], SHAPE[0])


def test_an_unregistered_frame_has_no_wcs():
    with pytest.raises(SolveError, match="from_reference: is NaN"):
        propagate(tan_wcs(80.0, 20.0, 1.2, SHAPE), np.full((2, 3), np.nan), SHAPE)
    folded = np.array([[0.0, 1000.0, 0.0, -900.0, 0.0, 0.0], [0.0, 0.0, 1000.0, 0.0, 0.0, 0.0]])
    with pytest.raises(SolveError, match="cannot be inverted"):
        propagate(tan_wcs(80.0, 20.0, 1.2, SHAPE), folded, SHAPE)


def test_tangent_plane_equals_wcslib():
    wcs = tan_wcs(200.0, 75.0, 3600.0, (3, 3), parity=1)  # one degree per pixel, x to the west
    ra, dec = np.array([190.0, 205.0, 230.0]), np.array([70.0, 80.0, 77.0])
    plane = project(ra, dec, 200.0, 75.0)
    x, y = wcs.wcs_world2pix(ra, dec, 0)
    np.testing.assert_allclose(plane, np.column_stack([-(x - 1), y - 1]), atol=1e-10)
    back = deproject(plane, 200.0, 75.0)
    np.testing.assert_allclose(back, [ra, dec], atol=1e-10)
    assert np.isnan(project([20.0], [-75.0], 200.0, 75.0)).all()


def test_separation_equals_astropy():
    rng = np.random.default_rng(4)
    a, b = (SkyCoord(rng.uniform(0, 360, 50), rng.uniform(-90, 90, 50), unit="deg") for _ in range(2))
    got = separation(a.ra.deg, a.dec.deg, b.ra.deg, b.dec.deg)
    np.testing.assert_allclose(got, a.separation(b).deg, atol=1e-12)
