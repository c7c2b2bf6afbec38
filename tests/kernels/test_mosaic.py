"""Mosaics taken apart and interpolated, against slow twins and hand-worked numbers."""

import numpy as np
import pytest

from sciastro.calibrate.interpolation import interpolation, radius_of
from sciastro.core.cfa import BAYER, XTRANS, cell_origin, color_plane, pattern_of, rolled
from sciastro.kernels.debayer import average_pair
from sciastro.kernels.interpolate import interpolate
from sciastro.kernels.mosaic import add_centered, cells, keep_color

FATAL = 1 | 1 << 13
SHIFTED = "".join(np.roll(np.array(list(XTRANS)).reshape(6, 6), (4, 1), (0, 1)).ravel())
NONE = np.empty((0, 0), "f4")


def mosaic(shape, seed=3, gone=0.1):
    rng = np.random.default_rng(seed)
    signal = rng.normal(100, 20, shape).astype("f4")
    variance = rng.uniform(50, 150, shape).astype("f4")
    quality = np.where(rng.random(shape) < 0.1, 1 << 11, 0).astype("u2")
    missing = rng.random(shape) < gone
    signal[missing] = variance[missing] = np.nan
    quality[missing] |= 1
    return signal, variance, quality


def average(samples, weights=None):
    """Return mean, variance and bits of (signal, variance, bits) samples, NaN left out."""
    weights = [1.0] * len(samples) if weights is None else weights
    bits = np.bitwise_or.reduce([int(s[2]) for s in samples]) if samples else 0
    good = [(s, w) for s, w in zip(samples, weights, strict=True) if np.isfinite(s[0])]
    if not good:
        return np.nan, np.nan, bits | FATAL
    norm = sum(w for _, w in good)
    return (
        sum(w * float(s[0]) for s, w in good) / norm,
        sum(w * w * float(s[1]) for s, w in good) / norm**2,
        bits & ~FATAL,
    )


@pytest.mark.parametrize("cfa", ["GRBG", XTRANS, SHIFTED])
def test_one_color_is_kept(cfa):
    planes, corner = mosaic((17, 23)), (5, 2)
    color = color_plane(cfa, (40, 40))[corner[0] :, corner[1] :][:17, :23]
    for c in range(3):
        out = np.empty((17, 23), "f4"), np.empty((17, 23), "f4"), np.empty((17, 23), "u2")
        keep_color(*planes, rolled(cfa, *corner), c, *out)
        own = color == c
        np.testing.assert_array_equal(out[0], np.where(own, planes[0], np.nan))
        np.testing.assert_array_equal(out[1], np.where(own, planes[1], np.nan))
        np.testing.assert_array_equal(out[2], np.where(own, planes[2], FATAL))


