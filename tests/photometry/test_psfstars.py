"""What ties a PSF to apertures: circles that share pixels share their errors."""

import numpy as np
import pytest

from sciastro.kernels.aperture import aperture_sums
from sciastro.photometry.psfgroups import neighbors_of
from sciastro.photometry.psfstars import _in_common


def test_two_circles_by_hand():
    # In one place they are one circle; apart they are two; half a diameter apart they share 39.1 %.
    assert _in_common(np.zeros(2), np.zeros(2), 5.0) == pytest.approx(np.sqrt(2))
    assert _in_common(np.array([0.0, 10.1]), np.zeros(2), 5.0) == 1.0
    assert _in_common(np.array([0.0, 5.0]), np.zeros(2), 5.0) == pytest.approx(np.sqrt(1.391), abs=1e-3)


def test_the_mean_of_circles_errs_as_told():
    rng = np.random.default_rng(3)
    shape, radius = (90, 90), 9.0
    x, y = rng.uniform(12, 77, (2, 60))
    none = np.zeros(shape, np.uint16)
    means, alone = [], []
    for _ in range(300):
        image = rng.standard_normal(shape).astype(np.float32)
        sums = aperture_sums(
            image, np.ones_like(image), none > 0, none, x, y, radius, np.ones((1, 1))
        )  # fmt: skip
        means.append(sums[0].mean())
        alone.append(np.sqrt(sums[1].mean() / x.size))
    ratio = np.std(means) / np.mean(alone)
    assert ratio > 1.5
    assert _in_common(x, y, radius) == pytest.approx(ratio, rel=4 / np.sqrt(2 * 300))


def test_stars_in_one_place_have_no_more_neighbors_than_asked_for():
    place = np.full(6, 10.0)
    start, _ = neighbors_of(place, place, 3.0, 2)
    assert np.diff(start).max() == 2
