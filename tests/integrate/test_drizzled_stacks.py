"""Drizzled stacks: sharper where pixels are coarse, nothing lost, outliers gone, holes told."""

from dataclasses import replace

import numpy as np
import pytest
from fields import Night, aperture

from sciastro.core.quality import Quality
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.drizzle import DrizzleOptions, on_canvas
from sciastro.integrate.fuse import integrate_tile
from sciastro.integrate.grid import Tile
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import empty_stack, stack_windows
from sciastro.integrate.seeing import lenience
from sciastro.integrate.stack import stack
from sciastro.measure.stars import DetectOptions, measure_plane


def drizzled(night, scale=2.0, pixfrac=0.8, weight=None, lenience=None, **options):
    canvas = Canvas(night.shape).times(scale)
    n = len(night.frames)
    tile = Tile(0, canvas.shape[0], 0, canvas.shape[1])
    return integrate_tile(
        night.read, canvas.maps(night.maps), night.shape, on_canvas(night.terms(), canvas),
        np.ones(n) if weight is None else weight, tile, StackOptions(**options),
        drizzle=DrizzleOptions(scale=scale, pixfrac=pixfrac), lenience=lenience,
    )  # fmt: skip


def fluxes(image, night, scale, radius=7.0):
    half = (scale - 1) / 2
    level = night.sky[0] / scale**2
    return np.array(
        [
            aperture(np.nan_to_num(image - level), scale * x + half, scale * y + half, radius * scale)
            for x, y in zip(night.x, night.y, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def sharp():
    """Twenty dithered frames of stars of 1.3 pixels: far from sampled."""
    return Night(20, seed=3, side=4, fwhms=np.full(20, 1.3), stars=(1e5, 4e5), dither=5.0)


def test_stars_are_sharper_and_keep_their_light(sharp):
    plain, fine = sharp.stack(), drizzled(sharp, pixfrac=0.6)

    def width(done):
        return measure_plane(done.image, done.quality, gain_noise=done.variance, options=DetectOptions()).fwhm

    widths = [width(plain), width(fine) / 2]
    assert widths[1] < 0.98 * widths[0]
    assert np.isfinite(fine.image[30:-30, 30:-30]).all()
    # Against the frames' own light: the mean of 20 apertures has a photon error of 0.02 to 0.03 % per star.
    ratio = fluxes(fine.image, sharp, 2.0) / sharp.flux
    assert np.median(ratio) == pytest.approx(1, abs=1e-3)
    assert np.abs(ratio - 1).max() < 4e-3


def test_surface_brightness_and_sky_keep_their_level():
    night = Night(6, seed=1, side=0, sky=[200.0, 240, 180, 210, 200, 500], t=[1, 1.2, 0.8, 1, 1, 1])
    for scale in (1.0, 2.0, 1.5):
        done = drizzled(night, scale=scale)
        inner = done.image[30:-30, 30:-30]
        assert np.nanmean(inner) * scale**2 == pytest.approx(200, abs=0.2)
        assert np.isfinite(inner).mean() > 0.999
        # Single pixels scatter as their variance says, to within what rejection takes.
        pull = (inner - np.nanmean(inner)) / np.sqrt(done.variance[30:-30, 30:-30])
        assert np.nanstd(pull) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("reject", ["winsorized", "sigma"])
def test_false_rejections_are_few_although_shares_vary(reject):
    night = Night(12, seed=5, side=0)
    plain, fine = night.stack(reject=reject), drizzled(night, reject=reject)
    inner = np.s_[30:-30, 30:-30]
    lost = [(one.rejected_low[inner].mean() + one.rejected_high[inner].mean()) / 12 for one in (plain, fine)]
    assert lost[1] < max(1.5 * lost[0], 0.004)


def test_cosmic_rays_are_removed():
    night = Night(10, seed=7, side=2)
    clean = drizzled(night)
    rng = np.random.default_rng(1)
    for i in range(10):
        y, x = rng.integers(20, night.shape[0] - 20, 150), rng.integers(20, night.shape[1] - 20, 150)
        night.frames[i][0][y, x] += 3000.0
    hit = drizzled(night)
    inner = np.s_[60:-60, 60:-60]
    sigma = np.sqrt(clean.variance[inner])
    worse = (np.abs(hit.image[inner] - clean.image[inner]) > 4 * sigma).mean()
    untreated = (np.abs(drizzled(night, reject="none").image[inner] - clean.image[inner]) > 4 * sigma).mean()
    assert untreated > 0.04
    assert worse < 0.002
    assert hit.rejected_high[inner].sum() > 1000


def test_bad_pixels_are_not_dropped_and_others_fill_in():
    night = Night(8, seed=2, side=0)
    for frame in night.frames:
        frame[0][100:103, 100:103] = 1e6
        frame[2][100:103, 100:103] = int(Quality.HOT | Quality.INTERPOLATED)
    done = drizzled(night)
    around = done.image[150:260, 150:260]
    assert np.nanmax(np.abs(around - 50)) < 50
    assert np.isfinite(around).mean() > 0.99
    assert not (done.quality[150:260, 150:260] & int(Quality.HOT)).any()
    assert done.coverage[204:208, 204:208].min() < done.coverage.max() - 0.5


def test_undithered_small_drops_leave_holes_that_say_so():
    night = Night(5, seed=2, side=0, dither=0.0)
    done = drizzled(night, scale=3.0, pixfrac=0.3)
    inner = np.s_[30:-30, 30:-30]
    assert 0.2 < np.isnan(done.image[inner]).mean() < 0.95
    holes = np.isnan(done.image[inner])
    assert (done.coverage[inner][holes] == 0).all()
    assert (done.quality[inner][holes] & int(Quality.NO_DATA) > 0).all()


def test_the_step_and_the_pass_give_the_same_whatever_tiles():
    night = Night(5, seed=6, side=3)
    how = DrizzleOptions(scale=2.0, pixfrac=0.7)
    want = stack(night.dataset(), drizzle=how)
    canvas = Canvas(night.shape).times(2.0)
    assert want["image"].shape[1:] == canvas.shape
    for workers, memory in ((1, 300 << 20), (2, 60 << 20)):
        out = empty_stack(canvas.shape)
        stack_windows(
            night.read, canvas.maps(night.maps), night.shape, on_canvas(night.terms(), canvas),
            np.ones(5), out,
            options=StackOptions(), memory_bytes=memory, workers=workers, drizzle=how,
        )  # fmt: skip
        np.testing.assert_array_equal(out.image, want["image"].values[0])
        np.testing.assert_array_equal(out.variance, want["image_variance"].values[0])
        np.testing.assert_array_equal(out.quality, want["image_quality"].values[0])
        np.testing.assert_array_equal(out.coverage, want["coverage"].values[0])


def test_mean_is_that_of_fruchter_and_hook():
    # Their running sums over three frames of unequal weight, against ours without rejection.
    night = Night(3, seed=8, side=0)
    weight = np.array([1.0, 2.0, 0.5])
    whole = drizzled(night, weight=weight, reject="none")
    total, norm, noise = 0.0, 0.0, 0.0
    for i in range(3):
        one = replace_night(night, i)
        done = drizzled(one, reject="none")
        share = shares(one)
        a = weight[i] * share
        total = total + a * np.nan_to_num(done.image)
        noise = noise + a**2 * np.nan_to_num(done.variance)
        norm = norm + a
    some = norm > 0.05
    np.testing.assert_allclose(whole.image[some], total[some] / norm[some], rtol=1e-5)
    np.testing.assert_allclose(whole.variance[some], noise[some] / norm[some] ** 2, rtol=1e-4)


def replace_night(night, i):
    one = object.__new__(Night)
    one.__dict__.update(night.__dict__)
    one.frames, one.maps = [night.frames[i]], night.maps[i : i + 1]
    one.sky, one.t = night.sky[i : i + 1], night.t[i : i + 1]
    return one


def shares(night):
    from sciastro.integrate.drizzle import drop, dropper

    canvas = Canvas(night.shape).times(2.0)
    out = [np.empty(canvas.shape, kind) for kind in ("f4", "f4", "u2")]
    share = np.empty(canvas.shape, "f4")
    how = dropper(DrizzleOptions(scale=2.0))
    tile = Tile(0, canvas.shape[0], 0, canvas.shape[1])
    drop(tuple(night.frames[0]), (0, 0), canvas.map(night.maps[0]), tile, how, tuple(out), share)
    return share.astype(float)


def test_options_describe_themselves():
    assert not DrizzleOptions().enabled
    assert DrizzleOptions(scale=2.0).text == "drizzle 2x, square drops of 0.8 px"
    assert replace(DrizzleOptions(scale=1.0), kernel="point").text == "drizzle 1x, point drops"


@pytest.mark.parametrize(("n", "scale"), [(5, 2.0), (9, 3.0)])
def test_star_cores_keep_their_light_where_the_seeing_changes(n, scale):
    # On the finer grid a core changes less from pixel to pixel than from frame to frame.
    fwhm = np.random.default_rng(n).uniform(2.3, 3.6, n)
    night = Night(n, seed=4, side=6, fwhms=fwhm, stars=(5e4, 4e5))
    plain = fluxes(drizzled(night, scale, reject="none").image, night, scale)
    for rule in ("noise", "winsorized", "esd"):
        done = drizzled(night, scale, lenience=lenience(fwhm), reject=rule)
        assert np.abs(fluxes(done.image, night, scale) / plain - 1).max() < 1e-3, rule
