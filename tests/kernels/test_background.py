"""The background kernels against slow twins that sort."""

import numpy as np
import pytest

from sciastro.kernels.background import interpolate_rows, interpolation_table, rejected, tile_statistics

NO_QUALITY = np.zeros((1, 1), np.uint16)
MASKS = np.array([0b1, 0b10, 0b100], np.uint16)
SHRINK = 0.98658  # standard deviation of a unit Gaussian cut at 3 sigma


def run(image, quality=NO_QUALITY, use_mode=False, box=32, kappa=3.0):
    edges = [np.arange(0, n + 1, box) for n in image.shape]
    tiles = (edges[0].size - 1, edges[1].size - 1)
    level, rms, used = np.empty(tiles), np.empty(tiles), np.empty(tiles)
    tile_statistics(image, quality, MASKS, *edges, kappa, SHRINK, 12, use_mode, level, rms, used)
    return level, rms, used


def twin(values, kappa=3.0):
    """Clip about the median until nothing changes; return median, mean, sigma."""
    values = values[np.isfinite(values)].astype(float)
    middle, spread = np.median(values), 1.4826 * np.median(np.abs(values - np.median(values)))
    values = values[np.abs(values - middle) < 8 * spread]
    cut = False
    while True:
        middle, spread = np.median(values), values.std() / (SHRINK if cut else 1.0)
        kept = values[np.abs(values - middle) <= kappa * spread]
        if kept.size == values.size:
            return middle, values.mean(), spread
        values, cut = kept, True


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_tile_equals_the_sorting_twin(scale):
    rng = np.random.default_rng(2)
    image = rng.normal(50 * scale, scale, (64, 96)).astype(np.float32)
    image[rng.uniform(size=image.shape) < 0.05] += 40 * scale  # stars
    image[rng.uniform(size=image.shape) < 0.03] = np.nan
    level, rms, used = run(image)
    for j in range(2):
        for i in range(3):
            tile = image[32 * j : 32 * j + 32, 32 * i : 32 * i + 32]
            median, _, sigma = twin(tile)
            assert level[j, i] == pytest.approx(median, abs=0.02 * scale)
            assert rms[j, i] == pytest.approx(sigma, rel=0.03)
            assert used[j, i] == pytest.approx(np.isfinite(tile).mean())


def test_mode_is_the_formula_of_sextractor():
    rng = np.random.default_rng(3)
    image = (100 + rng.gamma(9.0, 1.0, (64, 64))).astype(np.float32)  # skewed: mean and median differ
    level, _, _ = run(image, use_mode=True, box=64)
    median, mean, _ = twin(image)
    assert level[0, 0] == pytest.approx(2.5 * median - 1.5 * mean, abs=0.05)
    assert level[0, 0] < median - 0.05


def test_rounded_data_do_not_move_the_level():
    # Integers with sigma 0.7: the plain median would be 20 whatever the true mean from 19.5 to 20.5.
    rng = np.random.default_rng(4)
    image = np.round(rng.normal(20.3, 0.7, (64, 64))).astype(np.float32)
    level, rms, _ = run(image, box=64)
    assert level[0, 0] == pytest.approx(20.3, abs=0.05)
    assert rms[0, 0] == pytest.approx(np.hypot(0.7, 12**-0.5), rel=0.05)


def test_forbidden_pixels_do_not_count():
    rng = np.random.default_rng(5)
    image = rng.normal(10, 1, (64, 64)).astype(np.float32)
    quality = np.zeros(image.shape, np.uint16)
    image[:, :20], quality[:, :20] = 13, 0b10  # flagged, not repaired
    level, _, used = run(image, quality, box=64)
    assert level[0, 0] == pytest.approx(10, abs=0.1)
    assert used[0, 0] == pytest.approx(44 / 64)
    quality[:, :20] = 0b110  # repaired: counts again
    assert run(image, quality, box=64)[2][0, 0] == 1.0


@pytest.mark.parametrize(
    ("bits", "expected"), [(0, False), (0b1, True), (0b10, True), (0b110, False), (0b111, True)]
)
def test_rejected_truth_table(bits, expected):
    assert rejected(np.uint16(bits), *MASKS) == expected


def test_empty_tile_is_nan():
    image = np.full((64, 64), np.nan, np.float32)
    level, rms, used = run(image)
    assert np.isnan(level).all() and np.isnan(rms).all() and (used == 0).all()


def catmull_rom(mesh, position):
    """Evaluate the 1-D cubic through `mesh` (padded by 2) at a position in nodes."""
    node = int(np.floor(position))
    t = position - node
    p0, p1, p2, p3 = mesh[node + 1 : node + 5]
    return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))


def test_interpolation_equals_its_twin():
    rng = np.random.default_rng(6)
    padded = rng.normal(size=(4 + 3, 4 + 5)).astype(np.float32)
    shape = (40, 73)
    index_y, weight_y = np.empty(shape[0], np.int64), np.empty((4, shape[0]), np.float32)
    index_x, weight_x = np.empty(shape[1], np.int64), np.empty((4, shape[1]), np.float32)
    interpolation_table(shape[0], 3, index_y, weight_y)
    interpolation_table(shape[1], 5, index_x, weight_x)
    out = np.empty((7, shape[1]), np.float32)
    interpolate_rows(padded, 11, index_y, weight_y, index_x, weight_x, out)
    for y, x in [(11, 0), (12, 72), (14, 30), (17, 51)]:
        rows = [catmull_rom(padded[:, i], (y + 0.5) * 3 / shape[0] - 0.5) for i in range(padded.shape[1])]
        assert out[y - 11, x] == pytest.approx(
            catmull_rom(np.array(rows), (x + 0.5) * 5 / shape[1] - 0.5), abs=1e-5
        )


def test_a_tile_unlike_the_one_before_is_measured_anew():
    rng = np.random.default_rng(5)
    image = rng.normal(100, 2, (64, 256)).astype(np.float32)
    image[:, 64:96] += 500  # a step, a noisier tile, a quieter one
    image[:, 128:160] = rng.normal(100, 40, (64, 32))
    image[:, 192:224] = rng.normal(100, 0.02, (64, 32))
    level, rms, _ = run(image)
    for i in range(8):
        middle, _, sigma = twin(image[:32, 32 * i : 32 * (i + 1)].ravel())
        assert level[0, i] == pytest.approx(middle, abs=0.03 * sigma)
        assert rms[0, i] == pytest.approx(sigma, rel=0.02)