@pytest.mark.parametrize("cfa", [XTRANS, SHIFTED])
@pytest.mark.parametrize("corner", [(0, 0), (4, 2)])
def test_cells_equal_the_twin(cfa, corner):
    planes = mosaic((20, 26), gone=0.4)
    color = color_plane(cfa, (40, 40))[corner[0] :, corner[1] :]
    skip = [(origin - at) % 3 for origin, at in zip(cell_origin(cfa), corner, strict=True)]
    shape = (3, (20 - skip[0]) // 3, (26 - skip[1]) // 3)
    out = np.empty(shape, "f4"), np.empty(shape, "f4"), np.empty(shape, "u2")
    cells(*planes, rolled(cfa, *corner), 3, *skip, *out)
    counts = np.zeros(shape, int)
    for c, j, i in np.ndindex(shape):
        sites = [(3 * j + skip[0] + dy, 3 * i + skip[1] + dx) for dy in range(3) for dx in range(3)]
        sites = [site for site in sites if color[site] == c]
        counts[c, j, i] = len(sites)
        want = average([tuple(plane[s] for plane in planes) for s in sites])
        assert out[0][c, j, i] == pytest.approx(want[0], rel=1e-6, nan_ok=True)
        assert out[1][c, j, i] == pytest.approx(want[1], rel=1e-6, nan_ok=True)
        assert out[2][c, j, i] == want[2]
    assert (counts == np.array([2, 5, 2])[:, None, None]).all()


@pytest.mark.parametrize("cfa", [*BAYER, XTRANS, SHIFTED])
@pytest.mark.parametrize("method", ["bilinear", "linear"])
@pytest.mark.parametrize("gone", [0.0, 0.03])
def test_interpolation_equals_the_twin(cfa, method, gone):
    corner, shape, radius = (3, 4), (13, 300), radius_of(cfa, method)  # wider than a block of the kernel
    planes = mosaic((shape[0] + 2 * radius, shape[1] + 2 * radius), gone=gone)
    side = len(pattern_of(cfa))
    tables = [
        [np.ascontiguousarray(np.roll(t[:, :, c], (-corner[0], -corner[1]), (0, 1))) for c in range(3)]
        for t in interpolation(cfa, method)
    ]
    for c in range(3):
        out = np.empty(shape, "f4"), np.empty(shape, "f4"), np.empty(shape, "u2")
        interpolate(*planes, tables[0][c], tables[1][c], *out)
        alone = np.empty(shape, "f4")
        interpolate(planes[0], NONE, planes[2], tables[0][c], tables[1][c], alone, NONE, out[2].copy())
        np.testing.assert_array_equal(alone, out[0])
        for y, x in [(y, x) for y in range(shape[0]) for x in (*range(12), *range(245, 260), 299)]:
            w = tables[0][c][y % side, x % side].ravel()
            near = tables[1][c][y % side, x % side].ravel()
            square = np.s_[y : y + 2 * radius + 1, x : x + 2 * radius + 1]
            signal, variance, bits = (plane[square].ravel() for plane in planes)
            if np.isfinite(signal).all():
                want = w @ signal, w**2 @ variance, int(np.bitwise_or.reduce(bits[abs(w) >= 0.1])) & ~FATAL
            else:
                use = np.flatnonzero(near) if w[w.size // 2] != 1 else [w.size // 2]
                want = average([(signal[k], variance[k], bits[k]) for k in use], [near[k] for k in use])
            assert out[0][y, x] == pytest.approx(want[0], rel=1e-5, nan_ok=True)
            assert out[1][y, x] == pytest.approx(want[1], rel=1e-5, nan_ok=True)
            assert out[2][y, x] == want[2]


@pytest.mark.parametrize("cfa", ["RGGB", XTRANS, SHIFTED])
@pytest.mark.parametrize("method", ["bilinear", "linear"])
def test_weights_reproduce_gradients_and_leak_no_color(cfa, method):
    weights, _ = interpolation(cfa, method)
    codes, side = pattern_of(cfa), len(pattern_of(cfa))
    radius = weights.shape[-1] // 2
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    leak = np.zeros((side, side, 3))
    for y, x, c in np.ndindex(side, side, 3):
        w = weights[y, x, c].astype(float)
        color = codes[(y + dy) % side, (x + dx) % side]
        for k in range(3):  # a plane of each color: a + b x + c y is met exactly, other colors add nothing
            part = w * (color == k)
            assert [part.sum(), (part * dx).sum(), (part * dy).sum()] == pytest.approx(
                [float(k == c), 0, 0], abs=2e-6
            )
        np.add.at(leak[:, :, c], ((y + dy) % side, (x + dx) % side), w)
    for c in range(3):
        assert np.abs(leak[:, :, c][codes != c]).max() < 1e-5
        assert leak[:, :, c].sum() == pytest.approx(side**2, rel=1e-6)


def test_two_greens_are_averaged():
    a, b = mosaic((9, 14), 1, gone=0.3), mosaic((9, 14), 2, gone=0.3)
    out = [plane.copy() for plane in a]
    average_pair(*out, *b)
    for site in np.ndindex(9, 14):
        want = average([tuple(plane[site] for plane in one) for one in (a, b)])
        assert out[0][site] == pytest.approx(want[0], rel=1e-6, nan_ok=True)
        assert out[1][site] == pytest.approx(want[1], rel=1e-6, nan_ok=True)
        assert out[2][site] == want[2]


def test_colors_are_added_at_the_center_of_the_cell():
    # Red sampled a quarter of a cell to the left and above: 3/4 of its own and 1/4 of the next, each axis.
    planes = np.zeros((3, 3, 4), "f4")
    planes[0] = [[0, 0, 0, 0], [0, 16, 32, 0], [0, 0, 64, 0]]
    planes[1] = 1.0
    bits = np.zeros((3, 3, 4), "u2")
    bits[0, 1, 1], bits[2, 1, 1] = 4, 8
    out, every = np.empty((3, 4), "f4"), np.empty((3, 4), "u2")
    offsets = np.array([[-0.25, -0.25], [0, 0], [0.25, 0.25]], "f4")
    add_centered(planes, bits, np.array([1, 2, 1], "f4"), offsets, out, every)
    assert out[1, 1] == 9 / 16 * 16 + 3 / 16 * 32 + 3 / 16 * 0 + 1 / 16 * 64 + 2
    assert out[2, 3] == 2  # the last row and column stand in for the ones beyond
    assert every[1, 1] == 12 and every.sum() == 12
