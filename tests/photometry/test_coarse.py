"""Circles on coarse pixels: the scatter that is predicted is the scatter of stars drawn there."""

import numpy as np
import pytest

from sciastro.kernels.aperture import aperture_sums
from sciastro.photometry.coarse import FINE, pixel_scatter


@pytest.mark.parametrize(("fwhm", "radius"), [(1.3, 1.8), (1.5, 1.8), (1.8, 2.0)])
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


def test_wide_stars_have_none():
    assert pixel_scatter(FINE, 2.0) == 0.0
    assert pixel_scatter(float("nan"), 2.0) == 0.0
    assert pixel_scatter(2.4, 1.5 * 2.4) < 0.002
