# ruff: noqa: E501 (lines of XML as they stand in files)
"""XISF: reading and writing against the PyPI package `xisf` (a peer, for tests only), and broken files."""

import base64
import struct
import zlib

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS

import sciastro
from sciastro.core.wcs import celestial_from_header
from sciastro.errors import FileError, OptionError
from sciastro.io.headers import facts_from_header
from sciastro.io.products import ProductFacts, write_image_product
from sciastro.io.reader import open_rows, probe, read_pixels
from sciastro.io.xisf import read_images
from sciastro.io.xisfblocks import parse_block, shuffled
from sciastro.io.xisfcards import flip_wcs
from sciastro.io.xisfwrite import XisfPlane, write_xisf

CODECS = ["", "zlib", "lz4", "lz4hc", "zstd"]
NEEDS = {"lz4": "lz4", "lz4hc": "lz4", "zstd": "zstandard"}


@pytest.fixture
def ramp():
    y, x = np.mgrid[0:40, 0:50]
    return (1000 + 7 * y + 3 * x).astype(np.uint16)


def light(**cards):
    header = fits.Header()
    for key, value in (
        {"IMAGETYP": "Light Frame", "EXPTIME": 120.0, "INSTRUME": "ASI2600MC", "GAIN": 100, "OBJECT": "M 31",
         "DATE-OBS": "2024-08-01T22:00:00.5", "CCD-TEMP": -10.25, "SWCREATE": "N.I.N.A. 3.1"} | cards
    ).items():  # fmt: skip
        header[key] = value
    return header


def facts_of(path, number=0):
    image = probe(path)[number]
    return facts_from_header(image.header, path.name, image.shape, image.dtype.name, image.hdu)


# -------------------------------------------------------------------------------------- round trips
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32", "float64"])
def test_pixels_come_back(tmp_path, ramp, codec, dtype):
    pytest.importorskip(NEEDS.get(codec, "numpy"))
    data = ramp.astype(dtype)
    if data.dtype.kind == "f":
        data[3, 4] = np.nan
    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(data)], compression=codec)
    np.testing.assert_array_equal(read_pixels(path), data)
    (image,) = probe(path)
    assert image.dtype == data.dtype
    np.testing.assert_array_equal(open_rows(image)(5, 11), data[5:11])
    assert (path.stat().st_size < data.nbytes + 8192) or codec == ""


def test_facts_come_back(tmp_path, ramp):
    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(ramp, light(), cfa="GRBG")])
    facts = facts_of(path)
    assert (facts.kind, facts.exposure, facts.gain_setting, facts.target) == ("light", 120.0, 100.0, "M 31")
    assert (facts.temperature, facts.cfa, facts.filter) == (-10.25, "GRBG", "OSC")
    assert facts.time.isoformat() == "2024-08-01T22:01:00.500000+00:00"
    assert facts.program == "N.I.N.A."
    assert facts.adu_per_unit == 1.0
    assert facts.problems == ()


def test_texts_with_every_letter(tmp_path, ramp):
    header = light(OBJECT='Barnard\'s <33> & "Horse"')
    header.add_history('{"step": "a  b", "n": 1}')
    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(ramp, header)])
    found = probe(path)[0].header
    assert found["OBJECT"] == header["OBJECT"]
    assert str(found["HISTORY"]) == '{"step": "a  b", "n": 1}'


@pytest.mark.parametrize("kind", ["cd", "pc", "cdelt", "sip"])
def test_world_coordinates_come_back_and_mean_fits_rows_in_the_file(tmp_path, ramp, kind):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 41.0})
    header["CRPIX1"], header["CRPIX2"] = 20.5, 13.25
    cards = {
        "cd": {"CD1_1": -1e-3, "CD1_2": 2e-4, "CD2_1": 1e-4, "CD2_2": 9e-4},
        "pc": {"PC1_1": 0.9, "PC1_2": -0.1, "PC2_1": 0.2, "PC2_2": 1.1, "CDELT1": -1e-3, "CDELT2": 1e-3},
        "cdelt": {"CDELT1": -1e-3, "CDELT2": 1e-3},
        "sip": {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CD1_1": -1e-3, "CD2_2": 1e-3,
                "CD1_2": 0.0, "CD2_1": 0.0, "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "A_1_1": 2e-4, "A_0_2": 3e-4,
                "B_2_0": -1e-4, "B_1_1": 4e-4, "B_0_2": 5e-4},
    }[kind]  # fmt: skip
    for key, value in cards.items():
        header[key] = value
    rows = ramp.shape[0]
    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(ramp, header)])
    before, after = WCS(header), celestial_from_header(probe(path)[0].header)
    x, y = np.array([0.0, 49.0, 12.0]), np.array([0.0, 3.0, 39.0])
    np.testing.assert_allclose(after.all_pix2world(x, y, 0), before.all_pix2world(x, y, 0), atol=1e-12)
    # In the file they stand for rows from the bottom: stored row r is row (rows - 1 - r) of FITS.
    flipped = header.copy()
    flip_wcs(flipped, rows)
    np.testing.assert_allclose(
        WCS(flipped).all_pix2world(x, rows - 1 - y, 0), before.all_pix2world(x, y, 0), atol=1e-12
    )


