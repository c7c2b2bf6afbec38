"""Which interpolation `kernel = "auto"` takes, and that it is told."""

import numpy as np
import pytest
from fields import Night

from sciastro.core import vocabulary as v
from sciastro.core.history import history
from sciastro.core.transform import identity
from sciastro.integrate.align import AlignOptions, align
from sciastro.integrate.canvas import Canvas
from sciastro.integrate.options import StackOptions, median_fwhm, settled
from sciastro.integrate.stack import stack


@pytest.mark.parametrize(("fwhm", "kernel"), [(2.49, "lanczos3"), (2.5, "mitchell"), (np.nan, "lanczos3")])
def test_wide_stars_are_smoothed_a_little_and_narrow_ones_are_not(fwhm, kernel):
    assert settled(StackOptions(), fwhm).kernel == kernel
    assert settled(AlignOptions(), fwhm).kernel == kernel
    assert settled(StackOptions(kernel="bilinear"), fwhm).kernel == "bilinear"


@pytest.mark.parametrize(("fwhm", "clamp"), [(1.5, 0.1), (2.0, 0.01), (np.nan, 0.01)])
def test_rings_of_narrow_stars_have_room(fwhm, clamp):
    for kernel in ("auto", "lanczos3"):
        assert settled(StackOptions(kernel=kernel), fwhm).clamp == clamp
        assert settled(StackOptions(kernel=kernel, clamp=0.3), fwhm).clamp == 0.3
        assert settled(StackOptions(kernel=kernel, clamp=None), fwhm).clamp is None


def test_the_median_is_of_the_frames_that_are_known():
    assert median_fwhm([2.0, np.nan, 3.0, 4.0]) == 3.0
    assert np.isnan(median_fwhm([np.nan])) and np.isnan(median_fwhm([]))


@pytest.fixture(scope="module")
def frames():
    return Night(4, seed=8, side=3, dither=4.0).dataset()


@pytest.mark.parametrize(("fwhm", "kernel"), [(1.8, "lanczos3"), (3.2, "mitchell")])
def test_both_steps_take_what_the_frames_ask_for_and_say_so(frames, fwhm, kernel):
    known = frames.assign_coords(fwhm=v.labeled(v.FWHM, np.full(4, fwhm)))
    for step, options in ((stack, StackOptions), (align, AlignOptions)):
        chosen, named = step(known), step(known, options=options(kernel=kernel))
        for one in chosen.data_vars:
            np.testing.assert_array_equal(chosen[one], named[one])
        assert history(chosen)[-1]["kernel"] == kernel
        for one in (chosen, named):
            assert history(one)[-1].get("clamp", "")[:4] == ("0.1:" if fwhm < 2 else "")


def test_frames_on_one_grid_are_not_smoothed(frames):
    known = frames.drop_vars("from_reference").assign_coords(fwhm=v.labeled(v.FWHM, np.full(4, 3.2)))
    assert history(stack(known))[-1]["kernel"] == "none, samples are copied"


def test_frames_on_one_grid_that_a_canvas_moves_between_pixels_are_interpolated_as_others(frames):
    still = frames.drop_vars("from_reference").assign_coords(fwhm=v.labeled(v.FWHM, np.full(4, 3.2)))
    maps = v.labeled(v.FROM_REFERENCE, np.repeat(identity()[None], 4, axis=0))
    shape = (frames.sizes["y"], frames.sizes["x"])
    for origin, kernel in (((0.4, 0.0), "mitchell"), ((-7.0, 3.0), "none, samples are copied")):
        out = stack(still, canvas=Canvas(shape, origin))
        assert history(out)[-1]["kernel"] == kernel
        if kernel == "mitchell":
            same = stack(still.assign_coords(from_reference=maps), canvas=Canvas(shape, origin))
            np.testing.assert_array_equal(out["image"], same["image"])
    smoothed = stack(still, options=StackOptions(kernel="mitchell"))
    assert "kernel" not in history(smoothed)[-1]
    assert smoothed["noise_correlation"].item() > 1.2
