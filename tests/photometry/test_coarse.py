"""Circles on coarse pixels: the scatter that is predicted is the scatter of stars drawn there."""

import numpy as np
import pytest
from coarse_stacks import sampled_stack

from sciastro.kernels.aperture import aperture_sums
from sciastro.measure.stars import measure_plane
from sciastro.photometry.coarse import FINE, pixel_scatter


@pytest.mark.parametrize(("fwhm", "radius"), [(1.8, 2.0), (2.0, 1.75), (2.65, 1.86)])
def test_scatter_of_stars_at_any_place(fwhm, radius):
    rng = np.random.default_rng(4)
    y, x = np.mgrid[0:21, 0:21]
    alpha2 = fwhm**2 / (4 * (2**0.25 - 1))
    flux = []
    for cx, cy in 10 + rng.uniform(-0.5, 0.5, (300, 2)):
        image = ((1 + ((x - cx) ** 2 + (y - cy) ** 2) / alpha2) ** -4).astype(np.float32)
        zero = np.zeros(image.shape, np.uint16)
        args = (np.array([cx]), np.array([cy]), radius, np.ones((1, 1)))
        flux.append(aperture_sums(image, image, zero.astype(bool), zero, *args)[0][0])
    assert np.std(flux) / np.mean(flux) == pytest.approx(pixel_scatter(fwhm, radius), rel=0.15)


@pytest.mark.parametrize("fwhm", [0.75, 1.05, 1.4])
def test_scatter_on_stacks_of_coarse_frames(fwhm):
    shifts = np.random.default_rng(7).uniform(-4, 4, (12, 2))
    image, x, y = sampled_stack("", "", fwhm, shifts, n=20, spacing=18, seed=5, clamp=0.1)
    found = measure_plane(image, coarse=False)
    zero = np.zeros(image.shape, np.uint16)
    for radius in (1.5, 2.0, 2.5, 3.2):
        args = (x, y, radius, np.ones((1, 1)))
        flux = aperture_sums(image, image, zero.astype(bool), zero, *args)[0]
        assert np.std(flux) / np.mean(flux) == pytest.approx(
            pixel_scatter(found.fwhm, radius), abs=0.003
        )  # by dither; 0.013 by a model of points


def test_wide_stars_have_none():
    assert pixel_scatter(FINE, 2.0) == 0.0
    assert pixel_scatter(float("nan"), 2.0) == 0.0
    assert pixel_scatter(2.4, 1.5 * 2.4) < 0.002
