"""Tiles cover the canvas, and windows hold all that a tile needs."""

import numpy as np
import pytest

from sciastro.core.transform import evaluate, identity
from sciastro.errors import OptionError
from sciastro.integrate.grid import (
    STEP,
    Tile,
    evaluate_grid,
    input_window,
    node_positions,
    plan_tiles,
    working_bytes,
)


def turned(angle, center=(1000, 700), degree=1):
    c = identity(degree)
    t = np.radians(angle)
    a = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    c[:, 0] = center - a @ center
    c[:, 1:3] = 1000 * a
    return c


def test_evaluate_grid_same_as_evaluate():
    rng = np.random.default_rng(1)
    c = identity(4) + rng.normal(0, 0.5, identity(4).shape)
    x, y = np.arange(0, 3000, 137.0), np.arange(0, 2000, 91.0)
    want = evaluate(c, *np.meshgrid(x, y))
    for a, b in zip(evaluate_grid(c, x, y), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


def test_nodes_enclose_a_tile_that_begins_anywhere():
    x, y = node_positions(identity(), Tile(5, 40, 17, 33))
    np.testing.assert_allclose(x[0], [16, 32, 48])
    np.testing.assert_allclose(y[:, 0], [0, 16, 32, 48])


@pytest.mark.parametrize("angle", [0, 0.5, 33, 90, 180])
def test_window_holds_every_position_of_the_tile(angle):
    c, tile, shape = turned(angle), Tile(300, 460, 200, 900), (1400, 2000)
    y0, y1, x0, x1 = input_window(c, tile, shape)
    x, y = evaluate(c, *np.meshgrid(np.arange(200, 900), np.arange(300, 460)))
    assert x0 <= max(x.min() - 3, 0)
    assert x1 >= min(x.max() + 4, shape[1])
    assert y0 <= max(y.min() - 3, 0)
    assert y1 >= min(y.max() + 4, shape[0])


def test_no_window_outside_the_frame_or_without_a_map():
    away = identity()
    away[0, 0] = 5000
    assert input_window(away, Tile(0, 64, 0, 64), (100, 100)) is None
    assert input_window(np.full((2, 3), np.nan), Tile(0, 64, 0, 64), (100, 100)) is None


def covered(plan, shape):
    count = np.zeros(shape, int)
    for tile in (tile for row in plan for tile in row):
        count[tile.y0 : tile.y1, tile.x0 : tile.x1] += 1
    return bool((count == 1).all())


@pytest.mark.parametrize("angle", [0, 0.3, 30, 90])
@pytest.mark.parametrize("memory", [60e6, 200e6])
def test_plan_covers_the_canvas_within_its_memory(angle, memory):
    shape, maps = (1400, 2000), [turned(angle)] * 20
    plan = plan_tiles(shape, maps, shape, int(memory), workers=2)
    assert covered(plan, shape)
    rows, columns = plan[0][0].shape
    assert rows % STEP == 0
    assert 2 * working_bytes(maps, rows, columns, shape, shape) <= memory


def test_bands_for_small_rotations_and_tiles_for_large_ones():
    shape = (2800, 4000)
    small = plan_tiles(shape, [turned(0.05)] * 20, shape, 300_000_000)
    large = plan_tiles(shape, [turned(40)] * 20, shape, 300_000_000)
    assert len(small[0]) == 1
    assert len(large[0]) > 1


def test_too_little_memory_says_how_much_is_needed():
    with pytest.raises(OptionError, match=r"memory: is 10 MB; 30 frames in 2 threads need \d+ MB. Allow"):
        plan_tiles((1000, 1000), [identity()] * 30, (1000, 1000), 10_000_000, workers=2)
