"""FITS reading against astropy, byte for byte, and every way in which a file can be broken."""

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.fits import FitsReader, header_from_bytes
from sciastro.io.reader import open_rows, probe, read_pixels

DATA = Path(__file__).parents[3] / "shared" / "data"
RNG = np.random.default_rng(11)


def plain(tmp_path, data, name="a.fits", **cards):
    hdu = fits.PrimaryHDU(data)
    for key, value in cards.items():
        hdu.header[key] = value
    hdu.writeto(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.uint8, "uint8"),
        (np.int8, "int8"),
        (np.int16, "int16"),
        (np.uint16, "uint16"),
        (np.int32, "int32"),
        (np.uint32, "uint32"),
        (np.float32, "float32"),
        (np.float64, "float64"),
    ],
)
def test_every_sample_type_comes_back_as_written(tmp_path, dtype, expected):
    if np.dtype(dtype).kind == "f":
        data = RNG.normal(size=(37, 53)).astype(dtype)
        data[3, 4] = np.nan
    else:
        limits = np.iinfo(dtype)
        data = RNG.integers(limits.min, limits.max, (37, 53), dtype=dtype, endpoint=True)
        data[0, :2] = limits.min, limits.max
    path = plain(tmp_path, data)
    got = read_pixels(path)
    assert got.dtype == expected
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, data)
    image = probe(path)[0]
    assert image.shape == (37, 53)
    np.testing.assert_array_equal(open_rows(image)(10, 17), data[10:17])


def test_hand_made_bytes_of_unsigned_16_bit(tmp_path):
    # Stored 16-bit values are big-endian and 32768 too low: 0x8000 is 0, 0x0000 is 32768, 0x7FFF is 65535.
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                   16",
        "NAXIS   =                    2",
    ]
    cards += [
        "NAXIS1  =                    3",
        "NAXIS2  =                    1",
        "BZERO   =                32768",
    ]
    header = "".join(card.ljust(80) for card in [*cards, "BSCALE  =                    1", "END"])
    raw = header.ljust(2880).encode() + bytes([0x80, 0x00, 0x00, 0x00, 0x7F, 0xFF])
    (tmp_path / "h.fits").write_bytes(raw)
    np.testing.assert_array_equal(read_pixels(tmp_path / "h.fits"), [[0, 32768, 65535]])


def test_scaled_integers_and_blanks(tmp_path):
    stored = np.array([[0, 1, -5], [100, -32768, 7]], np.int16)
    hdu = fits.PrimaryHDU(stored)
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5, 10.0, -32768
    raw = hdu.header.tostring().encode() + stored.astype(">i2").tobytes().ljust(2880, b"\0")
    (tmp_path / "s.fits").write_bytes(raw)
    got = read_pixels(tmp_path / "s.fits")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[10.0, 10.5, 7.5], [60.0, np.nan, 13.5]])


@pytest.mark.parametrize("suffix", [".fits.gz", ".fits.bz2"])
def test_packed_files(tmp_path, suffix):
    data = RNG.integers(0, 65535, (40, 30)).astype(np.uint16)
    path = plain(tmp_path, data)
    packed = tmp_path / f"p{suffix}"
    pack = gzip.compress if suffix.endswith("gz") else bz2.compress
    packed.write_bytes(pack(path.read_bytes()))
    np.testing.assert_array_equal(read_pixels(packed), data)
    np.testing.assert_array_equal(open_rows(probe(packed)[0])(33, 40), data[33:])
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    with pytest.raises(FileError, match="cut off"):
        read_pixels(packed)


def test_tile_compressed(tmp_path):
    data = (RNG.normal(1000, 30, (64, 48))).astype(np.uint16)
    header = fits.Header({"OBJECT": "M 31", "EXPTIME": 12.5, "TFORM9": "kept?"})
    del header["TFORM9"]
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header)]).writeto(tmp_path / "c.fits.fz")
    image = probe(tmp_path / "c.fits.fz")[0]
    assert (image.shape, image.dtype, image.hdu, image.offset) == ((64, 48), np.uint16, 1, None)
    assert image.header["OBJECT"] == "M 31"
    assert image.header["NAXIS1"] == 48
    assert not [key for key in image.header if key.startswith(("ZTILE", "TFORM", "TTYPE", "ZNAXIS"))]
    np.testing.assert_array_equal(read_pixels(tmp_path / "c.fits.fz"), data)
    np.testing.assert_array_equal(open_rows(image)(5, 9), data[5:9])


def test_extensions_inherit_the_primary_cards(tmp_path):
    first, second = np.ones((4, 5), np.float32), np.zeros((6, 7), np.int16)
    primary = fits.PrimaryHDU(header=fits.Header({"OBJECT": "M 1", "EXPTIME": 3.0}))
    one = fits.ImageHDU(first, name="SCI", header=fits.Header({"EXPTIME": 4.0}))
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])])
    fits.HDUList([primary, table, one, fits.ImageHDU(second, name="B")]).writeto(tmp_path / "m.fits")
    images = probe(tmp_path / "m.fits")
    assert [image.hdu for image in images] == [2, 3]
    assert images[0].header["OBJECT"] == "M 1"
    assert images[0].header["EXPTIME"] == 4.0
    np.testing.assert_array_equal(read_pixels(tmp_path / "m.fits"), first)
    np.testing.assert_array_equal(read_pixels(tmp_path / "m.fits", 3), second)
    with pytest.raises(FileError, match="no image in HDU 1"):
        read_pixels(tmp_path / "m.fits", 1)


