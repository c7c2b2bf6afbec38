"""A WCS put into a FITS file: other cards and all data keep their bytes, checksums fit, others read it."""

import errno
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, Sip

from sciastro.core.wcs import celestial_from_header, tan_wcs
from sciastro.errors import FileError, OutputError
from sciastro.io import fitscards
from sciastro.io.fitscards import put_cards
from sciastro.io.fitsunits import is_wcs_card, walk
from sciastro.io.reader import probe, read_pixels
from sciastro.recipe.solvewriting import header_of

SHAPE = (90, 120)


def new_wcs():
    wcs = tan_wcs(83.6, 22.0, 3.0, SHAPE, angle=40.0)
    a, b = np.zeros((3, 3)), np.zeros((3, 3))
    a[2, 0], b[1, 1] = 1e-5, -2e-5
    wcs.sip = Sip(a, b, -a, -b, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    return wcs


def old_cards(header):
    """What a mount, another solver and the user wrote."""
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    header["CRVAL1"], header["CRVAL2"], header["CRPIX1"], header["CRPIX2"] = 10.0, 20.0, 1.0, 1.0
    header["CDELT1"], header["CDELT2"], header["CROTA2"] = -0.1, 0.1, 12.0
    header["PV1_1"], header["A_ORDER"], header["A_2_0"], header["EQUINOX"] = 1.0, 2, 3.0, 1950.0
    header["OBJECT"], header["PCOUNTER"], header["CTYPE1A"] = "M 1", 7, "LINEAR"
    header["LONGTEXT"] = "x" * 150
    header["HISTORY"] = "made by hand"
    return header


@pytest.fixture
def path(tmp_path):
    """Two images, unsigned and scaled, with checksums and a table after them."""
    rng = np.random.default_rng(2)
    first = fits.PrimaryHDU(rng.integers(0, 65535, SHAPE, dtype=np.uint16))
    second = fits.ImageHDU(rng.normal(0, 1, SHAPE).astype(np.float32), name="SCI")
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(7))])
    for hdu in (first, second):
        old_cards(hdu.header)
    target = tmp_path / "two.fits"
    fits.HDUList([first, second, table]).writeto(target, checksum=True)
    return target


def data_bytes(path):
    whole = path.read_bytes()
    return [whole[unit.data : unit.data + unit.size] for unit in walk(path)]


@pytest.mark.parametrize("hdu", [0, 1])
def test_only_the_wcs_of_one_image_changes(path, hdu):
    before, data = [unit.header.copy() for unit in walk(path)], data_bytes(path)
    put_cards(path, hdu, header_of(new_wcs()), note="by a test")
    assert data_bytes(path) == data
    after = [unit.header for unit in walk(path)]
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if number != hdu:
            assert new.tostring() == old.tostring()
            continue
        kept = [c.image for c in old.cards if not is_wcs_card(c.keyword) and c.keyword != "CHECKSUM"]
        there = [c.image for c in new.cards]
        assert [image for image in kept if image not in there] == []
        assert "CROTA2" not in new and "PV1_1" not in new and new["CTYPE1A"] == "LINEAR"
        assert new["HISTORY"][-1] == "sciastro solve: by a test"
        got = WCS(new).all_pix2world([[0, 0], [119, 89]], 0)
        np.testing.assert_allclose(got, new_wcs().all_pix2world([[0, 0], [119, 89]], 0), atol=1e-10)
    with fits.open(path, checksum=True) as hdus:  # wrong sums warn, and warnings are errors
        assert all(one.header.get("CHECKSUM") for one in hdus)
        hdus.verify("exception")


def test_a_cube_of_colors_holds_distortion_too(tmp_path):
    path = tmp_path / "rgb.fits"
    pixels = np.zeros((3, *SHAPE), np.uint8)
    fits.PrimaryHDU(pixels).writeto(path)
    put_cards(path, 0, header_of(new_wcs()), note="by a test")
    got, some = celestial_from_header(fits.getheader(path)), np.array([[3.0, 80.0]])
    np.testing.assert_allclose(got.all_pix2world(some, 0), new_wcs().all_pix2world(some, 0), atol=1e-9)


def test_twice_is_the_same_as_once(path):
    put_cards(path, 0, header_of(new_wcs()), note="by a test")
    once = path.read_bytes()
    put_cards(path, 0, header_of(new_wcs()), note="by a test")
    assert path.read_bytes() == once


