"""Moving by whole pixels against a slow NumPy twin and against the interpolating kernel at phase 0."""

import numpy as np
import pytest

from sciastro.kernels.shift import BLOCK, shift
from sciastro.kernels.warp import warp, warp_table

HOT, SATURATED, NO_DATA, EDGE = 1 << 11, 2, 1 << 13, 1 << 9
EXCLUDE = 1 | HOT | NO_DATA
STEP = 16


def frame(shape, *, bad, seed=1):
    """A frame; where `bad`, some pixels are missing, for every reason that there is."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(400, 20, shape).astype(np.float32)
    variance = rng.uniform(300, 500, shape).astype(np.float32)
    quality = np.where(rng.random(shape) < 0.02, SATURATED, 0).astype(np.uint16)
    if bad:
        for plane, value in (
            (signal, np.nan), (signal, np.inf), (variance, np.nan), (variance, -1), (variance, np.inf),
            (quality, HOT), (quality, HOT | SATURATED),
        ):  # fmt: skip
            plane.ravel()[rng.integers(0, signal.size, 30)] = value
    return signal, variance, quality


def run(planes, row, column, shape, *, rim=0, scale=1.0, pedestal=0.0, offset=0.0):
    out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16)
    sums = np.zeros(3)
    shift(
        *planes, row, column, rim, np.uint16(EXCLUDE), np.float32(scale), np.float32(pedestal),
        np.float32(offset), *out, sums,
    )  # fmt: skip
    return *out, sums


def twin(planes, row, column, shape, rim, scale, pedestal, offset):
    signal, variance, quality = planes
    out = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, NO_DATA | EDGE | 1)
    total, count = 0.0, 0
    for y in range(shape[0]):
        for x in range(shape[1]):
            j, i = y + row, x + column
            if not (0 <= j < signal.shape[0] and 0 <= i < signal.shape[1]):
                continue
            s, v, q = float(signal[j, i]), float(variance[j, i]), int(quality[j, i])
            missing = not np.isfinite(s) or not np.isfinite(v) or v < 0 or q & EXCLUDE
            out[2][y, x] = q | 1 if missing else q
            if missing:
                continue
            out[0][y, x], out[1][y, x] = (s - pedestal) * scale + offset, v * scale**2
            if rim <= y < shape[0] - rim and rim <= x < shape[1] - rim:
                total, count = total + v * scale**2, count + 1
    return *out, total, count


@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize(
    ("row", "column", "shape"),
    [
        (0, 0, (20, 600)),
        (3, 5, (9, 590)),
        (-4, -7, (30, 620)),
        (18, 580, (6, 40)),
        (40, 0, (3, 5)),
        (0, -900, (4, 9)),
    ],
)
def test_twin(bad, row, column, shape):
    planes = frame((20, 600), bad=bad)
    change = {"scale": 1 / 60, "pedestal": 380.0, "offset": 3.0}
    image, noise, bits, sums = run(planes, row, column, shape, rim=2, **change)
    expected = twin(planes, row, column, shape, 2, *change.values())
    np.testing.assert_allclose(image, expected[0], rtol=3e-6, atol=1e-5)
    np.testing.assert_allclose(noise, expected[1], rtol=1e-6)
    np.testing.assert_array_equal(bits, expected[2])
    np.testing.assert_allclose(sums, [expected[3], expected[3], expected[4]], rtol=1e-6)


@pytest.mark.parametrize("kernel", ["lanczos3", "bilinear", "nearest"])
def test_values_are_those_that_interpolation_gives_at_whole_pixels(kernel):
    planes, shape, move = frame((70, 3 * BLOCK), bad=True), (64, 3 * BLOCK - 20), (2, 9)
    change = {"scale": 1 / 60, "pedestal": 380.0, "offset": 3.0}
    rows, columns = -(-shape[0] // STEP) + 1, -(-shape[1] // STEP) + 1
    y, x = np.meshgrid(STEP * np.arange(rows) + move[0], STEP * np.arange(columns) + move[1], indexing="ij")
    out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16)
    sums = np.zeros(3)
    linear = (np.float32(value) for value in change.values())
    warp(
        *planes, 0, 0, x.astype(float), y.astype(float), STEP, 0, 0, 0, warp_table(kernel),
        np.uint16(EXCLUDE), np.float32(0.1), np.float32(0.01), True, *linear, *out, sums,
    )  # fmt: skip
    image, noise, bits, moved = run(planes, *move, shape, **change)
    np.testing.assert_array_equal(image, out[0])
    np.testing.assert_array_equal(noise, out[1])
    assert np.all(bits & ~out[2] == 0)  # interpolation carries those of neighbors too
    assert moved[0] == moved[1]
    assert sums[0] / sums[1] == pytest.approx(1, abs=1e-6)
