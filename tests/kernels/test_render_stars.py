"""The drawing kernels against slow, obvious NumPy."""

import numpy as np
import pytest

from sciastro.kernels.render_stars import add_stars, add_streak, add_texture

MONO = np.zeros((2, 2), dtype=np.int64)
BAYER = np.array([[0, 1], [1, 2]], dtype=np.int64)
STILL = np.array([[0.0, 0.0, 1.0]])


def profile_table(beta=3.0, n=4096):
    return np.linspace(0, 1, n) ** beta


def slow_star(shape, x, y, ellipse, radius, beta, trail, samples=40):
    """Each pixel is the mean of the analytic profile over samples x samples points."""
    plane = np.zeros(shape)
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    a, b, c = ellipse
    for dx, dy, weight in trail:
        for j in range(shape[0]):
            for i in range(shape[1]):
                if (i - x - dx) ** 2 + (j - y - dy) ** 2 > radius**2:
                    continue
                u, v = (i - x - dx + offsets)[None, :], (j - y - dy + offsets)[:, None]
                plane[j, i] += weight * np.mean((1 + a * u * u + 2 * b * u * v + c * v * v) ** -beta)
    return plane


@pytest.mark.parametrize("trail", [STILL, np.array([[-1.5, 0.5, 0.5], [1.5, -0.5, 0.5]])])
def test_star_equals_the_brute_force_integral(trail):
    ellipse, x, y = (0.30, 0.06, 0.22), 11.3, 9.8
    plane = np.zeros((20, 24), np.float32)
    add_stars(
        plane,
        MONO,
        np.array([x]),
        np.array([y]),
        np.array([[100.0]]),
        np.array([ellipse]),
        np.array([8.0]),
        np.array([3.0]),
        profile_table(),
        trail,
    )
    twin = 100 * slow_star(plane.shape, x, y, ellipse, 8.0, 3.0, trail)
    np.testing.assert_allclose(plane, twin, atol=0.012)  # of a peak near 80: 1.5e-4


def test_star_over_the_edge_touches_only_the_plane():
    plane = np.zeros((6, 6), np.float32)
    args = (np.array([[1.0]]), np.array([[0.3, 0.0, 0.3]]), np.array([5.0]), np.array([3.0]))
    add_stars(plane, MONO, np.array([-2.0]), np.array([7.0]), *args, profile_table(), STILL)
    twin = slow_star((6, 6), -2.0, 7.0, (0.3, 0.0, 0.3), 5.0, 3.0, STILL)
    np.testing.assert_allclose(plane, twin, atol=2e-4)
    add_stars(plane, MONO, np.array([np.nan]), np.array([3.0]), *args, profile_table(), STILL)
    assert np.all(np.isfinite(plane))


def test_mosaic_takes_the_rate_of_each_phase():
    one = np.zeros((12, 12), np.float32)
    color = np.zeros((12, 12), np.float32)
    shape = (np.array([[0.3, 0.0, 0.3]]), np.array([9.0]), np.array([3.0]), profile_table(), STILL)
    x, y = np.array([5.4]), np.array([6.1])
    add_stars(one, MONO, x, y, np.array([[1.0]]), *shape)
    add_stars(color, BAYER, x, y, np.array([[2.0, 3.0, 5.0]]), *shape)
    np.testing.assert_allclose(color[0::2, 0::2], 2 * one[0::2, 0::2], rtol=1e-6)
    np.testing.assert_allclose(color[0::2, 1::2], 3 * one[0::2, 1::2], rtol=1e-6)
    np.testing.assert_allclose(color[1::2, 0::2], 3 * one[1::2, 0::2], rtol=1e-6)
    np.testing.assert_allclose(color[1::2, 1::2], 5 * one[1::2, 1::2], rtol=1e-6)


def test_texture_equals_its_numpy_twin():
    rng = np.random.default_rng(1)
    texture = rng.random((15, 17)).astype(np.float32)
    map_x, map_y = rng.normal(0, 1e-4, 10), rng.normal(0, 1e-4, 10)
    map_x[:3], map_y[:3] = (0.7, 0.61, 0.1), (-0.4, -0.08, 0.7)
    plane = np.zeros((22, 26), np.float32)
    add_texture(plane, BAYER, texture, np.array([1.0, 2.0, 4.0]), map_x, map_y)
    twin = np.zeros(plane.shape)
    for j in range(22):
        for i in range(26):
            terms = np.array([1, i, j, i * i, i * j, j * j, i**3, i * i * j, i * j * j, j**3], dtype=float)
            tx, ty = terms @ map_x, terms @ map_y
            if 0 <= tx < 16 and 0 <= ty < 14:
                k, m = int(tx), int(ty)
                f, g = tx - k, ty - m
                block = texture[m : m + 2, k : k + 2].astype(float)
                value = (block[0] @ [1 - f, f]) * (1 - g) + (block[1] @ [1 - f, f]) * g
                twin[j, i] = value * [1.0, 2.0, 4.0][BAYER[j & 1, i & 1]]
    assert np.count_nonzero(twin) > 200
    np.testing.assert_allclose(plane, twin, rtol=2e-5, atol=1e-6)


def test_streak_holds_its_light_per_length():
    plane = np.zeros((60, 80), np.float32)
    add_streak(plane, -50.0, 30.2, 150.0, 30.2, 1.4, 7.0)  # horizontal: each column is a whole cross-section
    np.testing.assert_allclose(plane.sum(axis=0), 7.0, rtol=1e-4)
    assert plane[30].argmax() >= 0 and plane.argmax() // 80 == 30
