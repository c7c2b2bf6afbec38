"""False rejections of `sciastro.stack` on pure noise, every rule against its definition, 5 to 30 frames.

The definitions are written for whole arrays here (pixel, frame), without noise floor; what they reject of the
same noise is the theory of the rule.
"""

from statistics import NormalDist

import numpy as np
import pytest
import rejection_twins as twins
import xarray as xr
from scipy import ndimage

import sciastro
from sciastro.integrate.stack import StackOptions

SIDE = {5: 140, 10: 120, 30: 90}
FRAMES = list(SIDE)


def rate(values, variance=1.0, **options):
    """Return the share of the samples that the public function rejects."""
    n = len(values)
    planes = {
        "signal": (values, "electron"),
        "variance": (np.full(values.shape, variance, np.float32), "electron2"),
        "quality": (np.zeros(values.shape, np.uint16), "1"),
    }
    ds = xr.Dataset({k: (("frame", "y", "x"), v, {"units": u}) for k, (v, u) in planes.items()})
    ds = ds.assign_coords(exposure=("frame", np.ones(n), {"units": "s"}), filter=("frame", ["R"] * n))
    out = sciastro.stack(ds, options=StackOptions(protect=0.0, noise_floor=False, **options))
    return float(out["rejected_low"].sum() + out["rejected_high"].sum()) / values.size


def noise(n):
    return np.random.default_rng(n).standard_normal((n, SIDE[n], SIDE[n])).astype(np.float32)


def pixels(values):
    return values.reshape(len(values), -1).T.astype(float)


def clipped(x, scale, low, high, passes=6):
    """Reject beyond the scale about the center, but never the middle samples, until nothing changes."""
    kept = x.copy()
    for step in range(passes):
        count = np.isfinite(kept).sum(axis=1)
        center, sigma = scale(kept, step == 0)
        ranked, rows = np.sort(kept, axis=1), np.arange(len(x))
        bottom = np.minimum(center - low * sigma, ranked[rows, (count - 1) // 2])[:, None]
        top = np.maximum(center + high * sigma, ranked[rows, count // 2])[:, None]
        out = ((kept < bottom) | (kept > top)) & (count >= 3)[:, None]
        if not out.any():
            break
        kept[out] = np.nan
    return np.isnan(kept).mean()


def by_deviation(x, first):
    return np.nanmedian(x, axis=1), np.nanstd(x, axis=1, ddof=1)


def by_absolute_deviation(x, first):
    middle, count = np.nanmedian(x, axis=1), np.isfinite(x).sum(axis=1)
    small = {3: 1.495, 4: 1.363, 5: 1.206, 6: 1.2, 7: 1.14, 8: 1.129, 9: 1.107}
    factor = np.array([small.get(k, k / (k - 0.8)) for k in count])
    return middle, 1.4826 * factor * np.nanmedian(np.abs(x - middle[:, None]), axis=1)


def by_winsorizing(x, first):
    """Clamp at 1.5 sigma about the mean, sigma = 1.134 sd; first, 5 sigma off is taken for the median."""
    center = middle = np.nanmedian(x, axis=1)
    sigma = 1.134 * np.nanstd(x, axis=1, ddof=1)
    if first:  # sigma of the distance of the quartiles
        n = x.shape[1]
        j, ranked = max(1, n // 4), np.sort(x, axis=1)
        sigma = (ranked[:, n - 1 - j] - ranked[:, j]) / (-2 * NormalDist().inv_cdf((j + 0.625) / (n + 0.25)))
        x = np.where(np.abs(x - middle[:, None]) > 5 * sigma[:, None], middle[:, None], x)
    for _ in range(60):
        wide = 1.5 * sigma[:, None]
        y = np.clip(x, center[:, None] - wide, center[:, None] + wide)
        center, sigma = np.nanmean(y, axis=1), 1.134 * np.nanstd(y, axis=1, ddof=1)
    return center, sigma


@pytest.mark.parametrize("n", FRAMES)
@pytest.mark.parametrize(
    ("rule", "scale", "low", "high"),
    [("winsorized", by_winsorizing, 3.0, 2.5), ("sigma", by_deviation, 2.2, 2.0),
     ("mad", by_absolute_deviation, 4.0, 3.0)],
)  # fmt: skip
def test_clipping(n, rule, scale, low, high):
    values = noise(n)
    theory = clipped(pixels(values), scale, low, high)
    assert rate(values, reject=rule, low=low, high=high) == pytest.approx(theory, rel=0.1)
    assert theory > 5e-4 or (rule, n) == ("sigma", 5)  # (n - 1) / sqrt(n) sd are the most that 5 samples show


@pytest.mark.parametrize("n", FRAMES)
def test_esd_and_linear_fit(n):
    values = noise(n)[:, : {5: 30, 10: 15, 30: 6}[n]]
    x = np.sort(pixels(values), axis=1)
    theory = np.mean([1 - twins.rosner(one, 0.05, 0.3).size / n for one in x])
    assert rate(values, reject="esd") == pytest.approx(theory, rel=0.1) and theory > 1e-3
    if (
        n == 5
    ):  # several lines are equally near to five samples; by the thresholds of the default none rejects
        assert rate(values, reject="linearfit") == 0
        return
    few = values[:, :4] if n == 30 else values
    x = np.sort(pixels(few), axis=1)
    theory = np.mean([1 - twins.by_line(one, 2.5, 2.0).size / n for one in x])
    assert rate(few, reject="linearfit", low=2.5, high=2.0) == pytest.approx(theory, rel=0.1)


@pytest.mark.parametrize("n", FRAMES)
def test_averaged_percentile_and_min_max(n):
    values = noise(n)
    ranked = np.sort(values, axis=0)
    inner = ranked[1:-1].astype(float)
    scatter = np.square(inner - inner.mean(axis=0)).sum(axis=0)
    sigma = np.sqrt(ndimage.median_filter(scatter / np.median(scatter), size=5, mode="nearest"))
    d = (values - np.median(values, axis=0)) / sigma
    theory = np.mean((d < -2.5) | (d > 2.2))
    assert rate(values, reject="averaged", low=2.5, high=2.2) == pytest.approx(theory, rel=0.1)
    bright = 400 + 20 * values
    share = bright / np.median(bright, axis=0) - 1
    theory = np.mean((share < -0.2) | (share > 0.1))
    assert rate(bright, 400.0, reject="percentile") == pytest.approx(theory, rel=0.1)
    assert rate(values, reject="minmax") == pytest.approx(2 / n, rel=1e-6)
    assert rate(values, reject="none") == 0


@pytest.mark.parametrize("n", FRAMES)
def test_the_noise_model(n):
    """Beyond 1.2 steps of the median image and kappa sigma; beside a hit 0.7 steps and 0.8 kappa."""
    values = noise(n)
    base, ranked = np.median(values, axis=0), np.sort(values, axis=0)
    half = (ranked[n // 2] - ranked[(n - 1) // 2]) / 2
    padded = np.pad(base, 1, mode="edge")
    around = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    step = np.max([np.abs(one - base) for one in around], axis=0)
    away = np.abs(values - base)
    first = away > np.maximum(1.2 * step, half) + 1.8
    beside = ndimage.maximum_filter(first, size=(1, 3, 3))
    theory = np.mean(first | (beside & (away > np.maximum(0.7 * step, half) + 0.8 * 1.8)))
    assert rate(values, reject="noise", low=1.8, high=1.8) == pytest.approx(theory, rel=0.1)
    assert rate(values, reject="noise") < 3.5e-5 < theory  # by the default less than a Gaussian's tails
