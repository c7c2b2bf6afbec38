"""Pixels of masters that are averaged without sorting: the samples rejected as by sorting, the right mean."""

import numpy as np
import pytest

from sciastro.kernels.masters import combine_counts
from sciastro.kernels.networks import merge_network
from sciastro.kernels.reduce import METHODS, combine
from sciastro.kernels.samples import MEDIAN

READ, SHOT, CEILING = 90.0, 0.6, 60_000.0


def scene(rng, frames, pixels, dtype):
    """Flats over a bias plane, of slightly different levels, with hits, full pixels and missing numbers."""
    minus = rng.normal(500, 5, pixels).astype(np.float32)
    scale = rng.uniform(0.97, 1.03, frames).astype(np.float32)
    level = rng.choice([0.0, 3000.0, 30_000.0], pixels) / scale[:, None]
    raw = rng.normal(level, np.sqrt(READ + SHOT * level)) + minus
    raw[rng.random(raw.shape) < 0.004] += 3000
    raw[rng.random(raw.shape) < 0.002] = 0
    raw[frames // 2, ::31] = 65_535
    raw = np.clip(raw.round(), 0, 65_535).astype(dtype)
    if raw.dtype.kind == "f":
        raw[rng.random(raw.shape) < 0.01] = np.nan
        raw[0, ::53] = -np.inf
    return raw, minus, scale


def run(raw, minus, scale, method="winsorized"):
    pixels = raw.shape[1]
    planes = [np.full(pixels, 9, kind) for kind in ("f4", "f4", "f4", "u2", "u2", "u2")]
    combine_counts(
        raw, minus, scale, (1 / scale).astype(np.float32), CEILING, READ, SHOT, merge_network(len(raw)),
        METHODS[method], 4.0, 3.0, 5, *planes,
    )  # fmt: skip
    return planes


@pytest.mark.parametrize("method", ["winsorized", "sigma"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("frames, pixels", [(1, 40), (2, 700), (3, 700), (4, 515), (15, 4000), (20, 511)])
def test_same_samples_rejected_as_by_sorting(method, dtype, frames, pixels):
    raw, minus, scale = scene(np.random.default_rng(frames), frames, pixels, dtype)
    image, variance, scatter, kept, low, high = run(raw, minus, scale, method)
    values = (raw.astype(np.float32) - minus) * scale[:, None]
    values[~(raw <= CEILING) | ~np.isfinite(values)] = np.nan
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        middle = np.nan_to_num(np.nanmedian(np.where(there.any(axis=0), values, 0.0), axis=0))
    noise = np.mean(scale**2) * READ + np.mean(scale) * SHOT * np.maximum(middle, 0)
    floors = np.broadcast_to(noise, values.shape).astype(np.float32)
    marks = np.zeros(values.shape, np.uint8)
    out = [np.empty(pixels, kind) for kind in ("f4", "f4", "f4", "u2", "u2", "u2")]
    combine(  # the median sorts all pixels
        values.astype(np.float32), floors, np.ones(frames, np.float32), np.empty((0, 0), np.float32),
        merge_network(frames), METHODS[method], MEDIAN, 4.0, 3.0, 5, True, *out, marks,
    )  # fmt: skip
    np.testing.assert_array_equal(low, out[3])
    np.testing.assert_array_equal(high, out[4])
    used = there & (marks == 0)
    np.testing.assert_array_equal(kept, used.sum(axis=0))
    w, x = np.where(used, 1 / scale[:, None].astype(float), 0), np.where(used, values, 0).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (w * x).sum(axis=0) / w.sum(axis=0)
        spread = (w * (x - mean) ** 2 * used).sum(axis=0) / w.sum(axis=0) * kept / (kept - 1)
    np.testing.assert_allclose(image, mean, rtol=1e-6, atol=2e-5)
    some = kept > 1
    np.testing.assert_allclose(scatter[some], spread[some], rtol=1e-3, atol=1e-3)
    assert np.isnan(scatter[~some]).all()
    weight = 1 / scale.astype(float)
    share = (weight**2 * scale**2).sum() * READ + (weight**2 * scale).sum() * SHOT * np.maximum(mean, 0)
    with np.errstate(divide="ignore"):
        want = share / weight.sum() ** 2 * frames / kept
    np.testing.assert_allclose(variance[kept > 0], want[kept > 0], rtol=2e-5)
    assert np.isnan(variance[kept == 0]).all()


def test_a_pixel_does_not_depend_on_its_neighbors():
    raw, minus, scale = scene(np.random.default_rng(5), 16, 1500, np.uint16)
    whole = run(raw, minus, scale)
    for part in (slice(0, 50), slice(3, 722), slice(1490, 1499)):
        some = np.ascontiguousarray(raw[:, part]), np.ascontiguousarray(minus[part])
        for one, other in zip(run(*some, scale), whole, strict=True):
            np.testing.assert_array_equal(one, other[part])
