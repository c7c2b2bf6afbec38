"""The other rejection rules: against slow twins, by hand, and never losing a pixel."""

import numpy as np
import pytest
import rejection_twins as twins
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sciastro.integrate.reject import critical_values
from sciastro.kernels import rules, samples
from sciastro.kernels.networks import merge_network
from sciastro.kernels.noisemodel import average_marked, mark_outliers, middle_image

NO_SHARE, NOTHING = np.empty((0, 0), np.float32), np.empty(0, np.float32)


def run(rule, values, *, low=4.0, high=3.0, variance=None, weight=None, floor=True, sigma=NOTHING, **more):
    values = np.ascontiguousarray(values, np.float32)
    n, p = values.shape
    variance = np.ones_like(values) if variance is None else variance
    weight = np.ones(n, np.float32) if weight is None else weight
    planes = [np.empty(p, np.float32) for _ in range(3)] + [np.empty(p, np.uint16) for _ in range(3)]
    marks = np.zeros((n, p), np.uint8)
    guards = (3.0, 3.0) if rule in ("linearfit", "esd") else (low, high)
    rules.combine_by_rule(
        values, variance, weight, more.get("share", NO_SHARE), merge_network(n), rules.RULES[rule],
        more.get("how", samples.MEAN), low, high, *guards, sigma, critical_values(n, 0.05), 0.3, 50, floor,
        *planes, marks,
    )  # fmt: skip
    return *planes[:5], marks


def messy(n, p, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 1, (n, p)).astype(np.float32)
    values[rng.random((n, p)) < 0.06] += 12
    values[rng.random((n, p)) < 0.03] -= 9
    values[rng.random((n, p)) < 0.05] = np.nan
    variance = rng.uniform(0.8, 1.2, (n, p)).astype(np.float32)
    variance[rng.random((n, p)) < 0.03] = 0
    values[:, 3] = np.nan
    weight = rng.uniform(0.5, 2, n).astype(np.float32)
    weight[rng.random(n) < 0.1] = 0
    return values, variance, weight


def survivors(rule, x, floor, low, high):
    if x.size < 3 or (x.size == 3 and floor == 0):
        return x
    kept = {
        "mad": lambda: twins.by_mad(x, low, high, floor),
        "esd": lambda: twins.rosner(x, 0.05, 0.3),
        "linearfit": lambda: twins.by_line(x, low, high),
    }[rule]()
    guards = (3.0, 3.0) if rule in ("linearfit", "esd") else (low, high)
    return twins.with_floor(x, kept, *guards, floor)


@pytest.mark.parametrize("rule", ["mad", "esd", "linearfit"])
@pytest.mark.parametrize(("n", "floor"), [(3, True), (4, False), (7, True), (12, False), (31, True)])
def test_a_rule_equals_its_twin(rule, n, floor):
    pixels = 560 if n < 20 else 40 if rule == "linearfit" else 200
    values, variance, weight = messy(n, pixels, seed=n)
    low, high = (1.5, 1.2) if rule == "linearfit" else (3.0, 2.5)
    *planes, marks = run(rule, values, variance=variance, weight=weight, low=low, high=high, floor=floor)
    same = 0
    for p in range(pixels):
        ok = np.isfinite(values[:, p]) & (variance[:, p] > 0) & (weight > 0)
        x = values[ok, p].astype(np.float64)
        noise = np.sqrt(1 / np.mean(1 / variance[ok, p].astype(float))) if floor and x.size else 0.0
        want = survivors(rule, np.sort(x), noise, low, high) if x.size else x
        if want.size != x.size - planes[3][p] - planes[4][p]:
            continue  # a sample at a threshold may fall either way in float32
        same += 1
        keep = ok & (values[:, p] >= want[0]) & (values[:, p] <= want[-1]) if x.size else ok
        np.testing.assert_array_equal(marks[ok & ~keep, p] > 0, True)
        assert not marks[keep | ~ok, p].any()
        w = weight[keep].astype(float)
        if not x.size:
            assert np.isnan(planes[0][p]) and planes[2][p] == 0
            continue
        np.testing.assert_allclose(planes[0][p], (w * values[keep, p]).sum() / w.sum(), rtol=1e-6)
        np.testing.assert_allclose(planes[1][p], (w**2 * variance[keep, p]).sum() / w.sum() ** 2, rtol=1e-5)
        assert planes[3][p] == (x < want[0]).sum() and planes[4][p] == (x > want[-1]).sum()
    # On a grid of whole numbers two lines may share the least deviation.
    assert same > (0.97 if rule == "linearfit" else 0.985) * pixels


