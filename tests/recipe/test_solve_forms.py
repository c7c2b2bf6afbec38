"""Distortion in files as SIP or TPV is one sky; the page of solutions, the table of residuals."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from fields import star_field
from small_nights import command

from sciastro.core.tpv import RESIDUAL
from sciastro.core.wcs import celestial_from_header
from sciastro.io.reference import cone
from sciastro.simulate.optics import centered, frame_wcs, sky_to_pixel

SHAPE, RA, DEC, SCALE = (700, 900), 359.95, 40.0, 12.0
OPTICS = centered(RA, DEC, SCALE, SHAPE, angle=33.0, at_corner=3.0)


@pytest.fixture(scope="module")
def bent(tmp_path_factory):
    """A FITS image of the embedded catalog's stars behind 3 pixels of distortion."""
    stars = cone(RA, DEC, 2.2, epoch=2016.0, mag_limit=11.0)
    x, y = sky_to_pixel(OPTICS, stars["ra"].value, stars["dec"].value)
    on = (x > 16) & (x < SHAPE[1] - 17) & (y > 16) & (y < SHAPE[0] - 17)
    flux = 3e5 * 10 ** (-0.4 * (stars["mag"].value[on] - 8))
    image = star_field(SHAPE, x[on], y[on], flux, 2.8) + 200.0
    image = image + np.random.default_rng(1).normal(0, 1, SHAPE) * np.sqrt(image)
    path = tmp_path_factory.mktemp("bent") / "bent.fits"
    fits.PrimaryHDU(image.astype(np.float32)).writeto(path)
    return path


def solved(path, folder, *words):
    hint = ("--ra", "359.9", "--dec", "40.1", "--scale", "12.1")
    done = command("solve", str(path), *hint, "-o", str(folder), *words)
    assert done.exit_code == 0, done.output
    return fits.getheader(folder / path.name)


def apart(one, other):
    """Return the largest distance of two headers' positions over the frame [mas]."""
    x, y = np.meshgrid(np.linspace(-0.5, SHAPE[1] - 0.5, 20), np.linspace(-0.5, SHAPE[0] - 0.5, 20))
    vectors = []
    for header in (one, other):
        ra, dec = np.deg2rad(celestial_from_header(header).all_pix2world(x, y, 0))
        vectors.append(np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)]))
    return np.rad2deg(np.linalg.norm(vectors[0] - vectors[1], axis=0).max()) * 3.6e6


def test_both_forms_are_one_sky_and_one_replaces_the_other(bent, tmp_path):
    sip = solved(bent, tmp_path / "sip")
    tpv = solved(bent, tmp_path / "tpv", "--distortion", "tpv")
    assert sip["CTYPE1"] == "RA---TAN-SIP" and RESIDUAL not in sip
    assert tpv["CTYPE1"] == "RA---TPV" and tpv[RESIDUAL] < 1e-3 and "A_ORDER" not in tpv
    assert apart(sip, tpv) < 0.01  # mas
    true = fits.Header()
    true.extend(frame_wcs(OPTICS).to_header(relax=True))
    true["CTYPE1"], true["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    assert apart(sip, true) < 0.2 * SCALE * 1000
    again = solved(tmp_path / "tpv" / bent.name, tmp_path / "again")  # its header is the first hint
    assert again["CTYPE1"] == "RA---TAN-SIP" and RESIDUAL not in again and "PV1_1" not in again
    assert apart(sip, again) < 0.05 * SCALE * 1000


def test_a_page_and_a_table_of_residuals(bent, tmp_path):
    page = tmp_path / "page.html"
    solved(bent, tmp_path / "out", "--report", str(page))
    text = page.read_text()
    for words in ("North is upper right and east is upper left, both turned 12", "bent.fits", "Pixel scale"):
        assert words in text
    assert text.count("<svg") == 3
    table = QTable.read(tmp_path / "page_residuals.ecsv")
    assert len(table) > 50 and table["error_sky"].unit == "arcsec" and table.meta["order"] >= 2
    assert np.sum(table["used"]) > 50


def test_what_cannot_be_solved_is_told_on_the_page(tmp_path):
    empty, page = tmp_path / "empty.fits", tmp_path / "page.html"
    fits.PrimaryHDU(np.random.default_rng(1).normal(100, 5, (64, 64)).astype(np.float32)).writeto(empty)
    words = ("--ra", "10", "--dec", "40", "--scale", "12", "--seconds", "1", "--no-write")
    done = command("solve", str(empty), *words, "--report", str(page))
    assert done.exit_code == 3
    assert "Not solved: " in page.read_text()


def test_an_unknown_form_is_refused(bent):
    done = command("solve", str(bent), "--no-write", "--distortion", "zpx")
    assert done.exit_code == 2 and "Give sip or tpv." in done.output
