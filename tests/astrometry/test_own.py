"""A frame's own WCS: corrected where it is off, left alone where it is right."""

import numpy as np
import pytest
from star_lists import as_stars, random_sky

from sciastro.astrometry.own import own_place
from sciastro.astrometry.refine import fit_wcs, propagate
from sciastro.astrometry.sky import CatalogStars
from sciastro.astrometry.solve import image_stars
from sciastro.core import transform
from sciastro.core.wcs import tan_wcs
from sciastro.simulate.optics import centered, frame_wcs

SHAPE, SCALE = (1200, 1600), 2.0
NONE = np.zeros((2, 3))


def frame(seed, off, *, n=250, noise=0.05, err=0.0, mirror=False):
    """Return the carried WCS, the stars of a frame where all lies `off` (affine, pixel), and the catalog."""
    rng = np.random.default_rng(seed)
    true = frame_wcs(
        centered(0.01, 88.0, SCALE, SHAPE, angle=30.0, parity=-1 if mirror else 1, at_corner=3.0)
    )
    points = rng.uniform(0.02, 0.98, (n, 2)) * SHAPE[::-1]
    ra, dec = true.all_pix2world(*points.T, 0)
    u, v = (points / 1000 - 0.7).T
    seen = points + (off @ np.stack([np.ones(n), u, v])).T + rng.normal(0, noise, (n, 2))
    mag = random_sky(seed, 0.0, 0.0, n, 1.0)[2]
    order = np.argsort(mag)
    stars = as_stars(seen[order], noise, 10 ** (-0.4 * (mag[order] - 25)))
    dec = dec + rng.normal(0, err, n) / 3600
    ra = ra + rng.normal(0, err, n) / 3600 / np.cos(np.deg2rad(dec))
    sky = CatalogStars(
        order, ra[order] % 360, dec[order], mag[order], "t", np.full(n, err), np.full(n, np.nan)
    )
    return true, image_stars(stars, SHAPE), sky


def distance(found, true, off):
    """Return how far the found WCS puts places of the frame from where they are [pixel]."""
    x, y = (
        v.ravel() for v in np.meshgrid(np.linspace(0, SHAPE[1] - 1, 12), np.linspace(0, SHAPE[0] - 1, 12))
    )
    u, v = x / 1000 - 0.7, y / 1000 - 0.7
    moved = np.stack([x, y]) + off @ np.stack([np.ones_like(x), u, v])
    back = np.stack(true.all_world2pix(*found.all_pix2world(*moved, 0), 0))
    return np.hypot(*(back - [x, y]))


def test_what_is_right_is_left_alone():
    kept = 0
    for seed in range(20):
        true, image, sky = frame(seed, NONE)
        place = own_place(true, image, sky)
        kept += place.correction == "none" and place.wcs is true
        assert place.n_stars > 150 and place.rms == pytest.approx(0.05 * np.sqrt(2), rel=0.15)
        assert distance(place.wcs, true, NONE).max() < 0.03
    assert kept >= 18


@pytest.mark.parametrize("mirror", [False, True])
def test_a_shift_is_taken_out(mirror):
    off = np.array([[0.6, 0, 0], [-0.4, 0, 0]])
    true, image, sky = frame(1, off, mirror=mirror)
    place = own_place(true, image, sky)
    assert place.correction == "shift"
    assert place.rms_before == pytest.approx(0.72, rel=0.05) and place.rms < 0.08
    assert np.median(distance(place.wcs, true, off)) < 0.01


def test_shear_like_that_of_refraction_is_taken_out():
    # Refraction squeezes along the vertical: another scale in y, with a turn of the field.
    off = np.array([[0.1, 0.0, 0.15], [0.2, 0.15, -0.5]])
    true, image, sky = frame(2, off)
    place = own_place(true, image, sky)
    assert place.correction == "affine"
    error = distance(place.wcs, true, off)
    assert np.median(error) < 0.012 and error.max() < 0.04  # 0.05 pixel noise of 250 stars, three terms
    assert distance(true, true, off).max() > 0.4


def test_errors_of_the_catalog_do_not_spoil_a_good_place():
    worse = []
    for seed in range(10):
        true, image, sky = frame(seed, NONE, n=15, err=0.4)
        place = own_place(true, image, sky)
        worse.append(distance(place.wcs, true, NONE).max())
    assert np.median(worse) < 1e-6 and max(worse) < 0.5  # never more than what 0.2 pixel of 15 stars allow


def test_nothing_to_compare():
    _, image, sky = frame(1, NONE)
    far = tan_wcs(180.0, -40.0, SCALE, SHAPE)
    place = own_place(far, image, sky)
    assert place.wcs is far and place.n_stars == 0 and np.isnan(place.rms)


def test_carried_and_corrected_with_a_real_fit():
    """Reference solved with errors, frame turned by half a degree and moved: both are within their errors."""
    rng = np.random.default_rng(5)
    true, image, sky = frame(3, NONE, n=400)
    points = image.points + rng.normal(0, 0.02, image.points.shape)
    reference = fit_wcs(
        *points.T, sky.ra, sky.dec, start=tan_wcs(0.01, 88.0, SCALE, SHAPE), order=3, shape=SHAPE
    )
    c, s = np.cos(0.009), np.sin(0.009)
    turn = np.array([[12.3, 1000 * c, -1000 * s], [-7.7, 1000 * s, 1000 * c]])
    carried, _ = propagate(reference, turn, SHAPE)
    there = np.column_stack(transform.evaluate(turn, *image.points.T))
    on = np.all((there > 0) & (there < SHAPE[::-1]), axis=1)
    stars = as_stars(there[on], 0.05, 10 ** (-0.4 * image.mag[on]))
    place = own_place(carried, image_stars(stars, SHAPE), sky)
    assert place.n_stars > 250 and place.rms < 0.09
    x, y = rng.uniform(100, 1000, (2, 50))
    there = transform.evaluate(turn, x, y)
    back = np.stack(true.all_world2pix(*place.wcs.all_pix2world(*there, 0), 0))
    assert np.median(np.hypot(*(back - [x, y]))) < 0.02