def test_rosner_example_of_the_handbook():
    # NIST/SEMATECH e-Handbook 1.3.5.17.3 (after Rosner 1983, 54 samples): three outliers at alpha 0.05,
    # critical values 3.159, 3.151, 3.144 although step 1 and 2 do not pass: R = 3.119, 2.943, 3.179.
    x = """
    -0.25 0.68 0.94 1.15 1.20 1.26 1.26 1.34 1.38 1.43 1.49 1.49 1.55 1.56 1.58 1.65 1.69 1.70 1.76 1.77
    1.81 1.91 1.94 1.96 1.99 2.06 2.09 2.10 2.14 2.15 2.23 2.24 2.26 2.35 2.37 2.40 2.47 2.54 2.62 2.64 2.90
    2.92 2.92 2.93 3.21 3.26 3.30 3.59 3.68 4.30 4.64 5.34 5.42 6.01"""
    values = np.array(x.split(), float)[:, None]
    _, _, coverage, low, high, _ = run("esd", values, floor=False)
    assert (coverage[0], low[0], high[0]) == (51, 0, 3)
    np.testing.assert_allclose(critical_values(54, 0.05)[[54, 53, 52]], (3.159, 3.151, 3.144), atol=6e-4)


@pytest.mark.parametrize("n", range(3, 15))
def test_the_mad_of_few_samples_is_unbiased(n):
    x = np.sort(np.random.default_rng(n).standard_normal((4000, n)), axis=1)
    got = np.array([rules._mad.py_func(row, 0, n)[1] for row in x])
    want = np.array([twins.mad_sigma(row) for row in x])
    np.testing.assert_allclose(got, want, rtol=1e-12)
    assert got.mean() == pytest.approx(1.0, abs=0.03)


def test_linear_fit_accepts_a_drift_and_finds_what_leaves_it():
    # Ten frames whose sky rises by 1 each, noise-free: on the line. One of 30 sticks out of it.
    values = np.arange(10.0)[:, None]
    assert run("linearfit", values, low=5, high=4, floor=False)[2][0] == 10
    values[4] = 30
    _, _, coverage, low, high, _ = run("linearfit", values, low=5, high=4, floor=False)
    assert (coverage[0], low[0], high[0]) == (9, 0, 1)


def test_averaged_rejects_by_the_sigma_it_is_given():
    values = np.array([[10.0], [10.0], [10.0], [10.0], [17.0]])
    for sigma, kept in ((2.0, 4), (3.0, 5)):
        got = run("averaged", values, sigma=np.array([sigma], np.float32))
        assert got[2][0] == kept


@pytest.mark.parametrize("n", [2, 3, 5, 12, 50])
def test_scatter_over_stated_noise_is_one_where_the_variances_are_true(n):
    variance = np.full((n, 60_000), 4.0, np.float32)
    values = np.random.default_rng(n).normal(0, 2, variance.shape).astype(np.float32)
    ratio, noise = np.empty((2, 60_000), np.float32)
    rules.scatter_ratio(values, variance, np.ones(n, np.float32), NO_SHARE, merge_network(n), ratio, noise)
    np.testing.assert_allclose(noise, 2.0, rtol=1e-6)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.08 if n == 2 else 0.03)
    inner = np.sort(values, axis=0)[1:-1] if n >= 5 else values  # the definition, but for its factor
    want = inner.var(axis=0) * len(inner) / 4
    np.testing.assert_allclose(ratio / np.median(ratio), want / np.median(want), rtol=2e-3, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 7.0, 7.5, 100.0, -50.0, 1e6]), min_size=1, max_size=9),
    st.sampled_from([0.5, 3.0]),
    st.booleans(),
)
def test_no_rule_loses_every_sample(samples, kappa, floor):
    column = np.array(samples)[:, None]
    for rule in rules.RULES:
        sigma = np.ones(1, np.float32)
        out, variance, coverage, low, high, _ = run(
            rule, column, low=kappa, high=kappa, floor=floor, sigma=sigma
        )
        assert coverage[0] >= 1 and np.isfinite(out[0]) and variance[0] > 0
        assert coverage[0] + low[0] + high[0] == pytest.approx(len(samples), rel=1e-6)