def test_several_images_and_colors(tmp_path, ramp):
    planes = [
        XisfPlane(ramp, light(), "one"),
        XisfPlane(np.stack([ramp] * 3), light(), "rgb"),
        XisfPlane(ramp + 1),
    ]
    path = write_xisf(tmp_path / "a.xisf", planes)
    assert [image.shape for image in read_images(path)] == [(1, 40, 50), (3, 40, 50), (1, 40, 50)]
    assert [image.hdu for image in probe(path)] == [0, 2]
    np.testing.assert_array_equal(read_pixels(path, 2), ramp + 1)
    write_xisf(path, planes[1:2])
    with pytest.raises(FileError, match="color image"):
        probe(path)


def test_same_input_same_bytes(tmp_path, ramp):
    from datetime import UTC, datetime

    when = datetime(2024, 1, 1, tzinfo=UTC)
    one, two = (
        write_xisf(tmp_path / name, [XisfPlane(ramp, light())], created=when).read_bytes() for name in "ab"
    )
    assert one == two


def test_other_types_are_refused(tmp_path, ramp):
    with pytest.raises(OptionError, match="int64"):
        write_xisf(tmp_path / "a.xisf", [XisfPlane(ramp.astype(np.int64))])
    with pytest.raises(OptionError, match="rar"):
        write_xisf(tmp_path / "a.xisf", [XisfPlane(ramp)], compression="rar")
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------- products
def product(path, rng):
    image = rng.normal(10, 1, (40, 50)).astype(np.float32)
    image[0, 0] = np.nan
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [10, 41], [25, 20]
    wcs.wcs.cdelt = [-1e-3, 1e-3]
    facts = ProductFacts(target="M 31", band="G", n_frames=7, exposure=420.0, history='{"step": "x"}')
    quality = np.zeros((40, 50), np.uint16)
    quality[0, 0] = 1
    write_image_product(
        path,
        image,
        np.full((40, 50), 0.25, np.float32),
        quality,
        np.full((40, 50), 7.0),
        wcs=wcs,
        facts=facts,
    )


def test_a_product_is_the_same_in_both_formats(tmp_path):
    product(tmp_path / "a.fits", np.random.default_rng(1))
    product(tmp_path / "a.xisf", np.random.default_rng(1))
    one, two = (sciastro.open(tmp_path / f"a.{end}").load() for end in ("fits", "xisf"))
    xr.testing.assert_identical(one, two)


def test_accessor_writes_xisf(tmp_path):
    product(tmp_path / "a.fits", np.random.default_rng(1))
    (written,) = sciastro.open(tmp_path / "a.fits").sky.to_xisf(tmp_path / "b")
    assert written.name == "b.xisf"
    np.testing.assert_array_equal(
        sciastro.open(written)["image"].values, sciastro.open(tmp_path / "a.fits")["image"].values
    )


# ------------------------------------------------------------------------------------------- floats
def test_white_of_floats_stands_for_full_scale(tmp_path, ramp):
    data = ramp.astype(np.float32) / 65535
    data[0, 0], data[0, 1] = 0.0, 1.0
    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(data, light(SWCREATE="Someone"))])
    assert facts_of(path).adu_per_unit == 65535.0
    data *= 65535
    write_xisf(path, [XisfPlane(data, light(SWCREATE="Someone"))])
    assert facts_of(path).adu_per_unit == pytest.approx(1.0)


