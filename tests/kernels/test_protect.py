"""Protection of structure and consensus of quality bits, against slow twins and hand-worked pixels."""

import numpy as np

from sciastro.kernels.consensus import consensus
from sciastro.kernels.protect import protect

NO_SHARE, NO_MARKS = np.empty((0, 0, 0), np.float32), np.empty((0, 0, 0), np.uint8)


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
        NO_SHARE,
        share,
        np.ones(len(values), np.float32),
        4.0,
        3.0,
        use_median,
        2,
        image,
        spread,
        coverage,
        rejected_low,
        rejected_high,
        NO_MARKS,
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


def count(values, quality, weight, low, high, *, share=NO_SHARE, marks=None, rim=0, flag=0.3):
    """Quality, counts and causes (groups: bits 2 and 4, bit 8) of samples (frame, pixel) or (frame, y, x)."""
    cube = values if values.ndim == 3 else values[:, None]
    n, rows, columns = cube.shape
    marks = np.zeros(cube.shape, np.uint8) if marks is None else marks
    out = np.empty((rows - 2 * rim, columns - 2 * rim), np.uint16)
    counts, causes = np.zeros((n, 5), np.int64), np.zeros((3, *out.shape), np.uint16)
    seen = np.isfinite(cube) & (weight > 0)[:, None, None]
    if share.size:
        seen &= share > 0
    consensus(
        cube, np.ones_like(cube), quality.reshape(cube.shape), weight, share, marks,
        seen.sum(axis=0).astype(np.uint16), rim, np.float32(flag),
        low.reshape(rows, columns), high.reshape(rows, columns), np.float32(0.3), np.uint16(1 << 4),
        np.uint16(0x2001), np.array([6, 8], np.uint16), out, counts, causes,
    )  # fmt: skip
    return out if values.ndim == 3 else out[0], counts, causes


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
    for share in (NO_SHARE, (rng.random((n, 1, pixels)) < 0.8).astype(np.float32)):
        marks = rng.integers(0, 3, (n, 1, pixels)).astype(np.uint8)
        out, counts, causes = count(values, quality, weight, low, high, share=share, marks=marks)
        seen = values if not share.size else np.where(share[:, 0] > 0, values, np.nan)
        np.testing.assert_array_equal(out, slow_consensus(seen, quality, weight, 0.3, low, high, 0.3))
        lost = np.isnan(seen) & (weight > 0)[:, None]
        first, second = (quality & 6) > 0, (quality & 8) > 0
        groups = [lost & first, lost & ~first & second, lost & ~first & ~second]
        some = (low + high) > 0  # marks lie only where the rule rejected
        want = [((marks[:, 0] == side) & some).sum(axis=1) for side in (1, 2)]
        np.testing.assert_array_equal(counts, np.transpose([*want, *(g.sum(axis=1) for g in groups)]))
        np.testing.assert_array_equal(causes[:, 0], [g.sum(axis=0) for g in groups])


def test_consensus_of_frames_without_weight_is_missing():
    values, none = np.ones((3, 70), np.float32), np.zeros(70, np.uint16)
    quality = np.full(values.shape, 4, np.uint16)
    out, counts, _ = count(values, quality, np.zeros(3, np.float32), none, none)
    np.testing.assert_array_equal(out, 0x2001)
    assert counts.sum() == 0


def test_consensus_leaves_the_rim_out():
    rng = np.random.default_rng(4)
    values = np.where(rng.random((3, 9, 11)) < 0.5, np.nan, 1.0).astype(np.float32)
    quality = rng.integers(0, 16, values.shape).astype(np.uint16)
    none, ones = np.zeros((9, 11), np.uint16), np.ones(3, np.float32)
    whole = count(values, quality, ones, none, none)
    inner = count(values, quality, ones, none, none, rim=2)
    np.testing.assert_array_equal(inner[0], whole[0][2:-2, 2:-2])
    np.testing.assert_array_equal(inner[2], whole[2][:, 2:-2, 2:-2])
    assert inner[1].sum() == np.isnan(values[:, 2:-2, 2:-2]).sum()