@pytest.mark.parametrize("rule", rules.RULES)
def test_two_clusters_lose_nothing_and_shares_are_known(rule):
    values, sigma = np.array([[0.0], [0.0], [7.0], [7.0]]), np.ones(1, np.float32)
    out, _, coverage, *_ = run(rule, values, low=3.0, high=3.0, sigma=sigma)
    assert (out[0], coverage[0]) == (3.5, 4)
    values, variance, weight = messy(9, 600, seed=1)
    share = (np.random.default_rng(3).random(values.shape) < 0.7).astype(np.float32)
    sigma = np.full(600, 1.2, np.float32)
    for how in (samples.MEAN, samples.MEDIAN):
        more = {"variance": variance, "weight": weight, "sigma": sigma, "how": how}
        got = run(rule, values, share=share, **more)
        for a, b in zip(got, run(rule, np.where(share > 0, values, np.nan), **more), strict=True):
            np.testing.assert_array_equal(a, b)


# --- the noise model -----------------------------------------------------------------------------------
def noise_run(values, variance, weight, share=None, *, first=(1.2, 5.0, 5.0), second=(0.7, 4.0, 4.0)):
    n, rows, columns = values.shape
    cube = np.empty((0, 0, 0), np.float32) if share is None else share
    flat_share = NO_SHARE if share is None else share.reshape(n, -1)
    flat = (values.reshape(n, -1), variance.reshape(n, -1), weight, flat_share)
    base, half = np.empty((2, rows * columns), np.float32)
    middle_image(*flat, merge_network(n), base, half)
    base, half = base.reshape(rows, columns), half.reshape(rows, columns)
    marks = np.full(values.shape, 77, np.uint8)
    mark_outliers(values, variance, weight, cube, base, half, *first, *second, marks)
    return marks, base, half, flat


def noisy_stars(n, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:21, :33]
    star = 500 * np.exp(-((x - 15) ** 2 + (y - 9) ** 2) / 7.0)
    values = (star * rng.uniform(0.7, 1.3, (n, 1, 1)) + rng.normal(0, 3, (n, 21, 33))).astype("f4")
    variance = rng.uniform(7, 11, values.shape).astype(np.float32)
    values[rng.random(values.shape) < 0.02] += 60
    values[rng.random(values.shape) < 0.01] -= 40
    values[1, 12:15, 20:23] += 14
    values[rng.random(values.shape) < 0.05] = np.nan
    variance[rng.random(values.shape) < 0.05] = 0
    values[:, 2, 3] = np.nan
    return values, variance, np.array([1, 2, 0, 1, 0.5, 1, 1, 1, 1][:n], np.float32)


@pytest.mark.parametrize("n", [5, 8])
def test_noise_model_equals_its_twin(n):
    values, variance, weight = noisy_stars(n, seed=n)
    first, second = (1.2, 4.0, 3.5), (0.7, 3.0, 2.5)
    marks, base, half, flat = noise_run(values, variance, weight, first=first, second=second)
    there = np.isfinite(values) & (variance > 0) & (weight > 0)[:, None, None]
    want = np.ma.median(np.ma.array(values, mask=~there), axis=0).filled(np.nan)
    np.testing.assert_allclose(base, want, rtol=1e-6)
    slow = twins.by_noise(values, variance, weight, base, half, first, second)
    assert (slow == 1).any() and (slow == 2).sum() > 30
    np.testing.assert_array_equal(marks, slow)
    for median in (False, True):
        out = [np.empty(base.size, np.float32) for _ in range(3)] + [
            np.empty(base.size, np.uint16) for _ in range(3)
        ]
        average_marked(*flat, marks.reshape(n, -1), base.ravel(), median, *out)
        np.testing.assert_array_equal(out[5], there.sum(axis=0).ravel())
        keep = there & (marks == 0)
        for at, (y, x) in enumerate(np.ndindex(base.shape)):
            k = keep[:, y, x]
            w = np.ones(k.sum()) if median else weight[k].astype(float)
            v, s = values[k, y, x].astype(float), variance[k, y, x].astype(float)
            if not k.any():
                assert np.isnan(out[0][at]) and out[2][at] == 0
                continue
            mean = np.median(v) if median else (w * v).sum() / w.sum()
            factor = samples.median_factor(k.sum()) if median else 1
            np.testing.assert_allclose(out[0][at], mean, rtol=1e-5, atol=1e-4)
            np.testing.assert_allclose(out[1][at], factor * (w * w * s).sum() / w.sum() ** 2, rtol=1e-5)
            assert out[3][at] == (marks[:, y, x] == 1).sum() and out[4][at] == (marks[:, y, x] == 2).sum()


