"""Frames resampled one by one: what a stack of them is, what their noise is, what goes with them."""

import dask
import numpy as np
import pytest
import xarray as xr
from fields import Night, star_field

from sciastro.core import transform
from sciastro.core import vocabulary as v
from sciastro.core.history import history
from sciastro.core.lift import chunk_rows, is_lazy
from sciastro.core.quality import Quality
from sciastro.errors import DatasetError
from sciastro.integrate.align import NOT_KEPT, AlignOptions, align
from sciastro.integrate.stack import StackOptions, stack


@pytest.fixture(scope="module")
def night():
    return Night(5, seed=3, side=4, dither=6.0, t=[1.0, 0.9, 1.0, 0.8, 1.0], sky=[200.0, 210, 190, 220, 200])


def similarity(angle, scale, dx=0.0, dy=0.0):
    """Return the map (x, y) -> scale R(angle) (x, y) + (dx, dy)."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    out = transform.identity()
    out[:, 0] = dx, dy
    out[0, 1:3] = transform.SCALE * c, -transform.SCALE * s
    out[1, 1:3] = transform.SCALE * s, transform.SCALE * c
    return out


def flat_sky(maps, shape=(300, 320), level=900.0):
    rng = np.random.default_rng(5)
    n = len(maps)
    signal = rng.normal(level, np.sqrt(level), (n, *shape)).astype("f4")
    return xr.Dataset(
        {
            "signal": v.labeled(v.SIGNAL, signal),
            "variance": v.labeled(v.VARIANCE, np.full_like(signal, level)),
            "quality": v.labeled(v.QUALITY, np.zeros(signal.shape, "u2")),
        },
        coords={
            "exposure": v.labeled(v.EXPOSURE, np.full(n, 10.0)),
            "filter": v.labeled(v.FILTER, np.array(["V"] * n)),
            "from_reference": v.labeled(v.FROM_REFERENCE, np.stack(maps)),
            "sky": v.labeled(v.SKY, np.full(n, level / 10)),
            "noise": v.labeled(v.NOISE, np.full(n, np.sqrt(level) / 10)),
        },
    )


def test_frames_that_lie_right_keep_their_numbers(night):
    ds = night.dataset().drop_vars("from_reference")
    ds = ds.assign(from_reference=v.labeled(v.FROM_REFERENCE, np.repeat(transform.identity()[None], 5, 0)))
    out = align(ds)
    for name in ("signal", "variance", "quality"):
        np.testing.assert_array_equal(out[name], ds[name])
    np.testing.assert_array_equal(out["frame_correlation"], 1.0)
    for name in ("image", "image_variance", "coverage", "image_quality"):
        np.testing.assert_array_equal(stack(out)[name], stack(ds)[name])


def test_the_stack_of_aligned_frames_is_the_stack_of_the_frames(night):
    ds = night.dataset().assign_coords(weight=v.labeled(v.WEIGHT, np.array([1, 0.7, 0.9, 0.6, 0.9])))
    direct, by_frame = stack(ds), stack(align(ds))
    # Shifted frames are in float32 once either way, and a warp that moves nothing changes no bit.
    for name in ("image", "image_variance", "coverage", "image_quality"):
        np.testing.assert_allclose(by_frame[name], direct[name], rtol=1e-6, atol=1e-5)
    assert float(direct["noise_correlation"].item()) > 1.05
    np.testing.assert_allclose(by_frame["noise_correlation"], direct["noise_correlation"], rtol=0.002)


@pytest.mark.parametrize("kernel", ["lanczos3", "mitchell", "bilinear"])
@pytest.mark.parametrize("angle", [0.0, 0.03, np.pi - 0.01])
@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_noise_of_single_pixels_and_of_large_areas(kernel, angle, scale):
    # About the middle of the frame, so that most of it stays inside.
    center = np.array([160.0, 150.0])
    turn = similarity(angle, scale)
    shift = center - np.array(transform.evaluate(turn, *center)) + (0.37, -0.21)
    ds = flat_sky([similarity(angle, scale, *shift)])
    out = align(ds, options=AlignOptions(kernel=kernel, clamp=None))
    inner = out["signal"].values[0, 40:-40, 40:-40]
    assert np.isfinite(inner).all()
    # 220 x 240 pixels: the mean has an error of 0.13 % of one sigma, the noise one of 0.3 %.
    np.testing.assert_allclose(inner.mean(), 900 * scale**2, rtol=1e-3)
    np.testing.assert_allclose(
        inner.std(), np.sqrt(out["variance"].values[0, 40:-40, 40:-40].mean()), rtol=0.015
    )
    np.testing.assert_allclose(out["sky"].item(), 90 * scale**2, rtol=1e-3)
    np.testing.assert_allclose(10 * out["noise"].item(), inner.std(), rtol=0.015)
    # 6 x 6 blocks, 1480 of them: their scatter is known to 2 %; neighbors share light beyond their border.
    blocks = inner[:216, :240].reshape(36, 6, 40, 6).mean(axis=(1, 3)).std() * 6
    measured = blocks / inner.std()
    wide = inner[:220, :240].reshape(11, 20, 12, 20).mean(axis=(1, 3)).std() * 20 / inner.std()
    claimed = out["frame_correlation"].item()
    assert measured == pytest.approx(claimed, rel=0.10)
    assert wide == pytest.approx(claimed, rel=0.20)  # 132 blocks: 6 % each, 3 sigma


def test_flux_stays_and_surface_brightness_stays():
    stars = star_field((200, 200), [100.0], [100.0], [1e6], 4.0)
    ds = flat_sky([similarity(0.0, 0.8, 20, 20)], shape=(200, 200), level=1.0)
    ds = ds.assign(signal=v.labeled(v.SIGNAL, stars[None].astype("f4")))
    flux = align(ds, options=AlignOptions(clamp=None))["signal"].sum().item()
    assert flux == pytest.approx(1e6, rel=1e-3)
    bright = align(ds, options=AlignOptions(clamp=None, pixels_hold="surface_brightness"))
    assert bright["signal"].sum().item() == pytest.approx(1e6 / 0.64, rel=1e-3)
    np.testing.assert_allclose(bright["sky"], ds["sky"])


def test_what_goes_with_the_frames(night):
    n = 5
    ds = night.dataset().assign_coords(
        wcs=v.labeled(v.WCS, np.array(["reference", "other", "other", "other", "other"])),
        fwhm=v.labeled(v.FWHM, np.full(n, 3.0)),
        reason=v.labeled(v.REASON, np.array([""] * n)),
    )
    maps = ds["from_reference"].values.copy()
    maps[2] = np.nan
    ds = ds.assign_coords(from_reference=v.labeled(v.FROM_REFERENCE, maps))
    out = align(ds)
    assert out["wcs"].values.tolist() == ["reference", "reference", "", "reference", "reference"]
    assert not set(NOT_KEPT) & set(out.variables)
    assert "reason" in out.coords and "transparency" in out.coords
    np.testing.assert_array_equal(out["from_reference"].values[1], transform.identity())
    assert np.isnan(out["from_reference"].values[2]).all() and np.isnan(out["frame_correlation"].values[2])
    assert np.isnan(out["signal"].values[2]).all()
    missing = int(Quality.NO_DATA | Quality.DO_NOT_USE)
    assert (out["quality"].values[2] & missing == missing).all()
    np.testing.assert_array_equal(stack(out)["n_frames"], 4)  # left out, as in the frames themselves
    assert [entry["step"] for entry in history(out)] == ["integrate.align"]


@pytest.mark.parametrize("rows", [50, 100])
def test_lazy_in_lazy_out_all_the_way_to_the_stack(night, rows):
    ds = night.dataset()

    def refuse(*_args, **_kwargs):
        raise AssertionError("computed behind the user's back")

    with dask.config.set(scheduler=refuse):
        lazy = align(chunk_rows(ds, rows))
        stacked = stack(lazy)
    assert is_lazy(lazy["signal"]) and is_lazy(stacked["image"])
    xr.testing.assert_identical(lazy.compute(), align(ds))
    xr.testing.assert_identical(stacked.compute(), stack(align(ds)))


def test_kernels_differ_and_wrong_input_is_named(night):
    ds = night.dataset()
    assert not np.array_equal(
        align(ds)["signal"][1], align(ds, options=AlignOptions(kernel="nearest"))["signal"][1]
    )
    with pytest.raises(DatasetError, match="variable 'from_reference': is missing"):
        align(ds.drop_vars("from_reference"))
    assert StackOptions().kernel == AlignOptions().kernel  # one default for both ways
