# ruff: noqa: E501 (tables of cases)
"""TIFF files of sensor pixels; pictures and broken files are refused with the reason."""

import importlib.util
import struct
import zlib

import numpy as np
import pytest
import tifffile
from astropy.io import fits

from sciastro.errors import FileError
from sciastro.io.headers import facts_from_header
from sciastro.io.reader import open_rows, probe, read_pixels
from sciastro.recipe.session import scan

HEADER = {"IMAGETYP": "Light Frame", "EXPTIME": 30.0, "INSTRUME": "ASI178MM", "DATE-OBS": "2024-08-01T22:00:00.5",
          "OBJECT": "M 31", "GAIN": 120, "SWCREATE": "SharpCap v4"}  # fmt: skip


@pytest.fixture
def ramp():
    y, x = np.mgrid[0:40, 0:50]
    return (1000 + 7 * y + 3 * x).astype(np.uint16)


def described(style):
    header = fits.Header(HEADER)
    if style == "cards":
        return header.tostring(sep="", padding=False)
    return "\n".join(
        f"{card.keyword}={card.value}" if style == "lines" else str(card) for card in header.cards
    )


def facts_of(path, number=0):
    image = probe(path)[number]
    return facts_from_header(image.header, path.name, image.shape, image.dtype.name, image.hdu)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize(
    "how", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"rowsperstrip": 7}, {"bigtiff": True}]
)
def test_pixels_come_back(tmp_path, ramp, dtype, how):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp.astype(dtype), photometric="minisblack", **how)
    np.testing.assert_array_equal(read_pixels(path), ramp.astype(dtype))
    (image,) = probe(path)
    assert image.dtype == dtype
    np.testing.assert_array_equal(open_rows(image)(5, 30), ramp[5:30].astype(dtype))


@pytest.mark.parametrize("style", ["cards", "lines", "separate"])
def test_a_header_in_the_description(tmp_path, ramp, style):
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, ramp, photometric="minisblack", description=described(style), metadata=None)
    facts = facts_of(path)
    assert (facts.kind, facts.exposure, facts.instrument, facts.target) == ("light", 30.0, "ASI178MM", "M 31")
    assert (facts.gain_setting, facts.program) == (120.0, "SharpCap")
    assert facts.time.isoformat() == "2024-08-01T22:00:15.500000+00:00"


def test_tags_of_a_camera(tmp_path, ramp):
    path = tmp_path / "a.tif"
    tags = [
        (271, 2, 0, "Acme", True),
        (272, 2, 0, "Cam 1", True),
        (33434, 5, 1, (5, 2), True),
        (34855, 3, 1, 800, True),
    ]
    tifffile.imwrite(
        path, ramp, photometric="minisblack", datetime="2024:08:01 23:00:00", extratags=tags, metadata=None
    )
    facts = facts_of(path)
    assert (facts.instrument, facts.exposure, facts.gain_setting) == ("Acme Cam 1", 2.5, 800.0)
    assert facts.time.isoformat() == "2024-08-01T23:00:01.250000+00:00"
    assert any("no time zone" in problem for problem in facts.problems)


def test_floats_of_one_stand_for_full_scale(tmp_path, ramp):
    tifffile.imwrite(tmp_path / "a.tif", (ramp / 65535).astype(np.float32), photometric="minisblack")
    assert facts_of(tmp_path / "a.tif").adu_per_unit == 65535.0
    tifffile.imwrite(tmp_path / "b.tif", ramp.astype(np.float32), photometric="minisblack")
    assert facts_of(tmp_path / "b.tif").adu_per_unit == 1.0


def test_pages_are_frames(tmp_path, ramp):
    stack = np.stack([ramp, ramp + 1, ramp + 2])
    (tmp_path / "M13").mkdir()
    tifffile.imwrite(
        tmp_path / "M13/a_30s.tif",
        stack,
        photometric="minisblack",
        description=described("separate"),
        metadata=None,
    )
    found = scan(tmp_path)
    assert [frame.name for frame in found.frames] == [f"M13/a_30s.tif#{k}" for k in range(3)]
    for frame in found.frames:
        np.testing.assert_array_equal(read_pixels(found.path(frame), frame.hdu), stack[frame.hdu])


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (np.zeros((20, 30, 3), np.uint16), {"photometric": "rgb"}, "color picture"),
        (np.zeros((20, 30), np.uint8), {"photometric": "minisblack"}, "picture of 8 bits"),
        (np.zeros((20, 30), np.uint16), {"photometric": "miniswhite"}, "inverted"),
        (
            np.zeros((20, 30), np.uint8),
            {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
            "palette",
        ),
    ],
)
def test_pictures_are_refused(tmp_path, data, options, said):
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    with pytest.raises(FileError, match=said) as caught:
        probe(tmp_path / "a.tif")
    assert "raw frame" in caught.value.remedy


def test_broken_files(tmp_path, ramp):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp, photometric="minisblack")
    whole = path.read_bytes()
    for content, said in [
        (b"", "empty"),
        (b"SIMPLE  =" * 9, "no TIFF"),
        (whole[:6], "no TIFF|read"),
        (whole[:-9], "cut off"),
    ]:
        path.write_bytes(content)
        with pytest.raises(FileError, match=said):
            probe(path)
    with pytest.raises(FileError, match="does not exist"):
        probe(tmp_path / "b.tif")


def test_random_damage_never_escapes_as_anything_else(tmp_path, ramp):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, ramp, photometric="minisblack", description=described("separate"), compression="zlib"
    )
    whole, rng, refused = path.read_bytes(), np.random.default_rng(3), 0
    for _ in range(150):
        content = bytearray(whole)
        for at in [*rng.integers(0, 300, 2), rng.integers(len(whole))]:
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            facts_of(path)
            read_pixels(path)
        except FileError:
            refused += 1
    assert refused > 30


def put_bomb(path):
    """Have the strip of a TIFF file unpack to 64 MiB from 65 kB, in the place of its own."""
    content = bytearray(path.read_bytes())
    bomb = zlib.compress(bytes(1 << 26), 9)
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages.first.tags
        for tag, value in ((273, len(content)), (279, len(bomb))):
            struct.pack_into("<I", content, tags[tag].offset + 8, value)
    path.write_bytes(bytes(content) + bomb)


def test_a_bomb_is_refused(tmp_path, ramp):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp, photometric="minisblack", compression="zlib", metadata=None)
    put_bomb(path)
    with pytest.raises(FileError, match="more pixels than it says"):
        read_pixels(path)


def test_a_bomb_of_floats_is_refused_before_its_range_is_looked_at(tmp_path, ramp):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, ramp.astype(np.float32), photometric="minisblack", compression="zlib", metadata=None
    )
    put_bomb(path)
    with pytest.raises(FileError, match="more pixels than it says"):
        probe(path)


@pytest.mark.parametrize("code", [5, 34926])  # LZW, zstd
def test_packing_that_needs_another_package(tmp_path, ramp, code):
    if importlib.util.find_spec("imagecodecs") is not None:
        pytest.skip("imagecodecs is installed")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages.first.tags[259].offset + 8
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, at, code)
    path.write_bytes(content)
    with pytest.raises(FileError, match="needs the package imagecodecs") as caught:
        read_pixels(path)
    assert "pip install imagecodecs" in caught.value.remedy
