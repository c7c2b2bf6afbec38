import copy

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.coordinates import SkyCoord

from sciastro.core.quality import Quality
from sciastro.core.wcs import tan_wcs, wcs_to_text
from sciastro.errors import DatasetError, UsageError
from sciastro.io import accessor  # noqa: F401
from sciastro.io.product_reading import read_product


@pytest.fixture
def image():
    rng = np.random.default_rng(1)
    shape = (2, 60, 80)
    units = {
        "image": "electron / s",
        "image_variance": "electron2 / s2",
        "image_quality": "1",
        "coverage": "1",
    }
    values = {
        "image": rng.normal(0, 1, shape).astype("f4"),
        "image_variance": np.ones(shape, "f4"),
        "image_quality": np.zeros(shape, "u2"),
        "coverage": np.full(shape, 4, "f4"),
    }
    values["image_quality"][1, 5, 6] = Quality.HOT | Quality.INTERPOLATED
    ds = xr.Dataset(
        {name: (("band", "y", "x"), data, {"units": units[name]}) for name, data in values.items()},
        coords={"band": ["g", "r"], "wcs": wcs_to_text(tan_wcs(250.4, 36.5, 2.0, (60, 80), angle=20))},
        attrs={"target": "M 13", "history": '{"step": "integrate.stack"}'},
    )
    return ds.assign(
        zeropoint=("band", [22.0, np.nan], {"units": "mag"}),
        zeropoint_err=("band", [0.02, np.nan], {"units": "mag"}),
        n_frames=("band", [4, 5], {"units": "1"}),
    )


@pytest.fixture
def frames():
    shape = (2, 30, 40)
    return xr.Dataset(
        {
            "signal": (("frame", "y", "x"), np.ones(shape, "f4"), {"units": "electron"}),
            "variance": (("frame", "y", "x"), np.ones(shape, "f4"), {"units": "electron2"}),
            "quality": (("frame", "y", "x"), np.zeros(shape, "u2"), {"units": "1"}),
        },
        coords={
            "filter": ("frame", ["g", "g"]),
            "exposure": ("frame", [60.0, 60.0]),
            "time": ("frame", np.array(["2026-01-01T00:01:00", "NaT"], "M8[ns]")),
            "wcs": ("frame", [wcs_to_text(tan_wcs(10, 20, 2.0, (30, 40))), ""]),
        },
    )


def test_wcs_of_an_image(image):
    wcs = image.sky.wcs("r")
    assert wcs.pixel_shape == (80, 60)
    ra, dec = wcs.all_pix2world(39.5, 29.5, 0)
    assert (float(ra), float(dec)) == pytest.approx((250.4, 36.5))
    with pytest.raises(UsageError, match=r"no band 'B'.*It has: g, r"):
        image.sky.wcs("B")


def test_wcs_of_frames(frames):
    assert frames.sky.wcs(frame=0).wcs.crval[0] == 10
    with pytest.raises(DatasetError, match="Solve the frame"):
        frames.sky.wcs(frame=1)
    with pytest.raises(UsageError, match="Name one"):
        frames.sky.wcs()
    with pytest.raises(UsageError, match="no frame number 2"):
        frames.sky.wcs(frame=2)


def test_cutout_moves_the_wcs(image):
    place = SkyCoord(*image.sky.wcs().all_pix2world(50.0, 20.0, 0), unit="deg")
    part = image.sky.cutout(place, 22 * u.arcsec)  # 11 pixels
    assert (part.sizes["y"], part.sizes["x"]) == (11, 11)
    x, y = part.sky.wcs().all_world2pix(place.ra.deg, place.dec.deg, 0)
    assert (float(x), float(y)) == pytest.approx((5.0, 5.0), abs=1e-6)
    np.testing.assert_array_equal(part["image"].values, image["image"].values[:, 15:26, 45:56])
    assert part.sky.wcs().pixel_shape == (11, 11)


def test_cutout_at_the_edge_and_beyond(image):
    corner = SkyCoord(*image.sky.wcs().all_pix2world(0.0, 0.0, 0), unit="deg")
    part = image.sky.cutout(corner, 9)
    assert (part.sizes["y"], part.sizes["x"]) == (5, 5)
    with pytest.raises(DatasetError, match="Choose a place inside"):
        image.sky.cutout(SkyCoord(10, 10, unit="deg"), 9)


def test_cutout_of_one_frame(frames):
    place = SkyCoord(10, 20, unit="deg")
    part = frames.sky.cutout(place, 7, frame=0)
    assert dict(part.sizes) == {"frame": 1, "y": 7, "x": 7}
    assert part.sky.wcs().pixel_shape == (7, 7)


def test_to_fits_writes_every_band(image, tmp_path):
    before = copy.deepcopy(image)
    paths = image.sky.to_fits(tmp_path / "m13.fits")
    assert [path.name for path in paths] == ["m13_g.fits", "m13_r.fits"]
    back = read_product(paths[0])
    np.testing.assert_array_equal(back["image"].values, image["image"].values[:1])
    assert back["zeropoint"].item() == 22.0
    assert back["n_frames"].item() == 4
    assert back.attrs["history"] == image.attrs["history"]
    assert np.isnan(read_product(paths[1])["zeropoint"].item())
    xr.testing.assert_identical(image, before)


def test_to_fits_writes_frames(frames, tmp_path):
    paths = frames.sky.to_fits(tmp_path / "frame.fits")
    assert [path.name for path in paths] == ["frame_0000.fits", "frame_0001.fits"]
    back = read_product(paths[0])
    assert back["signal"].attrs["units"] == "electron"
    assert back.sky.wcs().wcs.crval[0] == 10
    only = frames.isel(frame=[0]).sky.to_fits(tmp_path / "only.fits")
    assert only == [tmp_path / "only.fits"]


def test_to_fits_refuses_raw(tmp_path):
    raw = xr.Dataset({"raw": (("frame", "y", "x"), np.ones((1, 4, 4), "u2"))})
    with pytest.raises(DatasetError, match="no calibrated pixels"):
        raw.sky.to_fits(tmp_path / "x.fits")


def test_decode_quality(image):
    bits = image.sky.decode_quality()
    assert bits["HOT"].values.sum() == 1
    assert bits["INTERPOLATED"].values[1, 5, 6]
    assert not bits["SATURATED"].values.any()
    lazy = image.chunk({"y": 10}).sky.decode_quality()
    assert lazy["HOT"].chunks is not None


def test_plot_has_sky_axes(image, frames):
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    axes = image.sky.plot("r")
    assert axes.wcs.wcs.crval[0] == pytest.approx(250.4)
    axes = frames.sky.plot(frame=1)  # without coordinates: plain axes
    assert not hasattr(axes, "wcs")
    plt.close("all")


def test_a_dataset_without_planes_says_so():
    with pytest.raises(DatasetError, match="neither an image nor a signal"):
        xr.Dataset().sky.plot()
    with pytest.raises(DatasetError, match="Solve the image"):
        xr.Dataset().sky.wcs()
