"""The fused pass against the truth: fluxes, noise, errors, outliers."""

import numpy as np
import pytest
from fields import Night, aperture, star_field

from sciastro.core.quality import Quality
from sciastro.core.transform import identity
from sciastro.integrate.grid import Tile
from sciastro.integrate.options import StackOptions, settled
from sciastro.integrate.resample import resample, resampler


def warped(image, shift, **how):
    c = identity()
    c[:, 0] += shift
    out = tuple(np.empty(image.shape, dtype) for dtype in ("f4", "f4", "u2"))
    planes = (image.astype("f4"), np.full(image.shape, 900, "f4"), np.zeros(image.shape, "u2"))
    resample(planes, (0, 0), c, Tile(0, image.shape[0], 0, image.shape[1]), resampler(**how), out)
    return out[0]


@pytest.mark.parametrize("beta", [None, 3.5])
@pytest.mark.parametrize("fwhm", [2.6, 3.2])
def test_star_flux_is_unbiased_at_every_phase(fwhm, beta):
    rng = np.random.default_rng(1)
    shape, xs, ys = (300, 300), *(40 + 44 * np.mgrid[:5, :5].reshape(2, -1) + rng.random((2, 25)))
    image = star_field(shape, xs, ys, np.full(25, 1e6), fwhm, beta) + 1000
    before = np.array([aperture(image - 1000, x, y, 2 * fwhm) for x, y in zip(xs, ys, strict=True)])
    means = []
    for phase in np.linspace(0, 1, 9):
        after = warped(image, (phase, -0.6 * phase), clamp=0.01)
        got = [
            aperture(after - 1000, x - phase, y + 0.6 * phase, 2 * fwhm) for x, y in zip(xs, ys, strict=True)
        ]
        means.append(np.mean(np.array(got) / before) - 1)
    assert np.abs(means).max() < 1e-3


@pytest.mark.parametrize("fwhm", [1.1, 1.3, 1.6])
def test_narrow_stars_gain_no_light(fwhm):
    # Cut at 1 % of the range, their rings added 1.8, 0.2 and 0 % to bright ones, nothing to faint ones.
    rng = np.random.default_rng(3)
    xs, ys = 20 + 24 * np.mgrid[:6, :6].reshape(2, -1) + rng.random((2, 36))
    image = star_field((160, 160), xs, ys, np.full(36, 1e5), fwhm, 3.8) + 100
    clamp = settled(StackOptions(), fwhm + 0.3).clamp  # pixels widen them
    for phase in ((0.5, 0.5), (0.25, -0.3)):
        light = np.nansum(warped(image, phase, clamp=clamp)[4:-4, 4:-4] - 100)
        assert light == pytest.approx(np.sum(image - 100), rel=2e-4)


@pytest.mark.parametrize("turn", [(-1, 0, 0, -1), (0, 1, -1, 0), (0, 1, 1, 0)])
def test_half_turns_quarter_turns_and_mirrors_are_exact(turn):
    rng = np.random.default_rng(2)
    n = 70
    signal = rng.normal(100, 9, (n, n)).astype("f4")
    a = np.array(turn, dtype=float).reshape(2, 2)
    corner = np.array([(n - 1.0) * (row.sum() < 0) for row in a])
    c = np.zeros((2, 3))
    c[:, 0], c[:, 1:] = corner, 1000 * a
    out = tuple(np.empty((n, n), dtype) for dtype in ("f4", "f4", "u2"))
    resample(
        (signal, signal, np.zeros((n, n), "u2")), (0, 0), c, Tile(0, n, 0, n), resampler(clamp=0.01), out
    )
    y, x = np.mgrid[:n, :n]
    where = np.einsum("ij,jyx->iyx", a.astype(int), np.stack([x, y])) + corner[:, None, None].astype(int)
    np.testing.assert_array_equal(out[0], signal[where[1], where[0]])


@pytest.mark.parametrize("n", [5, 8, 12, 30])
@pytest.mark.parametrize("seeing", ["uniform", "two groups"])
def test_star_cores_keep_their_light_when_the_seeing_varies(n, seeing):
    rng = np.random.default_rng(n)
    fwhms = rng.uniform(2.6, 3.6, n) if seeing == "uniform" else np.where(np.arange(n) % 6 == 5, 3.6, 2.6)
    night = Night(n, seed=n, fwhms=fwhms, side=4)
    kept, plain = night.fluxes(night.stack().image), night.fluxes(night.stack(reject="none").image)
    assert np.abs(kept / plain - 1).max() < 3e-3
    assert abs(np.mean(kept / plain) - 1) < 5e-4


@pytest.mark.parametrize("n", [3, 4, 6, 9])
@pytest.mark.parametrize("seeing", ["one sharp", "one broad", "uniform"])
def test_star_cores_keep_their_light_when_the_seeing_changes_twofold(n, seeing):
    # One frame of 2.5 pixel among those of 5 lost its cores, four times as high: 3 to 11 % of the flux.
    rng, one = np.random.default_rng(n), np.arange(n) == 1
    fwhms = {
        "one sharp": np.where(one, 2.5, 5.0), "one broad": np.where(one, 5.0, 2.5),
        "uniform": rng.uniform(2.5, 5.0, n),
    }[seeing]  # fmt: skip
    night = Night(n, seed=n, fwhms=fwhms, side=4)
    done, plain = night.stack(), night.stack(reject="none")
    kept, whole = (night.fluxes(one.image, 9.0) for one in (done, plain))
    assert np.abs(kept / whole - 1).max() < 2e-3
    assert abs(np.mean(kept / whole) - 1) < 5e-4
    y, x = np.indices(night.shape)
    away = np.min(np.hypot(x[..., None] - night.x, y[..., None] - night.y), axis=-1) > 20
    rejected = (done.rejected_low + done.rejected_high)[away]
    assert rejected.mean() / n < 3e-5  # of pure noise, 4 and 4.5 sigma


