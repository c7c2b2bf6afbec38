"""Noise that frames share through their masters: undithered, half a pixel apart, dithered, drizzled."""

import numpy as np
import pytest

from sciastro.core.transform import identity
from sciastro.integrate.drizzle import DrizzleOptions, dropper
from sciastro.integrate.fuse import integrate_tile, resampler_of
from sciastro.integrate.grid import Tile
from sciastro.integrate.noise import sample_canvas
from sciastro.integrate.normalize import Terms
from sciastro.integrate.options import StackOptions
from sciastro.integrate.shared import CELLS, SharedNoise, add_shared, shared_noise

SKY, DARK, FLAT = 400.0, 8.0, 0.03  # electron, noise of the dark [electron], of the flat [1]


def stack_of(shifts, *, kernel="lanczos3", drizzle=None, size=460, seed=0, weight=None):
    """Return image and variance without and with the shared part, of frames that share dark and flat."""
    rng, n = np.random.default_rng(seed), len(shifts)
    scale = 1.0 if drizzle is None else drizzle.scale
    dark, flat = rng.normal(0, DARK, (size, size)), rng.normal(1, FLAT, (size, size))
    frames = [(rng.poisson(SKY, (size, size)) * flat + dark).astype("f4") for _ in range(n)]
    variance = np.float32(SKY + DARK**2 + (SKY * FLAT) ** 2)
    maps = np.repeat(identity()[None], n, axis=0)
    maps[:, :, 0] = np.asarray(shifts) - (scale - 1) / (2 * scale) + 30
    maps[:, 0, 1] = maps[:, 1, 2] = 1000 / scale
    side = int(400 * scale)
    weight = np.ones(n) if weight is None else np.asarray(weight)
    options = StackOptions(reject="none", kernel=kernel, clamp=None)

    def read(i, y0, y1, x0, x1):
        part = frames[i][y0:y1, x0:x1]
        return part, np.full(part.shape, variance), np.zeros(part.shape, "u2")

    terms = Terms(np.ones(n), np.zeros(n), np.zeros(n))
    done = integrate_tile(
        read, maps, (size, size), terms, weight, Tile(0, side, 0, side), options, drizzle=drizzle
    )
    sampled = sample_canvas(maps, (side, side), (size, size))
    how = resampler_of(options) if drizzle is None else dropper(drizzle)
    area = sampled.area
    noise = shared_noise(
        sampled,
        (side, side),
        weight,
        (DARK * area, np.zeros(n)),
        (np.full(area.shape, FLAT), np.zeros(n)),
        how,
    )
    more = done.variance.copy()
    add_shared(done.image, more, noise)
    return done.image, done.variance, more


def rms(image):
    return float(np.std(image[8:-8, 8:-8]))


def quoted(variance):
    return float(np.sqrt(variance[8:-8, 8:-8].mean(dtype=float)))


CASES = {
    "undithered": (np.zeros((12, 2)), {}),
    "half a pixel": (np.linspace(0, 0.5, 12)[:, None] * [1, 1], {}),
    "three places": (np.repeat([[0, 0], [5.3, 1], [0.2, 8.6]], 4, axis=0), {"weight": [1, 2, 3] * 4}),
    "bilinear": (np.linspace(0, 2, 12)[:, None] * [1, 0.3], {"kernel": "bilinear"}),
    "drizzled": (np.linspace(0, 0.9, 12)[:, None] * [1, 0.7], {"drizzle": DrizzleOptions(scale=2.0)}),
}


@pytest.mark.parametrize("case", CASES)
def test_noise_is_as_quoted_where_frames_share_their_masters(case):
    shifts, how = CASES[case]
    image, alone, more = stack_of(shifts, **how)
    assert rms(image) > 1.1 * quoted(alone)  # what was quoted before
    assert quoted(more) == pytest.approx(rms(image), rel=0.02)


def test_dither_makes_it_vanish():
    image, alone, more = stack_of(9.0 * np.arange(12)[:, None] * [0.3, 0.4] % 29)
    assert quoted(more) == pytest.approx(quoted(alone), rel=0.02)
    assert rms(image) == pytest.approx(quoted(more), rel=0.02)


def test_frames_of_different_masters_share_nothing():
    maps = np.repeat(identity()[None], 4, axis=0)
    sampled = sample_canvas(maps, (50, 50), (50, 50))
    ones, none = np.ones(sampled.x.shape), np.full(4, -1)
    how = resampler_of(StackOptions())
    apart = shared_noise(sampled, (50, 50), np.ones(4), (ones, np.arange(4)), (ones, none), how)
    assert not apart.offset.any()
    assert not apart.relative.any()
    # Two and two: 2 pairs of the 6, so (2 * 2) / 4^2 of the master's variance beyond its own 4 / 4^2.
    pairs = shared_noise(sampled, (50, 50), np.ones(4), (ones, np.array([0, 0, 1, 1])), (ones, none), how)
    np.testing.assert_allclose(pairs.offset, 0.25)


def test_cells_follow_a_field_that_rotates():
    # Frames turned about the middle by up to 3 degrees: pairs there, none at the edge.
    n, size = 10, 400
    maps = np.repeat(identity()[None], n, axis=0)
    for i, t in enumerate(np.radians(np.linspace(0, 3, n))):
        turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        maps[i, :, 1:] = 1000 * turn
        maps[i, :, 0] = np.array([200, 200]) - turn @ [200, 200]
    sampled = sample_canvas(maps, (size, size), (size, size))
    ones = np.ones(sampled.x.shape)
    noise = shared_noise(
        sampled,
        (size, size),
        np.ones(n),
        (ones, np.zeros(n)),
        (ones, np.full(n, -1)),
        resampler_of(StackOptions()),
    )
    middle, corner = noise.offset[3:5, 3:5].mean(), noise.offset[0, 0]
    assert middle > 5 * corner > 0


def test_adding_keeps_missing_pixels_missing_and_grows_with_the_signal():
    image = np.full((300, 40), 10.0, "f4")
    image[:, 20:] = 100.0
    image[0, 0] = np.nan
    variance = np.ones_like(image)
    variance[0, 0] = np.nan
    cells = np.ones((CELLS, CELLS))
    rise = add_shared(image, variance, SharedNoise(0.5 * cells, 1e-3 * cells))
    assert np.isnan(variance[0, 0])
    assert variance[299, 3] == pytest.approx(1 + 0.5 + 0.1)
    assert variance[0, 39] == pytest.approx(1 + 0.5 + 10)
    assert 0.6 <= rise <= 10.5
