"""Drizzle against a slow twin that clips mapped drops, against the package `drizzle`, and against physics."""

import numpy as np
import pytest

from sciastro.core.transform import identity
from sciastro.integrate.drizzle import Dropper, drop
from sciastro.integrate.grid import Tile
from sciastro.kernels.drizzle import POINT, SQUARE, TURBO

NAMES = {"square": SQUARE, "turbo": TURBO, "point": POINT}
BAD, EARLIER = 1, 1 << 4
NO_DATA, EDGE = 1 << 13, 1 << 9


def affine(angle, scale, shift):
    """Canvas-to-frame map: canvas pixels `scale` times smaller, turned by `angle` [deg]."""
    t, c = np.radians(angle), identity()
    c[:, 1:] = 1000 / scale * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    c[:, 0] = shift
    return c


def run(planes, c, tile, kernel="square", pixfrac=0.8, rim=0, **change):
    out = (np.empty(tile.shape, "f4"), np.empty(tile.shape, "f4"), np.empty(tile.shape, "u2"))
    share = np.empty(tile.shape, "f4")
    how = Dropper(NAMES[kernel], pixfrac)
    sums = drop(planes, (0, 0), c, tile, how, out, share, rim=rim, **change)
    return (*out, share, sums)


def scene(n=60, seed=0, bad=0.03):
    rng = np.random.default_rng(seed)
    signal, variance = rng.normal(100, 10, (n, n)).astype("f4"), rng.uniform(50, 150, (n, n)).astype("f4")
    quality = np.where(rng.random((n, n)) < bad, BAD, 0).astype("u2")
    quality[rng.random((n, n)) < 0.05] |= EARLIER
    signal[rng.random((n, n)) < 0.01] = np.nan
    return signal, variance, quality


def clipped(polygon, axis, limit, sign):
    """Cut a polygon by a line (Sutherland & Hodgman)."""
    out = []
    for k, b in enumerate(polygon):
        a = polygon[k - 1]
        da, db = (sign * (limit - p[axis]) for p in (a, b))
        if (da >= 0) != (db >= 0):
            t = da / (da - db)
            out.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
        if db >= 0:
            out.append(b)
    return out


def area(polygon):
    return 0.5 * sum(polygon[k - 1][0] * b[1] - b[0] * polygon[k - 1][1] for k, b in enumerate(polygon))


def twin(planes, c, shape, pixfrac, exclude):
    """Map the corners of every drop to the canvas and clip it there against each pixel."""
    signal, variance, quality = planes
    back = np.linalg.inv(c[:, 1:] / 1000)
    share, total, noise = np.zeros((3, *shape))
    bits = np.zeros(shape, "u2")
    for j in range(signal.shape[0]):
        for i in range(signal.shape[1]):
            if quality[j, i] & exclude or not np.isfinite(signal[j, i]):
                continue
            h = pixfrac / 2
            corners = [
                back @ (i + a - c[0, 0], j + b - c[1, 0]) for a, b in ((-h, -h), (h, -h), (h, h), (-h, h))
            ]
            low, high = (
                np.rint(np.min(corners, axis=0)).astype(int),
                np.rint(np.max(corners, axis=0)).astype(int),
            )
            for v in range(max(low[1], 0), min(high[1] + 1, shape[0])):
                for u in range(max(low[0], 0), min(high[0] + 1, shape[1])):
                    part = [tuple(p) for p in corners]
                    for axis, limit, sign in (
                        (0, u - 0.5, -1),
                        (0, u + 0.5, 1),
                        (1, v - 0.5, -1),
                        (1, v + 0.5, 1),
                    ):
                        part = clipped(part, axis, limit, sign)
                    a = abs(area(part)) if len(part) > 2 else 0.0
                    if a > 1e-12:
                        share[v, u] += a
                        total[v, u] += a * signal[j, i]
                        noise[v, u] += a * a * variance[j, i]
                        bits[v, u] |= quality[j, i]
    return share, total, noise, bits


@pytest.mark.parametrize(
    "angle, scale, pixfrac",
    [
        (0, 2, 0.8), (0.1, 2, 1.0), (0.4, 2, 0.7), (0.2, 1, 1.0),
        (3, 1.5, 0.5), (30, 2, 0.8), (-44, 1, 1.0), (1, 0.7, 0.9),
    ],
)  # fmt: skip
def test_equal_to_the_twin(angle, scale, pixfrac):
    planes, tile = scene(44), Tile(0, 40, 0, 48)
    c = affine(angle, scale, (9.3, 8.8))
    value, variance, quality, share, _ = run(planes, c, tile, pixfrac=pixfrac)
    a, total, noise, bits = twin(planes, c, tile.shape, pixfrac, BAD)
    np.testing.assert_allclose(share, a, atol=2e-6)
    some = a > 1e-3  # below, float32 overlaps of slivers differ in their last digits
    norm = 0.25 if scale == 2 else 1 / scale**2
    np.testing.assert_allclose(value[some], (total / np.where(a > 0, a, 1))[some] * norm, rtol=2e-5)
    np.testing.assert_allclose(
        variance[some], (noise / np.where(a > 0, a, 1) ** 2)[some] * norm**2, rtol=1e-3 * 0.2
    )
    np.testing.assert_array_equal(quality[some], bits[some])
    assert np.isnan(value[a == 0]).all()
    assert (quality[a == 0] & BAD).all()


