import numpy as np
import pytest

from sciastro.kernels.aperture import annulus_sky, aperture_sums, circle_overlap, stamp_discs


def overlap_by_counting(dx, dy, r, n=400):
    """Return the share of an n x n raster of the pixel that lies in the circle."""
    at = (np.arange(n) + 0.5) / n - 0.5
    return float(np.mean((dx + at)[None, :] ** 2 + (dy + at)[:, None] ** 2 <= r * r))


@pytest.mark.parametrize("r", [0.2, 0.5, 0.8, 1.5, 3.3])
def test_overlap_is_the_area(r):
    rng = np.random.default_rng(1)
    for dx, dy in rng.uniform(-r - 1, r + 1, (60, 2)):
        assert circle_overlap(dx, dy, r) == pytest.approx(overlap_by_counting(dx, dy, r), abs=2e-3)


def test_overlap_of_known_places():
    assert circle_overlap(0.0, 0.0, 0.3) == pytest.approx(np.pi * 0.09)  # circle inside the pixel
    assert circle_overlap(0.0, 0.0, 5.0) == 1.0
    assert circle_overlap(6.0, 0.0, 5.0) == 0.0
    assert circle_overlap(0.5, 0.5, 0.5) == pytest.approx(np.pi / 16)  # a quarter circle
    assert circle_overlap(0.5, 0.0, 0.5) == pytest.approx(np.pi / 8)  # half a circle


def test_overlaps_sum_to_the_circle():
    for r in (0.7, 1.5, 4.2):
        grid = np.arange(-7, 8)
        total = sum(circle_overlap(i - 0.31, j + 0.17, r) for i in grid for j in grid)
        assert total == pytest.approx(np.pi * r * r, rel=1e-12)


