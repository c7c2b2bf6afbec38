import pickle
import tomllib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

from sciastro.core import vocabulary
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import require
from sciastro.core.wcs import tan_wcs, wcs_to_header
from sciastro.errors import FileError
from sciastro.io import backend
from sciastro.io.backend import SciastroBackend
from sciastro.io.product_reading import read_product
from sciastro.io.products import ProductFacts, write_frame, write_image_product

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def raw_file(tmp_path):
    pixels = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40) + 60_000
    header = wcs_to_header(tan_wcs(10.0, 20.0, 2.0, (30, 40)))
    header["EXPTIME"], header["FILTER"], header["IMAGETYP"] = 60.0, "Green", "Light Frame"
    header["DATE-OBS"], header["OBJECT"], header["EGAIN"] = "2026-01-01T00:00:00", "M 31", 1.3
    path = tmp_path / "light_0001.fits"
    fits.PrimaryHDU(pixels, header=header).writeto(path)
    return path, pixels


def test_raw_frame(raw_file):
    path, pixels = raw_file
    with xr.open_dataset(path, engine=SciastroBackend) as ds:
        require(ds, vocabulary.RAW, vocabulary.EXPOSURE, vocabulary.FILTER, vocabulary.TIME, vocabulary.GAIN)
        assert ds["raw"].dtype == np.uint16
        np.testing.assert_array_equal(ds["raw"].values[0], pixels)
        assert ds["exposure"].item() == 60
        assert str(ds["filter"].item()) == "G"
        assert ds["time"].values[0] == np.datetime64("2026-01-01T00:00:30")
        assert ds.sky.wcs().wcs.crval[0] == 10


def test_pixels_are_read_only_when_asked_for(raw_file, monkeypatch):
    path, pixels = raw_file
    asked = []
    real = backend.open_rows

    def watched(image):
        rows = real(image)
        return lambda first, last: asked.append((first, last)) or rows(first, last)

    monkeypatch.setattr(backend, "open_rows", watched)
    ds = xr.open_dataset(path, engine=SciastroBackend)
    part = ds["raw"][0, 4:10, 3:5]
    assert asked == []
    np.testing.assert_array_equal(part.values, pixels[4:10, 3:5])
    assert asked == [(4, 10)]


@pytest.mark.parametrize(
    "key",
    [
        (0, slice(None), slice(None)),
        (slice(None), 7, slice(None)),
        (0, 7, 9),
        (0, -1, -2),
        (slice(0, 1), slice(2, 20, 3), slice(30, 5, -4)),
        (0, slice(20, 2, -3), 5),
        (0, slice(5, 5), slice(None)),
        (0, [3, 1, 20], slice(None)),
        ([0], [3, 1], [0, 39]),
    ],
)
def test_every_kind_of_index(raw_file, key):
    path, pixels = raw_file
    ds = xr.open_dataset(path, engine=SciastroBackend)
    truth = xr.DataArray(pixels[None], dims=("frame", "y", "x"))
    np.testing.assert_array_equal(ds["raw"][key].values, truth[key].values)


def test_chunks_and_pickle(raw_file):
    path, pixels = raw_file
    ds = xr.open_dataset(path, engine=SciastroBackend, chunks={"y": 8})
    np.testing.assert_array_equal(ds["raw"].data[0].compute(), pixels)
    again = pickle.loads(pickle.dumps(xr.open_dataset(path, engine=SciastroBackend)))
    np.testing.assert_array_equal(again["raw"].values[0], pixels)


@pytest.mark.parametrize("compress", [False, True])
def test_image_product_equals_read_product(tmp_path, compress):
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (20, 30)).astype("f4")
    quality = np.zeros((20, 30), "u2")
    quality[3, 4] = Quality.LOW_FLAT
    path = write_image_product(
        tmp_path / "m13_g.fits",
        image,
        np.full((20, 30), 2, "f4"),
        quality,
        np.full((20, 30), 5, "f4"),
        wcs=tan_wcs(1, 2, 3.0, (20, 30)),
        facts=ProductFacts(band="g", target="M 13", n_frames=5, history='{"step": "a"}'),
        compress=compress,
    )
    lazy = xr.open_dataset(path, engine=SciastroBackend)
    xr.testing.assert_identical(lazy.load(), read_product(path))
    assert lazy.sky.decode_quality()["LOW_FLAT"].values.sum() == 1


def test_frame_product(tmp_path):
    plane = np.ones((5, 6), "f4")
    path = write_frame(
        tmp_path / "f.fits", plane, plane * 4, plane.astype("u2"), wcs=None, facts=ProductFacts(band="g")
    )
    ds = xr.open_dataset(path, engine=SciastroBackend)
    require(ds, vocabulary.SIGNAL, vocabulary.VARIANCE, vocabulary.QUALITY)
    assert float(ds["variance"].mean()) == pytest.approx(4)


def test_bad_files_say_what_to_do(tmp_path):
    path = tmp_path / "text.fits"
    path.write_text("not FITS at all")
    with pytest.raises(FileError):
        xr.open_dataset(path, engine=SciastroBackend)


def test_no_such_hdu(raw_file):
    with pytest.raises(FileError, match="HDU 7"):
        xr.open_dataset(raw_file[0], engine=SciastroBackend, hdu=7)


def test_guesses_by_name():
    entry = SciastroBackend()
    assert entry.guess_can_open("a/b.FITS.fz")
    assert not entry.guess_can_open("a/b.nc")
    assert not entry.guess_can_open(b"bytes")


def test_the_entry_point_names_this_class():
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())
    target = project["project"]["entry-points"]["xarray.backends"]["sciastro"]
    assert target == f"{SciastroBackend.__module__}:{SciastroBackend.__name__}"


def test_real_frame():
    path = SHARED / "calib_arcsat_m13" / "light" / "M13_sdss_r_20190503_084324.fits"
    if not path.exists():
        pytest.skip("the shared data are absent")
    with xr.open_dataset(path, engine=SciastroBackend) as ds:
        assert str(ds["filter"].item()) == "r"
        assert ds["exposure"].item() == 60
        with fits.open(path) as hdus:
            np.testing.assert_array_equal(ds["raw"].values[0], hdus[0].data)
        assert ds.sky.wcs().wcs.crval[0] == pytest.approx(250.42, abs=0.2)
