"""Copies of products in physical units: every pixel, error and card."""

import shutil
import subprocess

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

import sciastro
from sciastro.core.wcs import tan_wcs
from sciastro.errors import FileError
from sciastro.io.fluxproducts import PixelScale, write_flux_product
from sciastro.io.product_reading import read_product
from sciastro.io.products import ProductFacts, write_image_product, write_master
from sciastro.recipe.photometry import aperture_photometry
from sciastro.recipe.physical import flux_copy, to_physical

SHAPE = (80, 90)
NAN = float("nan")


@pytest.fixture
def product(tmp_path):
    """One star of 5000 electron / s on a sky of 20, R = 16.5 in the middle of 80 x 90 pixels."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = 20 + 5000 / (2 * np.pi * 4) * np.exp(-((x - 45) ** 2 + (y - 40) ** 2) / 8)
    image = image + np.random.default_rng(1).normal(0, 2, SHAPE)
    image[3, 4] = NAN
    zero = {"mag": 25.74743, "err": 0.02, "system": "SDSS r", "kind": "AB", "color_term": 0.03,
            "color_name": "g-r", "color_reference": 0.6}  # fmt: skip
    return write_image_product(
        tmp_path / "star_r.fits", image.astype("float32"), np.full(SHAPE, 4.0, "float32"),
        np.zeros(SHAPE, "uint16"), np.ones(SHAPE, "float32"), wcs=tan_wcs(10.0, 20.0, 1.5, SHAPE),
        facts=ProductFacts(target="star", band="r", zeropoint=zero, exposure=60.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "factor", "text"),
    [
        # 3630.78 Jy * 10^(-0.4 * 25.74743) = 1.82401e-7 Jy; at 6175.6 angstrom times 1e-23 c / 6175.6^2.
        ("Jy", 1.82401e-7, "Jy"),
        ("nJy", 182.401, "nJy"),
        ("erg-hz", 1.82401e-30, "erg / (s cm2 Hz)"),
        ("erg", 1.82401e-30 * 2.99792458e18 / 6175.6**2, "erg / (s cm2 Angstrom)"),
    ],
)
def test_pixels_errors_and_cards(tmp_path, product, unit, factor, text):
    row = to_physical(product, tmp_path / "out.fits", unit, mag=25.74743, err=0.02, system="SDSS r")
    assert row["factor"] == pytest.approx(factor, rel=2e-5)
    with fits.open(product) as before, fits.open(tmp_path / "out.fits", checksum=True) as after:
        for name in ("SCI", "ERR"):
            np.testing.assert_allclose(after[name].data / factor, before[name].data, rtol=3e-5)
            assert u.Unit(after[name].header["BUNIT"]) == u.Unit(text)
        for name in ("DQ", "COVERAGE"):
            np.testing.assert_array_equal(after[name].data, before[name].data)
        header = after[0].header
        assert header["MAGZP"] == pytest.approx(25.74743 + 2.5 * np.log10(factor), abs=1e-4)
        assert header["MAGZPEL"] == 25.74743
        assert header["CALFERR"] == pytest.approx(0.02 * 0.4 * np.log(10))
        assert header["FLUXCOL"] == "g-r = 0.600"
        assert (header["PHOTSYS"], header["MAGTYPE"], header["COLTERM"]) == ("SDSS r", "AB", 0.03)
    if shutil.which("fitsverify"):
        told = subprocess.run(
            ["fitsverify", "-q", str(tmp_path / "out.fits")], check=False, capture_output=True, text=True
        )
        assert "OK" in told.stdout, told.stdout


def test_the_star_has_its_flux_in_every_unit(tmp_path, product):
    # 5000 electron / s at zero point 25.74743 are r = 16.5, so 3630.78e9 nJy * 10^-6.6 = 912,006 nJy.
    to_physical(product, tmp_path / "star_nJy.fits", "nJy", mag=25.74743, err=0.02, system="SDSS r")
    ds = sciastro.open(tmp_path / "star_nJy.fits")
    assert ds["image"].attrs["units"] == "nJy"
    above = ds["image"].values[0, 25:56, 30:61] - np.nanmedian(ds["image"].values)
    assert float(above.sum()) == pytest.approx(912_006, rel=0.03)
    to_physical(product, tmp_path / "star_erg.fits", "erg", mag=25.74743, err=0.02, system="SDSS r")
    for name in ("star_nJy.fits", "star_erg.fits"):
        variance = sciastro.open(tmp_path / name)["image_variance"].values
        assert (variance[np.isfinite(variance)] > 0).all()
        assert read_product(tmp_path / name)["image_variance"].dtype == np.float64
        # Photometry goes back to electron / s and to the zero point of that.
        mine, same = (aperture_photometry(path) for path in (tmp_path / name, product))
        np.testing.assert_allclose(mine["mag"].value, same["mag"].value, atol=1e-4)
        assert mine["mag"].value[0] == pytest.approx(16.5, abs=0.05)


def test_what_cannot_be_scaled_is_told_and_nothing_is_written(tmp_path, product):
    said = []

    class Zero:
        mag, err, system = 22.0, 0.01, "Tycho VT"

    assert flux_copy(product, "Jy", Zero(), tmp_path / "x", said.append) is None
    assert "no flux density of magnitude 0" in said[-1]
    assert flux_copy(product, "Jy", None, tmp_path / "x", said.append) is None
    assert "the image has no zero point" in said[-1]
    assert flux_copy(product, "none", None, tmp_path / "x", said.append) is None
    assert not (tmp_path / "x").exists()
    master = write_master(
        tmp_path / "bias.fits",
        np.ones(SHAPE),
        np.ones(SHAPE),
        np.zeros(SHAPE, "uint16"),
        facts=ProductFacts(),
    )
    scale = PixelScale(
        factor=1.0,
        relative_err=0.0,
        unit="Jy",
        meaning="",
        zeropoint=8.9,
        zero_jy=3631.0,
        pivot=1.0,
        citation="",
    )
    with pytest.raises(FileError, match="is no image product in electron / s"):
        write_flux_product(master, tmp_path / "no.fits", scale)
    twice = tmp_path / "twice.fits"
    to_physical(product, twice, "Jy", mag=25.0, err=0.0, system="SDSS r")
    with pytest.raises(FileError, match="PRODUCT = 'FLUX'"):
        write_flux_product(twice, tmp_path / "no.fits", scale)
    assert not (tmp_path / "no.fits").exists()
