"""Protection of structure and consensus of quality bits, against slow twins and hand-worked pixels."""

import numpy as np

from sciastro.kernels.consensus import consensus
from sciastro.kernels.protect import protect


def star_with(samples):
    """Five frames of a 5 x 5 patch whose center pixel has the given samples; neighbors fall to 0."""
    values = np.zeros((len(samples), 5, 5), np.float32)
    values[:, 2, 2] = samples
    variance = np.ones_like(values)
    image = np.zeros((5, 5), np.float32)
    return values, variance, image


def call(values, variance, image, low, high, *, weight=None, share=1.0, use_median=False):
    n = len(values)
    spread, coverage = np.full((5, 5), 1 / n, np.float32), np.full((5, 5), n, np.float32)
    rejected_low, rejected_high = np.zeros((5, 5), np.uint16), np.zeros((5, 5), np.uint16)
    rejected_low[2, 2], rejected_high[2, 2] = low, high
    weight = np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32)
    protect(
        values,
        variance,
        weight,
        share,
        4.0,
        3.0,
        use_median,
        image,
        spread,
        coverage,
        rejected_low,
        rejected_high,
    )
    return image[2, 2], spread[2, 2], coverage[2, 2], rejected_low[2, 2], rejected_high[2, 2]


def test_sharper_frame_on_a_star_is_given_back():
    # Image 100 on a range of 100: 160 is within 100 + 3, so all five count: mean 112.
    values, variance, image = star_with([100, 100, 100, 100, 160])
    image[2, 2] = 100
    got = call(values, variance, image, 0, 1)
    assert got[0] == 112
    np.testing.assert_allclose(got[1:3], (0.2, 5))
    assert got[3:] == (0, 0)


def test_cosmic_ray_on_a_star_stays_rejected():
    # 300 is beyond 100 + 100 + 3; the weighted mean of the others is 100, variance (4 + 1 + 1 + 1) / 25.
    values, variance, image = star_with([100, 100, 100, 100, 300])
    image[2, 2] = 100
    got = call(values, variance, image, 0, 1, weight=[2, 1, 1, 1, 1])
    assert got[0] == 100
    np.testing.assert_allclose(got[1:3], (7 / 25, 25 / 7), rtol=1e-6)
    assert got[3:] == (0, 1)


def test_blank_sky_is_left_alone():
    values, variance, image = star_with([0, 0, 0, 0, 9])
    got = call(values, variance, image, 0, 1)
    assert got[0] == 0
    assert got[3:] == (0, 1)


def test_median_of_the_samples_given_back():
    values, variance, image = star_with([90, 100, 101, 110, 160])
    image[2, 2] = 100
    assert call(values, variance, image, 0, 1, use_median=True)[0] == 101


def slow_consensus(values, quality, weight, share, low, high, outlier_share):
    out = np.zeros(values.shape[1], int)
    for p in range(values.shape[1]):
        here = np.isfinite(values[:, p]) & (weight > 0)
        if not here.any():
            out[p] = np.bitwise_or.reduce(quality[weight > 0, p], initial=0) | 0x2001
            continue
        for b in range(16):
            carried = weight[here & ((quality[:, p] >> b) & 1 == 1)].sum()
            out[p] |= (1 << b) if carried > share * weight[here].sum() else 0
        if low[p] + high[p] > outlier_share * here.sum():
            out[p] |= 1 << 4
    return out


def test_consensus_same_as_slow_twin():
    rng = np.random.default_rng(2)
    n, pixels = 7, 1300
    values = np.where(rng.random((n, pixels)) < 0.5, np.nan, 1.0).astype(np.float32)
    values[:, :5] = np.nan
    quality = np.where(rng.random((n, pixels)) < 0.3, rng.integers(0, 1 << 16, (n, pixels)), 0).astype(
        np.uint16
    )
    weight = np.array([1, 0.5, 0, 0.25, 1, 2, 1], np.float32)
    low, high = rng.integers(0, 2, (2, pixels)).astype(np.uint16)
    out = np.empty(pixels, np.uint16)
    args = (np.float32(0.3), low, high, np.float32(0.3))
    consensus(values, quality, weight, *args, np.uint16(1 << 4), np.uint16(0x2001), out)
    np.testing.assert_array_equal(out, slow_consensus(values, quality, weight, 0.3, low, high, 0.3))
