"""Stars keep their electrons and their places."""

import numpy as np
import pytest
from scipy.special import erf

from sciastro.simulate.psf import Psf, PsfOptions, draw_halos, draw_stars

PROFILES = [PsfOptions(), PsfOptions(beta=2.5), PsfOptions(profile="gaussian"), PsfOptions(elongation=0.3)]


def moments(plane):
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    total = plane.sum(dtype=np.float64)
    return total, (plane * x).sum(dtype=np.float64) / total, (plane * y).sum(dtype=np.float64) / total


@pytest.mark.parametrize("options", PROFILES, ids=["moffat4", "moffat2.5", "gaussian", "elongated"])
@pytest.mark.parametrize("fwhm", [2.0, 3.3, 6.0])
def test_flux_and_centroid(options, fwhm):
    rng = np.random.default_rng(4)
    for x, y in rng.uniform(140, 150, (5, 2)):
        plane = np.zeros((291, 291), np.float32)
        draw_stars(plane, [x], [y], [1e5], Psf(fwhm=fwhm, options=options))
        total, cx, cy = moments(plane)
        assert total == pytest.approx(1e5, rel=3e-4)
        assert np.hypot(cx - x, cy - y) < 0.002


def test_gaussian_pixels_are_those_of_the_error_function():
    # The integral of a Gaussian over a pixel is a product of differences of erf.
    fwhm, x, y = 2.2, 12.37, 11.61
    plane = np.zeros((24, 25), np.float32)
    draw_stars(plane, [x], [y], [1000.0], Psf(fwhm=fwhm, options=PsfOptions(profile="gaussian")))
    root = fwhm / 2.354820045 * np.sqrt(2)
    edges_x, edges_y = np.arange(26) - 0.5, np.arange(25) - 0.5
    exact = 250 * np.outer(np.diff(erf((edges_y - y) / root)), np.diff(erf((edges_x - x) / root)))
    np.testing.assert_allclose(plane, exact, atol=0.03)  # the peak is 180; stamps end at 0.02


@pytest.mark.parametrize("options", PROFILES[:3], ids=["moffat4", "moffat2.5", "gaussian"])
def test_width_at_half_maximum(options):
    plane = np.zeros((201, 201), np.float32)
    draw_stars(plane, [100.0], [100.0], [1e6], Psf(fwhm=20.0, options=options))
    row = plane[100] / plane[100, 100]
    right = np.interp(0.5, row[100:140][::-1], np.arange(40)[::-1])
    assert 2 * right == pytest.approx(20.0, rel=0.01)


def test_trail_stretches_along_its_direction_and_keeps_the_light():
    still, moved = np.zeros((2, 121, 121), np.float32)
    draw_stars(still, [60.0], [60.0], [1e4], Psf(fwhm=3.0))
    draw_stars(moved, [60.0], [60.0], [1e4], Psf(fwhm=3.0, trail_x=12.0))
    y, x = np.mgrid[:121, :121] - 60.0
    assert moved.sum() == pytest.approx(1e4, rel=3e-4)
    spread = (moved * x**2).sum() / moved.sum() - (still * x**2).sum() / still.sum()
    assert spread == pytest.approx(12.0**2 / 12, rel=0.02)  # variance of a uniform stretch
    same = (moved * y**2).sum() / moved.sum() - (still * y**2).sum() / still.sum()
    assert abs(same) < 0.05


def test_elongation_points_to_the_center():
    plane = np.zeros((400, 400), np.float32)
    psf = Psf(fwhm=5.0, options=PsfOptions(profile="gaussian", elongation=0.5))
    draw_stars(plane, [350.0], [350.0], [1e5], psf)
    y, x = np.mgrid[:400, :400] - 350.0
    weight = plane / plane.sum()
    assert (weight * x * y).sum() > 1.0  # stretched along the diagonal, away from the center


def test_halo_adds_its_fraction_of_the_light():
    plane = np.zeros((801, 801), np.float32)
    psf = Psf(fwhm=2.5, options=PsfOptions(halo=0.02))
    draw_halos(plane, [400.3], [399.7], [1e6], psf)
    total, cx, cy = moments(plane)
    assert total == pytest.approx(2e4, rel=0.01)
    assert np.hypot(cx - 400.3, cy - 399.7) < 0.1