# ------------------------------------------------------------------------------------------ written by hand
def document(path, image, data=b"", extra="", head=b"XISF0100"):
    text = f'<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf">{image}{extra}</xisf>'.encode()
    start = 4096
    path.write_bytes((head + struct.pack("<II", len(text), 0) + text).ljust(start, b"\0") + data)
    return path


def test_properties_stand_in_for_keywords(tmp_path, ramp):
    names = {
        "Instrument:ExposureTime": 60.0, "Instrument:Telescope:FocalLength": 0.53, "Instrument:Sensor:XPixelSize": 3.76,
        "Instrument:Camera:Gain": 0.25, "Observation:Location:Longitude": 11.5, "Observation:Location:Latitude": 48.1,
        "Instrument:Sensor:Temperature": -5.0,
    }  # fmt: skip
    properties = "".join(
        f'<Property id="{name}" type="Float64" value="{value}"/>' for name, value in names.items()
    )
    properties += '<Property id="Instrument:Camera:Name" type="String">ASI533MM</Property>'
    properties += '<Property id="Observation:Time:Start" type="TimePoint" value="2024-08-01T22:00:00Z"/>'
    image = (
        f'<Image geometry="50:40:1" sampleFormat="UInt16" imageType="Light" location="attachment:4096:{ramp.nbytes}">'
        f"{properties}</Image>"
    )
    facts = facts_of(document(tmp_path / "a.xisf", image, ramp.astype("<u2").tobytes()))
    assert (facts.kind, facts.exposure, facts.egain, facts.temperature) == ("light", 60.0, 0.25, -5.0)
    assert (facts.instrument, facts.pixel_size) == ("ASI533MM", 3.76)
    assert facts.focal_length == pytest.approx(530.0)
    assert facts.site == (48.1, 11.5, None)
    assert facts.time.isoformat() == "2024-08-01T22:00:30+00:00"


@pytest.mark.parametrize("how", ["inline", "embedded", "big", "parts", "hex"])
def test_other_ways_to_keep_pixels(tmp_path, ramp, how):
    data = ramp.astype("<u2").tobytes()
    start = '<Image geometry="50:40:1" sampleFormat="UInt16"'
    body, stored = "", b""
    if how == "inline":
        start += ' location="inline:base64"'
        body = base64.b64encode(data).decode()
    elif how == "hex":
        start += ' location="inline:hex"'
        body = data.hex()
    elif how == "embedded":
        start += ' location="embedded"'
        packed = base64.b64encode(zlib.compress(data)).decode()
        body = f'<Data encoding="base64" compression="zlib:{len(data)}">{packed}</Data>'
    elif how == "big":
        stored = ramp.astype(">u2").tobytes()
        start += f' byteOrder="big" location="attachment:4096:{len(stored)}"'
    else:
        mixed = shuffled(data, 2)
        pieces = [zlib.compress(mixed[:1500]), zlib.compress(mixed[1500:])]
        stored = b"".join(pieces)
        sizes = f"{len(pieces[0])},1500:{len(pieces[1])},{len(data) - 1500}"
        start += f' compression="zlib+sh:{len(data)}:2" subblocks="{sizes}" location="attachment:4096:{len(stored)}"'
    path = document(tmp_path / "a.xisf", f"{start}>{body}</Image>", stored)
    np.testing.assert_array_equal(read_pixels(path), ramp)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ('<Image geometry="50:40:1" sampleFormat="UInt16" location="attachment:4096:9999999"/>', "cut off"),
        ('<Image geometry="50:40:1" sampleFormat="UInt16" location="attachment:-5:4000"/>', "outside"),
        ('<Image geometry="50:40:1" sampleFormat="UInt16" location="url(http://a/b)"/>', "not in the file"),
        ('<Image geometry="60:40:1" sampleFormat="UInt16" location="attachment:4096:4000"/>', "needs 4800"),
        ('<Image geometry="50:40" sampleFormat="UInt16" location="attachment:4096:4000"/>', "geometry"),
        ('<Image geometry="99999999:99999:1" sampleFormat="UInt8" location="attachment:4096:4000"/>', "geometry"),
        ('<Image geometry="50:40:1" sampleFormat="Complex32" location="attachment:4096:4000"/>', "Complex32"),
        ('<Image geometry="50:40:1" sampleFormat="UInt16" compression="bz2:4000" location="attachment:4096:100"/>', "bz2"),
        ('<Image geometry="32768:32768:1" sampleFormat="UInt8" compression="zlib:1073741824" '
         'location="attachment:4096:100"/>', "contradict"),
        ('<Image geometry="50:40:1" sampleFormat="UInt16" compression="zlib:x" location="attachment:4096:100"/>',
         "makes no sense"),
        ("<Picture/>", "no image"),
    ],
)  # fmt: skip
def test_headers_that_lie(tmp_path, image, said):
    path = document(tmp_path / "a.xisf", image, bytes(4000))
    with pytest.raises(FileError, match=said):
        probe(path)


