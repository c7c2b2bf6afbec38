"""The detection kernels against slow twins that make every temporary."""

import numpy as np
import pytest
from scipy import ndimage

from sciastro.kernels.background import interpolation_table
from sciastro.kernels.detect import find_peaks, list_flagged
from sciastro.kernels.windowed import COLUMNS, NARROW, _sky_plane, measure_stars

MASKS = np.array([0b1, 0b10, 0b100], np.uint16)
NONE = np.zeros((1, 1), np.uint16)
COLUMN = {name: i for i, name in enumerate(COLUMNS)}


def flat_mesh(shape, level, rms):
    """Return padded level and noise meshes of a constant sky, and their tables."""
    tables = []
    for n in shape:
        index, weight = np.empty(n, np.int64), np.empty((4, n), np.float32)
        interpolation_table(n, 2, index, weight)
        tables += [index, weight]
    return np.full((6, 6), level, np.float32), np.full((6, 6), rms, np.float32), tables


def half_gauss(sigma):
    taps = np.exp(-0.5 * (np.arange(int(2.5 * sigma) + 2) / sigma) ** 2)
    return (taps / (2 * taps.sum() - taps[0])).astype(np.float32)


def peaks(image, quality=NONE, threshold=3.0, rows=None, capacity=4000):
    level, rms, tables = flat_mesh(image.shape, 100.0, 5.0)
    first, last = rows or (0, image.shape[0])
    x, y, s = np.empty(capacity, np.int32), np.empty(capacity, np.int32), np.empty(capacity, np.float32)
    n = find_peaks(
        image, quality, MASKS, level, rms, *tables, half_gauss(1.3), threshold, first, last, x, y, s
    )
    n = min(n, capacity)
    return x[:n], y[:n], s[:n], n


def twin_significance(image, bad):
    half = half_gauss(1.3)
    kernel = np.concatenate([half[:0:-1], half]).astype(float)
    clean = np.where(bad | ~np.isfinite(image), 0, image - 100.0)
    smooth = ndimage.convolve1d(
        ndimage.convolve1d(clean, kernel, axis=0, mode="constant"), kernel, axis=1, mode="constant"
    )
    return smooth / (5.0 * np.sum(kernel**2))


def noisy(shape=(60, 83), seed=1):
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 5, shape).astype(np.float32)
    image[rng.uniform(size=shape) < 0.01] = np.nan
    return image


@pytest.mark.parametrize("rows", [(0, 60), (20, 41)])
def test_peaks_equal_the_twin(rows):
    image = noisy()
    quality = np.zeros(image.shape, np.uint16)
    quality[30, 40:50] = 0b1
    quality[10, :20] = 0b110  # repaired, counts
    x, y, s, _ = peaks(image, quality, threshold=1.5, rows=rows)
    full = twin_significance(image, (quality & 1) != 0)
    neighbors = np.ones((3, 3), bool)
    neighbors[1, 1] = False
    highest = ndimage.maximum_filter(full, footprint=neighbors, mode="constant", cval=-np.inf)
    want = (full > highest) & (full >= 1.5)
    want[[0, -1]] = want[:, [0, -1]] = False
    want[: rows[0]] = want[rows[1] :] = False
    assert sorted(zip(y, x, strict=True)) == sorted(zip(*np.nonzero(want), strict=True))
    np.testing.assert_allclose(s, full[y, x], rtol=2e-4, atol=1e-4)
    assert x.size > 15


def test_noise_of_the_filtered_map_is_one_sigma():
    # White noise through the filter must have unit scatter, or "5 sigma" means nothing.
    rng = np.random.default_rng(2)
    image = rng.normal(100, 5, (300, 300)).astype(np.float32)
    x, y, s, _ = peaks(image, threshold=-50.0, capacity=90_000)
    full = twin_significance(image, np.zeros(image.shape, bool))
    assert full.std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(s, full[y, x], atol=1e-3)


def test_too_many_peaks_are_counted_not_written():
    image = noisy(seed=3)
    x, y, s = np.empty(5, np.int32), np.empty(5, np.int32), np.empty(5, np.float32)
    level, rms, tables = flat_mesh(image.shape, 100.0, 5.0)
    n = find_peaks(image, NONE, MASKS, level, rms, *tables, half_gauss(1.3), 1.0, 0, 60, x, y, s)
    assert n > 5
    full = peaks(image, threshold=1.0)
    np.testing.assert_array_equal(x, full[0][:5])


def measured(image, x, y, sigma, aperture, quality=NONE, variance=None):
    level, rms, tables = flat_mesh(image.shape, 100.0, 5.0)
    v = np.zeros((1, 1), np.float32) if variance is None else variance
    out, bits = np.empty((1, len(COLUMNS))), np.empty(1, np.uint16)
    start = (np.array([float(x)]), np.array([float(y)]), np.zeros(1))
    measure_stars(image, quality, MASKS, v, level, rms, *tables, *start, sigma, aperture, out, bits)
    return out[0], bits[0]


def elliptic(shape, x, y, flux, major, minor, theta):
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    u, v = u - x, v - y
    p, q = u * np.cos(theta) + v * np.sin(theta), v * np.cos(theta) - u * np.sin(theta)
    return flux * np.exp(-0.5 * ((p / major) ** 2 + (q / minor) ** 2)) / (2 * np.pi * major * minor)