@pytest.mark.parametrize("kernel", ["square", "turbo", "point"])
@pytest.mark.parametrize("angle, scale, pixfrac", [(0, 2, 0.8), (0.3, 2, 1.0), (20, 1.5, 0.6), (2, 1, 1.0)])
def test_equal_to_the_package_drizzle(kernel, angle, scale, pixfrac):
    # Its weight is the share of the input pixel that falls into the output pixel, ours the covered share of
    # the output pixel: they differ by a constant, which cancels in the mean. Left out: slivers below 1e-3,
    # and the rim of the output, of which the package loses a row and a column of pixels.
    resample = pytest.importorskip("drizzle.resample")
    planes, n = scene(90, bad=0.01), int(50 * scale)
    signal, variance, quality = planes
    good = ((quality & BAD) == 0) & np.isfinite(signal)
    c, tile = affine(angle, scale, (23.137, 19.29)), Tile(0, n, 0, n)
    y, x = np.mgrid[: signal.shape[0], : signal.shape[1]]
    pixmap = np.einsum("ij,jyx->yxi", np.linalg.inv(c[:, 1:] / 1000), np.stack([x - c[0, 0], y - c[1, 0]]))
    peer = resample.Drizzle(kernel=kernel, out_shape=tile.shape, fillval="nan", fillval2="nan")
    peer.add_image(
        np.where(good, signal, 0).astype("f4"), exptime=1.0, pixmap=pixmap, pixfrac=pixfrac,
        weight_map=good.astype("f4"), data2=variance, dq=quality.astype("u4"),
        iscale=1 / scale**2, pixel_scale_ratio=1 / scale,
    )  # fmt: skip
    value, spread, bits, share, _ = run(planes, c, tile, kernel=kernel, pixfrac=pixfrac)
    unit = np.median(peer.out_wht[share > 0.1] / share[share > 0.1])
    some = share > 1e-3
    some[[0, 1, -2, -1]] = some[:, [0, 1, -2, -1]] = False
    squares = peer.out_img2[0] if isinstance(peer.out_img2, list) else peer.out_img2
    np.testing.assert_allclose(share[some] * unit, peer.out_wht[some], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value[some], peer.out_img[some], rtol=1e-5)
    np.testing.assert_allclose(spread[some], squares[some], rtol=2e-4)
    assert np.mean(bits[some] == peer.out_dq[some]) > 0.999  # the OR over slivers that float32 does not see
    seen = peer.out_ctx[0] == 1  # which frames made the pixel; slivers depend on the processor
    sliver = np.maximum(share, peer.out_wht / unit) < 1e-5
    rim = np.ones(tile.shape, bool)
    rim[2:-2, 2:-2] = False
    differ = (np.isfinite(value) != seen) & ~rim
    assert not (differ & ~sliver).any()
    assert np.mean(differ) < 2e-3


@pytest.mark.parametrize("kernel", ["square", "turbo", "point"])
@pytest.mark.parametrize("angle, scale, pixfrac", [(0, 2, 0.8), (0.3, 2, 0.8), (12, 1.7, 0.5)])
def test_every_electron_arrives(kernel, angle, scale, pixfrac):
    # A single bright pixel: what falls is its drop's area in output pixels times its value.
    signal = np.zeros((60, 60), "f4")
    signal[30, 30] = 1e4
    planes = (signal, np.ones((60, 60), "f4"), np.zeros((60, 60), "u2"))
    c, n = affine(angle, scale, (20.3, 19.7)), int(22 * scale)
    value, _, _, share, _ = run(planes, c, Tile(0, n, 0, n), kernel=kernel, pixfrac=pixfrac)
    drop = 1.0 if kernel == "point" else (pixfrac * scale) ** 2
    assert np.nansum(value * share) * scale**2 == pytest.approx(1e4 * drop, rel=2e-6)


