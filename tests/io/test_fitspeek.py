"""A look at the first cards of a FITS file says what the reader says, or nothing."""

import warnings

import numpy as np
import pytest
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.fitspeek import peek, same_place
from sciastro.io.fitspixels import read_floats
from sciastro.io.reader import probe, read_pixels
from sciastro.io.reader import read_floats as read_any

RNG = np.random.default_rng(3)
DTYPES = (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64)


def written(path, data, cards=()):
    fits.PrimaryHDU(data, fits.Header(list(cards))).writeto(path)
    return path


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_says_what_the_reader_says_and_the_pixels_are_the_same(tmp_path, dtype):
    data = RNG.uniform(0, 100, (701, 333)).astype(dtype)
    cards = [("OBJECT", "END / of it"), *((f"KEY{i}", i / 7, "a comment") for i in range(60))]
    path = written(tmp_path / "a.fits", data, cards)
    place, one = peek(path), probe(path)[0]
    assert same_place(one, place)
    np.testing.assert_array_equal(read_floats(place), data.astype(np.float32))
    pixels = read_any(one)
    assert pixels.dtype == np.float32 and pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, read_pixels(path).astype(np.float32))


def test_what_is_unusual_is_left_to_the_reader(tmp_path):
    plane = RNG.integers(0, 100, (40, 50)).astype(np.int16)
    unusual = [
        written(tmp_path / "color.fits", np.stack([plane] * 3)),
        written(tmp_path / "blank.fits", plane, [("BLANK", -1)]),
        written(tmp_path / "scaled.fits", plane, [("BSCALE", 2.0)]),
        written(tmp_path / "packed.fits.gz", plane),
        tmp_path / "none.fits",
        tmp_path,
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(plane)]).writeto(tmp_path / "extension.fits")
    (tmp_path / "text.fits").write_text("no FITS file " * 1000)
    (tmp_path / "empty.fits").touch()
    (tmp_path / "long.fits").write_bytes(b"SIMPLE  =                    T".ljust(80) + b" " * 400_000)
    names = ("extension", "text", "empty", "long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(plane)]).writeto(tmp_path / "tiled.fits")
    for path in [*unusual, *(tmp_path / f"{name}.fits" for name in (*names, "tiled"))]:
        if path.name != "scaled.fits":  # astropy scales it as it writes
            assert peek(path) is None, path.name


@pytest.mark.parametrize(
    ("card", "becomes"),
    [
        (b"BITPIX  =                   16", b"BITPIX  =                   17"),
        (b"NAXIS1  =                   50", b"NAXIS1  =                   -5"),
        (b"NAXIS1  =                   50", b"NAXIS1  =                 five"),
        (b"SIMPLE  =                    T", b"SIMPLE  =                    F"),
        (b"NAXIS2  =                   40", b"NAXISTWO=                   40"),
    ],
)
def test_a_damaged_header_says_nothing(tmp_path, card, becomes):
    path = written(tmp_path / "a.fits", np.zeros((40, 50), np.int16))
    assert peek(path) is not None
    path.write_bytes(path.read_bytes().replace(card, becomes, 1))
    assert peek(path) is None


def test_a_file_that_is_cut_off_says_nothing_and_one_that_is_cut_off_later_is_told(tmp_path):
    path = written(tmp_path / "a.fits", np.zeros((400, 500), np.int16))
    whole, place = path.read_bytes(), peek(path)
    path.write_bytes(whole[:100_000])
    assert peek(path) is None
    with pytest.raises(FileError, match="ended while its pixels were read"):
        read_floats(place)
    huge = whole.replace(b"NAXIS1  =                  500", b"NAXIS1  =           5000000000", 1)
    path.write_bytes(huge)
    assert peek(path) is None