def test_a_perfect_star_is_recovered_to_its_last_digit():
    image = (100 + elliptic((61, 61), 30.37, 29.81, 1e5, 2.4, 1.6, 0.4)).astype(np.float32)
    row, _ = measured(image, 30, 30, 2.0, 5.0)
    assert row[COLUMN["x"]] == pytest.approx(30.37, abs=1e-3)
    assert row[COLUMN["y"]] == pytest.approx(29.81, abs=1e-3)
    c, s = np.cos(0.4), np.sin(0.4)
    assert row[COLUMN["cxx"]] == pytest.approx(2.4**2 * c * c + 1.6**2 * s * s, rel=0.01)
    assert row[COLUMN["cyy"]] == pytest.approx(2.4**2 * s * s + 1.6**2 * c * c, rel=0.01)
    assert row[COLUMN["cxy"]] == pytest.approx((2.4**2 - 1.6**2) * c * s, rel=0.02)
    assert row[COLUMN["good"]] == 1.0


def test_flux_within_the_aperture_and_its_error():
    image = (100 + elliptic((61, 61), 30.2, 29.7, 1e5, 2.0, 2.0, 0.0)).astype(np.float32)
    row, _ = measured(image, 30, 30, 2.0, 5.0)
    # A Gaussian within r: F (1 - exp(-r2 / 2 s2)); each sample spread over its pixel makes s2 = 4 + 1/12.
    assert row[COLUMN["flux"]] == pytest.approx(1e5 * (1 - np.exp(-25 / (2 * (4 + 1 / 12)))), rel=1e-3)
    # Variance: sky 25 per pixel over 78.5 pixels, plus the flux itself, plus the sky level's own share.
    assert row[COLUMN["flux_err"]] == pytest.approx(np.sqrt(25 * np.pi * 25 + 95_311), rel=0.03)


def test_windowed_moments_equal_the_twin():
    rng = np.random.default_rng(4)
    image = (100 + elliptic((61, 61), 30.0, 30.0, 3e4, 2.0, 1.5, 0.0) + rng.normal(0, 5, (61, 61))).astype(
        np.float32
    )
    row, _ = measured(image, 30, 30, 1.8, 4.5)
    x, y, sky = row[COLUMN["x"]], row[COLUMN["y"]], row[COLUMN["sky"]]
    v, u = np.mgrid[:61, :61].astype(float)
    u, v = u - x, v - y
    window = NARROW * 1.8
    w = np.exp(-0.5 * (u**2 + v**2) / window**2) * (image - sky)
    w[np.maximum(abs(u), abs(v)) > 3.7 * window] = 0
    m = np.array([[(w * u * u).sum(), (w * u * v).sum()], [(w * u * v).sum(), (w * v * v).sum()]]) / w.sum()
    c = np.linalg.inv(np.linalg.inv(m) - np.eye(2) / window**2)
    np.testing.assert_allclose(
        [row[COLUMN[k]] for k in ("cxx", "cxy", "cyy")], c[[0, 0, 1], [0, 1, 1]], rtol=1e-4, atol=1e-4
    )


def test_a_dead_pixel_in_the_core_is_mirrored_not_zero():
    image = (100 + elliptic((61, 61), 30.0, 30.0, 1e5, 2.0, 2.0, 0.0)).astype(np.float32)
    whole, _ = measured(image, 30, 30, 2.0, 5.0)
    quality = np.zeros(image.shape, np.uint16)
    image[30, 32], quality[30, 32] = 0.0, 0b10
    row, bits = measured(image, 30, 30, 2.0, 5.0, quality)
    assert row[COLUMN["x"]] == pytest.approx(30.0, abs=0.01)
    assert row[COLUMN["flux"]] == pytest.approx(whole[COLUMN["flux"]], rel=0.002)
    assert bits == 0b10


def test_the_variance_plane_sets_the_errors():
    image = (100 + elliptic((61, 61), 30.0, 30.0, 1e5, 2.0, 2.0, 0.0)).astype(np.float32)
    plain, _ = measured(image, 30, 30, 2.0, 5.0, variance=np.full(image.shape, 100.0, np.float32))
    tripled, _ = measured(image, 30, 30, 2.0, 5.0, variance=np.full(image.shape, 900.0, np.float32))
    assert tripled[COLUMN["x_err"]] == pytest.approx(3 * plain[COLUMN["x_err"]], rel=1e-6)
    assert plain[COLUMN["snr"]] == pytest.approx(3 * tripled[COLUMN["snr"]], rel=1e-6)


def test_a_hot_pixel_has_no_neighbors():
    image = np.full((61, 61), 100, np.float32)
    image[30, 30] = 5100
    row, _ = measured(image, 30, 30, 1.3, 4.0)
    assert abs(row[COLUMN["sharpness"]]) < 0.01


@pytest.mark.parametrize(("y", "x"), [(40, 50), (0, 3), (79, 99), (2, 97)])
def test_the_slope_of_the_sky_is_right_at_the_edges_too(y, x):
    tables = []
    for n in (80, 100):  # tiles of 20 pixels
        index, weight = np.empty(n, np.int64), np.empty((4, n), np.float32)
        interpolation_table(n, n // 20, index, weight)
        tables += [index, weight]
    rows, columns = np.mgrid[-2:6, -2:7] * 20 + 9.5  # tile centers, two nodes beyond each edge
    level = (100 + 0.5 * columns - 0.25 * rows).astype(np.float32)
    np.testing.assert_allclose(
        _sky_plane(level, y, x, *tables), (100 + 0.5 * x - 0.25 * y, 0.5, -0.25), rtol=1e-4
    )


@pytest.mark.parametrize("room", [10_000, 7])
def test_flagged_pixels_are_those_of_numpy(room):
    rng = np.random.default_rng(8)
    quality = np.where(rng.random((90, 131)) < 0.02, 6, 1).astype(np.uint16)
    y, x = np.empty((2, room), np.int64)
    count = list_flagged(quality, np.uint16(4), y, x)
    rows, columns = np.nonzero(quality & 4)
    assert count == min(rows.size, room)
    assert np.array_equal(y[:count], rows[:count])
    assert np.array_equal(x[:count], columns[:count])
