"""Defect maps against injected defects, with glow, vignetting, stars and mosaics in the way."""

import numpy as np
import pytest
from scipy.ndimage import median_filter

from sciastro.calibrate.defects import (
    DefectOptions,
    defects_from_dark,
    defects_from_flat,
    defects_from_light,
    merge_defects,
)
from sciastro.core.cfa import XTRANS, color_plane
from sciastro.core.quality import Quality
from sciastro.kernels.localmedian import local_median
from sciastro.kernels.networks import merge_network

SHAPE = (240, 260)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
COLOR = np.where(Y % 2, np.where(X % 2, 0.6, 1.0), np.where(X % 2, 1.0, 0.4))


def has(bits, bit):
    return (bits & int(bit)) != 0


def tint(cfa):
    """Return how bright the sky is in each pixel of a mosaic."""
    return COLOR if len(cfa) == 4 else np.array([0.5, 1.0, 0.7])[color_plane(cfa, SHAPE)]


def spots(n, seed):
    flat = np.random.default_rng(seed).choice(SHAPE[0] * SHAPE[1], n, replace=False)
    return np.unravel_index(flat, SHAPE)


@pytest.mark.parametrize("shape", [(30, 41), (3, 7), (1, 1), (2, 300)])
def test_local_median_is_that_of_scipy(shape):
    plane = np.random.default_rng(0).normal(0, 1, shape).astype("f4")
    out = np.empty(shape, "f4")
    local_median(plane, merge_network(25), True, out)
    np.testing.assert_array_equal(out, median_filter(plane, 5, mode="nearest"))
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    padded = np.pad(plane, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))[..., ring]
    local_median(plane, merge_network(24), False, out)
    np.testing.assert_allclose(out, np.median(windows, axis=-1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("cfa", ["", "RGGB", XTRANS])
def test_hot_pixels_under_amplifier_glow(cfa):
    glow = 300 * np.exp(-np.hypot(Y, X) / 60)
    dark = 400 + glow + np.random.default_rng(1).normal(0, 2, SHAPE)
    where = spots(120, 2)
    dark[where] += 60
    bits = defects_from_dark(dark.astype("f4"), cfa=cfa)
    assert has(bits, Quality.HOT)[where].mean() > 0.98
    wrong = has(bits, Quality.HOT)
    wrong[where] = False
    assert wrong.sum() <= 2


def test_a_warm_pixel_below_the_noise_of_a_light_is_left():
    dark = np.random.default_rng(1).normal(400, 0.5, SHAPE).astype("f4")
    dark[50, 60] += 10
    assert defects_from_dark(dark)[50, 60] == Quality.HOT
    assert defects_from_dark(dark, noise=12)[50, 60] == 0


@pytest.mark.parametrize("cfa", ["", "RGGB", XTRANS])
def test_dead_and_low_pixels_under_vignetting(cfa):
    flat = 1 - 0.7 * ((Y / 240 - 0.5) ** 2 + (X / 260 - 0.5) ** 2)
    flat = (flat * np.random.default_rng(1).normal(1, 0.01, SHAPE)).astype("f4")
    flat[30, 40], flat[31, 80], flat[5, 5] = 0.3, 0.05, np.nan
    bits = defects_from_flat(flat, cfa=cfa)
    assert bits[30, 40] == Quality.DEAD
    assert bits[31, 80] == Quality.DEAD | Quality.LOW_FLAT
    assert bits[5, 5] == Quality.LOW_FLAT | Quality.DO_NOT_USE
    assert np.count_nonzero(bits) == 3


@pytest.mark.parametrize("cfa", ["", "RGGB", XTRANS])
def test_a_single_light_gives_its_hot_pixels_and_keeps_its_stars(cfa):
    rng = np.random.default_rng(4)
    light, sky = np.zeros(SHAPE), 600 * (tint(cfa) if cfa else 1.0)
    width = (3.0 if len(cfa) == 4 else 1.5) * 2  # a mosaic samples each color half as finely
    for cx, cy, peak in zip(
        rng.uniform(10, 250, 25), rng.uniform(10, 230, 25), rng.uniform(300, 30_000, 25), strict=True
    ):
        light += peak * np.exp(-((X - cx) ** 2 + (Y - cy) ** 2) / (2 * (width / 2) ** 2))
    stars = light > 10
    light = rng.poisson(light + sky).astype(np.float64)
    where = spots(60, 5)
    clear = ~stars[where]
    light[where] += 2500
    bits = defects_from_light(light, cfa=cfa)
    assert has(bits, Quality.HOT)[where][clear].mean() > 0.95
    wrong = has(bits, Quality.HOT | Quality.DEAD)
    wrong[where] = False
    assert wrong.sum() <= 3


@pytest.mark.parametrize("cfa", ["", "RGGB", XTRANS])
def test_a_single_light_gives_its_dead_pixels(cfa):
    light = np.random.default_rng(4).poisson(600 * (tint(cfa) if cfa else np.ones(SHAPE)))
    light[100, 100], light[7, 8] = 0, 20
    bits = defects_from_light(light, cfa=cfa)
    assert bits[100, 100] == bits[7, 8] == Quality.DEAD
    assert np.count_nonzero(bits) == 2


def test_maps_are_merged_by_or():
    a, b = np.array([[1, 0]], "u2"), np.array([[2, 4]], "u2")
    assert merge_defects(a, None, b).tolist() == [[3, 4]]
    assert merge_defects(None, a) is a
    assert merge_defects(None, None) is None
    assert defects_from_dark(np.zeros((20, 20), "f4"), options=DefectOptions(hot_sigma=5)).any() == np.False_


def test_planes_without_a_number_are_unusable_and_nothing_else():
    nothing = np.full((16, 17), np.nan, np.float32)
    assert (defects_from_dark(nothing) == int(Quality.DO_NOT_USE)).all()
    assert (defects_from_flat(nothing) == int(Quality.LOW_FLAT | Quality.DO_NOT_USE)).all()
    assert not defects_from_light(nothing).any()