def test_one_plane_of_a_cube_is_an_image_three_are_not(tmp_path):
    path = plain(tmp_path, np.arange(12, dtype=np.int16).reshape(1, 3, 4))
    image = probe(path)[0]
    assert image.shape == (3, 4)
    assert image.header["NAXIS"] == 2
    assert "NAXIS3" not in image.header
    np.testing.assert_array_equal(read_pixels(path), np.arange(12).reshape(3, 4))
    with pytest.raises(FileError, match="color image or a cube"):
        probe(plain(tmp_path, np.zeros((3, 4, 5), np.uint16), "rgb.fits"))


def test_truncation_is_seen_without_reading_pixels(tmp_path):
    path = plain(tmp_path, np.zeros((100, 100), np.uint16))
    whole = path.read_bytes()
    path.write_bytes(whole[: 2880 + 100 * 100 * 2])  # only the padding is missing: harmless
    assert read_pixels(path).shape == (100, 100)
    path.write_bytes(whole[: 2880 + 100 * 100 * 2 - 1])
    with pytest.raises(FileError, match=r"1 of the 20000 data bytes .* missing") as caught:
        probe(path)
    assert caught.value.remedy
    assert "HDU 0" in caught.value.where
    path.write_bytes(whole[:1000])
    with pytest.raises(FileError, match="20000 of the 20000 data bytes"):
        probe(path)
    path.write_bytes(whole[:300])
    with pytest.raises(FileError, match="cut off within its header"):
        probe(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"Dear diary, tonight was clear.\n" * 200, "is not a FITS file"),
        (b"\x00" * 9000, "is not a FITS file"),
        (b"SIMPLE  =                    T".ljust(2880), "no END card"),
    ],
)
def test_what_is_no_fits_file(tmp_path, content, message):
    path = tmp_path / "x.fits"
    path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        probe(path)


def test_no_image_and_no_file(tmp_path):
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "e.fits")
    with pytest.raises(FileError, match="no two-dimensional image"):
        probe(tmp_path / "e.fits")
    with pytest.raises(FileError, match="does not exist"):
        probe(tmp_path / "nothing.fits")


def test_a_file_that_shrinks_between_probe_and_read(tmp_path):
    path = plain(tmp_path, np.zeros((50, 50), np.uint16))
    rows = open_rows(probe(path)[0])
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(FileError, match="ended while its pixels were read"):
        rows(0, 50)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int32"])
@pytest.mark.parametrize("chunk", [1, 1 << 19])
def test_rows_into_a_wider_tile(tmp_path, monkeypatch, dtype, chunk):
    image = np.random.default_rng(1).integers(0, 60000, (9, 7)).astype(dtype)
    fits.PrimaryHDU(image).writeto(tmp_path / "a.fits")
    monkeypatch.setattr("sciastro.io.fitspixels.CHUNK", chunk)  # one row a time, or all
    (found,) = probe(tmp_path / "a.fits")
    tile = np.full((8, 12), 77, found.dtype)
    open_rows(found).into(2, 8, tile[1:7, 3:10])
    np.testing.assert_array_equal(tile[1:7, 3:10], image[2:8])
    tile[1:7, 3:10] = 77
    assert (tile == 77).all()


def test_rows_out_of_the_image_are_refused(tmp_path):
    rows = open_rows(probe(plain(tmp_path, np.zeros((5, 5), np.uint16)))[0])
    assert rows(2, 2).shape == (0, 5)
    with pytest.raises(IndexError, match="rows 0:6"):
        rows(0, 6)


def test_dirty_header_bytes_never_raise():
    cards = [
        b"SIMPLE  =                    T",
        b"OBJECT  = 'M\x0131\xe4\x00'",
        "OBSERVER= 'Bj\u00f6rn \u661f'".encode(),
    ]
    cards += [b"COMMENT \xff\xfe control \x07", b"EXPTIME =                 30.0 / [s]", b"END"]
    header = header_from_bytes(b"".join(card.ljust(80) for card in cards))
    assert header["OBJECT"] == "M 31a"
    assert header["OBSERVER"] == "Bjorn ?"
    assert header["EXPTIME"] == 30.0


@pytest.mark.parametrize("suffix", FitsReader().suffixes)
def test_suffixes_are_lower_case(suffix):
    assert suffix == suffix.lower()
    assert suffix.startswith(".")


def test_real_files_equal_astropy():
    files = [
        *(DATA / "reference" / "fits_compression").glob("*.fits"),
        *(DATA / "detector_qsi683").glob("*1.fits.fz"),
    ]
    if not files:
        pytest.skip("no real data beside the repository")
    for path in files:
        for image in probe(path):
            expected = np.asarray(fits.getdata(path, image.hdu)).reshape(image.shape)
            got = read_pixels(path, image.hdu)
            assert got.dtype == image.dtype
            np.testing.assert_array_equal(got, expected)