def test_noise_model_spares_two_clusters_and_takes_what_lies_beside_a_hit():
    values = np.zeros((4, 3, 3), np.float32)
    values[2:] = 7
    ones = np.ones_like(values)
    assert not noise_run(values, ones, np.ones(4, np.float32))[0].any()
    values = np.zeros((5, 3, 5), np.float32)
    values[1, 1, 1], values[1, 1, 2], values[1, 1, 4] = 50, 4.5, 4.5  # the last one is two pixels away
    marks = noise_run(values, np.ones_like(values), np.ones(5, np.float32))[0]
    assert np.argwhere(marks).tolist() == [[1, 1, 1], [1, 1, 2]]


def test_noise_model_knows_shares():
    values, variance, weight = noisy_stars(8, seed=2)
    share = (np.random.default_rng(5).random(values.shape) < 0.7).astype(np.float32)
    got = noise_run(values, variance, weight, share)[0]
    want = noise_run(np.where(share > 0, values, np.nan).astype("f4"), variance, weight)[0]
    np.testing.assert_array_equal(got, want)


# --- false rejections on pure noise ---------------------------------------------------------------------
def rate(low, high, values):
    return (low.sum(dtype=float) + high.sum(dtype=float)) / values.size


@pytest.mark.parametrize(("n", "kappa"), [(5, 2.5), (21, 2.5), (21, 3.0), (101, 3.0)])
def test_noise_model_rejects_the_gaussian_tail(n, kappa):
    # Of an odd number of samples, one that lies above the middle one of the others (order statistic k of
    # n - 1, a beta variate u) has just that as its median: rate = 2 E[Q(kappa + z(u))].
    values = np.random.default_rng(n).standard_normal((n, 300, 400), dtype=np.float32)
    passes = (0.0, kappa, kappa)
    marks = noise_run(values, np.ones_like(values), np.ones(n, np.float32), first=passes, second=passes)[0]
    u, k = (np.arange(20_000) + 0.5) / 20_000, (n + 1) // 2
    density = stats.beta.pdf(u, k, n - k)
    theory = 2 * np.sum(density * stats.norm.sf(kappa + stats.norm.ppf(u))) / np.sum(density)
    assert (marks > 0).mean() == pytest.approx(theory, rel=0.1)
    if n > 100:  # many samples: the two-sided tail of the variance plane
        assert theory == pytest.approx(2 * stats.norm.sf(kappa), rel=0.1)


@pytest.mark.parametrize("n", [10, 20, 30])
def test_esd_finds_an_outlier_in_pure_noise_with_probability_alpha(n):
    values = np.random.default_rng(n).standard_normal((n, 30_000), dtype=np.float32)
    low, high = run("esd", values, floor=False)[3:5]
    # The first step alone has probability alpha; the later ones, to the last that passes, add to it.
    first = np.abs(values - values.mean(axis=0)).max(axis=0) / values.std(axis=0, ddof=1)
    assert (first > critical_values(n, 0.05)[n]).mean() == pytest.approx(0.05, rel=0.1)
    found = (low + high) > 0
    assert found.mean() > 0.05
    want = [twins.rosner(x, 0.05, 0.3).size for x in values[:, :2500].T.astype(float)]
    np.testing.assert_allclose((n - low.astype(int) - high)[:2500].mean(), np.mean(want), rtol=1e-4)
