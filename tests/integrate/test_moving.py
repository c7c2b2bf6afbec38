"""Stacks that follow a mover, and models that are taken off the frames."""

import numpy as np
import pytest
from fields import Night, aperture, star_field

from sciastro.core import transform
from sciastro.integrate.grid import Tile
from sciastro.integrate.moving import Subtraction, shifted_maps, structure
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import empty_stack, stack_windows


def run(night, maps, **more):
    out = empty_stack(night.shape)
    stack_windows(
        night.read, maps, night.shape, night.terms(), np.ones(len(maps)), out,
        options=StackOptions(reject="none"), memory_bytes=60 << 20, workers=2, **more,
    )  # fmt: skip
    return out


def test_a_shifted_map_looks_where_the_object_went():
    maps = np.repeat(transform.identity()[None], 2, axis=0)
    moved = shifted_maps(maps, [[3.0, -2.0], [0.0, 0.0]])
    # The object is at canvas (10, 20) in the image and at (13, 18) on the first frame.
    assert [float(v[0]) for v in transform.evaluate(moved[0], [10.0], [20.0])] == pytest.approx([13.0, 18.0])
    assert np.array_equal(moved[1], maps[1])


@pytest.mark.parametrize("shift", [(0.0, 0.0), (4.0, -3.0), (2.3, 1.6)])
def test_a_model_is_taken_off_where_it_lies_for_the_frame(shift):
    model = star_field((120, 140), [70.0], [60.0], [1000.0], 4.0).astype(np.float32)
    values = star_field((120, 140), [70.0 - shift[0]], [60.0 - shift[1]], [1000.0], 4.0).astype(np.float32)
    flux = aperture(values, 70.0 - shift[0], 60.0 - shift[1], 8.0)
    tile = Tile(0, 120, 0, 140)
    Subtraction(model, np.array([shift]))(0, tile, values)
    assert abs(aperture(values, 70.0 - shift[0], 60.0 - shift[1], 8.0)) < 1e-3 * flux
    assert np.abs(values).max() < 0.02 * model.max()


def test_missing_pixels_of_a_model_take_nothing_off():
    model = np.full((60, 60), 5.0, np.float32)
    model[20:40] = np.nan
    values = np.ones((60, 60), np.float32)
    Subtraction(model, np.zeros((1, 2)))(0, Tile(0, 60, 0, 60), values)
    np.testing.assert_allclose(values[:15], -4.0, atol=1e-5)
    np.testing.assert_array_equal(values[20:40], 1.0)


def test_a_run_takes_the_model_of_each_frame_off_by_its_own_number():
    night = Night(4, seed=4, side=3, dither=3.0)
    plain = run(night, night.maps)
    taken = []

    def adjust(i, tile, values):
        taken.append(i)
        values -= np.float32(7.0 * (i + 1))

    got = run(night, night.maps, adjust=adjust)
    # The mean of 7, 14, 21 and 28 is 17.5.
    inner = (slice(20, -20), slice(20, -20))
    np.testing.assert_allclose(got.image[inner], plain.image[inner] - 17.5, atol=2e-3)
    np.testing.assert_array_equal(got.variance[inner], plain.variance[inner])
    assert set(taken) == {0, 1, 2, 3}


def test_structure_has_no_sky():
    image = np.full((10, 10), 12.0, np.float32)
    image[3, 3], image[0, 0] = 50.0, np.nan
    assert structure(image)[3, 3] == 38.0
    assert np.isnan(structure(image)[0, 0])
