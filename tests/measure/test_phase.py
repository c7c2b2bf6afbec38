"""Undersampled stars: the error of their position holds what pixels that are too coarse do to it."""

import numpy as np
import pytest
from coarse_stacks import sampled_stack
from scipy.spatial import cKDTree

from sciastro.kernels.aperture import aperture_sums
from sciastro.measure.phase import LATTICES, phase_error, stack_errors
from sciastro.measure.stars import measure_plane
from sciastro.simulate.camera import XTRANS

FINE = 6


def aperture(image, x, y, radius):
    """Return the sums in circles of `radius` [pixel]."""
    zero = np.zeros(image.shape, np.uint16)
    at = (np.asarray(x, float), np.asarray(y, float))
    return aperture_sums(image, image, zero.astype(bool), zero, *at, radius, np.ones((1, 1)))[0]


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


# --------------------------------------------------------------------------------------------- stacks
@pytest.mark.parametrize(
    ("lattice", "cfa", "color", "fwhm"),
    [
        ("full", "", "", 1.0),
        ("quarter", "RGGB", "R", 1.2),
        ("two", XTRANS, "B", 1.0),
        ("five", XTRANS, "G", 0.9),
    ],
)
def test_stacks_of_coarse_samples_scatter_as_told(lattice, cfa, color, fwhm):
    shifts = np.array([(0.0, 0.0), (2.1, -1.2), (-1.05, 3.3), (0.3, 1.6), (3.45, -2.1), (1.2, 0.55)])
    phase = np.exp(2j * np.pi * np.array([*shifts.T, shifts.sum(1) / 2, (shifts[:, 0] - shifts[:, 1]) / 2]))
    tied = np.abs(phase.mean(axis=1))
    image, x, y = sampled_stack(cfa, color, fwhm, shifts)
    found = measure_plane(image, coarse=False)
    distance, index = cKDTree(np.column_stack([found.stars["x"], found.stars["y"]])).query(
        np.column_stack([x, y])
    )
    assert distance.max() < 1
    told = stack_errors(found.fwhm, lattice, tied)
    # Within a factor of 1.6: the stack's own pixels add or take a little.
    for true, name, want in ((x, "x", told[0]), (y, "y", told[1])):
        off = found.stars[name][index] - true
        assert want / 1.6 < off.std() < 1.6 * want
    if told[2] > 0.003:
        light = aperture(image, found.stars["x"][index], found.stars["y"][index], 5.0)
        assert light.std() / light.mean() == pytest.approx(told[2], rel=0.4)


def test_stacks_of_wide_stars_have_none():
    for lattice in LATTICES:
        assert stack_errors(3.0, lattice, np.ones(4)) == (0.0, 0.0, 0.0)
        assert stack_errors(float("nan"), lattice, np.ones(4)) == (0.0, 0.0, 0.0)
