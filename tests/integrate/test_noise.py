"""The noise of sums of pixels of a stack: as predicted from the weights, whatever the resampling."""

import numpy as np
import pytest
import xarray as xr

from sciastro.core import vocabulary as v
from sciastro.core.correlation import aperture_factor, large_factor, plane_correlation, weighted_factor
from sciastro.core.transform import identity
from sciastro.integrate.drizzle import DrizzleOptions, Dropper
from sciastro.integrate.noise import autocorrelation, sample_canvas
from sciastro.integrate.resample import resampler
from sciastro.integrate.stack import StackOptions, stack
from sciastro.kernels.aperture import aperture_sums
from sciastro.kernels.drizzle import SQUARE, TURBO

RADII = (1.5, 2.0, 3.0, 5.0, 7.0, 10.0)


def dithered(n, shape, *, seed=0, angle=0.3, dither=4.0):
    """Return maps of frames turned and shifted at random about the reference."""
    rng, maps = np.random.default_rng(seed), np.repeat(identity()[None], n, axis=0)
    middle = np.array([shape[1] / 2, shape[0] / 2])
    for i in range(1, n):
        t = np.radians(rng.normal(0, angle))
        turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        maps[i, :, 1:] = 1000 * turn
        maps[i, :, 0] = middle - turn @ middle + rng.uniform(-dither, dither, 2)
    return maps


def noise_stack(n, shape, options, drizzle, *, seed=0, **how):
    """Return image without its level, variance and autocorrelation of a stack of frames of white noise."""
    rng = np.random.default_rng(seed + 1000)
    signal = rng.normal(100, 10, (n, *shape)).astype("f4")
    ds = xr.Dataset(
        {
            "signal": v.labeled(v.SIGNAL, signal),
            "variance": v.labeled(v.VARIANCE, np.full(signal.shape, 100, "f4")),
            "quality": v.labeled(v.QUALITY, np.zeros(signal.shape, "u2")),
        }
    ).assign_coords(
        exposure=v.labeled(v.EXPOSURE, np.ones(n)),
        filter=v.labeled(v.FILTER, np.array(["V"] * n)),
        from_reference=v.labeled(v.FROM_REFERENCE, dithered(n, shape, seed=seed, **how)),
    )
    out = stack(ds, options=StackOptions(reject="none", normalize="none", **options), drizzle=drizzle)
    scale = drizzle.scale if drizzle is not None else 1
    edge = round(12 * scale)
    inner = np.s_[edge:-edge, edge:-edge]
    image, variance = (out[name].values[0][inner] for name in ("image", "image_variance"))
    return image - np.float32(100 / scale**2), variance, out


def scatter_over_quoted(image, variance, kernel, radius, seed=0):
    """Return scatter over quoted error of apertures that do not touch, and their number."""
    step, rng = int(2 * radius) + 4, np.random.default_rng(seed)
    rows, columns = (np.arange(step, size - step, step) for size in image.shape)
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, axis.size) for axis in np.meshgrid(columns, rows))
    none = np.zeros(image.shape, bool)
    sums = aperture_sums(image, variance, none, none.astype("u2"), x, y, radius, kernel)
    return sums[0] / np.sqrt(sums[1])


@pytest.mark.parametrize(
    "options, drizzle",
    [({}, None), ({"kernel": "bilinear"}, None), ({}, DrizzleOptions(scale=2, pixfrac=0.8))],
)
def test_errors_of_small_apertures(options, drizzle):
    image, variance, out = noise_stack(4, (420, 420), options, drizzle)
    kernel = out["noise_autocorrelation"].values[0]
    assert image.std() == pytest.approx(np.sqrt(variance.mean()), rel=0.01)
    for radius in (1.5, 3.0):
        pulls = scatter_over_quoted(image, variance, kernel, radius)
        assert pulls.std() == pytest.approx(1, abs=max(0.02, 2.5 / np.sqrt(2 * pulls.size)))
    assert float(out["noise_correlation"][0]) == pytest.approx(large_factor(kernel), rel=0.01)


CASES = [
    ({}, None, {}),
    ({}, None, {"angle": 5.0}),
    ({"kernel": "bilinear"}, None, {}),
    *(({}, DrizzleOptions(scale=s, pixfrac=p), {}) for s in (1.0, 2.0) for p in (0.5, 0.75, 1.0)),
    ({}, DrizzleOptions(scale=1.5, pixfrac=0.8), {"angle": 8.0}),
    ({}, DrizzleOptions(scale=2.0, pixfrac=0.8, kernel="turbo"), {"angle": 2.0}),
]


