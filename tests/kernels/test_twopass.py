"""The two-pass resampling kernel against a slow NumPy twin, the exact kernel and its own windows."""

import numpy as np
import pytest

from sciastro.kernels.twopass import CELL, padded_table, two_pass
from sciastro.kernels.warp import PHASES, warp, warp_table

HOT, SATURATED, NO_DATA, EDGE = 1 << 11, 2, 1 << 13, 1 << 9
EXCLUDE = 1 | HOT | NO_DATA


def nodes(a, b, shape, early=1):
    """Nodes of ``in = a @ (x, y) + b`` over `shape`, `early` more rows of them at both ends."""
    rows, columns = -(-shape[0] // CELL) + 1 + 2 * early, -(-shape[1] // CELL) + 1
    y, x = np.meshgrid(CELL * (np.arange(rows) - early), CELL * np.arange(columns), indexing="ij")
    a = np.asarray(a, dtype=float)
    return a[0, 0] * x + a[0, 1] * y + b[0], a[1, 0] * x + a[1, 1] * y + b[1]


def run(
    signal, variance, quality, a, b, shape, *, clamp=np.inf, origin=(0, 0), kernel="lanczos3", exact=False
):
    out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16)
    sums, table = np.zeros(3), warp_table("lanczos3")
    function, cell, table, early = (
        (warp, (CELL,), table, 0) if exact else (two_pass, (), padded_table(table), 1)
    )
    function(
        signal.astype(np.float32), variance.astype(np.float32), quality.astype(np.uint16), *origin,
        *nodes(a, b, shape, early), *cell, 0, 0, 0, table, np.uint16(EXCLUDE), np.float32(0.1),
        np.float32(clamp), True, np.float32(2), np.float32(1), np.float32(3), *out, sums,
    )  # fmt: skip
    return *out, sums


def weights(table, position):
    """Weights between two phases of the table, and the pixel below."""
    below = int(np.floor(position))
    at = (position - below) * PHASES
    k = int(at)
    one, other = table[k], table[k + 1] if k + 1 < PHASES else np.roll(table[0], 1)
    return one + (other - one) * (at - k), below


def twin(signal, variance, quality, a, b, shape):
    """Pixel by pixel, from the definition: six rows, each at the place where the output column crosses it."""
    table = warp_table("lanczos3").astype(float)
    value, spread, bits = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, int)
    bad = ~np.isfinite(signal) | ~(variance >= 0) | ((quality & EXCLUDE) != 0)
    slope = a[0][1] / a[1][1]
    area = abs(a[0][0] * a[1][1] - a[0][1] * a[1][0])
    for y in range(shape[0]):
        for x in range(shape[1]):
            u, v = np.asarray(a) @ (x, y) + b
            wy, below = weights(table, v)
            total, noise, used, dropped, causes, flags = 0.0, 0.0, 0.0, 0.0, 1, 0
            for k in range(6):
                row = below - 2 + k
                wx, left = weights(table, u + slope * (row - v))
                for j in range(6):
                    column, w = left - 2 + j, wy[k] * wx[j]
                    if not (0 <= row < signal.shape[0] and 0 <= column < signal.shape[1]):
                        dropped, causes = dropped + abs(w), causes | NO_DATA | EDGE
                    elif bad[row, column]:
                        dropped, causes = dropped + abs(w), causes | int(quality[row, column])
                    else:
                        total, noise = total + w * signal[row, column], noise + w * w * variance[row, column]
                        used += w
                        flags |= int(quality[row, column]) if 1 <= k <= 4 and 1 <= j <= 4 else 0
            if dropped > 0.1 * (abs(used) + dropped) or used <= 0:
                bits[y, x] = causes
                continue
            value[y, x] = (total / used - 1) * 2 * area + 3
            spread[y, x] = noise / used**2 * (2 * area) ** 2
            bits[y, x] = flags
    return value, spread, bits


