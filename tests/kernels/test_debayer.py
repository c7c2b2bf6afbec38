"""Debayering kernels against slow twins and hand-worked mosaics."""

import numpy as np
import pytest

from sciastro.calibrate.debayer import split_window
from sciastro.kernels.debayer import superpixel

PATTERNS = {"RGGB": (0, 1, 1, 2), "BGGR": (2, 1, 1, 0), "GRBG": (1, 0, 2, 1), "GBRG": (1, 2, 0, 1)}
FATAL = 1 | 1 << 13


def mosaic(shape, seed):
    rng = np.random.default_rng(seed)
    signal = rng.normal(100, 20, shape).astype("f4")
    variance = rng.uniform(50, 150, shape).astype("f4")
    quality = np.where(rng.random(shape) < 0.1, 1 << 11, 0).astype("u2")
    gone = rng.random(shape) < 0.15
    signal[gone] = variance[gone] = np.nan
    quality[gone] |= 1
    return signal, variance, quality


def average(samples):
    """Return mean, variance and bits of (signal, variance, bits) samples, NaN left out."""
    bits = np.bitwise_or.reduce([int(s[2]) for s in samples]) if samples else 0
    good = [s for s in samples if np.isfinite(s[0])]
    if not good:
        return np.nan, np.nan, bits | FATAL
    n = len(good)
    return sum(float(s[0]) for s in good) / n, sum(float(s[1]) for s in good) / n**2, bits & ~FATAL


def twin(planes, codes, py, px, method):
    signal, variance, quality = planes
    h, w = signal.shape
    color = np.array([[codes[((y + py) % 2) * 2 + (x + px) % 2] for x in range(w)] for y in range(h)])
    shape = (3, (h - py) // 2, (w - px) // 2) if method == "superpixel" else (3, h, w)
    out = np.zeros((3, *shape))
    for c, y, x in np.ndindex(shape):
        if method == "superpixel":
            sites = [(2 * y + py + j, 2 * x + px + i) for j in (0, 1) for i in (0, 1)]
        elif color[y, x] == c:
            sites = [(y, x)]
        else:
            sites = [
                (j, i) for j in (y - 1, y, y + 1) for i in (x - 1, x, x + 1) if 0 <= j < h and 0 <= i < w
            ]
        sites = [site for site in sites if color[site] == c]
        out[:, c, y, x] = average([(signal[s], variance[s], quality[s]) for s in sites])
    return out


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("parity", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_superpixel_equals_the_twin(parity, pattern):
    planes, codes = mosaic((13, 16), 3), np.array(PATTERNS[pattern], "i1")
    want = twin(planes, codes, *parity, "superpixel")
    shape = want.shape[1:]
    out, noise, bits = np.empty(shape, "f4"), np.empty(shape, "f4"), np.empty(shape, "u2")
    superpixel(*planes, codes, *parity, out, noise, bits)
    np.testing.assert_allclose(out, want[0], rtol=1e-6)
    np.testing.assert_allclose(noise, want[1], rtol=1e-6)
    np.testing.assert_array_equal(bits, want[2])
    alone, none = np.empty(shape, "f4"), np.empty((0, 0, 0), "f4")
    superpixel(planes[0], np.empty((0, 0), "f4"), planes[2], codes, *parity, alone, none, bits)
    np.testing.assert_array_equal(alone, out)


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("parity", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_bilinear_equals_the_twin(parity, pattern):
    planes = mosaic((13, 16), 3)
    want = twin(planes, np.array(PATTERNS[pattern], "i1"), *parity, "bilinear")
    out, noise, bits = split_window(*planes, pattern, *parity, method="bilinear")
    np.testing.assert_allclose(out, want[0], rtol=1e-6)
    np.testing.assert_allclose(noise, want[1], rtol=1e-6)
    np.testing.assert_array_equal(bits, want[2])


def test_the_variance_of_green_is_what_two_samples_give():
    signal, variance = np.array([[1, 10], [30, 4]], "f4"), np.array([[1, 8], [4, 2]], "f4")
    out, noise, bits = np.empty((3, 1, 1), "f4"), np.empty((3, 1, 1), "f4"), np.empty((3, 1, 1), "u2")
    superpixel(
        signal, variance, np.zeros((2, 2), "u2"), np.array(PATTERNS["RGGB"], "i1"), 0, 0, out, noise, bits
    )
    assert out.ravel().tolist() == [1, 20, 4]
    assert noise.ravel().tolist() == [1, 3, 2]
