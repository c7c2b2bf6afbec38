"""Streamed FITS files are, byte for byte, those of astropy; its own reader finds every checksum right."""

import errno
import threading

import numpy as np
import pytest
from astropy.io import fits

from sciastro.io import fitswrite
from sciastro.io.fitswrite import BATCH, CHUNK, can_stream, checksum_text, stream_hdus
from sciastro.kernels.byteorder import swap_in_place, swap_pairs, swap_rows, swap_words, swap_words_in_place


def hdus(shape, seed=1):
    rng = np.random.default_rng(seed)
    image = rng.normal(1000.0, 300.0, shape).astype(np.float32)
    image[0, 0] = np.nan
    bits = rng.integers(0, 65536, shape).astype(np.uint16)
    primary = fits.PrimaryHDU()
    primary.header["EXTEND"] = True
    primary.header.add_history("a line of history")
    header = fits.Header()
    header["BUNIT"] = ("adu", "unit of the pixels")
    header.add_history("another")
    return fits.HDUList(
        [primary, fits.ImageHDU(image, header, name="SCI"), fits.ImageHDU(bits, name="DQ"),
         fits.ImageHDU(image[:1, :3].copy(), name="NOISEACF")]
    )  # fmt: skip


# Odd numbers of pixels, a whole number of blocks, and more than one chunk of either type.
@pytest.mark.parametrize("shape", [(3, 3), (7, 9), (36, 40), (1, CHUNK // 2 + 3), (301, 517)])
def test_bytes_are_those_of_astropy(tmp_path, shape):
    ours, theirs = hdus(shape), hdus(shape)
    assert all(can_stream(hdu) for hdu in ours)
    stream_hdus(tmp_path / "ours.fits", ours, "checksum of this HDU")
    for hdu in theirs:
        hdu.add_checksum(when="checksum of this HDU")
    theirs.writeto(tmp_path / "theirs.fits", output_verify="exception")
    assert (tmp_path / "ours.fits").read_bytes() == (tmp_path / "theirs.fits").read_bytes()


def test_bytes_are_the_same_where_nobody_reads_them_soon(tmp_path):
    shape = (517, CHUNK * BATCH // 4 // 517 + 90)  # more than one write
    for once in (False, True):
        stream_hdus(tmp_path / f"{once}.fits", hdus(shape), "c", once=once)
    assert (tmp_path / "True.fits").read_bytes() == (tmp_path / "False.fits").read_bytes()


def test_bytes_are_the_same_where_positions_are_sought(tmp_path, monkeypatch):
    shape = (517, CHUNK // 517 + 90)
    stream_hdus(tmp_path / "at.fits", hdus(shape), "c")
    monkeypatch.delattr("os.pwrite")  # as on Windows
    stream_hdus(tmp_path / "sought.fits", hdus(shape), "c")
    assert (tmp_path / "sought.fits").read_bytes() == (tmp_path / "at.fits").read_bytes()


def test_roots_are_those_of_numpy(tmp_path):
    power = np.random.default_rng(2).uniform(0, 9, (301, 517)).astype(np.float32)
    power[3, 4] = np.nan
    before = power.copy()
    stream_hdus(
        tmp_path / "roots.fits", [fits.PrimaryHDU(), fits.ImageHDU(power, name="ERR")], "c", roots=["ERR"]
    )
    plain = [fits.PrimaryHDU(), fits.ImageHDU(np.sqrt(power), name="ERR")]
    stream_hdus(tmp_path / "plain.fits", plain, "c")
    assert (tmp_path / "roots.fits").read_bytes() == (tmp_path / "plain.fits").read_bytes()
    np.testing.assert_array_equal(power, before)


def test_astropy_accepts_the_checksums_and_the_pixels_are_untouched(tmp_path):
    made = hdus((20, 31))
    before = [None if hdu.data is None else hdu.data.copy() for hdu in made]
    stream_hdus(tmp_path / "a.fits", made, "c")
    for hdu, data in zip(made, before, strict=True):
        assert data is None or (hdu.data.dtype.isnative and hdu.data.tobytes() == data.tobytes())
    with fits.open(tmp_path / "a.fits", checksum=True) as found:  # a wrong one warns, and warnings are errors
        assert all(hdu.verify_checksum() == 1 and hdu.verify_datasum() == 1 for hdu in found)
        np.testing.assert_array_equal(found["DQ"].data, before[2])


def test_the_error_of_one_plane_comes_when_no_other_is_being_written(tmp_path, monkeypatch):
    made, put = hdus((36, 40)), fitswrite.put
    begun, failed, written = threading.Event(), threading.Event(), []

    def one_that_fails(descriptor, start, content, *, once):
        if content.nbytes == made["SCI"].data.nbytes:
            assert begun.wait(30)
            failed.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        if content.nbytes == made["DQ"].data.nbytes:
            begun.set()
            assert failed.wait(30)
        put(descriptor, start, content, once=once)  # of a closed file it would raise
        written.append(content.nbytes)

    monkeypatch.setattr(fitswrite, "put", one_that_fails)
    with pytest.raises(OSError, match="No space"):
        stream_hdus(tmp_path / "a.fits", made, "c")
    assert made["DQ"].data.nbytes in written


def test_other_dtypes_and_layouts_are_left_to_astropy():
    image = np.zeros((4, 6))
    assert not can_stream(fits.ImageHDU(image))
    assert not can_stream(fits.ImageHDU(image.astype(">f4")))
    assert not can_stream(fits.ImageHDU(image.astype(np.float32)[:, ::2]))
    assert not can_stream(fits.CompImageHDU(image.astype(np.float32)))


@pytest.mark.parametrize("total", [0, 1, 0x12345678, 0xFFFFFFFF, 0x3A3B3C40, 868229149])
def test_checksum_text_as_astropy_encodes(total):
    hdu = fits.PrimaryHDU()
    assert checksum_text(total) == hdu._char_encode(~np.uint32(total))


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1001])
def test_kernels_against_numpy(n):
    rng = np.random.default_rng(n)
    words, pairs = rng.integers(0, 2**32, n).astype(np.uint32), rng.integers(0, 2**16, n).astype(np.uint16)
    target = np.empty_like(words)
    assert swap_words(words, target) == words.sum(dtype=np.uint64)
    np.testing.assert_array_equal(target, words.byteswap())
    swap_words_in_place(target)
    np.testing.assert_array_equal(target, words)
    for flip in (0, 0x8000):
        target = np.zeros(n + n % 2, np.uint16)
        total = swap_pairs(pairs, target[:n], flip)
        np.testing.assert_array_equal(target[:n], (pairs ^ flip).astype(np.uint16).byteswap())
        assert total == target.view(">u4").sum(dtype=np.uint64)
        back = target[:n].copy()
        swap_in_place(back, np.uint16(flip))
        np.testing.assert_array_equal(back, pairs)


def test_swapped_rows_of_a_wider_plane():
    words = np.arange(1, 13, dtype=np.uint32)
    plane = np.zeros((4, 6), np.uint32)
    swap_rows(words, 4, plane.reshape(-1)[7:], 6)  # from row 1, column 1 on
    np.testing.assert_array_equal(plane[1:, 1:5], words.byteswap().reshape(3, 4))
    assert not plane[0].any() and not plane[:, 0].any() and not plane[:, 5].any()
