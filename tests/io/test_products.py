import hashlib
import shutil
import subprocess

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS, Sip

from sciastro.core import history, vocabulary
from sciastro.core.quality import Quality
from sciastro.core.vocabulary import require
from sciastro.core.wcs import tan_wcs, text_to_wcs, wcs_to_text
from sciastro.errors import FileError, OutputError
from sciastro.io.product_reading import read_product
from sciastro.io.products import ProductFacts, write_frame, write_image_product, write_master

SHAPE = (40, 50)


def sip_wcs():
    wcs = tan_wcs(250.42, 36.46, 1.3, SHAPE, angle=33.0)
    a, b = np.zeros((3, 3)), np.zeros((3, 3))
    a[2, 0], b[1, 1] = 3e-5, -2e-5
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    return wcs


def facts(**changes):
    known = {
        "target": "M 13",
        "band": "g",
        "telescope": "0.5 m",
        "instrument": "camera",
        "date_begin": "2019-05-03T08:00:00.000",
        "date_average": "2019-05-03T08:30:00.000",
        "date_end": "2019-05-03T09:00:00.000",
        "exposure": 360.0,
        "n_frames": 3,
        "latitude": 32.78,
        "longitude": -105.82,
        "elevation": 2788.0,
        "noise_correlation": 1.07,
        "zeropoint": {"mag": 22.1, "err": 0.01, "system": "SDSS g", "catalog": "An 2008", "n_stars": 44},
        "depth": 21.3,
        "history": '{"step": "integrate.stack", "note": "%s"}\n{"step": "photometry"}' % ("ab c " * 40),
    }
    return ProductFacts(**{**known, **changes})


@pytest.fixture
def planes():
    rng = np.random.default_rng(4)
    image = rng.normal(0, 2, SHAPE).astype(np.float32)
    variance = rng.uniform(1, 5, SHAPE).astype(np.float32)
    quality = np.zeros(SHAPE, np.uint16)
    image[3, 7] = variance[3, 7] = np.nan
    quality[3, 7] = Quality.NO_DATA | Quality.DO_NOT_USE
    quality[9, 9] = Quality.LOW_FLAT  # the highest bit: needs an unsigned integer
    return image, variance, quality, np.full(SHAPE, 2.5, np.float32)


def verify(path):
    program = shutil.which("fitsverify")
    if program is None:
        pytest.skip("fitsverify is not installed")
    result = subprocess.run([program, "-l", str(path)], capture_output=True, text=True, check=False)
    assert "0 warning(s) and 0 error(s)" in result.stdout, result.stdout[-3000:]


@pytest.mark.parametrize("compress", [False, True])
def test_image_passes_fitsverify(tmp_path, planes, compress):
    path = write_image_product(
        tmp_path / "m13.fits", *planes, wcs=sip_wcs(), facts=facts(), compress=compress
    )
    verify(path)


def test_bare_image_passes_fitsverify(tmp_path, planes):
    verify(write_image_product(tmp_path / "bare.fits", *planes, wcs=None, facts=ProductFacts()))


def test_masters_and_frames_pass_fitsverify(tmp_path, planes):
    verify(write_master(tmp_path / "dark.fits", *planes[:3], facts=facts()))
    verify(write_master(tmp_path / "flat.fits", *planes[:3], facts=facts(), unit=""))
    verify(write_frame(tmp_path / "frame.fits", *planes[:3], wcs=sip_wcs(), facts=facts()))


def test_layout_is_as_promised(tmp_path, planes):
    path = write_image_product(tmp_path / "m13.fits", *planes, wcs=sip_wcs(), facts=facts())
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum would warn, and warnings are errors
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "DQ", "COVERAGE"]
        assert hdus[0].data is None
        assert u.Unit(hdus["SCI"].header["BUNIT"]) == u.electron / u.s
        assert hdus["DQ"].data.dtype == np.uint16
        assert hdus["SCI"].data.dtype.itemsize == hdus["ERR"].data.dtype.itemsize == 4
        for hdu in hdus:
            assert "CHECKSUM" in hdu.header
            assert "DATASUM" in hdu.header
        header = hdus["SCI"].header
        assert header["RADESYS"] == "ICRS"
        assert "EQUINOX" not in header
        assert header["NCOMBINE"] == 3
        assert header["MAGZP"] == 22.1
        assert header["TIMESYS"] == "UTC"
        assert header["MJD-AVG"] == pytest.approx(58606 + 8.5 / 24, abs=1e-8)
        assert hdus["DQ"].header["DQBIT15"] == "LOW_FLAT"
        np.testing.assert_allclose(hdus["ERR"].data, np.sqrt(planes[1]), rtol=1e-6)
        truth = sip_wcs()
        for name in ("SCI", "ERR", "DQ", "COVERAGE"):
            wcs = WCS(hdus[name].header)  # must not warn about dates or distortion
            np.testing.assert_allclose(
                wcs.all_pix2world(3.0, 31.0, 0), truth.all_pix2world(3.0, 31.0, 0), rtol=0, atol=1e-9
            )


