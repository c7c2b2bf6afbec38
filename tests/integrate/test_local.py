"""Surfaces on the canvas, and shares that fade at the edges."""

import numpy as np
import pytest

from sciastro.core.transform import identity
from sciastro.integrate.grid import Tile, node_positions
from sciastro.integrate.local import Surfaces, edge_share, fit_splines, spline_basis, surfaces_of_function

BOX = np.array([10.0, 410.0, -20.0, 280.0])


def test_splines_sum_to_one_and_are_smooth():
    x = np.linspace(-5, 30, 701)
    basis = spline_basis(x, 0.0, 25.0, 5)
    np.testing.assert_allclose(basis.sum(axis=1), 1.0, atol=1e-12)
    assert basis.shape == (701, 8)
    assert np.abs(np.diff(basis, 2, axis=0)[110:590]).max() < 1e-3 * 3
    # Symmetric about the middle; at a knot the three weights are 1/6, 4/6, 1/6.
    np.testing.assert_allclose(
        spline_basis([5.0], 0.0, 25.0, 5)[0], [0, 1 / 6, 4 / 6, 1 / 6, 0, 0, 0, 0], atol=1e-12
    )


def test_polynomials_are_exact():
    t = np.linspace(0, 1, 5)
    x, y = np.meshgrid(BOX[0] + t * (BOX[1] - BOX[0]), BOX[2] + t * (BOX[3] - BOX[2]))

    def function(x, y):
        return 3 + 0.01 * x - 0.02 * y + 1e-4 * x * y - 3e-5 * y**2

    surfaces = surfaces_of_function(BOX[None], function(x, y)[None])
    tile = Tile(37, 101, 50, 300)
    yy, xx = np.mgrid[tile.y0 : tile.y1, tile.x0 : tile.x1]
    np.testing.assert_allclose(surfaces.plane(0, tile), function(xx, yy), atol=2e-5)
    values = np.full(tile.shape, 7.0, np.float32)
    values[0, 0] = np.nan
    surfaces(0, tile, values)
    assert np.isnan(values[0, 0])
    np.testing.assert_allclose(values[1:], 7.0 - function(xx, yy)[1:], atol=2e-5)


def test_same_pixel_same_number_whatever_the_tile():
    rng = np.random.default_rng(2)
    surfaces = Surfaces(BOX[None], rng.normal(size=(1, 7, 7)))
    whole = surfaces.plane(0, Tile(0, 64, 0, 128))
    part = surfaces.plane(0, Tile(16, 48, 32, 96))
    np.testing.assert_allclose(part, whole[16:48, 32:96], atol=1e-6)


def test_fit_bridges_holes_and_ignores_wild_samples():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(10, 410, 900), rng.uniform(-20, 280, 900)
    keep = np.hypot(x - 200, y - 150) > 40
    x, y = x[keep], y[keep]
    truth = np.sin(x / 120) + np.cos(y / 100)
    seen = truth + rng.normal(0, 0.02, x.size)
    seen[rng.random(x.size) < 0.03] += 2
    surface = Surfaces(BOX[None], fit_splines(x, y, seen, BOX, 4)[None])
    plane = surface.plane(0, Tile(0, 260, 20, 400))
    yy, xx = np.mgrid[0:260, 20:400]
    assert np.abs(plane - np.sin(xx / 120) - np.cos(yy / 100)).max() < 0.08


@pytest.mark.parametrize("times", [False, True])
def test_share_fades_at_the_edges_only(times):
    tile, shape = Tile(-16, 112, -16, 144), (100, 120)
    x, y = node_positions(identity(), tile)
    out = np.full(tile.shape, 0.5 if times else np.nan, np.float32)
    edge_share(x, y, tile, shape, 24.0, out, times=times)
    if times:
        out /= 0.5
    inner = out[16 + 32 : 16 + 64, 16 + 32 : 16 + 80]
    assert (inner > 0.999).all()
    assert out.max() <= 1.0 and out.min() > 0.0
    row = out[16 + 50, 16 : 16 + 60]
    assert (np.diff(row) > -1e-6).all()
    # The twin at each pixel, without interpolation between the nodes 16 pixels apart.
    t = np.clip((np.arange(60) + 0.5) / 24, 0, 1)
    assert np.abs(row - t * t * (3 - 2 * t)).max() < 0.17
    assert row[0] < 0.1


def test_share_of_an_inner_tile_is_one():
    tile = Tile(32, 64, 32, 64)
    x, y = node_positions(identity(), tile)
    out = np.zeros(tile.shape, np.float32)
    edge_share(x, y, tile, (200, 200), 20.0, out)
    assert (out == 1).all()
