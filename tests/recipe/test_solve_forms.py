"""Distortion in files as SIP or TPV is one sky; the page of solutions, the table of residuals."""

import shutil
import subprocess

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


@pytest.mark.slow
def test_swarp_puts_the_stars_of_a_tpv_image_where_they_belong(bent, tmp_path):
    program = shutil.which("SWarp") or shutil.which("swarp")
    if program is None:
        pytest.skip("SWarp is not installed")
    off = {}
    for kind in ("sip", "tpv"):
        solved(bent, tmp_path / kind, "--distortion", kind)
        settings = ("-SUBTRACT_BACK", "N", "-WRITE_XML", "N", "-PROJECTION_TYPE", "TAN")
        words = (tmp_path / kind / bent.name, "-IMAGEOUT_NAME", f"{kind}.fits", *settings)
        subprocess.run([program, *words], cwd=tmp_path, check=True, capture_output=True)
        image, header = fits.getdata(tmp_path / f"{kind}.fits", header=True)
        off[kind] = np.median(offsets_of_bright_stars(image, celestial_from_header(header)))
    assert off["tpv"] < 0.05
    assert off["sip"] > 0.3  # SWarp does not read SIP: why TPV is written


def offsets_of_bright_stars(image, wcs):
    """Return how far bright stars lie from where the catalog has them [pixel]."""
    stars = cone(RA, DEC, 2.2, epoch=2016.0, mag_limit=9.5)
    rows, columns = np.mgrid[-6:7, -6:7]
    out = []
    for a, b in zip(*wcs.all_world2pix(stars["ra"].value, stars["dec"].value, 0), strict=True):
        i, j = round(float(a)), round(float(b))
        part = image[max(j - 6, 0) : j + 7, max(i - 6, 0) : i + 7]
        if part.shape != (13, 13) or part.min() < 150:  # beyond the image, or at its edge
            continue
        dx, dy = columns - (a - i), rows - (b - j)
        weight = np.clip(part - np.median(part), 0, None) * np.exp(-(dx**2 + dy**2) / 8)
        # A Gaussian window of the star's own width halves an offset.
        out.append(2 * np.hypot(np.sum(weight * dx), np.sum(weight * dy)) / np.sum(weight))
    return np.array(out)
