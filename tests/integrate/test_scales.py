"""Robust scales against their definitions, their Gaussian factors, and contamination."""

import astropy.stats
import numpy as np
import pytest

from sciastro.integrate.scales import SCALES, biweight, ikss, ikss_lite, mad, sn, subsample, two_sided


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("sigma", [0.01, 3.0, 4000.0])
def test_gaussian_noise(name, sigma):
    # The relative error of a scale from 4,000 (Sn) samples is about 1.2 %, else below 0.4 %.
    sample = np.random.default_rng(1).normal(700.0, sigma, 60_000)
    assert SCALES[name](sample) == pytest.approx(sigma, rel=0.03 if name == "sn" else 0.012)


@pytest.mark.parametrize("name", SCALES)
def test_missing_and_empty_samples(name):
    sample = np.random.default_rng(2).normal(0, 1, 1000)
    holes = np.concatenate([sample, [np.nan, np.inf, -np.inf]])
    assert SCALES[name](holes) == SCALES[name](sample)
    assert np.isnan(SCALES[name]([]))
    assert SCALES[name](np.full(50, 3.0)) == 0.0


@pytest.mark.parametrize("name", SCALES)
def test_scale_and_shift(name):
    sample = np.random.default_rng(3).standard_t(3, 2001)
    assert SCALES[name](5 * sample - 80) == pytest.approx(5 * SCALES[name](sample), rel=1e-6)


@pytest.mark.parametrize("name", SCALES)
def test_stars_hardly_matter(name):
    rng = np.random.default_rng(4)
    sample = np.concatenate([rng.normal(0, 1, 19_000), rng.exponential(200, 1000)])  # 5 % of the pixels
    assert np.std(sample) > 20
    assert SCALES[name](sample) == pytest.approx(1.0, abs=0.2)


def test_sn_is_its_definition():
    # The twin: high median over all j (itself included), low median over i.
    for n in (2, 3, 10, 11, 200):
        x = np.random.default_rng(n).normal(size=n)
        inner = [sorted(abs(a - x))[n // 2] for a in x]
        assert sn(x) == pytest.approx(1.1926 * sorted(inner)[(n + 1) // 2 - 1], rel=1e-12)


def test_biweight_is_that_of_astropy():
    x = np.random.default_rng(6).standard_t(2, 999)
    expected = np.sqrt(astropy.stats.biweight_midvariance(x))
    assert biweight(x) == pytest.approx(0.991 * expected, rel=1e-9)


def test_by_hand():
    assert mad([1.0, 2, 4, 7, 100]) == pytest.approx(1.4826 * 3)  # median 4; deviations 3 2 0 3 96
    # Below the median 0 of [-1, -1, 0, 3, 3] mirrored: MAD of (-1 -1 0 1 1 0) is 1; and 3 times that above.
    low, high = two_sided([-1.0, -1, 0, 3, 3])
    assert high == pytest.approx(3 * low)


def test_ikss_keeps_its_place_under_one_sided_light():
    rng = np.random.default_rng(7)
    sample = np.concatenate([rng.normal(100, 2, 50_000), 100 + rng.exponential(300, 4000)])
    for found, scale in (ikss(sample), ikss_lite(sample)):
        assert found == pytest.approx(100.0, abs=0.2)
        assert scale == pytest.approx(2.0, rel=0.06)


def test_two_sides_of_skewed_light():
    rng = np.random.default_rng(8)
    sample = np.concatenate([rng.normal(0, 1, 40_000), np.abs(rng.normal(0, 3, 20_000))])
    low, high = two_sided(sample)
    assert high > 1.5 * low


def test_subsample_sees_every_row_and_column():
    plane = np.add.outer(np.arange(400.0), 1000 * np.arange(500.0))
    part = subsample(plane, 10_000)
    assert 5000 < part.size <= 12_000
    assert np.unique(part % 1000).size == 400
    assert np.unique(part // 1000).size == 500
