"""``engine="sciastro"`` on camera raw, XISF, TIFF and SER: the same dataset as from FITS, lazily."""

import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from camera_files import write_ser

import sciastro
from sciastro.io.xisfwrite import XisfPlane, write_xisf
from sciastro.simulate.dng import write_dng

START = datetime(2024, 8, 1, 22, 0, 0, tzinfo=UTC)


@pytest.fixture
def mosaic():
    return np.random.default_rng(3).integers(100, 4000, (40, 60), dtype=np.uint16)


def written(folder, mosaic, kind):
    cards = {"EXPTIME": 10.0, "DATE-OBS": "2024-08-01T22:00:00", "BAYERPAT": "GRBG", "SATURATE": 16383.0}
    path = folder / f"M31_10s.{kind}"
    if kind == "fits":
        fits.writeto(path, mosaic, fits.Header(cards))
    elif kind == "dng":
        pytest.importorskip("rawpy")
        write_dng(path, mosaic, cfa="GRBG", exposure=10.0, iso=100, time=START, white_level=16383)
    else:
        write_xisf(path, [XisfPlane(mosaic, fits.Header(cards))])
    return path


@pytest.mark.parametrize("kind", ["dng", "xisf"])
def test_same_dataset_as_from_fits(tmp_path, mosaic, kind):
    one, two = (
        xr.open_dataset(written(tmp_path, mosaic, each), engine="sciastro") for each in ("fits", kind)
    )
    for name in ("raw", "exposure", "time", "filter", "cfa", "saturation", "target"):
        xr.testing.assert_equal(one[name].reset_coords(drop=True), two[name].reset_coords(drop=True))
        assert one[name].attrs == two[name].attrs
    assert two["raw"].dtype == np.uint16


@pytest.mark.parametrize("kind", ["dng", "xisf"])
def test_pixels_are_read_when_they_are_asked_for(tmp_path, mosaic, kind):
    path = written(tmp_path, mosaic, kind)
    ds = pickle.loads(pickle.dumps(sciastro.open(path)))
    np.testing.assert_array_equal(ds["raw"][0, 5:9, ::3].values, mosaic[5:9, ::3])
    lazy = sciastro.open(path).chunk(frame=1, y=10)
    assert int(lazy["raw"].sum()) == int(mosaic.sum())
    path.unlink()
    with pytest.raises(sciastro.errors.FileError, match=r"does not exist|cannot be read"):
        ds["raw"].isel(y=slice(0, 5)).load()


def test_all_frames_of_a_video(tmp_path, mosaic):
    frames = np.stack([mosaic + k for k in range(5)]).astype(np.uint16)
    path = write_ser(tmp_path / "Moon.ser", frames, stamps=[START + timedelta(seconds=k) for k in range(5)])
    ds = sciastro.open(path)
    assert ds["raw"].shape == (5, 40, 60)
    np.testing.assert_array_equal(ds["raw"][1:4, 3, 10:20].values, frames[1:4, 3, 10:20])
    np.testing.assert_array_equal(ds["raw"].isel(frame=4).values, frames[4])
    assert ds["raw"][2:2].shape == (0, 40, 60) and ds["raw"][2:2].values.size == 0
    assert list(np.diff(ds["time"].values) / np.timedelta64(1, "s")) == [1, 1, 1, 1]
    assert list(ds["path"].values[[0, 4]]) == ["Moon.ser#0", "Moon.ser#4"]
    one = xr.open_dataset(path, engine="sciastro", hdu=3)
    np.testing.assert_array_equal(one["raw"].values, frames[3:4])