@pytest.mark.slow
@pytest.mark.parametrize("options, drizzle, how", CASES)
def test_errors_of_apertures_within_two_per_cent(options, drizzle, how):
    # 2 % is the bar; the standard error of a scatter from m apertures is 1 / sqrt(2 m) on top.
    parts = {radius: [] for radius in RADII}
    for seed in (0, 1):
        image, variance, out = noise_stack(5, (700, 700), options, drizzle, seed=seed, **how)
        kernel = out["noise_autocorrelation"].values[0]
        for radius in RADII:
            parts[radius].append(scatter_over_quoted(image, variance, kernel, radius))
    for radius, pulls in parts.items():
        pull = np.concatenate(pulls)
        assert pull.std() == pytest.approx(1, abs=0.02 + 1.5 / np.sqrt(2 * pull.size)), radius


def test_one_factor_for_all_areas_would_be_wrong():
    # At r = 1.5 pixel of a drizzled stack, the factor of large areas over-quotes by a fifth.
    _, _, out = noise_stack(4, (160, 160), {}, DrizzleOptions(scale=2, pixfrac=0.8))
    kernel = out["noise_autocorrelation"].values[0]
    assert large_factor(kernel) > 1.18 * aperture_factor(kernel, 1.5)
    assert aperture_factor(kernel, 60.0) == pytest.approx(large_factor(kernel), rel=0.01)


@pytest.mark.parametrize("scale, pixfrac", [(1, 0.5), (1, 1.0), (2, 0.5), (2, 0.8), (3, 1.0)])
@pytest.mark.parametrize("kernel", [SQUARE, TURBO])
def test_many_dithers_approach_casertano(scale, pixfrac, kernel):
    # Casertano et al. (2000), their eq. for drizzle with r = p / s (sides in one unit): large areas over
    # single pixels, for a dither that covers every phase alike. Ours: 400 phases.
    maps, rng = np.repeat(identity()[None], 400, axis=0), np.random.default_rng(2)
    maps[:, :, 0] = rng.uniform(-3, 3, (400, 2))
    maps[:, 0, 1] = maps[:, 1, 2] = 1000 / scale
    sampled = sample_canvas(maps, (90 * scale, 90 * scale), (100, 100))
    got = large_factor(autocorrelation(sampled, np.ones(400), Dropper(kernel, pixfrac)))
    r = pixfrac * scale
    expected = r / (1 - 1 / (3 * r)) if r >= 1 else 1 / (1 - r / 3)
    assert got == pytest.approx(expected, rel=0.015)


def test_equal_to_the_covariance_matrix():
    """A diag(V) A^T by hand: Lanczos weights of one frame at half a pixel along x."""
    maps = identity()[None]
    maps[0, 0, 0] += 0.5
    got = autocorrelation(sample_canvas(maps, (80, 80), (80, 80)), np.ones(1), resampler())
    t = np.arange(-2.5, 3)
    w = np.sinc(t) * np.sinc(t / 3)
    w /= w.sum()
    expected = np.correlate(w, w, "full") / np.sum(w * w)
    k = got.shape[0] // 2
    np.testing.assert_allclose(got[k], expected[5 - k : 6 + k], atol=1e-5)
    assert np.abs(np.delete(got, k, axis=0)).max() < 1e-9


def test_frames_that_were_resampled_before_add_their_own():
    maps = identity()[None]
    sampled = sample_canvas(maps, (50, 50), (50, 50))
    got = autocorrelation(sampled, np.ones(1), resampler(), before=np.array([1.1]))
    np.testing.assert_allclose(got, plane_correlation(1.1), atol=1e-12)
    alone = autocorrelation(sampled, np.ones(1), resampler())
    np.testing.assert_array_equal(alone, [[1.0]])


def test_nothing_seen_is_unknown():
    maps = np.full((2, 2, 3), np.nan)
    assert np.isnan(autocorrelation(sample_canvas(maps, (50, 50), (50, 50)), np.ones(2), resampler())).all()


def test_weighted_factor_by_hand():
    # Two pixels of equal weight with correlation 0.5: variance 1 + 1 + 2 * 0.5 over 2.
    kernel = np.zeros((3, 3))
    kernel[1] = 0.5, 1, 0.5
    assert weighted_factor(kernel, np.ones((1, 2))) == pytest.approx(np.sqrt(1.5))
    assert weighted_factor(kernel, np.ones((2, 1))) == 1
    assert weighted_factor(kernel, np.array([[1.0, -1.0]])) == pytest.approx(np.sqrt(0.5))
