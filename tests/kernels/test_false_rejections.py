"""False rejections on pure Gaussian noise, each rule against the rate of its definition.

The definitions are written again here for whole arrays (pixel, frame), and the rates compared on *other*
noise than the kernels get, so that this is the theory of the rule, converged by simulation, and not the
kernel's own arithmetic. The noise floor is part of the definition: sigma is never below the stated noise.
"""

import numpy as np
import pytest
from scipy import stats
from test_reduce import run

from sciastro.integrate.options import StackOptions
from sciastro.integrate.reject import reject_tile

PIXELS = {5: 60_000, 20: 25_000, 60: 9_000}


def noise(n, seed):
    return np.random.default_rng(seed).standard_normal((PIXELS[n], n))


def clipped(x, scale, low, high, floor, passes=10):
    """Reject beyond low and high scales about the center that `scale` gives, until nothing changes."""
    kept = x.copy()
    for step in range(passes):
        center, sigma = scale(kept, floor, first=step == 0)
        sigma, middle = np.maximum(sigma, floor)[:, None], np.nanmedian(kept, axis=1)[:, None]
        bottom = np.minimum(center[:, None] - low * sigma, middle - low * floor)
        top = np.maximum(center[:, None] + high * sigma, middle + high * floor)
        out = (kept < bottom) | (kept > top)
        if not out.any():
            break
        kept[out] = np.nan
    return np.isnan(kept).mean()


def by_deviation(x, floor, first):
    return np.nanmedian(x, axis=1), np.nanstd(x, axis=1, ddof=1)


def by_winsorizing(x, floor, first):
    """PixInsight's: clamp at 1.5 sigma, sigma = 1.134 sd, center = mean; first pass without far samples."""
    middle = np.nanmedian(x, axis=1)
    sigma = 1.4826 * np.nanmedian(np.abs(x - middle[:, None]), axis=1) * 1.1
    center, y0 = middle, x
    if first:
        far = np.abs(x - middle[:, None]) > 5 * np.maximum(sigma, floor)[:, None]
        y0 = np.where(far, middle[:, None], x)
    for _ in range(40):
        wide = 1.5 * np.maximum(sigma, floor)[:, None]
        y = np.clip(y0, center[:, None] - wide, center[:, None] + wide)
        center, sigma = np.nanmean(y, axis=1), np.maximum(1.134 * np.nanstd(y, axis=1, ddof=1), floor)
    return center, sigma


@pytest.mark.parametrize("floor", [True, False])
@pytest.mark.parametrize(("rule", "scale"), [("sigma", by_deviation), ("winsorized", by_winsorizing)])
@pytest.mark.parametrize("n", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_clipping_rejects_as_often_as_its_definition(n, rule, scale, floor):
    low, high = (2.5, 2.2)  # tails that 500,000 samples fill
    want = clipped(noise(n, 1), scale, low, high, float(floor))
    got = run(noise(n, 2).T, method=rule, low=low, high=high, noise_floor=floor)
    assert (got[3].sum() + got[4].sum()) / (n * PIXELS[n]) == pytest.approx(want, rel=0.1)


def test_many_frames_reach_the_truncated_tail():
    # Sigma of a Gaussian cut at -low s and +high s, s itself that sigma: the fixed point of many samples.
    low, high, s = 2.5, 2.2, 1.0
    for _ in range(200):
        s = stats.truncnorm(-low * s, high * s).std()
    theory = stats.norm.sf(low * s) + stats.norm.sf(high * s)
    x = np.random.default_rng(3).standard_normal((400, 4000))
    got = run(x, method="sigma", low=low, high=high, noise_floor=False, passes=50)
    assert (got[3].sum() + got[4].sum()) / x.size == pytest.approx(theory, rel=0.1)


def tile_rate(rule, n, sky=0.0, sigma=1.0, **options):
    values = np.random.default_rng(n).normal(sky, sigma, (n, 204, 304)).astype(np.float32)
    variance = np.full(values.shape, sigma**2, np.float32)
    done = reject_tile(
        (values, variance, np.zeros(values.shape, np.uint16)), np.ones(n, np.float32),
        StackOptions(reject=rule, **options), sums=np.zeros(2),
    )  # fmt: skip
    return (done.rejected_low.sum(dtype=float) + done.rejected_high.sum(dtype=float)) / (n * 200 * 300)


def test_averaged_percentile_and_min_max_reject_the_tails_that_they_name():
    # Sigma from 25 pixels of 101 frames is good to 2 %: the plain tails.
    tails = stats.norm.sf(3) + stats.norm.sf(2.5)
    assert tile_rate("averaged", 101, low=3.0, high=2.5, noise_floor=False) == pytest.approx(tails, rel=0.1)
    # Shares 0.2 and 0.1 of a median of 400 are 4 and 2 sigma of 20.
    tails = stats.norm.sf(4) + stats.norm.sf(2)
    assert tile_rate("percentile", 51, 400.0, 20.0, protect=0.0) == pytest.approx(tails, rel=0.1)
    assert tile_rate("minmax", 20) == pytest.approx(2 / 20, rel=1e-6)
    assert tile_rate("none", 20) == 0


def by_absolute_deviation(x, floor, first):
    middle, count = np.nanmedian(x, axis=1), np.isfinite(x).sum(axis=1)
    factor = count / (count - 0.8)
    return middle, 1.4826 * factor * np.nanmedian(np.abs(x - middle[:, None]), axis=1)


@pytest.mark.parametrize("n", [20, 60])
def test_mad_rejects_as_often_as_its_definition(n):
    low, high = 3.0, 2.5
    for floor in (True, False):
        want = clipped(noise(n, 4), by_absolute_deviation, low, high, float(floor), passes=6)
        got = tile_rate("mad", n, low=low, high=high, noise_floor=floor, protect=0.0)
        assert got == pytest.approx(want, rel=0.1)


def test_memory_for_marks_may_hold_anything_before():
    rng = np.random.default_rng(8)
    values = rng.normal(0, 1, (9, 24, 60)).astype(np.float32)
    values[rng.random(values.shape) < 0.02] = 30
    planes = values, np.ones_like(values), np.zeros(values.shape, np.uint16)
    once, again = (
        reject_tile(planes, np.ones(9, np.float32), StackOptions(), sums=np.zeros(2), marks=marks)
        for marks in (None, np.full(values.shape, 3, np.uint8))
    )
    assert once.counts.sum() > 0
    np.testing.assert_array_equal(again.counts, once.counts)
    for name in ("image", "variance", "quality", "rejected_low", "rejected_high"):
        np.testing.assert_array_equal(getattr(again, name), getattr(once, name))