@pytest.mark.parametrize("suffix", [".fits.gz", ".fits.bz2", ".fits.fz"])
def test_compressed_files(tmp_path, suffix):
    pixels = np.random.default_rng(3).integers(0, 4000, SHAPE, dtype=np.int16)
    target = tmp_path / f"one{suffix}"
    if suffix == ".fits.fz":
        header = old_cards(fits.Header())
        header["ZHECKSUX"] = "0" * 16
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, header)]).writeto(target)
        target.write_bytes(target.read_bytes().replace(b"ZHECKSUX", b"ZHECKSUM"))  # as fpack writes it
    else:
        fits.PrimaryHDU(pixels, old_cards(fits.Header())).writeto(target, checksum=True)
    (one,) = probe(target)
    put_cards(target, one.hdu, header_of(new_wcs()))
    np.testing.assert_array_equal(read_pixels(target), pixels)
    (one,) = probe(target)
    assert one.header["CRVAL1"] == 83.6 and one.header["OBJECT"] == "M 1" and "CROTA2" not in one.header
    assert celestial_from_header(one.header).sip is not None
    with fits.open(target, checksum=True) as hdus:
        assert "ZHECKSUM" not in hdus[-1].header


def test_the_primary_header_does_not_mix_in(tmp_path):
    primary = fits.PrimaryHDU()
    old_cards(primary.header)
    fits.HDUList([primary, fits.ImageHDU(np.zeros(SHAPE, np.float32))]).writeto(tmp_path / "a.fits")
    put_cards(tmp_path / "a.fits", 1, header_of(tan_wcs(5.0, 6.0, 2.0, SHAPE)))
    (one,) = probe(tmp_path / "a.fits")
    wcs = celestial_from_header(one.header)
    assert wcs.sip is None and "CROTA2" not in one.header
    np.testing.assert_allclose(wcs.all_pix2world(59.5, 44.5, 0), (5.0, 6.0), atol=1e-9)


def test_files_that_must_not_be_touched(path):
    path.chmod(0o444)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="is read-only"):
        put_cards(path, 0, header_of(new_wcs()))
    path.chmod(0o644)
    whole = bytearray(before)
    whole[-1500 - 2880 * 8] ^= 1  # a bit of the second image flips
    path.write_bytes(whole)
    with pytest.raises(FileError, match="is damaged"):
        put_cards(path, 1, header_of(new_wcs()))
    assert path.read_bytes() == whole
    path.write_bytes(before[:-4000])
    with pytest.raises(FileError, match="cut off"):
        put_cards(path, 0, header_of(new_wcs()))
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_link_stays_a_link_and_the_mode_stays(path):
    path.chmod(0o640)
    link = path.with_name("link.fits")
    link.symlink_to(path)
    put_cards(link, 0, header_of(new_wcs()))
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert fits.getheader(path)["CRVAL1"] == 83.6


def run(tool, *words):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    return subprocess.run([tool, *words], capture_output=True, text=True, check=False, timeout=60).stdout


def test_fitsverify_finds_nothing_new(tmp_path):
    target = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros(SHAPE, np.uint16), fits.Header([("OBJECT", "M 1")])).writeto(
        target, checksum=True
    )
    put_cards(target, 0, header_of(new_wcs()), note="by a test")
    assert "0 warning(s) and 0 error(s)" in run("fitsverify", str(target))


def test_astrometry_net_reads_the_same(path):
    put_cards(path, 1, header_of(new_wcs()), note="by a test")
    out = run("wcs-xy2rd", "-e", "1", "-x", "111", "-y", "81", "-w", str(path))
    place = [float(v) for v in out.split("(")[-1].rstrip(")\n").split(",")]
    np.testing.assert_allclose(place, new_wcs().all_pix2world(110, 80, 0), atol=1e-9)


def test_a_full_disk_leaves_the_file_as_it_was(path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fitscards, "_move", full)
    with pytest.raises(OutputError, match="disk is full"):
        put_cards(path, 0, header_of(new_wcs()))
    assert path.read_bytes() == before and [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_file_that_changes_meanwhile_is_left_alone(path, monkeypatch):
    def grows(*_):
        path.write_bytes(path.read_bytes() + b"\0" * 2880)

    monkeypatch.setattr(fitscards, "_check", grows)
    with pytest.raises(OutputError, match="changed while it was solved"):
        put_cards(path, 0, header_of(new_wcs()))
    assert fits.getheader(path)["CRVAL1"] == 10.0
