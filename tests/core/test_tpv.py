"""TPV is the same sky as SIP: by astropy, by astrometry.net, to far below a thousandth of an arcsecond."""

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, Sip

from sciastro.core.tpv import RESIDUAL, header_as, sip_to_tpv
from sciastro.core.wcs import celestial_from_header, moved, resampled, tan_wcs, text_to_wcs, wcs_to_text
from sciastro.errors import HeaderError
from sciastro.io.product_cards import ProductFacts
from sciastro.io.product_reading import read_product
from sciastro.io.products import write_image_product
from sciastro.simulate.optics import centered, frame_wcs

SHAPE = (1200, 1600)
PLACES = [(0.002, 20.0), (359.999, -45.0), (200.0, 89.97), (83.0, -89.97)]


def apart(one, other, points):
    """Return the distances of the sky positions that two WCS give pixels (n, 2) [mas]."""
    vectors = []
    for wcs in (one, other):
        ra, dec = np.deg2rad(wcs.all_pix2world(points, 0)).T
        vectors.append(np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)]))
    return np.rad2deg(np.linalg.norm(vectors[0] - vectors[1], axis=0)) * 3.6e6


def points(n=500, seed=1):
    return (
        np.random.default_rng(seed).uniform(-0.5, 1, (n, 2)) * [SHAPE[1] - 0.5, SHAPE[0] - 0.5] % SHAPE[::-1]
    )


@pytest.fixture(params=PLACES, ids=str)
def bent(request):
    """Return a WCS of order 7 with 3 pixel of distortion at the corners, turned and mirrored."""
    return frame_wcs(centered(*request.param, 2.0, SHAPE, angle=37.0, parity=-1, at_corner=3.0))


def test_both_forms_are_one_sky(bent):
    tpv, residual = sip_to_tpv(bent)
    assert residual < 1e-4
    assert apart(bent, tpv, points()).max() < 1e-4
    straight = tan_wcs(*bent.wcs.crval, 2.0, SHAPE, angle=37.0, parity=-1)
    assert apart(bent, straight, points()).max() > 3000  # the distortion is there: 3 pixels of 2 arcsec
    back = np.column_stack(tpv.all_world2pix(*tpv.all_pix2world(*points().T, 0), 0))
    np.testing.assert_allclose(back, points(), atol=1e-6)


@pytest.mark.parametrize("kind", ["sip", "tpv"])
def test_through_a_file(bent, kind, tmp_path):
    header = header_as(bent, kind)
    fits.PrimaryHDU(np.zeros(SHAPE, np.int8), header).writeto(tmp_path / "a.fits")
    again = celestial_from_header(fits.getheader(tmp_path / "a.fits"))
    assert apart(bent, again, points()).max() < 1e-3
    assert header["CTYPE1"] == {"sip": "RA---TAN-SIP", "tpv": "RA---TPV"}[kind]
    assert (kind == "tpv") == (RESIDUAL in header)
    assert header.get(RESIDUAL, 0.0) < 1e-3


def test_text_and_grids_of_tpv(bent):
    tpv, _ = sip_to_tpv(bent)
    again = text_to_wcs(wcs_to_text(tpv))
    assert apart(again, tpv, points()).max() < 1e-3
    assert apart(moved(again, 10.0, -5.0), bent, points()).max() > 1000
    there = bent.all_pix2world(points() + np.array([10.0, -5.0]), 0)
    np.testing.assert_allclose(moved(again, 10.0, -5.0).all_pix2world(points(), 0), there, atol=1e-9, rtol=0)
    half = resampled(again, scale=0.5)
    np.testing.assert_allclose(
        half.all_pix2world(points(), 0), bent.all_pix2world(2 * points() + 0.5, 0), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("kind", ["sip", "tpv"])
def test_as_astrometry_net_reads_it(bent, kind, tmp_path):
    program = shutil.which("wcs-xy2rd")
    if program is None:
        pytest.skip("wcs-xy2rd (astrometry.net) is not installed")
    cards = fits.PrimaryHDU().header
    cards.extend(header_as(bent, kind), update=True)
    cards["IMAGEW"], cards["IMAGEH"] = SHAPE[1], SHAPE[0]
    fits.PrimaryHDU(header=cards).writeto(tmp_path / "a.wcs")
    x, y = (points() + 1).T
    columns = [fits.Column(name, "D", array=values) for name, values in (("X", x), ("Y", y))]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.xyls")
    places = (tmp_path / "a.wcs", "-i", tmp_path / "a.xyls", "-o", tmp_path / "a.rdls")
    subprocess.run(
        [program, *(["-L"] if kind == "tpv" else []), "-w", *places], check=True, capture_output=True
    )
    theirs = fits.getdata(tmp_path / "a.rdls")
    ra, dec = bent.all_pix2world(x, y, 1)
    east = (np.mod(theirs["RA"] - ra + 180, 360) - 180) * np.cos(np.deg2rad(dec))
    assert np.hypot(east, theirs["DEC"] - dec).max() * 3.6e6 < 0.01  # mas


def test_a_high_order_is_fitted_or_refused():
    wcs = tan_wcs(30.0, 10.0, 2.0, SHAPE, angle=12.0)
    a = np.zeros((10, 10))
    a[9, 0] = 0.01 / 800.0**9  # a hundredth of a pixel at the edge: degree 7 follows nearly
    wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    tpv, residual = sip_to_tpv(wcs)
    assert 1e-3 < residual < 1.0
    assert apart(wcs, tpv, points()).max() < 1.3 * residual
    wcs.sip = Sip(100 * a, 100 * a.T, None, None, wcs.wcs.crpix)
    with pytest.raises(HeaderError, match=r"TPV form: of SIP order 9 differs by [\d.]+ mas"):
        sip_to_tpv(wcs)


def test_what_cannot_be_converted():
    plain = tan_wcs(30.0, 10.0, 2.0, SHAPE)
    assert header_as(plain, "tpv")["CTYPE1"] == "RA---TAN"  # nothing to convert
    with pytest.raises(HeaderError, match="is no TAN-SIP"):
        sip_to_tpv(plain)
    bent = frame_wcs(centered(30.0, 10.0, 2.0, SHAPE, at_corner=3.0))
    bent.pixel_shape = None
    with pytest.raises(HeaderError, match="no image size"):
        sip_to_tpv(bent)
    assert sip_to_tpv(bent, SHAPE)[1] < 1e-4


@pytest.mark.parametrize("kind", ["sip", "tpv"])
def test_through_our_products(bent, kind, tmp_path):
    wcs = sip_to_tpv(bent)[0] if kind == "tpv" else bent
    plane = np.zeros((1200, 1600), np.float32)
    path = write_image_product(
        tmp_path / "a.fits", plane, plane + 1, plane.astype(np.uint16), plane, wcs=wcs, facts=ProductFacts()
    )
    ours = read_product(path)
    for again in (text_to_wcs(str(ours["wcs"].item())), WCS(fits.getheader(path, "SCI")).celestial):
        assert apart(bent, again, points()).max() < 1e-3  # mas: ours and astropy's reading
