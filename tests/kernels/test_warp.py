"""The resampling kernel against a slow NumPy twin, scipy, hand-worked pixels and white noise."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from sciastro.kernels.warp import KERNELS, PHASES, warp, warp_table

HOT, DEAD, SATURATED, NO_DATA, EDGE = 1 << 11, 1 << 10, 2, 1 << 13, 1 << 9
EXCLUDE = 1 | HOT | DEAD | NO_DATA
STEP = 16


def affine(a, b, shape):
    """Nodes of ``in = a @ (x, y) + b`` over `shape`."""
    rows, columns = -(-shape[0] // STEP) + 1, -(-shape[1] // STEP) + 1
    y, x = np.meshgrid(STEP * np.arange(rows), STEP * np.arange(columns), indexing="ij")
    a = np.asarray(a, dtype=float)
    return a[0, 0] * x + a[0, 1] * y + b[0], a[1, 0] * x + a[1, 1] * y + b[1]


def run(
    signal, variance, quality, nodes, shape, *, kernel="lanczos3", origin=(0, 0), clamp=np.inf,
    holds_flux=True, scale=1.0, pedestal=0.0, offset=0.0, max_excluded=0.1,
):  # fmt: skip
    out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16)
    sums = np.zeros(3)
    warp(
        signal.astype(np.float32), variance.astype(np.float32), quality.astype(np.uint16), *origin, *nodes,
        STEP, 0, 0, 0, warp_table(kernel), np.uint16(EXCLUDE), np.float32(max_excluded), np.float32(clamp),
        holds_flux, np.float32(scale), np.float32(pedestal), np.float32(offset), *out, sums,
    )  # fmt: skip
    return *out, sums


def twin(signal, variance, quality, a, b, shape, table, max_excluded):
    """Pixel by pixel, from the definition; no clamping, no scaling, area 1."""
    value, spread, bits = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, int)
    bad = ~np.isfinite(signal) | ~(variance >= 0) | ((quality & EXCLUDE) != 0)
    for y in range(shape[0]):
        for x in range(shape[1]):
            q = np.floor((np.asarray(a) @ (x, y) + b) * PHASES + 0.5).astype(int)
            (left, top), (px, py) = q // PHASES - 2, q % PHASES
            c = np.outer(table[py], table[px]).astype(float)
            good, flags, causes = np.zeros((6, 6), bool), 0, 1
            for k, j in np.argwhere(c != 0):
                r, s = top + k, left + j
                if not (0 <= r < signal.shape[0] and 0 <= s < signal.shape[1]):
                    causes |= NO_DATA | EDGE
                elif bad[r, s]:
                    causes |= quality[r, s]
                else:
                    good[k, j] = True
                    flags |= quality[r, s] if 1 <= k <= 4 and 1 <= j <= 4 else 0
            dropped = np.abs(c)[~good].sum()
            used = c[good].sum()
            if dropped > max_excluded * (abs(used) + dropped) or used <= 0:
                bits[y, x] = causes
                continue
            rows, columns = top + np.argwhere(good)[:, 0], left + np.argwhere(good)[:, 1]
            value[y, x] = (c[good] * signal[rows, columns]).sum() / used
            spread[y, x] = (c[good] ** 2 * variance[rows, columns]).sum() / used**2
            bits[y, x] = flags
    return value, spread, bits


def scene(rng, shape=(40, 52)):
    signal = rng.normal(100, 10, shape)
    variance = rng.uniform(50, 150, shape)
    quality = np.zeros(shape, int)
    quality[rng.random(shape) < 0.02] = HOT
    quality[20:23, 30:33] |= SATURATED
    signal[5, 7] = np.nan
    variance[8, 40] = -1.0
    return signal, variance, quality


@pytest.mark.parametrize("kernel", KERNELS)
def test_table_sums_to_one_and_is_a_delta_on_pixels(kernel):
    table = warp_table(kernel)
    assert table.shape == (PHASES, 6)
    np.testing.assert_allclose(table.sum(axis=1, dtype=float), 1.0, atol=2e-7)
    if kernel != "mitchell":
        np.testing.assert_array_equal(table[0], [0, 0, 1, 0, 0, 0])


def test_mitchell_smooths_every_phase_alike():
    # By hand at phase 0: (6 - 2 B) / 6 = 16 / 18 in the middle, B / 6 = 1 / 18 beside it; the second moment
    # of the cubic B-spline is 1 / 3 and that of the cubic through the samples 0, so a third of 1 / 3.
    table = warp_table("mitchell").astype(float)
    np.testing.assert_allclose(table[0], np.array([0, 1, 16, 1, 0, 0]) / 18, atol=1e-7)
    distance = np.arange(PHASES)[:, None] / PHASES - np.arange(-2, 4)
    np.testing.assert_allclose((table * distance).sum(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose((table * distance**2).sum(axis=1), 1 / 9, atol=1e-6)


def test_lanczos_weights_at_half_a_pixel():
    # sinc(d) sinc(d / 3) at d = 0.5, 1.5, 2.5: 0.607927, -0.135095, 0.024317; their double sums to 0.994298.
    expected = np.array([0.024317, -0.135095, 0.607927, 0.607927, -0.135095, 0.024317]) / 0.994298
    np.testing.assert_allclose(warp_table("lanczos3")[PHASES // 2], expected, atol=2e-6)


def test_unknown_kernel():
    with pytest.raises(ValueError, match="use lanczos3, mitchell, bilinear, nearest"):
        warp_table("cubic")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("angle, scale", [(0.0, 1.0), (0.7, 1.0), (8.0, 1.1), (60.0, 0.95)])
def test_same_as_slow_twin(kernel, angle, scale):
    rng = np.random.default_rng(7)
    signal, variance, quality = scene(rng)
    c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    a, b = [[c, -s], [s, c]], np.array([3.37, -2.81])
    shape = (37, 50)
    got = run(signal, variance, quality, affine(a, b, shape), shape, kernel=kernel, holds_flux=False)
    want = twin(
        signal.astype(np.float32), variance.astype(np.float32), quality, a, b, shape, warp_table(kernel), 0.1
    )
    np.testing.assert_array_equal(np.isnan(got[0]), np.isnan(want[0]))
    assert 0.3 < np.isfinite(want[0]).mean() < 1
    np.testing.assert_allclose(got[0], want[0], rtol=2e-5)
    np.testing.assert_allclose(got[1], want[1], rtol=2e-5)
    good = np.isfinite(want[0])
    np.testing.assert_array_equal(got[2][~good], want[2][~good])
    # A run takes the bits of all central 4 x 4 inputs, also of those that this phase gives no weight.
    assert np.all((want[2] & got[2])[good] == want[2][good])


def test_bilinear_same_as_scipy():
    rng = np.random.default_rng(3)
    signal = rng.normal(0, 1, (64, 64))
    a, b = [[0.99, 0.02], [-0.02, 0.99]], np.array([2.25, 3.5])
    shape = (48, 48)
    y, x = np.mgrid[: shape[0], : shape[1]]
    position = [a[1][0] * x + a[1][1] * y + b[1], a[0][0] * x + a[0][1] * y + b[0]]
    want = map_coordinates(signal, position, order=1)
    got, *_ = run(
        signal,
        np.ones((64, 64)),
        np.zeros((64, 64)),
        affine(a, b, shape),
        shape,
        kernel="bilinear",
        holds_flux=False,
    )
    # Positions are rounded to 1 / 1024 pixel: gradients of about 1 per pixel differ by up to 0.002.
    np.testing.assert_allclose(got, want, atol=5e-3)


def test_hand_worked_bilinear_pixel():
    # A quarter pixel to the right, half a pixel down, times scale 2, plus 1:
    # 0.5 (0.75 * 10 + 0.25 * 20) + 0.5 (0.75 * 30 + 0.25 * 40) = 22.5; (22.5 - 2) * 2 + 1 = 42.
    signal = np.array([[10.0, 20.0], [30.0, 40.0]])
    nodes = affine(np.eye(2), (0.25, 0.5), (1, 1))
    value, variance, quality, _ = run(
        signal,
        np.full((2, 2), 16.0),
        np.zeros((2, 2)),
        nodes,
        (1, 1),
        kernel="bilinear",
        scale=2,
        pedestal=2,
        offset=1,
    )
    assert value[0, 0] == 42.0
    # Weights squared: 2 * 0.25 (0.5625 + 0.0625) = 0.3125; 16 * 0.3125 * 2**2 = 20.
    assert variance[0, 0] == 20.0
    assert quality[0, 0] == 0


def test_whole_pixel_shift_is_exact_and_the_rest_is_missing():
    rng = np.random.default_rng(1)
    signal, variance = rng.normal(1000, 30, (60, 70)), rng.uniform(1, 9, (60, 70))
    quality = np.where(rng.random((60, 70)) < 0.1, SATURATED, 0)
    shape = (60, 70)
    got = run(signal, variance, quality, affine(np.eye(2), (5.0, -3.0), shape), shape, clamp=0.01)
    np.testing.assert_array_equal(got[0][3:, :65], signal.astype(np.float32)[:57, 5:])
    np.testing.assert_array_equal(got[1][3:, :65], variance.astype(np.float32)[:57, 5:])
    assert np.isnan(got[0][:3]).all()
    assert np.isnan(got[0][:, 65:]).all()
    assert np.all(got[2][:3] & (NO_DATA | EDGE | 1) == (NO_DATA | EDGE | 1))


def test_a_window_gives_the_same_numbers_as_the_whole_frame():
    rng = np.random.default_rng(5)
    signal, variance, quality = scene(rng, (80, 90))
    nodes = affine([[1, 0.01], [-0.01, 1]], (20.3, 30.7), (24, 40))
    whole = run(signal, variance, quality, nodes, (24, 40), clamp=0.01)
    part = (slice(25, 62), slice(15, 68))
    window = run(signal[part], variance[part], quality[part], nodes, (24, 40), clamp=0.01, origin=(25, 15))
    for a, b in zip(whole[:3], window[:3], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_flux_is_conserved_through_a_change_of_scale(scale):
    # A single star changes by a few 0.001 with its place in the beat of the two grids (Lanczos passes a
    # little of the frequencies near one per pixel); over the beat (10 pixels) there is no bias.
    y, x = np.mgrid[:60, :60]
    shape = (70, 70)
    ratios = []
    for dx, dy in 10 * np.random.default_rng(4).random((60, 2)):
        signal = 1e4 * np.exp(-((x - 24 - dx) ** 2 + (y - 23 - dy) ** 2) / (2 * 1.5**2))
        nodes = affine(scale * np.eye(2), (2.2, 1.7), shape)
        value, _, _, _ = run(signal, np.ones(signal.shape), np.zeros(signal.shape), nodes, shape)
        ratios.append(np.nansum(value) / signal.sum())
    assert np.mean(ratios) == pytest.approx(1.0, abs=1e-3)
    assert np.std(ratios) < 0.005


def test_hot_pixel_is_not_used_and_leaves_a_hole_only_where_it_matters():
    signal = np.full((40, 40), 100.0)
    signal[20, 20] = 1e6
    quality = np.zeros((40, 40), int)
    quality[20, 20] = HOT
    value, _, bits, _ = run(
        signal, np.ones((40, 40)), quality, affine(np.eye(2), (0.4, 0.3), (36, 36)), (36, 36)
    )
    hole = np.isnan(value[3:, 3:])
    assert 1 <= hole.sum() <= 9
    assert np.all(bits[3:, 3:][hole] & HOT)
    np.testing.assert_allclose(value[3:, 3:][~hole], 100.0, rtol=1e-5)


def test_clamping_removes_the_ring_of_a_spike():
    signal = np.full((40, 40), 100.0)
    signal[20, 20] = 1e5
    nodes = affine(np.eye(2), (0.5, 0.5), (36, 36))
    arguments = (signal, np.full((40, 40), 100.0), np.zeros((40, 40)), nodes, (36, 36))
    assert np.nanmin(run(*arguments)[0]) < -8000
    # At most 1 % of the range below the lowest neighbor.
    assert np.nanmin(run(*arguments, clamp=0.01)[0]) > -0.011e5
    saturated = (signal, arguments[1], np.where(signal > 1e4, SATURATED, 0), nodes, (36, 36))
    assert np.nanmin(run(*saturated, clamp=0.01)[0]) > 80


def block_noise(plane, size):
    """Noise of block sums over what independent pixels would give."""
    rows, columns = (n // size * size for n in plane.shape)
    sums = plane[:rows, :columns].reshape(rows // size, size, columns // size, size).sum(axis=(1, 3))
    return sums.std() / size


@pytest.mark.parametrize(
    "angle, scale, shift", [(0, 1.0, 0.5), (0, 1.0, 0.27), (0.7, 1.0, 3.3), (0.3, 1.1, 5.0)]
)
def test_noise_correlation_predicts_block_noise(angle, scale, shift):
    rng = np.random.default_rng(11)
    n = 1300
    signal = rng.normal(100, 10, (n, n))
    c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    shape = (1100, 1100)
    nodes = affine([[c, -s], [s, c]], (shift + 15, shift), shape)
    value, variance, _, sums = run(signal, np.full((n, n), 100.0), np.zeros((n, n)), nodes, shape, clamp=0.01)
    ratio = np.sqrt(sums[0] / sums[1])
    inner = value[20:1080, 20:1080].astype(float)
    single = np.sqrt(variance[20:1080, 20:1080].mean(dtype=float))
    assert inner.std() == pytest.approx(single, rel=0.01)
    for size in (6, 16):
        assert block_noise(inner, size) == pytest.approx(ratio * single, rel=0.03)


def test_nearest_beside_missing_pixels_keeps_the_sums_finite():
    # Columns rise by 5 (runs of one pixel); the pixel below each position, 0.3 to its left, is missing.
    signal, variance, quality = np.ones((40, 80)), np.full((40, 80), 4.0), np.zeros((40, 80), int)
    signal[:, 4::5] = variance[:, 4::5] = np.nan
    nodes = affine([[5, 0], [0, 1]], (-0.3, 0), (16, 16))
    out, spread, _, sums = run(signal, variance, quality, nodes, (16, 16), kernel="nearest")
    np.testing.assert_array_equal(out, 5)
    np.testing.assert_array_equal(spread, 100)
    assert np.isfinite(sums).all()
