"""The kernels that find trails against slow NumPy twins."""

import numpy as np
import pytest

from sciastro.kernels.trails import bin_residual, cross_profiles, hough


def mesh_at(mesh, y, x, shape):
    """Bilinear between the middles of tiles, the outermost value beyond them."""
    v = np.clip((y + 0.5) / shape[0] * mesh.shape[0] - 0.5, 0, mesh.shape[0] - 1)
    u = np.clip((x + 0.5) / shape[1] * mesh.shape[1] - 0.5, 0, mesh.shape[1] - 1)
    rows = np.array([np.interp(u, np.arange(mesh.shape[1]), row) for row in mesh])
    return np.interp(v, np.arange(mesh.shape[0]), rows)


@pytest.mark.parametrize("tiles", [(1, 1), (2, 3), (4, 1)])
def test_bins_equal_the_twin(tiles):
    rng = np.random.default_rng(1)
    image = rng.normal(50, 8, (45, 70)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = np.nan
    image[:8, :8] = np.nan  # a bin without a pixel
    quality = np.where(rng.random(image.shape) < 0.1, 5, 2).astype(np.uint16)
    level, rms, size, clip = rng.uniform(40, 60, tiles), rng.uniform(4, 9, tiles), 8, 1.5
    out = np.empty((45 // size, 70 // size), np.float32)
    bin_residual(image, quality, np.uint16(1), level, rms, size, clip, out)
    slow = np.zeros(out.shape)
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            middle = ((j + 0.5) * size - 0.5, (i + 0.5) * size - 0.5)
            sky, noise = (mesh_at(mesh, *middle, image.shape) for mesh in (level, rms))
            part = np.s_[j * size : (j + 1) * size, i * size : (i + 1) * size]
            good = np.isfinite(image[part]) & (quality[part] & 1 == 0)
            light = np.clip(image[part][good] - sky, -clip * noise, clip * noise)
            slow[j, i] = light.sum() / (noise * np.sqrt(good.sum())) if good.any() else 0.0
    assert out[0, 0] == 0
    np.testing.assert_allclose(out, slow, rtol=2e-5, atol=2e-5)


def test_votes_equal_the_twin():
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 90, (2, 200)).astype(np.float32).round()
    angles = np.linspace(0, np.pi, 60, endpoint=False)
    cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    shift = 130
    votes = np.zeros((60, 2 * shift + 1), np.int32)
    hough(x, y, cosine, sine, np.float32(shift), votes)
    rho = np.multiply.outer(cosine, x) + np.multiply.outer(sine, y)
    slow = np.array([np.bincount((row + shift + np.float32(0.5)).astype(int), minlength=261) for row in rho])
    assert (votes.sum(axis=1) == 200).all()
    # A point exactly between two bins may fall to either side by rounding.
    assert np.abs(votes - slow).sum() <= 4


def test_profiles_equal_the_twin():
    rng = np.random.default_rng(3)
    image = rng.normal(0, 1, (60, 90)).astype(np.float32)
    image[rng.random(image.shape) < 0.2] = np.nan
    x0, y0, x1, y1, reach, most, pieces = -10.0, 5.0, 85.0, 70.0, 4, 16, 6
    out = np.empty((pieces, 2 * reach + 1), np.float32)
    cross_profiles(image, x0, y0, x1, y1, reach, most, out)
    length = np.hypot(x1 - x0, y1 - y0)
    nx, ny = -(y1 - y0) / length, (x1 - x0) / length
    along = (np.arange(pieces * most) + 0.5).reshape(pieces, most) / (pieces * most)
    slow = np.full(out.shape, np.nan)
    for piece in range(pieces):
        for k in range(2 * reach + 1):
            x = np.floor(x0 + along[piece] * (x1 - x0) + (k - reach) * nx + 0.5).astype(int)
            y = np.floor(y0 + along[piece] * (y1 - y0) + (k - reach) * ny + 0.5).astype(int)
            inside = (x >= 0) & (x < 90) & (y >= 0) & (y < 60)
            values = image[y[inside], x[inside]]
            values = values[np.isfinite(values)]
            slow[piece, k] = np.median(values) if values.size >= 8 else np.nan
    assert np.isnan(slow).any()
    assert np.isfinite(slow).any()
    np.testing.assert_allclose(out, slow, rtol=1e-6)