@pytest.mark.parametrize("compress", [False, True])
def test_round_trip(tmp_path, planes, compress):
    image, variance, quality, coverage = planes
    path = write_image_product(
        tmp_path / "m13.fits", *planes, wcs=wcs_to_text(sip_wcs()), facts=facts(), compress=compress
    )
    ds = read_product(path)
    require(ds, vocabulary.IMAGE, vocabulary.IMAGE_VARIANCE, vocabulary.IMAGE_QUALITY, vocabulary.COVERAGE)
    require(ds, vocabulary.ZEROPOINT, vocabulary.NOISE_CORRELATION, vocabulary.N_FRAMES)
    np.testing.assert_array_equal(ds["image"].values[0], image)
    np.testing.assert_allclose(ds["image_variance"].values[0], variance, rtol=3e-7)
    np.testing.assert_array_equal(ds["image_quality"].values[0], quality)
    np.testing.assert_array_equal(ds["coverage"].values[0], coverage)
    assert list(ds["band"].values) == ["g"]
    assert ds["zeropoint"].item() == 22.1
    assert np.isnan(ds["color_term"].item())
    found, truth = text_to_wcs(str(ds["wcs"].values)), sip_wcs()
    np.testing.assert_allclose(found.all_pix2world(40, 2, 0), truth.all_pix2world(40, 2, 0), atol=1e-9)
    steps = history.history(ds)
    assert [step["step"] for step in steps] == ["integrate.stack", "photometry"]
    assert steps[0]["note"] == "ab c " * 40


def test_master_round_trip_keeps_its_unit(tmp_path, planes):
    ds = read_product(write_master(tmp_path / "dark.fits", *planes[:3], facts=facts()))
    assert ds["signal"].attrs["units"] == "adu"
    assert ds["variance"].attrs["units"] == "adu2"
    np.testing.assert_array_equal(ds["signal"].values[0], planes[0])


def test_same_input_same_bytes(tmp_path, planes):
    digests = set()
    for name in ("a.fits", "b.fits"):
        path = write_image_product(tmp_path / name, *planes, wcs=sip_wcs(), facts=facts())
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_input_is_not_changed(tmp_path, planes):
    before = [plane.copy() for plane in planes]
    write_image_product(tmp_path / "m13.fits", *planes, wcs=None, facts=facts())
    for plane, old in zip(planes, before, strict=True):
        np.testing.assert_array_equal(plane, old)
        assert plane.dtype == old.dtype


def test_odd_names_do_no_harm(tmp_path, planes):
    path = write_image_product(
        tmp_path / "odd.fits", *planes, wcs=None, facts=facts(target="NGC\n1\x1b[31m/../é" + "x'" * 300)
    )
    verify(path)
    assert fits.getheader(path)["OBJECT"].startswith("NGC 1[31m/../e")


def test_planes_of_different_shape_are_refused(tmp_path, planes):
    with pytest.raises(OutputError, match="one shape"):
        write_image_product(tmp_path / "x.fits", *planes[:3], planes[3][:5], wcs=None, facts=facts())
    assert not list(tmp_path.iterdir())


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.fits"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(path)
    with pytest.raises(FileError, match="not a product"):
        read_product(path)
    (tmp_path / "text.fits").write_text("hello")
    with pytest.raises(FileError, match="cannot be read"):
        read_product(tmp_path / "text.fits")


@pytest.mark.parametrize("name", ["SCI", "ERR", "DQ"])
def test_a_product_that_lost_a_plane_is_refused(tmp_path, planes, name):
    path = write_frame(tmp_path / "a.fits", *planes[:3], wcs=None, facts=facts())
    with fits.open(path, mode="update") as hdus:
        del hdus[name]
    with pytest.raises(FileError, match=f"cannot be read as a product: it lacks {name}.*Make it again"):
        read_product(path)


def test_damaged_numbers_are_unknown(tmp_path, planes):
    path = write_image_product(tmp_path / "a.fits", *planes, wcs=None, facts=facts())
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["MAGZP"] = "damaged"
    assert np.isnan(read_product(path)["zeropoint"].item())


def test_quality_is_read_by_name(tmp_path, planes):
    path = write_image_product(tmp_path / "m13.fits", *planes, wcs=None, facts=facts())
    with fits.open(path, mode="update") as hdus:  # a file of another version: HOT on bit 3
        hdus["DQ"].header["DQBIT3"] = hdus["DQ"].header.pop("DQBIT11")
        hdus["DQ"].data[20, 20] = 1 << 3
    assert read_product(path)["image_quality"].values[0, 20, 20] == Quality.HOT
