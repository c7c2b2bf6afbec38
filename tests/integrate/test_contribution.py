"""Which frames made a pixel: against what was put in, and against the package drizzle."""

import numpy as np
import pytest
from astropy.io import fits
from fields import Night

from sciastro.integrate.canvas import Canvas
from sciastro.integrate.contribution import context_of, context_planes, made_by
from sciastro.integrate.drizzle import DrizzleOptions, on_canvas
from sciastro.integrate.options import StackOptions
from sciastro.integrate.run import empty_stack, stack_windows
from sciastro.integrate.stack import stack
from sciastro.io.contexts import write_context
from sciastro.io.product_cards import ProductFacts
from sciastro.io.product_reading import is_product


def test_bits_by_hand():
    values = np.zeros((3, 1, 4), "f4")
    marks = np.zeros((3, 1, 4), "u1")
    values[0, 0, 0] = np.nan  # frame 0 misses pixel 0
    marks[2, 0, 1] = 2  # frame 40 was rejected in pixel 1
    got = context_of(values, marks, [0, 31, 40], 41)
    assert got.shape == (2, 1, 4) and got.dtype == np.uint32
    np.testing.assert_array_equal(got[0, 0], [1 << 31, 1 | 1 << 31, 1 | 1 << 31, 1 | 1 << 31])
    np.testing.assert_array_equal(got[1, 0], [1 << 8, 0, 1 << 8, 1 << 8])
    np.testing.assert_array_equal(made_by(got, 40)[0], [True, False, True, True])
    assert [context_planes(n) for n in (1, 32, 33, 300)] == [1, 1, 2, 10]


@pytest.fixture(scope="module")
def night():
    """Forty small frames; number 3 is hit at a place of its own, number 35 has a bad column."""
    night = Night(40, seed=4, side=0, dither=3.0)
    night.frames[3][0][80:83, 90:93] += 5000
    night.frames[35][2][:, 60] = 1
    return night


def hit_on_reference(night, i, x, y):
    return round(x - night.maps[i, 0, 0]), round(y - night.maps[i, 1, 0])


def test_rejected_and_missing_samples_are_left_out(night):
    out = stack(night.dataset(), options=StackOptions(context=True, kernel="nearest"))
    bits = out["context"].values[0]
    assert bits.shape == (2, *night.shape)
    x, y = hit_on_reference(night, 3, 91, 81)
    assert not made_by(bits, 3)[y, x]
    assert made_by(bits, 2)[y, x]
    x, _ = hit_on_reference(night, 35, 60, 0)
    assert not made_by(bits, 35)[20:-20, x].any()
    assert made_by(bits, 35)[20:-20, x + 3].mean() > 0.98
    counted = np.bitwise_count(bits).sum(axis=0)
    rejected = out["rejected_low"].values[0] + out["rejected_high"].values[0]
    inner = np.s_[20:-20, 20:-20]
    present = 40 - (~np.isfinite(night.frames[0][0][inner])).sum()
    assert (counted[inner] + rejected[inner] >= present - 1).all()
    np.testing.assert_allclose(counted[inner], out["coverage"].values[0][inner], atol=1e-3)
    # Everybody else gets the same image whether context is kept or not.
    again = stack(night.dataset(), options=StackOptions(kernel="nearest"))
    assert "context" not in again
    np.testing.assert_array_equal(out["image"], again["image"])


def test_equal_to_the_context_of_the_package_drizzle(night):
    resample = pytest.importorskip("drizzle.resample")
    few = 6
    canvas = Canvas(night.shape).times(2.0)
    maps = canvas.maps(night.maps)
    weight = np.zeros(40)
    weight[:few] = 1  # frames of weight 0 have no number: numbers count those that enter
    out = empty_stack(canvas.shape, few, context=True)
    stack_windows(
        night.read, maps, night.shape, on_canvas(night.terms(), canvas), weight, out,
        options=StackOptions(context=True, reject="none"), memory_bytes=100 << 20, workers=2,
        drizzle=DrizzleOptions(scale=2.0, pixfrac=0.4),
    )  # fmt: skip
    peer = resample.Drizzle(kernel="square", out_shape=canvas.shape, fillval="nan")
    y, x = np.mgrid[: night.shape[0], : night.shape[1]]
    for i in range(few):
        c = maps[i]
        pixmap = np.stack([(x - c[0, 0]) * 2.0, (y - c[1, 0]) * 2.0], axis=-1)
        peer.add_image(
            night.frames[i][0], exptime=1.0, pixmap=pixmap, pixfrac=0.4, pixel_scale_ratio=0.5,
            weight_map=np.ones(night.shape, "f4"),
        )  # fmt: skip
    theirs = np.asarray(peer.out_ctx).reshape(-1, *canvas.shape)[0]
    inner = np.s_[4:-4, 4:-4]
    # They differ where a drop touches a pixel by less than float32 sees.
    assert np.mean(out.context[0][inner] == theirs[inner].astype(np.uint32)) > 0.999
    assert len(np.unique(out.context[0][inner])) > 10


def test_file_says_which_bit_is_which_frame(tmp_path):
    bits = np.arange(24, dtype=np.uint32).reshape(2, 3, 4) << 27
    made = [("lights/a.fits", 1.0), ("lights/bb.fits", 0.5)]
    path = write_context(tmp_path / "x_context.fits", bits, made, wcs=None, facts=ProductFacts(target="M 1"))
    with fits.open(path) as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus["CONTEXT"].data, bits)
        assert list(hdus["FRAMES"].data["PATH"]) == ["lights/a.fits", "lights/bb.fits"]
        assert hdus["FRAMES"].data["WEIGHT"][1] == 0.5
        assert is_product(hdus[0].header)  # never taken for a raw frame