def test_entities_are_refused(tmp_path):
    text = f"{BOMB}<xisf>&b;</xisf>".encode()
    path = tmp_path / "a.xisf"
    path.write_bytes(b"XISF0100" + struct.pack("<II", len(text), 0) + text)
    with pytest.raises(FileError, match="document type"):
        probe(path)


def test_damage_is_found(tmp_path, ramp):
    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(ramp)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 255]) + whole[-2:])
    with pytest.raises(FileError, match="checksum"):
        read_pixels(path)
    for content, said in [
        (b"", "empty"),
        (whole[:12], "cut off"),
        (whole[:900], "cut off"),
        (b"SIMPLE  =" * 9, "not an XISF"),
    ]:
        path.write_bytes(content)
        with pytest.raises(FileError, match=said):
            probe(path)
    with pytest.raises(FileError, match="does not exist"):
        probe(tmp_path / "b.xisf")


def test_flipped_bits_never_escape_as_anything_else(tmp_path, ramp):
    whole = write_xisf(tmp_path / "whole.xisf", [XisfPlane(ramp, light())]).read_bytes()
    rng, path, refused = np.random.default_rng(2), tmp_path / "a.xisf", 0
    for _ in range(200):
        content = bytearray(whole)
        for at in rng.integers(0, 2600, 2):
            content[at] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            facts_of(path)
            read_pixels(path)
        except FileError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_without_the_package(tmp_path, ramp, codec, monkeypatch):
    pytest.importorskip(NEEDS[codec])
    from sciastro.io import xisfblocks

    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(ramp)], compression=codec)

    def missing(name):
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(xisfblocks.importlib, "import_module", missing)
    with pytest.raises(FileError, match=r'pip install "sciastro\[xisf\]"'):
        read_pixels(path)


# ------------------------------------------------------------------------------------------- the peer
@pytest.fixture
def peer():
    return pytest.importorskip("xisf").XISF


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32", "float64"])
def test_the_peer_reads_ours(tmp_path, ramp, codec, dtype, peer):
    data = ramp.astype(dtype)
    path = write_xisf(tmp_path / "a.xisf", [XisfPlane(data, light(), cfa="RGGB")], compression=codec)
    theirs = peer(str(path))
    np.testing.assert_array_equal(theirs.read_image(0)[..., 0], data)
    keywords = theirs.get_images_metadata()[0]["FITSKeywords"]
    assert float(keywords["EXPTIME"][0]["value"]) == 120.0
    assert keywords["OBJECT"][0]["value"].strip("'") == "M 31"


@pytest.mark.parametrize("codec", [None, "zlib", "lz4", "lz4hc", "zstd"])
@pytest.mark.parametrize("mixed", [False, True])
def test_we_read_the_peers(tmp_path, ramp, codec, mixed, peer):
    keywords = {
        "EXPTIME": [{"value": "300.0", "comment": "s"}], "IMAGETYP": [{"value": "LIGHT", "comment": ""}],
        "INSTRUME": [{"value": "QHY268M", "comment": ""}], "DATE-OBS": [{"value": "2024-08-01T22:00:00", "comment": ""}],
    }  # fmt: skip
    path = tmp_path / "a.xisf"
    peer.write(
        str(path), ramp[..., None], image_metadata={"FITSKeywords": keywords}, codec=codec, shuffle=mixed
    )
    np.testing.assert_array_equal(read_pixels(path), ramp)
    facts = facts_of(path)
    assert (facts.exposure, facts.kind, facts.instrument) == (300.0, "light", "QHY268M")


@pytest.mark.parametrize("compression", ["zlib", "zlib+sh", "zlib+sh:80", "zlib:x"])
def test_a_compression_without_its_sizes_makes_no_sense(compression):
    attributes = {"location": "attachment:0:10", "compression": compression}
    with pytest.raises(FileError, match="makes no sense"):
        parse_block(attributes, "", "a.xisf", 100)
