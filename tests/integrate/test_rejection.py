"""Every rejection rule through the fused pass: outliers go, stars stay, the choice is stated."""

import numpy as np
import pytest
import xarray as xr
from fields import Night

from sciastro.core.history import history
from sciastro.core.quality import Quality
from sciastro.integrate.options import RULES, StackOptions
from sciastro.integrate.reject import CAUSES
from sciastro.integrate.run import empty_stack, stack_windows
from sciastro.integrate.stack import stack

PIXELS = ("signal", "variance", "quality")
CLIPPING = [rule for rule in RULES if rule not in ("none", "minmax", "percentile")]


@pytest.fixture(scope="module")
def night():
    return Night(9, seed=3, side=4, fwhms=np.linspace(2.6, 3.6, 9))


@pytest.mark.parametrize("rule", [rule for rule in CLIPPING if rule != "sigma"])  # none beyond 2.7 sd of nine
def test_stars_keep_their_light_and_hits_go(night, rule):
    plain = night.stack(reject="none")
    fluxes = night.fluxes(night.stack(reject=rule).image) / night.fluxes(plain.image)
    assert np.abs(fluxes - 1).max() < 3e-3
    hit = Night(9, seed=3, side=4, fwhms=np.linspace(2.6, 3.6, 9))
    hit.frames[4][0][60:64, 20:200] += 600  # of 14 sigma each
    done = hit.stack(reject=rule)
    dx, dy = np.round(hit.maps[4, :, 0]).astype(int)
    line = done.image[62 - dy, 20:32] - plain.image[62 - dy, 20:32]
    assert np.abs(np.median(line)) < 10 < 600 / 9
    assert (done.rejected_high[61 - dy : 63 - dy, 24 : 190 - dx] >= 1).mean() > 0.97


@pytest.mark.parametrize("rule", ["auto", "averaged", "esd", "noise"])
def test_lazy_and_eager_agree(rule):
    frames = Night(5, seed=1, side=3).dataset()
    options = StackOptions(reject=rule)
    eager = stack(frames, options=options)
    lazy = stack(frames.assign({name: frames[name].chunk(y=64) for name in PIXELS}), options=options)
    xr.testing.assert_identical(lazy.compute(), eager)


@pytest.mark.parametrize("rule", ["noise", "averaged"])
def test_numbers_do_not_depend_on_the_tiles(rule, night):
    results = []
    for memory in (1 << 26, 1 << 30):
        out = empty_stack(night.shape)
        stack_windows(
            night.read, night.maps, night.shape, night.terms(), np.ones(9), out,
            options=StackOptions(reject=rule), memory_bytes=memory,
        )  # fmt: skip
        results.append(out)
    np.testing.assert_array_equal(results[0].image, results[1].image)
    np.testing.assert_array_equal(results[0].rejected_high, results[1].rejected_high)


def test_the_rule_that_auto_took_is_stated():
    options = StackOptions(reject="auto")
    assert options.thresholds(2)[0] == "none"
    assert [options.thresholds(n)[0] for n in (3, 9, 10, 14, 15)] == [
        "noise",
        "noise",
        "esd",
        "esd",
        "winsorized",
    ]
    assert options.describe(30) == "winsorized 4 / 3.5 (auto, 30 frames)"
    assert StackOptions(reject="noise", low=4.2).describe(8) == "noise 4.2 / 4"
    assert StackOptions(reject="winsorized").describe(30) == "winsorized 4 / 3.5"
    assert StackOptions(reject="linearfit").describe(2) == "none (fewer than 3 frames)"
    assert StackOptions(reject="none").describe(2) == "none"