def slow_protect(values, variance, weight, share, lenience, low, high, image, spread, coverage, rejected):
    """Pixel by pixel, from the definition; the mean."""
    out = image.copy(), spread.copy(), coverage.copy(), rejected[0].copy(), rejected[1].copy()
    for y, x in np.argwhere((rejected[0] > 0) | (rejected[1] > 0)):
        around = image[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        slack = share * (np.nanmax(around) - np.nanmin(around))
        if not slack > 3 * np.sqrt(spread[y, x] * coverage[y, x]):
            continue
        v, s = values[:, y, x], variance[:, y, x]
        there = np.isfinite(v) & (s > 0) & (weight > 0)
        sigma = np.sqrt(np.where(there, s, 1))
        under = there & (v - image[y, x] < -(slack * lenience + low * sigma))
        over = there & (v - image[y, x] > slack * lenience + high * sigma)
        w = np.where(there & ~under & ~over, weight, 0.0)
        out[0][y, x] = np.sum(w[w > 0] * v[w > 0]) / w.sum()
        out[1][y, x] = np.sum(w[w > 0] ** 2 * s[w > 0]) / w.sum() ** 2
        out[2][y, x] = w.sum() ** 2 / np.sum(w**2)
        out[3][y, x], out[4][y, x] = under.sum(), over.sum()
    return out


def test_protection_equals_its_twin():
    rng = np.random.default_rng(8)
    n, rows, columns = 7, 19, 23
    y, x = np.mgrid[:rows, :columns]
    light = 400 * np.exp(-((x - 11) ** 2 + (y - 9) ** 2) / 6.0)
    values = (light * rng.uniform(0.7, 1.3, (n, 1, 1)) + rng.normal(0, 3, (n, rows, columns))).astype("f4")
    variance = rng.uniform(5, 15, values.shape).astype(np.float32)
    values[rng.random(values.shape) < 0.03] += 900
    values[rng.random(values.shape) < 0.05] = np.nan
    variance[rng.random(values.shape) < 0.05] = 0
    weight = np.array([1, 2, 0, 1, 0.5, 1, 1], np.float32)
    image = np.nanmedian(values, axis=0)
    image[0, :3] = np.nan
    spread = rng.uniform(1, 3, image.shape).astype(np.float32)
    coverage = np.full(image.shape, 5, np.float32)
    rejected = [rng.integers(0, 2, image.shape).astype(np.uint16) for _ in range(2)]
    lenience = np.array([1, 1, 1, 2, 1, 3, 1.5], np.float32)
    slow = slow_protect(values, variance, weight, 0.4, lenience, 4.0, 3.0, image, spread, coverage, rejected)
    before = image.copy()
    protect(
        values,
        variance,
        weight,
        NO_SHARE,
        0.4,
        lenience,
        4.0,
        3.0,
        False,
        2,
        image,
        spread,
        coverage,
        *rejected,
        NO_MARKS,
    )
    assert 20 < (image != before).sum() < 300
    for got, expected in zip((image, spread, coverage, *rejected), slow, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-4)


def test_protection_and_consensus_know_shares():
    # 160 has no share: 100, 120, 80 with shares 1, 1, 0.5 on a range of 100 give 260 / 2.5 = 104.
    values, variance, image = star_with([100, 120, 80, 160])
    image[2, 2] = 100
    share = np.broadcast_to(np.float32([1, 1, 0.5, 0])[:, None, None], values.shape).copy()
    rejected = [np.zeros((5, 5), np.uint16), np.ones((5, 5), np.uint16)]
    spread, coverage = np.full((5, 5), 0.25, np.float32), np.full((5, 5), 4, np.float32)
    weight = np.ones(4, np.float32)
    protect(
        values,
        variance,
        weight,
        share,
        1.0,
        np.ones(4, np.float32),
        4.0,
        3.0,
        False,
        2,
        image,
        spread,
        coverage,
        *rejected,
        NO_MARKS,
    )
    np.testing.assert_allclose((image[2, 2], spread[2, 2]), (104, 2.25 / 6.25), rtol=1e-6)
    quality = np.array([[1], [0], [1], [2]], np.uint16)  # bit 1 carries 1.5 of 2.5, the last frame nothing
    none = np.zeros(1, np.uint16)
    flat = (values[:, 2, 2:3].copy(), quality, weight, none, none)
    here = share[:, 2:3, 2:3].copy()
    assert count(*flat, share=here, flag=0.55)[0][0] == 1
    assert count(*flat, share=here, flag=0.65)[0][0] == 0
