"""Outliers looked for in another normalization than the one that is combined."""

import numpy as np
import pytest
from fields import Night

from sciastro.core.vocabulary import NOISE, labeled
from sciastro.errors import DatasetError
from sciastro.integrate.fuse import integrate_tile
from sciastro.integrate.grid import Tile
from sciastro.integrate.normalize import NormalizeOptions, between, terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.stack import stack

SECONDS, SKY, T = np.array([10.0, 10, 20, 5]), np.array([5.0, 9, 0, 30]), np.array([1.0, 0.5, 0.8, 0.9])


def change(mode):
    return terms(SECONDS, SKY, T, options=NormalizeOptions(mode=mode))


@pytest.mark.parametrize("first", ["none", "additive", "both"])
@pytest.mark.parametrize("second", ["none", "multiplicative", "both"])
@pytest.mark.parametrize("area", [1.0, 0.25])
def test_from_one_normalization_to_another(first, second, area):
    a, b = change(first), change(second)
    raw = np.random.default_rng(1).uniform(0, 500, (4, 6))
    y, z = ((raw - one.pedestal[:, None]) * one.scale[:, None] * area + one.offset[:, None] for one in (a, b))
    other = between(a, b, area)
    np.testing.assert_allclose(y * other[:, :1] + other[:, 1:], z, rtol=1e-12, atol=1e-9)


def stacked(night, mode, mode_reject, **options):
    n = len(night.frames)
    own, second = (
        terms(np.ones(n), night.sky, night.t, options=NormalizeOptions(mode=one))
        for one in (mode, mode_reject)
    )
    tile = Tile(0, night.shape[0], 0, night.shape[1])
    return integrate_tile(
        night.read, night.maps, night.shape, own, np.ones(n), tile, StackOptions(**options),
        other=None if mode == mode_reject else between(own, second),
    )  # fmt: skip


def test_outliers_are_found_among_unequal_skies():
    # Skies of 150 to 600 electrons: a hit of 200 drowns among them, unless they are made equal first.
    night = Night(10, side=0, dither=0.0, sky=np.linspace(150, 600, 10), read=3.0)
    night.frames[3][0][100, 100] += 400
    plain, other = stacked(night, "none", "none"), stacked(night, "none", "both")
    assert plain.rejected_high[100, 100] == 0
    assert other.rejected_high[100, 100] == 1
    # What is combined are the values as they are: the mean of the nine others, of 375 electrons on average.
    nine = [frame[0][100, 100] for i, frame in enumerate(night.frames) if i != 3]
    assert other.image[100, 100] == pytest.approx(np.mean(nine), rel=1e-5)
    variance = [frame[1][100, 100] for i, frame in enumerate(night.frames) if i != 3]
    assert other.variance[100, 100] == pytest.approx(np.sum(variance) / 81, rel=1e-4)
    assert other.coverage[100, 100] == pytest.approx(9.0)


@pytest.mark.parametrize("rule", ["sigma", "winsorized", "noise", "minmax", "none"])
def test_the_same_normalization_gives_the_same_pixels(rule):
    night = Night(6, side=2, t=[1, 0.9, 0.8, 1, 0.7, 0.95])
    plain = stacked(night, "both", "both", reject=rule)
    n = len(night.frames)
    own = terms(np.ones(n), night.sky, night.t)
    tile = Tile(0, night.shape[0], 0, night.shape[1])
    other = integrate_tile(
        night.read, night.maps, night.shape, own, np.ones(n), tile, StackOptions(reject=rule),
        other=between(own, own),
    )  # fmt: skip
    np.testing.assert_allclose(other.image, plain.image, rtol=2e-5)
    np.testing.assert_array_equal(other.rejected_high, plain.rejected_high)
    np.testing.assert_array_equal(other.rejected_low, plain.rejected_low)
    np.testing.assert_allclose(other.coverage, plain.coverage, rtol=1e-5)


def test_options_know_when_they_differ():
    assert not StackOptions().rejects_otherwise
    assert not StackOptions(normalize_reject="both", scale_reject="stars").rejects_otherwise
    assert StackOptions(scale_reject="bwmv").rejects_otherwise
    assert not StackOptions(scale_reject="bwmv", reject="none").rejects_otherwise
    assert StackOptions(scale="ikss", scale_reject="noise").scales == ("ikss",)


def test_the_step_on_a_dataset_does_as_a_run_does():
    night = Night(10, side=0, dither=0.0, sky=np.linspace(150, 600, 10), read=3.0)
    night.frames[3][0][100, 100] += 400
    frames = night.dataset()
    plain = stack(frames, options=StackOptions(normalize="none"))
    other = stack(frames, options=StackOptions(normalize="none", normalize_reject="both"))
    assert plain["rejected_high"].values[0, 100, 100] == 0
    assert other["rejected_high"].values[0, 100, 100] == 1
    direct = stacked(night, "none", "both")
    np.testing.assert_array_equal(other["image"].values[0], direct.image)


def test_the_step_refuses_a_scale_that_only_a_run_measures():
    frames = Night(3, side=0, dither=0.0).dataset()
    for options in (
        StackOptions(scale="bwmv"),
        StackOptions(scale_reject="mad"),
        StackOptions(scale="noise"),
    ):
        with pytest.raises(DatasetError, match=r"normalized by '(bwmv|mad|noise)', which"):
            stack(frames, options=options)
    noise = labeled(NOISE, np.array([3.0, 3.0, 6.0]))
    told = stack(frames.assign_coords(noise=noise), options=StackOptions(scale="noise", reject="none"))
    assert np.isfinite(told["image"].values).any()
    stack(frames, options=StackOptions(scale="bwmv", normalize="additive"))  # nothing multiplies there