def test_what_was_lost_is_counted_by_frame_and_cause():
    night = Night(16, seed=6, side=3, dither=0.0)
    for i, (bit, rows) in enumerate([(Quality.TRAIL, 4), (Quality.COSMIC_RAY, 2), (Quality.HOT, 3)]):
        night.frames[3][0][40 + 20 * i : 40 + 20 * i + rows, 50:60] = np.nan
        night.frames[3][2][40 + 20 * i : 40 + 20 * i + rows, 50:60] |= np.uint16(bit)
    night.frames[5][0][20:24, 20:120] += 5000
    night.frames[7][0][150:152, 20:120] -= 3000
    night.maps[9, 0, 0] += 12  # 12 columns of it lie beyond the canvas
    out = empty_stack(night.shape, 16, maps=True)
    weights = np.ones(16)
    weights[2] = 0
    stack_windows(
        night.read, night.maps, night.shape, night.terms(), weights, out,
        options=StackOptions(maps=True), memory_bytes=1 << 27,
    )  # fmt: skip
    lost = dict(zip(CAUSES, out.lost.T, strict=True))
    assert lost["trail"].tolist() == [0] * 3 + [40] + [0] * 12
    assert (lost["cosmic_ray"][3], lost["defect"][3]) == (20, 30)
    assert 390 <= lost["rejected_high"][5] < 600 > 10 * lost["rejected_high"][[4, 6]].max()
    assert 190 <= lost["rejected_low"][7] < 400
    assert lost["outside"][9] >= 12 * night.shape[0] and lost["outside"][0] == 0
    assert not out.lost[2].any()
    assert out.lost[:, 0].sum() == out.rejected_low.sum() and out.lost[:, 1].sum() == out.rejected_high.sum()
    np.testing.assert_array_equal(out.causes.sum(axis=(1, 2)), out.lost[:, 2:].sum(axis=0))
    assert (out.causes[0, 41, 52], out.causes[1, 61, 52], out.causes[2, 81, 52]) == (1, 1, 1)


def trail(night, frame, height, width=1.4):
    """Light of a satellite across one frame, Gaussian of sigma `width`; return the distance from it."""
    y, x = np.mgrid[: night.shape[0], : night.shape[1]]
    away = (y - 40 - 0.45 * x) / np.hypot(1, 0.45)
    night.frames[frame][0] += (height * np.exp(-(away**2) / 2 / width**2)).astype("f4")
    return np.abs(away)


def test_trails_grow_and_leave_nothing_beside_them():
    night = Night(20, seed=5, side=0, dither=0.0)
    away = trail(night, 7, 120.0)  # 8 sigma of a pixel at its middle
    images = []
    for grow, memory in ((0, 1 << 29), (4, 1 << 29), (4, 1 << 26)):
        out = empty_stack(night.shape, 20)
        stack_windows(
            night.read, night.maps, night.shape, night.terms(), np.ones(20), out,
            options=StackOptions(grow_high=grow), memory_bytes=memory,
        )  # fmt: skip
        images.append(out.image)
        assert out.lost[:, 1].sum() == out.rejected_high.sum()
    beside, far, noise = (away > 1.5) & (away < 4), away > 12, np.sqrt(209 / 20)
    left = [float(np.mean(image[beside])) - 200 for image in images]
    assert left[0] > 0.15 * noise > 4 * abs(left[1])
    assert (images[0][far] != images[1][far]).mean() < 1e-3
    np.testing.assert_array_equal(images[1], images[2])  # whatever the tiles


def test_faint_trails_are_found_against_the_stack():
    night = Night(20, seed=8, side=3, dither=0.0, fwhms=np.linspace(2.6, 3.4, 20))
    plain = night.stack()
    away = trail(night, 7, 30.0, 1.7)  # 2 sigma of a pixel at its middle
    images = {}
    for limit, memory in ((0.0, 1 << 29), (6.0, 1 << 29), (6.0, 1 << 26)):
        out = empty_stack(night.shape, 20)
        stack_windows(
            night.read, night.maps, night.shape, night.terms(), np.ones(20), out,
            options=StackOptions(streaks=limit), memory_bytes=memory,
        )  # fmt: skip
        if limit in images:
            np.testing.assert_array_equal(images[limit], out.image)  # whatever the tiles
        images[limit] = out.image
        rate = out.lost[:, 1] / out.image.size
        assert np.delete(rate, 7).max() < 2e-3
    assert rate[7] > 0.01
    on = (away < 2) & (plain.image < 230)
    left = [float(np.mean(images[limit][on] - plain.image[on])) for limit in (0.0, 6.0)]
    assert left[0] > 0.5 > 3 * abs(left[1])
    np.testing.assert_allclose(night.fluxes(images[6.0]) / night.fluxes(images[0.0]), 1, atol=2e-3)


@pytest.mark.parametrize(("rule", "few"), [("linearfit", 4), ("linearfit", 8), ("sigma", 8)])
def test_a_rule_that_cannot_reject_says_so(rule, few):
    for frames, says in ((few, True), (10 if rule == "sigma" else 9, False)):
        options = StackOptions(reject=rule)
        assert ("(too few frames)" in options.describe(frames)) == says
        ds = Night(frames, seed=2, side=3).dataset()
        signal = ds["signal"].values.copy()
        signal[0] += 1e5
        out = stack(ds.assign(signal=(ds["signal"].dims, signal, ds["signal"].attrs)), options=options)
        (entry,) = history(out)
        assert ("rejection" in entry) == says
        high = out["rejected_high"].values
        assert says == (high.max() == 0)