def scene(rng, shape=(60, 90)):
    signal, variance = rng.normal(100, 10, shape), rng.uniform(50, 150, shape)
    quality = np.where(rng.random(shape) < 0.01, HOT, 0)
    quality[20:23, 30:33] |= SATURATED
    signal[5, 7], variance[8, 40] = np.nan, -1.0
    return signal, variance, quality


@pytest.mark.parametrize(
    "a, b",
    [
        ([[1.0, -0.002], [0.002, 1.0]], (3.37, -2.81)),
        ([[1.0006, 0.0], [0.0, 0.9]], (-2.41, 4.2345)),
        ([[0.999, 0.02], [-0.02, 0.999]], (3.1, 2.6)),  # cells whose weights are looked up pixel by pixel
    ],
)
def test_same_as_slow_twin(a, b):
    signal, variance, quality = scene(np.random.default_rng(7))
    shape = (57, 85)
    got = run(signal, variance, quality, a, np.array(b), shape)
    want = twin(signal.astype(np.float32), variance.astype(np.float32), quality, a, np.array(b), shape)
    missing = np.isnan(want[0])
    # Positions are rounded to 1 / 1024 pixel: of thousands of pixels, one or two lie at the limit of 10 %.
    assert (np.isnan(got[0]) != missing).sum() <= 3
    assert 0.01 < missing.mean() < 0.5
    both = ~missing & ~np.isnan(got[0])
    np.testing.assert_allclose(got[0][both], want[0][both], atol=0.15)  # 0.0075 sigma
    np.testing.assert_allclose(got[1][both], want[1][both], rtol=0.01)
    assert (got[2][missing & np.isnan(got[0])] == want[2][missing & np.isnan(got[0])]).all()
    assert ((want[2] & got[2]) == want[2])[both].mean() > 0.999


def test_a_pure_shift_is_the_exact_kernel():
    signal, variance, quality = scene(np.random.default_rng(5))
    for clamp in (np.inf, 0.01):
        arguments = (signal, variance, quality, np.eye(2), (3.3, -2.7), (57, 85))
        got, want = run(*arguments, clamp=clamp), run(*arguments, clamp=clamp, exact=True)
        np.testing.assert_allclose(got[0], want[0], rtol=2e-6)
        np.testing.assert_allclose(got[1], want[1], rtol=2e-5)
        np.testing.assert_array_equal(got[2], want[2])
        np.testing.assert_allclose(got[3], want[3], rtol=1e-5)


def test_a_window_gives_the_same_numbers_as_the_whole_frame():
    signal, variance, quality = scene(np.random.default_rng(5), (90, 400))
    arguments = [[1, 0.002], [-0.002, 1]], (20.3, 30.7), (24, 340)
    whole = run(signal, variance, quality, *arguments, clamp=0.01)
    part = (slice(24, 62), slice(14, 371))
    window = run(signal[part], variance[part], quality[part], *arguments, clamp=0.01, origin=(24, 14))
    for one, other in zip(whole[:3], window[:3], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("turn", [0.0005, 0.0023])
def test_stars_keep_flux_place_and_shape(turn):
    # The largest turn that the fused pass gives to this kernel: same stars as the exact kernel makes.
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:120, :400]
    signal = np.zeros(y.shape)
    xs, ys = 20 + 24 * np.arange(15) + rng.random(15), 60 + rng.random(15)
    for x0, y0 in zip(xs, ys, strict=True):
        signal += 1e5 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * 1.1**2))
    plain = np.ones(y.shape), np.zeros(y.shape, int), [[1, -turn], [turn, 1]], (0.4, -0.3), y.shape
    one, other = run(signal, *plain)[0] / 2, run(signal, *plain, exact=True)[0] / 2
    for x0, y0 in zip(xs, ys, strict=True):
        box = np.s_[int(y0) - 8 : int(y0) + 9, int(x0) - 8 : int(x0) + 9]
        a, b = one[box].astype(float), other[box].astype(float)
        assert a.sum() == pytest.approx(b.sum(), rel=1e-4)
        for place in (x[box], y[box]):
            assert abs((a * place).sum() / a.sum() - (b * place).sum() / b.sum()) < 1e-3
