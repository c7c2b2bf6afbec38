"""Undersampled stars: the error of their position holds what pixels that are too coarse do to it."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from sciastro.measure.phase import phase_error
from sciastro.measure.stars import measure_plane

FINE = 6


def stars(fwhm, flux, n=400, seed=1):
    """Return an image of Moffat stars (beta 4), integrated over its pixels, and their positions."""
    rng = np.random.default_rng(seed)
    alpha2 = fwhm**2 / (4 * (2**0.25 - 1))
    u = (np.arange(31 * FINE) - (31 * FINE - 1) / 2) / FINE
    image, places = np.full((n, n), 100.0), []
    for gy in range(20, n - 20, 20):
        for gx in range(20, n - 20, 20):
            cx, cy = rng.uniform(-0.5, 0.5, 2)
            profile = 3 / np.pi / alpha2 * (1 + ((u[:, None] - cy) ** 2 + (u - cx) ** 2) / alpha2) ** -4
            light = profile.reshape(31, FINE, 31, FINE).sum((1, 3)) / FINE**2
            image[gy - 15 : gy + 16, gx - 15 : gx + 16] += flux * light
            places.append((gx + cx, gy + cy))
    return rng.poisson(image).astype("f4"), np.array(places)


@pytest.mark.parametrize("fwhm", [1.1, 1.5, 2.6])
@pytest.mark.parametrize("flux", [2e3, 1e6])
def test_pulls_of_bright_and_faint_stars_of_any_width(fwhm, flux):
    image, places = stars(fwhm, flux)
    found = measure_plane(image, np.zeros(image.shape, "u2")).stars
    distance, index = cKDTree(np.column_stack([found["x"], found["y"]])).query(places)
    index, places = index[distance < 1], places[distance < 1]
    assert len(index) > 250
    for name, true in (("x", places[:, 0]), ("y", places[:, 1])):
        pull = (found[name][index] - true) / found[f"{name}_err"][index]
        # Without the term 30 (bright, 1.1 pixel wide).
        assert 0.6 < pull.std() < 1.35


def test_wide_stars_have_none():
    assert phase_error([2.2, 5.0, np.nan]).tolist() == [0, 0, 0]
    assert phase_error(0.8) == pytest.approx(0.0267)