@pytest.mark.parametrize("angle, scale", [(0.25, 2.0), (7.0, 1.3), (0.0, 1.0)])
def test_the_same_bits_whatever_the_tile(angle, scale):
    planes, c = scene(150, seed=3), affine(angle, scale, (11.4, 13.9))
    n = int(100 * scale)
    whole = run(planes, c, Tile(0, n, 0, n))
    for tile in (Tile(16, 64, 32, 96), Tile(30, 62, 14, 99), Tile(n - 17, n, 5, n - 3)):
        y0, x0 = 3, 2  # as a tile's window: a part of the frame
        part = tuple(plane[y0:, x0:] for plane in planes)
        out = (np.empty(tile.shape, "f4"), np.empty(tile.shape, "f4"), np.empty(tile.shape, "u2"))
        share = np.empty(tile.shape, "f4")
        drop(part, (y0, x0), c, tile, Dropper(SQUARE, 0.8), out, share)
        for got, want in zip((*out, share), whole[:4], strict=True):
            np.testing.assert_array_equal(got, want[tile.y0 : tile.y1, tile.x0 : tile.x1])


def test_a_pixel_of_two_drops_by_hand():
    # Scale 1, drops of side 1, canvas pixel a quarter right of frame pixel 5: 3/4 of it and 1/4 of pixel 6.
    signal = np.tile(np.arange(20, dtype="f4") * 100, (20, 1))
    planes = (signal, np.full((20, 20), 16, "f4"), np.zeros((20, 20), "u2"))
    value, variance, _, share, _ = run(planes, affine(0, 1, (0.25, 0)), Tile(0, 10, 0, 10), pixfrac=1.0)
    assert value[5, 5] == 0.75 * 500 + 0.25 * 600
    assert variance[5, 5] == 16 * (0.75**2 + 0.25**2)
    assert share[5, 5] == 1
    changed = run(
        planes, affine(0, 1, (0.25, 0)), Tile(0, 10, 0, 10), pixfrac=1.0, scale=2, pedestal=5, offset=1
    )
    assert changed[0][5, 5] == 2 * (525 - 5) + 1
    assert changed[1][5, 5] == 4 * variance[5, 5]


def test_what_is_missing_says_why():
    signal, quality = np.full((30, 30), 5.0, "f4"), np.zeros((30, 30), "u2")
    quality[10, 10] = BAD | (1 << 11)
    planes = (signal, np.ones((30, 30), "f4"), quality)
    value, _, bits, share, _ = run(planes, affine(0, 1, (0.0, 0.0)), Tile(0, 40, 0, 40), pixfrac=0.5)
    assert np.isnan(value[10, 10])
    assert share[10, 10] == 0
    assert bits[10, 10] == BAD | (1 << 11)
    assert bits[35, 12] == NO_DATA | EDGE | BAD
    assert share[9, 9] == 0.25
    # Between drops of half a pixel, canvas pixels of a quarter have holes: no data, no defect.
    value, _, bits, share, _ = run(planes, affine(0, 4, (0.0, 0.0)), Tile(16, 32, 16, 32), pixfrac=0.2)
    assert (bits[share == 0] == NO_DATA | BAD).all()
    assert 0 < (share == 0).mean() < 1


@pytest.mark.parametrize("angle", [0.1, 5.0])
def test_sums_tell_the_noise_of_large_areas(angle):
    # Drops of the whole pixel cover everything, so values are sums of a x / 1: block noise is as predicted.
    rng = np.random.default_rng(5)
    n = 640
    planes = (rng.normal(0, 10, (n, n)).astype("f4"), np.full((n, n), 100, "f4"), np.zeros((n, n), "u2"))
    value, variance, _, share, sums = run(
        planes, affine(angle, 2, (60.3, 9.1)), Tile(0, 1000, 0, 1000), pixfrac=1.0
    )
    np.testing.assert_allclose(share, 1, atol=1e-5)
    assert sums[1] / sums[2] == pytest.approx(variance.mean(), rel=1e-5)
    assert value.std() == pytest.approx(np.sqrt(variance.mean()), rel=0.01)
    block = value.reshape(50, 20, 50, 20).sum(axis=(1, 3)).std() / 20
    # Casertano et al. (2000), r = p / s = 2 in output pixels: R = r / (1 - 1 / (3 r)) = 2.4.
    assert np.sqrt(sums[0] / sums[1]) == pytest.approx(2.4, rel=0.01)
    assert block == pytest.approx(np.sqrt(sums[0] / sums[2]), rel=0.04)


def test_windows_of_a_pixel_or_a_row():
    signal, variance, quality = np.full((1, 9), 7.0, "f4"), np.ones((1, 9), "f4"), np.zeros((1, 9), "u2")
    for width in (1, 9):
        part = (signal[:, :width], variance[:, :width], quality[:, :width])
        value, _, bits, share, _ = run(part, affine(0, 2, (-0.25, -0.25)), Tile(0, 16, 0, 32), pixfrac=1.0)
        assert share.sum() == pytest.approx(4 * width)
        np.testing.assert_allclose(value[share > 0], 7.0 / 4)
        assert (bits[share == 0] == NO_DATA | EDGE | BAD).all()
