"""combine against a slow NumPy twin, hand-worked pixels, and its promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciastro.kernels import reduce as kernel
from sciastro.kernels import samples
from sciastro.kernels.masters import combine_counts
from sciastro.kernels.networks import merge_network

NO_SHARE = np.empty((0, 0), np.float32)
NO_MARKS = np.empty((0, 0), np.uint8)


def run(
    values,
    variance=None,
    weight=None,
    method="winsorized",
    how=samples.MEAN,
    low=4.0,
    high=3.0,
    passes=10,
    share=NO_SHARE,
    noise_floor=True,
    marks=NO_MARKS,
):
    values = np.ascontiguousarray(values, np.float32)
    n, p = values.shape
    variance = np.ones_like(values) if variance is None else np.asarray(variance, np.float32)
    weight = np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32)
    planes = [np.empty(p, np.float32) for _ in range(3)] + [np.empty(p, np.uint16) for _ in range(3)]
    method = kernel.METHODS[method]
    kernel.combine(
        values,
        variance,
        weight,
        share,
        merge_network(n),
        method,
        how,
        low,
        high,
        passes,
        noise_floor,
        *planes,
        marks,
    )
    there = np.isfinite(values) & (variance > 0) & (weight > 0)[:, None]
    if share.size:
        there &= share > 0
    np.testing.assert_array_equal(planes.pop(), there.sum(axis=0))
    return planes


# --- the twin: one pixel at a time, float64, no tiles, no sorting network --------------------------------
def middle(x):
    return x[(x.size - 1) // 2], x[x.size // 2]


def winsorized_scale(x, center, s, floor, cut):
    """The fixed point of s = max(1.134 sd(clamp(x, center +- 1.5 s)), floor), by plain iteration."""
    for _ in range(2000):
        y = np.clip(x, center - 1.5 * s, center + 1.5 * s)
        y = np.where((x < cut[0]) | (x > cut[1]), cut[2], y)
        center, new = y.mean(), max(1.134 * y.std(ddof=1), floor)
        if abs(new - s) <= 1e-9 * new:
            return center, new
        s = new
    return center, s


def twin_bounds(x, floor, method, low, high, passes):
    """Smallest and largest surviving value of the sorted samples x."""
    mid = middle(x)
    center = (mid[0] + mid[1]) / 2
    if method == "percentile" and center > 0:
        return min(center - low * center, mid[0]), max(center + high * center, mid[1])
    if method == "minmax":
        return x[min(int(low), (x.size - 1) // 2)], x[max(x.size - 1 - int(high), x.size // 2)]
    if method in ("none", "percentile") or x.size < 3:
        return x[0], x[-1]
    median, cut = center, (-np.inf, np.inf, 0)
    if method == "winsorized":
        j = max(1, x.size // 4)
        s = max((x[-1 - j] - x[j]) * float(kernel.START[x.size]), floor) if x.size > 3 else floor
        cut = (center - 5 * s, center + 5 * s, center)
    for _ in range(passes):
        mid = middle(x)
        median = (mid[0] + mid[1]) / 2
        if method == "winsorized":
            center, s = winsorized_scale(x, center, s, floor, cut)
        else:
            center, s = median, max(x.std(ddof=1), floor)
        bottom = min(center - low * s, mid[0], median - low * floor)
        top = max(center + high * s, mid[1], median + high * floor)
        keep = (x >= bottom) & (x <= top)
        if keep.all():
            break
        x, cut = x[keep], (-np.inf, np.inf, 0)
        if x.size < 3:
            break
    return x[0], x[-1]


def twin(values, variance, weight, method, how, low, high, passes):
    out = np.full((5, values.shape[1]), np.nan)
    for p in range(values.shape[1]):
        x, v, w = (np.asarray(a, np.float64) for a in (values[:, p], variance[:, p], weight))
        ok = np.isfinite(x) & (v > 0) & (w > 0)
        x, v, w = x[ok], v[ok], w[ok]
        out[2:, p] = 0
        if not x.size:
            continue
        bottom, top = twin_bounds(np.sort(x), np.sqrt(1 / np.mean(1 / v)), method, low, high, passes)
        keep = (x >= bottom) & (x <= top)
        out[3, p], out[4, p] = (x < bottom).sum(), (x > top).sum()
        if how == samples.MEDIAN:
            n = keep.sum()
            out[:3, p] = np.median(x[keep]), v[keep].sum() / n**2 * samples.median_factor(n), n
        else:
            w = w[keep]
            out[0, p] = (w * x[keep]).sum() / w.sum()
            out[1, p] = (w**2 * v[keep]).sum() / w.sum() ** 2
            out[2, p] = w.sum() ** 2 / (w**2).sum()
    return out


def messy(n, p, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 10, (n, p)).astype(np.float32)
    values[rng.random((n, p)) < 0.04] += 300
    values[rng.random((n, p)) < 0.03] = np.nan
    values[rng.random((n, p)) < 0.01] = -np.inf
    variance = rng.uniform(80, 120, (n, p)).astype(np.float32)
    variance[rng.random((n, p)) < 0.03] = [0.0]
    variance[rng.random((n, p)) < 0.02] = np.nan
    values[:, 3] = np.nan
    weight = rng.uniform(0.5, 2, n).astype(np.float32)
    weight[rng.random(n) < 0.1] = 0
    return values, variance, weight


@pytest.mark.parametrize("method", sorted(kernel.METHODS))
@pytest.mark.parametrize("how", [samples.MEAN, samples.MEDIAN])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 20, 101])
def test_equals_the_twin(n, how, method):
    values, variance, weight = messy(n, 700 if n < 50 else 520, seed=n)  # two tiles, the last one short
    low, high = {"percentile": (0.2, 0.1), "minmax": (1, 2)}.get(method, (4.0, 3.0))
    got = run(values, variance, weight, method, how, low, high)
    want = twin(values, variance, weight, method, how, low, high, 10)
    # The kernel stops at 5e-4 of sigma, in float32: a sample right at a threshold may fall either way.
    same = (got[3] == want[3]) & (got[4] == want[4])
    assert same.mean() > 0.995
    for a, b in zip(got[:3], want[:3], strict=True):
        np.testing.assert_allclose(a[same], b[same], rtol=3e-6, equal_nan=True)


def test_a_cosmic_ray_is_rejected():
    # Four samples of 10 and one of 500, sigma 1: four remain, variance 1 / 4, one rejected high.
    out, variance, coverage, low, high = run([[10.0], [10.0], [500.0], [10.0], [10.0]])
    assert (out[0], variance[0], coverage[0], low[0], high[0]) == (10.0, 0.25, 4.0, 0, 1)


def test_a_weighted_mean_by_hand():
    # Weights 1, 3: (1*8 + 3*12) / 4 = 11; variance (1*2 + 9*4) / 16 = 2.375; coverage 16 / 10 = 1.6.
    out, variance, coverage, *_ = run([[8.0], [12.0]], [[2.0], [4.0]], [1.0, 3.0], "none")
    assert (out[0], variance[0]) == (11.0, 2.375)
    assert coverage[0] == pytest.approx(1.6)


@pytest.mark.parametrize("method", ["sigma", "winsorized"])
def test_two_clusters_lose_nothing(method):
    out, _, coverage, *_ = run([[0.0], [0.0], [7.0], [7.0]], method=method, low=3.0, high=3.0)
    assert (out[0], coverage[0]) == (3.5, 4.0)


def test_a_pixel_without_samples_is_nan_and_not_zero():
    out, variance, coverage, low, high = run(np.full((6, 2), np.nan))
    assert np.isnan(out).all() and np.isnan(variance).all()
    assert (coverage == 0).all() and (low == 0).all() and (high == 0).all()


def test_min_max_drops_one_on_each_side():
    out, _, coverage, low, high = run([[1.0], [2.0], [3.0], [4.0], [90.0]], method="minmax", low=1, high=1)
    assert (out[0], coverage[0], low[0], high[0]) == (3.0, 3.0, 1, 1)


def test_percentile_needs_a_positive_median():
    values = [[-10.0], [-10.0], [-10.0], [90.0]]
    assert run(values, method="percentile", low=0.2, high=0.1)[2][0] == 4.0
    assert run([[10.0], [10.0], [10.0], [90.0]], method="percentile", low=0.2, high=0.1)[2][0] == 3.0


@pytest.mark.parametrize("n", [5, 8, 12])
def test_one_bright_hit_in_few_frames_is_always_found(n):
    values = np.random.default_rng(n).standard_normal((n, 20_000))
    values[n // 2] += 30
    _, _, _, low, high = run(values)
    assert (high >= 1).mean() > 0.999
    assert (low + high > 2).mean() < 1e-3


@pytest.mark.parametrize(("n", "rate"), [(5, 4e-4), (12, 1e-3), (30, 1.35e-3), (60, 1.5e-3)])
def test_pure_noise_is_rejected_no_more_than_nominally(n, rate):
    values = np.random.default_rng(n).standard_normal((n, 50_000)) + 1000
    out, variance, _, low, high = run(values)
    assert (low.sum() + high.sum()) / values.size < rate  # nominal for 4/3: 1.38e-3
    assert np.std((out - 1000) / np.sqrt(variance)) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("n", [3, 4, 8, 21, 40])
def test_the_variance_of_a_median_is_the_scatter_of_medians(n):
    values = np.random.default_rng(n).standard_normal((n, 40_000))
    out, variance, *_ = run(values, method="none", how=samples.MEDIAN)
    assert np.std(out / np.sqrt(variance)) == pytest.approx(1.0, abs=0.015)


def test_the_frame_weighted_mean_of_faint_light_is_not_biased():
    # 20 electron, each sample's variance from itself: weighting by 1 / variance would be 1 electron low.
    rng = np.random.default_rng(2)
    values = rng.poisson(20, (30, 20_000)) + rng.normal(0, 3, (30, 20_000))
    out, *_ = run(values, np.maximum(values, 0) + 9, method="none")
    assert out.mean() == pytest.approx(20, abs=0.03)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 7.0, 7.5, 100.0, -50.0, 1e6]), min_size=1, max_size=9),
    st.sampled_from([0.5, 3.0]),
)
def test_never_loses_every_sample(samples, kappa):
    column = np.array(samples)[:, None]
    for method in ("sigma", "winsorized", "minmax", "percentile"):
        out, variance, coverage, low, high = run(column, method=method, low=kappa, high=kappa)
        assert coverage[0] >= 1 and np.isfinite(out[0]) and variance[0] > 0
        assert coverage[0] + low[0] + high[0] == pytest.approx(len(samples), rel=1e-6)
        assert min(samples) - 0.1 <= out[0] <= max(samples) + 0.1


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 30, 64])
def test_the_network_sorts_every_zero_one_sequence_sample(n):
    # A network that sorts zeros and ones sorts anything (Knuth's 0-1 principle).
    rows = np.random.default_rng(n).integers(0, 2, (n, 3000))
    for a, b in merge_network(n):
        rows[a], rows[b] = np.minimum(rows[a], rows[b]), np.maximum(rows[a], rows[b])
    assert (np.diff(rows, axis=0) >= 0).all()


@pytest.mark.parametrize("dtype", [np.uint16, pytest.param(np.int32, marks=pytest.mark.slow), np.float32])
def test_counts_equal_combine_on_the_same_numbers(dtype):
    rng = np.random.default_rng(4)
    n, p = 12, 1200
    raw = rng.normal(1000, 8, (n, p)).round().astype(dtype)
    raw[3, ::50] = 60_000
    raw[5, ::77] = 65_535  # above the ceiling: missing, not rejected
    minus, scale = rng.normal(300, 5, p).astype(np.float32), rng.uniform(0.8, 1.2, n).astype(np.float32)
    weight = (1 / scale).astype(np.float32)
    planes = [np.empty(p, np.float32) for _ in range(3)] + [np.empty(p, np.uint16) for _ in range(3)]
    combine_counts(
        raw,
        minus,
        scale,
        weight,
        65_000.0,
        64.0,
        0.0,
        merge_network(n),
        kernel.WINSORIZED,
        4.0,
        3.0,
        10,
        *planes,
    )
    values = ((raw.astype(np.float32) - minus) * scale[:, None]).astype(np.float32)
    values[raw > 65_000] = np.nan
    floor = np.full_like(values, 64 * np.mean(scale.astype(np.float64) ** 2))
    want = run(values, floor, weight)
    np.testing.assert_allclose(planes[0], want[0], rtol=2e-6)
    np.testing.assert_array_equal(planes[4], want[3])
    np.testing.assert_array_equal(planes[5], want[4])
    assert (planes[3] + planes[4] + planes[5] == n - (raw > 65_000).sum(axis=0)).all()
    exact = 64 * (weight**2 * scale**2).sum() / weight.sum() ** 2
    np.testing.assert_allclose(planes[1], exact * n / planes[3], rtol=1e-5)


def test_a_share_of_one_changes_no_bit_and_share_zero_is_missing():
    values, variance, weight = messy(12, 900, seed=3)
    want = run(values, variance, weight)
    for a, b in zip(run(values, variance, weight, share=np.ones_like(values)), want, strict=True):
        np.testing.assert_array_equal(a, b)
    share = (np.random.default_rng(1).random(values.shape) < 0.6).astype(np.float32)
    gone = np.where(share > 0, values, np.nan)
    share[share == 0] = np.random.default_rng(2).choice([0.0, -1.0, np.nan], (share == 0).sum())
    for how in (samples.MEAN, samples.MEDIAN):
        got = run(values, variance, weight, how=how, share=share)
        for a, b in zip(got, run(gone, variance, weight, how=how), strict=True):
            np.testing.assert_array_equal(a, b)


def test_shares_weigh_samples():
    # Weights 1 x 0.5 and 2 x 0.25: both 0.5, so mean 10, variance (4 + 8) / 4 = 3, two frames.
    share = np.array([[0.5], [0.25]], np.float32)
    out, variance, coverage, *_ = run([[8.0], [12.0]], [[4.0], [8.0]], [1.0, 2.0], "none", share=share)
    assert (out[0], variance[0], coverage[0]) == (10.0, 3.0, 2.0)