def test_without_protection_star_cores_lose_light():
    night = Night(12, seed=12, fwhms=np.where(np.arange(12) % 6 == 5, 3.6, 2.6), side=4)
    plain = night.fluxes(night.stack(reject="none").image)
    assert np.abs(night.fluxes(night.stack(protect=0.0).image) / plain - 1).max() > 3e-3


def test_noise_reaches_the_inverse_variance_ideal_and_the_error_plane_says_so():
    sky = np.array([100.0, 150, 300, 500, 120, 200, 900, 100])
    t = np.array([1.0, 0.95, 0.9, 0.7, 1.0, 0.8, 0.6, 0.9])
    night = Night(8, seed=4, side=0, sky=sky, t=t)
    variance = (sky + 9) / t**2
    done = night.stack(weight=1 / variance * variance.min())
    inner = (slice(12, -12), slice(12, -12))
    image = done.image[inner].astype(float)
    correlation = np.sqrt(done.sums[0] / done.sums[1])
    ideal = np.sqrt(1 / np.sum(1 / variance))
    blocks = image[: image.shape[0] // 6 * 6, : image.shape[1] // 6 * 6]
    blocks = blocks.reshape(blocks.shape[0] // 6, 6, -1, 6).mean(axis=(1, 3))
    error = np.sqrt(done.variance[inner].mean(dtype=float))
    assert image.mean() == pytest.approx(100.0, abs=0.2)
    assert image.std() == pytest.approx(error, rel=0.03)
    # Large areas know nothing of the resampling: the noise of 6 x 6 blocks is that of the inputs.
    assert error * correlation == pytest.approx(ideal, rel=0.02)
    assert blocks.std() * 6 == pytest.approx(ideal, rel=0.05)


@pytest.mark.parametrize("n", [5, 8, 12])
def test_cosmic_rays_and_a_satellite_are_rejected(n):
    night = Night(n, seed=n, side=4)
    clean = night.stack()
    rng = np.random.default_rng(n)
    for frame in night.frames:
        y, x = rng.integers(10, np.array(night.shape)[:, None] - 10, (2, 25))
        frame[0][y, x] += 4000
        frame[1][y, x] += 4000
    column = np.arange(night.shape[1])
    row = (30 + 0.7 * column).astype(int) % night.shape[0]
    for width in range(-1, 2):
        night.frames[n // 2][0][(row + width) % night.shape[0], column] += 1500
    dirty = night.stack()
    near_star = np.zeros(night.shape, bool)
    for x, y in zip(night.x, night.y, strict=True):
        near_star[int(y) - 14 : int(y) + 15, int(x) - 14 : int(x) + 15] = True
    sky = ~near_star
    sky[:14], sky[-14:], sky[:, :14], sky[:, -14:] = False, False, False, False
    deviation = (dirty.image - 200.0) / np.sqrt(clean.variance)
    assert (np.abs(deviation[sky]) > 8).sum() <= 3
    assert dirty.rejected_high[sky].sum() > 5 * clean.rejected_high[sky].sum()
    assert np.abs(dirty.image - clean.image)[sky].mean() < 0.15 * np.sqrt(clean.variance[sky]).mean()
    raw = (night.stack(reject="none").image - 200.0) / np.sqrt(clean.variance)
    assert (np.abs(raw[sky]) > 8).sum() > 500


def test_flux_scale_follows_transparency_and_sky():
    night = Night(6, seed=9, sky=[200, 400, 250, 800, 220, 300], t=[1, 0.8, 0.9, 0.5, 1.0, 0.7], side=4)
    done = night.stack(reject="none")
    ratio = night.fluxes(done.image, 12.0) / night.fluxes(
        star_field(night.shape, night.x, night.y, night.flux, 3.0) + 200, 12.0
    )
    assert ratio.mean() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("n", [1, 2])
def test_one_and_two_frames_are_not_rejected(n):
    night = Night(n, seed=1, side=4)
    night.frames[0][0][100, 100] += 1e5
    done = night.stack()
    assert done.rejected_high.sum() == 0
    assert done.rejected_low.sum() == 0
    assert done.coverage.max() == n
    assert done.image[100, 100] > 1e5 / n / 2


def test_quality_of_the_stack():
    night = Night(5, seed=3, side=4, dither=0.0)
    _signal, _, quality = night.frames[1]
    quality[50:60, 50:60] = Quality.SATURATED
    for frame in night.frames:
        frame[0][100, 100] = np.nan
        frame[2][100, 100] = Quality.HOT
    for frame in night.frames[:2]:
        frame[0][150, 150] += 1e5
    done = night.stack()
    assert done.quality[55, 55] == Quality.SATURATED
    assert np.isnan(done.image[100, 100])
    assert done.quality[100, 100] == Quality.HOT | Quality.NO_DATA | Quality.DO_NOT_USE
    assert done.coverage[100, 100] == 0
    assert done.quality[20, 20] == 0
    # Less than a tenth of the weight: the bit is not passed on.
    assert night.stack(weight=np.array([1, 0.1, 1, 1, 1])).quality[55, 55] == 0
