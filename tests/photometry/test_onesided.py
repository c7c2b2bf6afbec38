"""What unseen neighbors add to some stars is told from scatter, and taken off the mean of all."""

import numpy as np
import pytest

from sciastro.photometry.onesided import one_sided_middle
from sciastro.photometry.shrinkage import shrunken_quadratic


def ratios(seed, share, n=50, mean=0.01):
    """Return growth of 1.08 with noise and scatter; a `share` of the stars has a neighbor besides."""
    rng = np.random.default_rng(seed)
    light = 10 ** rng.uniform(3.5, 5.0, n)
    err = 0.25 * light**-0.5
    added = np.where(rng.random(n) < share, rng.exponential(mean, n), 0) * np.median(light) / light
    return 1.08 * (1 + rng.normal(0, np.hypot(err, 0.001)) + added), err, light


def fitted(seed, share, additions):
    y, err, light = ratios(seed, share)
    middle = np.zeros(len(y))
    fit = shrunken_quadratic(middle, middle, y, err, light, even=True, additions=additions)
    return fit.mean / 1.08 - 1, fit.err / 1.08


@pytest.mark.parametrize("share", [0.0, 0.15, 0.25])
def test_mean_is_that_of_stars_without_neighbors(share):
    off, err = np.array([fitted(seed, share, True) for seed in range(60)]).T
    assert abs(off.mean()) < 3e-4
    assert 0.7 < np.sqrt(np.mean((off / err) ** 2)) < 1.3
    if share == 0.25:  # without: as much as the cut lets through
        plain, _ = np.array([fitted(seed, share, False) for seed in range(60)]).T
        assert plain.mean() > 2 * abs(off.mean())


def test_without_additions_it_is_the_plain_mean():
    rng = np.random.default_rng(1)
    rest, err = rng.normal(0, 0.01, (200, 30)), np.full(30, 0.01)
    found = [one_sided_middle(row, err, np.ones(30), (0.0, 0.0), 0.01 / np.sqrt(30)) for row in rest]
    off = np.array([one.mean for one in found]) - rest.mean(axis=1)
    assert abs(off.mean()) < 0.35 * 0.01 / np.sqrt(30)
    assert 0.9 < np.mean([one.err for one in found]) / (0.01 / np.sqrt(30)) < 1.3


def test_few_stars_have_a_finite_answer():
    found = one_sided_middle(np.array([-0.01, 0.0, 0.01]), np.full(3, 1e-6), np.ones(3), (0.01, 0.0), 0.006)
    assert abs(found.mean) < 0.006
    assert 0.002 < found.err < 0.02