def sums_twin(image, variance, missing, quality, x, y, r, kernel):
    """Return `aperture_sums` of one source by the definition: every pair of pixels of the whole image."""
    rows, columns = np.indices(image.shape)
    area = np.vectorize(circle_overlap)(columns - x, rows - y, r)
    weight, moved, lost = np.where(missing, 0.0, area), 0.0, np.pi * r * r - area.sum()
    for row, column in zip(*np.nonzero(missing & (area > 0)), strict=True):
        j, i = int(np.floor(2 * y - row + 0.5)), int(np.floor(2 * x - column + 0.5))
        inside = 0 <= j < image.shape[0] and 0 <= i < image.shape[1]
        if inside and not missing[j, i]:
            weight[j, i] += area[row, column]
            moved += area[row, column]
        else:
            lost += area[row, column]
    at = np.argwhere(weight > 0)
    w = weight[weight > 0]
    far = max(image.shape)
    full = np.pad(kernel, far - kernel.shape[0] // 2)
    offset = at[:, None, :] - at[None, :, :] + far
    correlation = full[offset[..., 0], offset[..., 1]]
    sigma = np.sqrt(variance[weight > 0].astype(float))
    bits = np.bitwise_or.reduce(quality[area > 0], initial=0)
    return (w * image[weight > 0]).sum(), (w * sigma) @ correlation @ (w * sigma), w.sum(), moved, lost, bits


def symmetric(lags):
    full = np.array([*lags[:0:-1], *lags])
    return np.outer(full, full)


SLANTED = symmetric([1.0, 0.4]) + 0.1 * np.array([[1, 0, -2], [0, 0, 0], [-2, 0, 1]])  # as rotated frames


@pytest.mark.parametrize("kernel", [symmetric([1.0]), symmetric([1.0, 0.6, 0.2]), SLANTED])
def test_sums_equal_the_twin(kernel):
    rng = np.random.default_rng(5)
    image = rng.normal(10, 3, (40, 44)).astype("f4")
    variance = rng.uniform(1, 9, image.shape).astype("f4")
    quality = (1 << rng.integers(0, 16, image.shape)).astype("u2")
    missing = rng.random(image.shape) < 0.03
    image[missing] = np.nan
    x, y = rng.uniform(8, 34, 12), rng.uniform(8, 31, 12)
    for r in (1.5, 3.7):
        got = aperture_sums(image, variance, missing, quality, x, y, r, kernel)
        for k in range(len(x)):
            truth = sums_twin(image, variance, missing, quality, x[k], y[k], r, kernel)
            np.testing.assert_allclose([column[k] for column in got], truth, rtol=1e-6, atol=1e-9)


def test_hand_worked_variance():
    # A circle of radius 0.5 about the corner of four pixels of variance 4: four weights of pi/16, so
    # 4 * (pi/16)^2 * 4 without correlation; with 1/4 along an axis every weight meets (1 + 1/4)^2 of it.
    image, none = np.ones((10, 10), "f4"), np.zeros((10, 10), bool)
    args = image, image * 4, none, none.astype("u2"), np.array([4.5]), np.array([4.5]), 0.5
    white = 16 * (np.pi / 16) ** 2
    assert aperture_sums(*args, np.ones((1, 1)))[1][0] == pytest.approx(white)
    assert aperture_sums(*args, np.outer([0.25, 1, 0.25], [0.25, 1, 0.25]))[1][0] == pytest.approx(
        white * 1.5625
    )
    assert aperture_sums(*args, np.ones((1, 1)))[0][0] == pytest.approx(np.pi / 4)


def test_nothing_is_read_beyond_the_image():
    image, none = np.ones((6, 6), "f4"), np.zeros((6, 6), bool)
    x, y = np.array([-50.0, 0.0, 5.0, np.nan]), np.array([3.0, 0.0, 80.0, 2.0])
    got = aperture_sums(image, image, none, none.astype("u2"), x, y, 2.0, np.ones((1, 1)))
    np.testing.assert_allclose(got[4][[0, 2, 3]], np.pi * 4)
    assert got[4][1] > 0
    np.testing.assert_allclose(got[2] + got[4], np.pi * 4)


def sky_twin(image, avoid, x, y, inner, outer, kappa, widen, rounds):
    rows, columns = np.indices(image.shape)
    d2 = (columns - x) ** 2 + (rows - y) ** 2
    values = np.sort(image[(d2 >= inner**2) & (d2 <= outer**2) & ~avoid].astype(float))
    m = len(values)
    if m < 3:
        return np.nan, np.nan, m
    middle = np.median(values)
    scale = (values[(3 * (m - 1)) // 4] - values[(m - 1) // 4]) / 1.3489795
    kept, before = values, -1
    for _ in range(rounds):
        chosen = values[np.abs(values - middle) <= kappa * scale]
        if len(chosen) < 3:
            break
        kept, same = chosen, len(chosen) == before
        middle, scale, before = np.median(kept), widen * kept.std(ddof=1), len(kept)
        if same:
            break
    return kept.mean(), scale, len(kept)


def test_sky_equals_the_twin():
    rng = np.random.default_rng(3)
    image = rng.normal(100, 5, (90, 90)).astype("f4")
    image[rng.random(image.shape) < 0.05] += 400
    avoid = rng.random(image.shape) < 0.1
    x, y = rng.uniform(-5, 95, 15), rng.uniform(-5, 95, 15)
    sky, sigma, count = annulus_sky(image, avoid, x, y, 8.0, 20.0, 3.0, 1.0136, 20)
    for k in range(len(x)):
        level, scale, n = sky_twin(image, avoid, x[k], y[k], 8.0, 20.0, 3.0, 1.0136, 20)
        assert count[k] == n
        assert sky[k] == pytest.approx(level, rel=1e-7)
        assert sigma[k] == pytest.approx(scale, rel=1e-6)
        assert abs(sky[k] - 100) < 2  # the bright pixels are out


def test_sky_without_pixels_is_nan():
    image = np.zeros((20, 20), "f4")
    sky, sigma, count = annulus_sky(
        image, np.ones((20, 20), bool), np.array([10.0]), np.array([10.0]), 2.0, 5.0, 3.0, 1.0, 5
    )
    assert np.isnan(sky[0])
    assert np.isnan(sigma[0])
    assert count[0] == 0


def test_stamp_discs():
    mask = np.zeros((30, 40), bool)
    x, y, r = np.array([5.3, 39.0, np.nan]), np.array([7.8, 29.0, 4.0]), np.array([3.2, 2.0, 5.0])
    stamp_discs(mask, x, y, r)
    rows, columns = np.indices(mask.shape)
    truth = np.zeros_like(mask)
    for k in range(2):
        truth |= (columns - x[k]) ** 2 + (rows - y[k]) ** 2 <= r[k] ** 2
    np.testing.assert_array_equal(mask, truth)
