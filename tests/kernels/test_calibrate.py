"""The calibration kernel against its NumPy twin, and repair against a loop."""

import numpy as np
import pytest

from sciastro.core.cfa import XTRANS, color_plane, neighbors
from sciastro.kernels import calibrate as kernel


def twin(raw, dark, dark_variance, level, flat, flat_variance, defects, gain, read_noise, saturation):
    raw = np.asarray(raw, np.float64)
    with np.errstate(all="ignore"):
        signal = gain * (raw - dark) / flat
        variance = (
            np.maximum(gain * (raw - level), 0) + read_noise**2 + gain**2 / 12 + gain**2 * dark_variance
        ) / flat**2
        variance = variance + signal**2 * flat_variance / flat**2
        lit = flat > 0
    bad = ~lit | ~np.isfinite(signal)
    signal, variance = np.where(bad, np.nan, signal), np.where(bad, np.nan, variance)
    quality = defects | np.where(raw >= saturation, 2, 0) | np.where(np.isfinite(raw), 0, 1 << 13)
    quality = quality | np.where(lit, 0, 1 << 15) | np.where(bad, 1, 0)
    return signal, variance, quality


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4", "i2"])
def test_equals_the_twin(dtype):
    rng = np.random.default_rng(1)
    shape = (37, 531)
    raw = rng.uniform(0, 30_000, shape).astype(dtype)
    if dtype == "f4":
        raw[rng.random(shape) < 0.05] = np.nan
        raw[rng.random(shape) < 0.02] = np.inf
    dark, dark_variance = rng.normal(400, 9, shape).astype("f4"), rng.uniform(0, 9, shape).astype("f4")
    flat, flat_variance = rng.normal(1, 0.2, shape).astype("f4"), rng.uniform(0, 1e-4, shape).astype("f4")
    flat[rng.random(shape) < 0.03] = np.nan
    flat[rng.random(shape) < 0.03] = 0
    dark[rng.random(shape) < 0.02] = np.nan
    defects = np.where(rng.random(shape) < 0.1, 1 << 11, 0).astype("u2")
    signal, variance = np.empty(shape, "f4"), np.empty(shape, "f4")
    quality = np.empty(shape, "u2")
    given = (raw, dark, dark_variance, 395.0, flat, flat_variance, defects, 1.3, 4.0, 25_000.0)
    kernel.calibrate_window(*given, signal, variance, quality)
    want = twin(*given)
    np.testing.assert_allclose(signal, want[0], rtol=1e-5, atol=2e-3)
    np.testing.assert_allclose(variance, want[1], rtol=1e-5)
    np.testing.assert_array_equal(quality, want[2])


@pytest.mark.parametrize("width", [3, 16, 41])
@pytest.mark.parametrize("with_variance", [True, False])
def test_part_of_wider_planes_or_every_other_column_gives_the_same(width, with_variance):
    rng = np.random.default_rng(width)
    shape = (5, 2 * width + 7)
    raw = rng.integers(0, 30_000, shape).astype("u2")
    planes = [
        rng.uniform(low, high, shape).astype("f4") for low, high in ((390, 410), (0, 9), (0, 2), (0, 1))
    ]
    planes[2][rng.random(shape) < 0.1] = 0
    defects = np.where(rng.random(shape) < 0.1, 1 << 11, 0).astype("u2")

    def run(columns, out):
        cut = [plane[:, columns] for plane in (raw, *planes, defects)]
        given = (*cut[:3], 395.0, *cut[3:], 1.3, 4.0, 25_000.0)
        signal, variance, quality = (plane[:, columns] for plane in out)
        kernel.calibrate_window(
            *given, signal, variance if with_variance else np.empty((0, 0), "f4"), quality
        )
        return signal, variance, quality

    whole = run(np.s_[:], [np.zeros(shape, kind) for kind in ("f4", "f4", "u2")])
    for columns in (np.s_[2 : 2 + width], np.s_[1 : 1 + 2 * width : 2]):
        some = run(columns, [np.zeros(shape, kind) for kind in ("f4", "f4", "u2")])
        for a, b in zip(some, whole, strict=True):
            np.testing.assert_array_equal(a, b[:, columns])


@pytest.mark.parametrize("cfa", ["", "RGGB", XTRANS])
@pytest.mark.parametrize("corner", [(0, 0), (7, 4)])
def test_repair_equals_a_loop(cfa, corner):
    rng = np.random.default_rng(len(cfa))
    shape = (25, 31)
    signal, variance = rng.normal(100, 9, shape).astype("f4"), rng.uniform(50, 90, shape).astype("f4")
    quality = np.where(rng.random(shape) < 0.45, 1 << 11, 0).astype("u2")
    quality[rng.random(shape) < 0.05] |= 2
    gone = rng.random(shape) < 0.05
    signal[gone] = np.nan
    quality[gone] |= 1
    before = signal.copy(), variance.copy(), quality.copy()
    table, color = neighbors(cfa), color_plane(cfa, (40, 40)) if cfa else np.zeros((40, 40))
    kernel.repair_defects(signal, variance, quality, np.uint16(1 << 11), table, *corner, 0, 25, 0, 31)
    for y, x in np.ndindex(shape):
        if not before[2][y, x] & (1 << 11):
            assert quality[y, x] == before[2][y, x]
            assert signal[y, x] == before[0][y, x] or gone[y, x]
            continue
        gy, gx = y + corner[0], x + corner[1]
        around = table[gy % len(table), gx % len(table)].tolist()
        for j, i in around:  # of its own color, and all different
            assert color[(gy + j) % 36, (gx + i) % 36] == color[gy, gx]
        assert len({tuple(one) for one in around}) == 8
        sites = [(y + j, x + i) for j, i in around]
        sites = [
            s
            for s in sites
            if 0 <= s[0] < 25 and 0 <= s[1] < 31 and not before[2][s] & (1 << 11 | 1 | 1 << 13)
        ]
        if not sites:
            assert np.isnan(signal[y, x]) and np.isnan(variance[y, x]) and quality[y, x] & 1
            continue
        values, noise = np.array([before[0][s] for s in sites]), np.array([before[1][s] for s in sites])
        n, middle = len(sites), np.median(values)
        scatter = ((values - middle) ** 2).sum() / (n - 1) if n > 1 else noise.mean()
        assert signal[y, x] == pytest.approx(middle, rel=1e-6)
        assert variance[y, x] == pytest.approx(noise.mean() * 1.5 / n + scatter, rel=1e-4)
        assert quality[y, x] & (1 << 12)
        assert bool(quality[y, x] & 2) == bool(before[2][y, x] & 2 or any(before[2][s] & 2 for s in sites))
