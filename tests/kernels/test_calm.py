"""Pixels that are averaged without sorting: the same samples rejected as by sorting, and the right mean."""

import numpy as np
import pytest

from sciastro.kernels.networks import merge_network
from sciastro.kernels.reduce import METHODS, combine
from sciastro.kernels.samples import MEAN, MEDIAN


def scene(rng, frames, pixels):
    """Noise of two levels, hits, missing values, variances that say so, a pixel without anything."""
    level = rng.choice([0.5, 400.0, 3e4], pixels)
    values = rng.normal(level, np.sqrt(level), (frames, pixels))
    values[rng.random(values.shape) < 0.02] += 600
    variance = np.broadcast_to(level, values.shape) * rng.uniform(0.7, 1.3, values.shape)
    values[rng.random(values.shape) < 0.05] = np.nan
    variance[rng.random(values.shape) < 0.02] = 0
    values[: frames - 2, ::7] = np.nan
    values[:, -1] = np.inf
    return values.astype(np.float32), variance.astype(np.float32)


def run(values, variance, weight, method, how):
    n, pixels = values.shape
    out = [np.full(pixels, 9, kind) for kind in ("f4", "f4", "f4", "u2", "u2", "u2")]
    marks = np.zeros((n, pixels), np.uint8)
    combine(
        values, variance, weight, np.empty((0, 0), np.float32), merge_network(n), METHODS[method], how, 4.0,
        3.0, 6, True, *out, marks,
    )  # fmt: skip
    return out, marks


@pytest.mark.parametrize("method", ["winsorized", "sigma"])
@pytest.mark.parametrize("frames, pixels", [(2, 40), (3, 700), (4, 15), (7, 1), (12, 17), (30, 5000)])
def test_same_samples_rejected_as_by_sorting(method, frames, pixels):
    rng = np.random.default_rng(frames)
    values, variance = scene(rng, frames, pixels)
    weight = rng.uniform(0.5, 2, frames).astype(np.float32)
    (image, spread, coverage, *numbers), marks = run(values, variance, weight, method, MEAN)
    (*_, low, high, present), want = run(values, variance, weight, method, MEDIAN)  # which sorts all pixels
    np.testing.assert_array_equal(marks, want)
    for got, expected in zip(numbers, (low, high, present), strict=True):
        np.testing.assert_array_equal(got, expected)
    kept = np.isfinite(values) & (variance > 0) & (marks == 0)
    w = np.where(kept, weight[:, None].astype(float), 0)
    with np.errstate(invalid="ignore"):
        mean = (w * np.where(kept, values, 0)).sum(axis=0) / w.sum(axis=0)
        noise = (w**2 * np.where(kept, variance, 0)).sum(axis=0) / w.sum(axis=0) ** 2
        effective = np.nan_to_num(w.sum(axis=0) ** 2 / (w**2).sum(axis=0))
    np.testing.assert_allclose(image, mean, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(spread, noise, rtol=1e-5)
    np.testing.assert_allclose(coverage, effective, rtol=1e-5)


def test_a_pixel_does_not_depend_on_its_neighbors():
    rng = np.random.default_rng(5)
    values, variance = scene(rng, 16, 100)
    weight = np.ones(16, np.float32)
    whole, marks = run(values, variance, weight, "winsorized", MEAN)
    for part in (slice(0, 50), slice(3, 22), slice(90, 99)):
        some = np.ascontiguousarray(values[:, part]), np.ascontiguousarray(variance[:, part])
        got, its_marks = run(*some, weight, "winsorized", MEAN)
        np.testing.assert_array_equal(its_marks, marks[:, part])
        for one, other in zip(got, whole, strict=True):
            np.testing.assert_array_equal(one, other[part])


@pytest.mark.parametrize("missing", ["value", "variance", "infinite"])
def test_pixels_beside_one_that_misses_a_sample_get_the_same_bytes(missing):
    """Sixteen pixels that miss nothing are summed by other instructions than those beside a gap."""
    rng = np.random.default_rng(5)
    values = rng.normal(400, 20, (21, 320)).astype(np.float32)
    values[rng.random(values.shape) < 1e-3] += 900
    variance = rng.uniform(300, 500, values.shape).astype(np.float32)
    weight = rng.uniform(0.5, 2, 21).astype(np.float32)
    whole, marks = run(values, variance, weight, "winsorized", MEAN)
    holed, noise = values.copy(), variance.copy()
    if missing == "variance":
        noise[13, ::16] = -1
    else:
        holed[13, ::16] = np.nan if missing == "value" else np.inf
    gaps, gap_marks = run(holed, noise, weight, "winsorized", MEAN)
    assert (gaps[5][::16] == 20).all()
    others = np.arange(320) % 16 != 0
    for one, other in zip([*whole, *marks], [*gaps, *gap_marks], strict=True):
        np.testing.assert_array_equal(one[others], other[others])
    wide = whole[0].astype(float)
    kept = np.where(marks == 0, values, np.nan)
    mean = np.nansum(kept * weight[:, None], axis=0) / np.where(marks == 0, weight[:, None], 0).sum(axis=0)
    np.testing.assert_allclose(wide, mean, rtol=1e-6)


def test_a_frame_without_weight_is_missing_everywhere():
    rng = np.random.default_rng(6)
    values = rng.normal(400, 20, (9, 64)).astype(np.float32)
    variance = np.full(values.shape, 400, np.float32)
    weight = np.ones(9, np.float32)
    weight[4] = 0
    out, _ = run(values, variance, weight, "winsorized", MEAN)
    kept, _ = run(
        np.delete(values, 4, 0), np.delete(variance, 4, 0), np.ones(8, np.float32), "winsorized", MEAN
    )
    assert (out[5] == 8).all()
    np.testing.assert_array_equal(out[0], kept[0])
